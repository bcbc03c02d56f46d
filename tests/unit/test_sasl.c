/* test_sasl.c - base64 there and back, and SASL PLAIN. */
#include "conf_unit.h"

#include <kurir/auth.h>

#include <errno.h>

static struct kurir_arena *arena;

static void base64(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe", "//4=" } };
	static const char *const bad[] = { "Z", "Zg=", "Zg",
		"Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n" };
	struct kurir_str s;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_str(kurir_base64_encode(arena, kurir_str_of(pairs[i][0])), pairs[i][1]);
		assert_int_equal(kurir_base64_decode(arena, kurir_str_of(pairs[i][1]), &s), 0);
		assert_str(s, pairs[i][0]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (kurir_base64_decode(arena, kurir_str_of(bad[i]), &s) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
}

static int plain_of(struct kurir_str raw, struct kurir_credentials *c)
{
	return kurir_sasl_plain(arena, kurir_base64_encode(arena, raw), c);
}

static void plain(void **state)
{
	struct kurir_credentials c;

	(void)state;
	assert_int_equal(plain_of(KURIR_STR("\0hyd\0secret"), &c), 0);
	assert_str(c.user, "hyd");
	assert_str(c.password, "secret");
	assert_int_equal(c.authzid.len, 0);
	assert_int_equal(plain_of(KURIR_STR("other\0hyd\0s"), &c), 0);
	assert_str(c.authzid, "other");
	assert_int_equal(plain_of(KURIR_STR("\0hyd\0"), &c), -EBADMSG);
	assert_int_equal(plain_of(KURIR_STR("\0\0secret"), &c), -EBADMSG);
	assert_int_equal(plain_of(KURIR_STR("hyd\0secret"), &c), -EBADMSG);
	assert_int_equal(plain_of(KURIR_STR("\0hyd\0sec\0ret"), &c), -EBADMSG);
	assert_int_equal(kurir_sasl_plain(arena, KURIR_STR("="), &c), -EBADMSG);
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int end(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(base64), cmocka_unit_test(plain) };

	return cmocka_run_group_tests(tests, begin, end);
}
