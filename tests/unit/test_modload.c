/* test_modload.c - the loader's refusals, and what it makes of descriptors of other sizes. */
#include "conf_unit.h"

#include "modload.h"

#include <errno.h>
#include <sys/stat.h>

static struct kurir_arena *arena;

static int open_module(const char *name, struct module **ret, struct kurir_str *error)
{
	struct kurir_str folder = kurir_str_of(test_modules());
	struct kurir_texts path = { 1, &folder };
	struct kurir_str file = modload_search(arena, kurir_str_of(name), &path);

	if (file.len == 0)
		fail_msg("%s is not in %s", name, test_modules());
	*error = KURIR_STR("");
	return modload_open(arena, kurir_str_of(name), file.ptr, ret, error);
}

static void good(void **state)
{
	struct kurir_str error;
	struct module *m, *again;

	(void)state;
	assert_int_equal(open_module("good", &m, &error), 0);
	assert_string_equal(m->m.name, "good");
	assert_int_equal(m->counters, 2);
	assert_int_equal(m->caps, KURIR_CAP_NET | KURIR_CAP_BODY);
	assert_int_equal(open_module("good", &again, &error), 0);
	assert_ptr_equal(m, again);
}

static void refused(void **state)
{
	static const struct {
		const char *name;
		int r;
		const char *part;
	} cases[] = {
		{ "abi_newer", -EPROTONOSUPPORT, "was built for ABI 1.1, this is 1.0" },
		{ "abi_other_major", -EPROTONOSUPPORT, "was built for ABI 2.0, this is 1.0" },
		{ "abi_older_major", -EPROTONOSUPPORT, "build it again" },
		{ "nosymbol", -ENOEXEC, "it has no KURIR_MODULE(nosymbol, ...)" },
		{ "nothing", -EINVAL, "gives no descriptor" },
		{ "wrongname", -EINVAL, "calls itself \"rightname\"" },
		{ "undefined_symbol", -ENOEXEC, "undefined symbol: kurir_of_the_future" },
		{ "long_used_tail", -E2BIG, "upgrade kurird" },
		{ "bad_size", -EINVAL, "descriptor of 7 bytes" },
	};
	struct kurir_str error;
	struct module *m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(open_module(cases[i].name, &m, &error), cases[i].r);
		if (!strstr(error.ptr, cases[i].part))
			fail_msg("\"%s\" does not say \"%s\"", error.ptr, cases[i].part);
	}
}

static void short_struct(void **state)
{
	struct kurir_str error;
	struct module *m;

	(void)state;
	assert_int_equal(open_module("short_struct", &m, &error), 0);
	assert_int_equal(m->m.roles, KURIR_ROLE_EDGE);
	assert_null(m->m.start);
	assert_null(m->m.stop);
	assert_null(m->m.smtp);
}

static void long_zero_tail(void **state)
{
	struct kurir_str error;
	struct module *m;

	(void)state;
	assert_int_equal(open_module("long_zero_tail", &m, &error), 0);
	assert_string_equal(m->m.version, "1.0");
}

static void names(void **state)
{
	static const char *const bad[] = { "", "Good", "go-od", "../good", "good.so", "go/od",
		"g\xc3\xb6" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(modload_good_name(kurir_str_of(bad[i])));
	assert_true(modload_good_name(KURIR_STR("queue_journal2")));
}

static void paths(void **state)
{
	struct kurir_str error, folder = KURIR_STR("relative"), none = KURIR_STR("/nonexistent");
	struct kurir_texts relative = { 1, &folder }, missing = { 1, &none };
	struct module *m;

	(void)state;
	assert_int_equal(modload_open(arena, KURIR_STR("abc"), "abc.so", &m, &error), -EINVAL);
	assert_non_null(strstr(error.ptr, "absolute"));
	assert_int_equal(
	    modload_open(arena, KURIR_STR("abc"), "/usr/../abc.so", &m, &error), -EINVAL);
	assert_int_equal(
	    modload_open(arena, KURIR_STR("../abc"), "/abc.so", &m, &error), -EINVAL);
	assert_int_equal(
	    modload_open(arena, KURIR_STR("abc"), "/nonexistent/abc.so", &m, &error), -ENOENT);
	assert_int_equal(modload_search(arena, KURIR_STR("good"), &relative).len, 0);
	assert_int_equal(modload_search(arena, KURIR_STR("good"), &missing).len, 0);
}

static void owners(void **state)
{
	struct kurir_str error;
	struct module *m;
	const char *path;

	(void)state;
	if (geteuid() != 0) /* no skip(): cmocka's TAP calls that a failure */
		return;
	path = make_file("no object");
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(modload_open(arena, KURIR_STR("kurir"), path, &m, &error), -EPERM);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(modload_open(arena, KURIR_STR("kurir"), path, &m, &error), -ENOEXEC);
	drop_file(path);
}

static void listing(void **state)
{
	struct kurir_str folder = kurir_str_of(test_modules());
	struct kurir_texts path = { 1, &folder }, all = modload_list(arena, &path);
	bool found = false;

	(void)state;
	for (size_t i = 0; i < all.count; i++) {
		found = found || kurir_str_equal(all.items[i], KURIR_STR("good"));
		assert_true(i == 0 || kurir_str_compare(all.items[i - 1], all.items[i]) < 0);
	}
	assert_true(found);
	setenv("KURIR_MODULE_PATH", "build/.libs:/x", 1);
	path = (struct kurir_texts){ 1, &(struct kurir_str){ "/nowhere", 8 } };
	assert_string_equal(
	    modload_folders(arena, &path).ptr, "build/.libs (not absolute), /x, /nowhere");
	unsetenv("KURIR_MODULE_PATH");
}

static int set_up(void **state)
{
	(void)state;
	unsetenv("KURIR_MODULE_PATH");
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
		cmocka_unit_test(refused),
		cmocka_unit_test(short_struct),
		cmocka_unit_test(long_zero_tail),
		cmocka_unit_test(names),
		cmocka_unit_test(paths),
		cmocka_unit_test(owners),
		cmocka_unit_test(listing),
	};

	return cmocka_run_group_tests_name("modload", tests, set_up, tear_down);
}
