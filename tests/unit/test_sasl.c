/* test_sasl.c - base64 there and back, PLAIN, OAUTHBEARER and XOAUTH2. */
#include "conf_unit.h"

#include <modules/sasl/sasl.h>

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

static void plain(void **state)
{
	struct kurir_credentials c;

	(void)state;
	assert_int_equal(sasl_plain(KURIR_STR("\0hyd\0secret"), &c), 0);
	assert_str(c.user, "hyd");
	assert_str(c.password, "secret");
	assert_int_equal(c.authzid.len, 0);
	assert_int_equal(sasl_plain(KURIR_STR("other\0hyd\0s"), &c), 0);
	assert_str(c.authzid, "other");
	assert_int_equal(sasl_plain(KURIR_STR("\0hyd\0"), &c), -EBADMSG);
	assert_int_equal(sasl_plain(KURIR_STR("\0\0secret"), &c), -EBADMSG);
	assert_int_equal(sasl_plain(KURIR_STR("hyd\0secret"), &c), -EBADMSG);
	assert_int_equal(sasl_plain(KURIR_STR("\0hyd\0sec\0ret"), &c), -EBADMSG);
	assert_int_equal(sasl_plain(KURIR_STR(""), &c), -EBADMSG);
}

static void bearer(void **state)
{
	static const struct {
		const char *text, *user; /* NULL: refused */
	} rows[] = {
		{ "n,a=hyd@satu.example,\1host=x\1port=993\1auth=Bearer ab.c-d_~+/==\1\1",
		    "hyd@satu.example" },
		{ "n,,\1auth=bearer ab.c-d_~+/==\1\1", "" },
		{ "y,a=a=2Cb,\1auth=Bearer ab.c-d_~+/==\1x=y\1\1", "a,b" },
		{ "n,,\1auth=Bearer ab.c-d_~+/==\1", NULL },
		{ "n,,\1auth=Bearer ab.c-d_~+/==\1\1\1", NULL },
		{ "n,,\1auth=Bearer ab.c-d_~+/==\1auth=Bearer x\1\1", NULL },
		{ "n,,\1auth=Basic ab\1\1", NULL },
		{ "n,,\1auth=Bearer a b\1\1", NULL },
		{ "n,,\1auth=Bearer =\1\1", NULL },
		{ "n,,\1auth=Bearer \1\1", NULL },
		{ "n,,\1\1", NULL },
		{ "\1", NULL },
		{ "", NULL },
		{ "n,x,\1auth=Bearer ab\1\1", NULL },
		{ "q,,\1auth=Bearer ab\1\1", NULL },
		{ "n,,auth=Bearer ab\1\1", NULL },
	};
	struct kurir_str user, token;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = sasl_oauthbearer(arena, kurir_str_of(rows[i].text), &user, &token);

		if (r != (rows[i].user != NULL ? 0 : -EBADMSG))
			fail_msg("%d for %s", r, rows[i].text);
		if (r == 0) {
			assert_str(user, rows[i].user);
			assert_str(token, "ab.c-d_~+/==");
		}
	}
	assert_int_equal(sasl_oauthbearer(arena, KURIR_STR("p=tls-exporter,,\1auth=Bearer a\1\1"),
			     &user, &token),
	    -EACCES);
}

static void xoauth2(void **state)
{
	struct kurir_str user, token;

	(void)state;
	assert_int_equal(
	    sasl_xoauth2(KURIR_STR("user=hyd\1auth=Bearer abc\1\1"), &user, &token), 0);
	assert_str(user, "hyd");
	assert_str(token, "abc");
	assert_int_equal(sasl_xoauth2(KURIR_STR("user=\1auth=Bearer abc\1\1"), &user, &token), 0);
	assert_int_equal(user.len, 0);
	assert_int_equal(sasl_xoauth2(KURIR_STR("auth=Bearer abc\1\1"), &user, &token), -EBADMSG);
	assert_int_equal(
	    sasl_xoauth2(KURIR_STR("user=h\0d\1auth=Bearer abc\1\1"), &user, &token), -EBADMSG);
	assert_int_equal(sasl_xoauth2(KURIR_STR("user=hyd\1\1"), &user, &token), -EBADMSG);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(base64), cmocka_unit_test(plain),
		cmocka_unit_test(bearer), cmocka_unit_test(xoauth2) };

	return cmocka_run_group_tests(tests, begin, end);
}
