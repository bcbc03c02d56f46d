/* test_description.c - modules read without being loaded: whole, cut, and with any byte changed. */
#include "conf_unit.h"

#include "description.h"

#include <errno.h>
#include <kurir/smtp.h>

static struct kurir_arena *arena;
static unsigned char *bytes;
static size_t length;

static struct kurir_str module_file(const char *name)
{
	return kurir_format(arena, "%s/.libs/%s.so", test_modules(), name);
}

/* In memory of exactly its size, so that a sanitizer sees the first byte too many. */
static void read_good(void)
{
	FILE *f = fopen(module_file("good").ptr, "rb");

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	length = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(length);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, length, f), length);
	fclose(f);
}

static int describe(const unsigned char *of, size_t len, struct kurir_module *ret)
{
	struct kurir_arena *own = kurir_arena_new("try");
	struct kurir_str error = KURIR_STR("");
	int r = description_read(
	    own, KURIR_STR("good"), (struct kurir_str){ (const char *)of, len }, ret, &error);

	assert_true((r < 0) == (error.len > 0));
	if (r == 0)
		json_decref(description_json(ret, "good.so"));
	kurir_arena_free(own);
	return r;
}

static void good(void **state)
{
	struct kurir_str error;
	struct kurir_module m;
	size_t options = 0;

	(void)state;
	assert_int_equal(description_of_file(arena, module_file("good").ptr, &m, &error), 0);
	assert_string_equal(m.name, "good");
	assert_string_equal(m.version, "1.0");
	assert_int_equal(m.size, sizeof(m));
	assert_int_equal(m.caps, KURIR_CAP_NET | KURIR_CAP_BODY);
	assert_int_equal(m.roles, KURIR_ROLE_EDGE | KURIR_ROLE_RELAY);
	assert_int_equal(m.self_size, 32);
	while (m.options[options].name != NULL)
		options++;
	assert_int_equal(options, 13);
	assert_string_equal(m.options[1].preset, "5");
	assert_int_equal(m.options[1].max, 10);
	assert_string_equal(m.options[8].choices[2], "dark-blue");
	assert_null(m.options[8].choices[3]);
	assert_string_equal(m.counters[1], "refused");
	assert_null(m.counters[2]);
	assert_null(m.needs);
	assert_string_equal(m.services[1].name, "transport.good");
	assert_int_equal(m.services[1].roles, KURIR_ROLE_RELAY);
	assert_null(m.services[2].kind);
	assert_string_equal(m.paths[0].option, "path");
	assert_null(m.paths[0].state);
	assert_string_equal(m.paths[1].state, "good");
	assert_true(m.check != NULL && m.start == NULL);
	assert_true(m.smtp->mail != NULL && m.smtp->rcpt == NULL);
}

static void by_symbol(void **state)
{
	struct kurir_str error;
	struct kurir_module m;

	(void)state;
	assert_int_equal(description_of_file(arena, module_file("aborting").ptr, &m, &error), 0);
	assert_string_equal(m.needs[0], "accounts");
	assert_true(m.smtp->rcpt != NULL && m.smtp->mail == NULL);
}

static void refused(void **state)
{
	static const char none[] = "\177ELF and nothing else";
	struct kurir_str error;
	struct kurir_module m;

	(void)state;
	assert_int_equal(
	    description_read(arena, KURIR_STR("x"), kurir_str_of("text"), &m, &error), -ENOEXEC);
	assert_non_null(strstr(error.ptr, "no ELF file"));
	assert_int_equal(
	    description_read(arena, KURIR_STR("x"), kurir_str_of(none), &m, &error), -ENOEXEC);
	assert_int_equal(
	    description_of_file(arena, module_file("nosymbol").ptr, &m, &error), -ENOEXEC);
	assert_non_null(strstr(error.ptr, "it has no KURIR_MODULE(nosymbol, ...)"));
	assert_int_equal(description_of_file(arena, "/nowhere/x.so", &m, &error), -ENOENT);
	assert_int_equal(description_of_file(arena, "/dev/zero/x.so", &m, &error), -ENOTDIR);
	assert_int_equal(description_of_file(arena, "/tmp", &m, &error), -EISDIR);
	assert_int_equal(description_of_file(arena, "/No-Name.so", &m, &error), -EINVAL);
	assert_int_equal(
	    description_of_file(arena, module_file("wrongname").ptr, &m, &error), -ENOEXEC);
}

static void other_version(void **state)
{
	struct kurir_module m, *in;
	size_t at = 0;

	(void)state;
	read_good();
	/* The first members as KURIR_MODULE fills them are found but once. */
	for (size_t i = 0; i + sizeof(m) < length; i += 8) {
		in = (struct kurir_module *)(void *)(bytes + i);
		if (in->size == sizeof(m) && in->abi_major == KURIR_ABI_MAJOR &&
		    in->conn_size == 24 && in->tx_size == 8)
			at = i;
	}
	assert_int_not_equal(at, 0);
	in = (struct kurir_module *)(void *)(bytes + at);
	in->abi_major++;
	assert_int_equal(describe(bytes, length, &m), -EPROTONOSUPPORT);
	in->abi_major--;
	in->abi_minor++;
	assert_int_equal(describe(bytes, length, &m), 0);
	assert_int_equal(m.abi_minor, KURIR_ABI_MINOR + 1);
	in->size = offsetof(struct kurir_module, services);
	assert_int_equal(describe(bytes, length, &m), 0);
	assert_true(m.options != NULL && m.counters != NULL);
	assert_true(m.services == NULL && m.paths == NULL && m.smtp == NULL && m.check == NULL);
	/* Half of a pointer is none. */
	for (size_t size = offsetof(struct kurir_module, caps); size < sizeof(m); size++) {
		in->size = size;
		assert_int_equal(describe(bytes, length, &m), 0);
		assert_true(m.smtp == NULL || size >= offsetof(struct kurir_module, inspect));
	}
	in->size = 7;
	assert_int_equal(describe(bytes, length, &m), -EBADMSG);
	in->size = (size_t)-1;
	assert_int_equal(describe(bytes, length, &m), -EBADMSG);
	free(bytes);
}

static void cut(void **state)
{
	struct kurir_module m;
	size_t least = 0;

	(void)state;
	read_good();
	for (size_t n = 0; n < length; n += n < 8192 ? 1 : 61) {
		unsigned char *some = malloc(n + 1);

		assert_non_null(some);
		memcpy(some, bytes, n);
		some = realloc(some, n > 0 ? n : 1);
		if (describe(some, n, &m) < 0)
			least = n;
		free(some);
	}
	assert_true(least > sizeof(m));
	free(bytes);
}

static void changed(void **state)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct kurir_module m;

	(void)state;
	read_good();
	for (size_t i = 0; i < length; i++) {
		unsigned char was = bytes[i];

		for (size_t v = 0; v < sizeof(values); v++) {
			bytes[i] = values[v];
			(void)describe(bytes, length, &m);
		}
		bytes[i] = was;
	}
	assert_int_equal(describe(bytes, length, &m), 0);
	free(bytes);
}

static int set_up(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(by_symbol),
		cmocka_unit_test(refused),
		cmocka_unit_test(other_version),
		cmocka_unit_test(cut),
		cmocka_unit_test(changed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
