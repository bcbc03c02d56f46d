/* test_smtp_parse.c - paths, parameters, xtext, base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <kurir/smtp.h>
#include <modules/smtp/smtp_parse.h>

static struct kurir_arena *arena;

struct path_case {
	const char *in;
	unsigned allowed;
	int result;
	const char *address, *rest;
};

#define L16 "aaaaaaaaaaaaaaaa"
#define L64 L16 L16 L16 L16

static const struct path_case paths[] = {
	{ "<a@b.example>", 0, 0, "a@b.example", "" },
	{ "<a@B.Example> SIZE=1", 0, 0, "a@b.example", " SIZE=1" },
	{ "<A.b+c@b>", 0, 0, "A.b+c@b", "" },
	{ "<>", PATH_NULL, 0, "", "" },
	{ "<>", 0, -EINVAL, NULL, NULL },
	{ "<Postmaster>", PATH_POSTMASTER, 0, "postmaster", "" },
	{ "<Postmaster>", 0, -EINVAL, NULL, NULL },
	{ "<@x.example:a@b>", 0, 0, "a@b", "" },
	{ "<@x.example,@y:a@b>", 0, 0, "a@b", "" },
	{ "<@x.example>", 0, -EINVAL, NULL, NULL },
	{ "<@:a@b>", 0, -EINVAL, NULL, NULL },
	{ "<\"a\"@b>", 0, 0, "a@b", "" },
	{ "<\"a b\"@b>", 0, 0, "\"a b\"@b", "" },
	{ "<\"a\\\"b\"@b>", 0, 0, "\"a\\\"b\"@b", "" },
	{ "<\"\\a\"@b>", 0, 0, "a@b", "" },
	{ "<\"a@x\"@b>", 0, 0, "\"a@x\"@b", "" },
	{ "<\"\"@b>", 0, 0, "\"\"@b", "" },
	{ "<\"a@b>", 0, -EINVAL, NULL, NULL },
	{ "<\"a\"", 0, -EINVAL, NULL, NULL },
	{ "<\"a\\", 0, -EINVAL, NULL, NULL },
	{ "<a@[192.0.2.1]>", 0, 0, "a@[192.0.2.1]", "" },
	{ "<a@[IPv6:2001:DB8::1]>", 0, 0, "a@[ipv6:2001:db8::1]", "" },
	{ "<a@[192.0.2.256]>", 0, -EINVAL, NULL, NULL },
	{ "<a@[]>", 0, -EINVAL, NULL, NULL },
	{ "<a@[x-y:abc]>", 0, 0, "a@[x-y:abc]", "" },
	{ "<a..b@c>", 0, -EINVAL, NULL, NULL },
	{ "<.a@c>", 0, -EINVAL, NULL, NULL },
	{ "<a.@c>", 0, -EINVAL, NULL, NULL },
	{ "<a@c.>", 0, -EINVAL, NULL, NULL },
	{ "<a@-c>", 0, -EINVAL, NULL, NULL },
	{ "<a@c->", 0, -EINVAL, NULL, NULL },
	{ "<a@c..d>", 0, -EINVAL, NULL, NULL },
	{ "<a@>", 0, -EINVAL, NULL, NULL },
	{ "<@>", 0, -EINVAL, NULL, NULL },
	{ "<a>", 0, -EINVAL, NULL, NULL },
	{ "<a@b", 0, -EINVAL, NULL, NULL },
	{ "a@b", 0, -EINVAL, NULL, NULL },
	{ "<", 0, -EINVAL, NULL, NULL },
	{ "", 0, -EINVAL, NULL, NULL },
	{ "<a b@c>", 0, -EINVAL, NULL, NULL },
	{ "<a\r@c>", 0, -EINVAL, NULL, NULL },
	{ "<" L64 "@b>", 0, 0, L64 "@b", "" },
	{ "<" L64 "a@b>", 0, 0, L64 "a@b", "" },
	{ "<" L64 L64 L64 L64 "@b>", 0, -EMSGSIZE, NULL, NULL },
	{ "<\"" L64 L64 L64 " " L16 L16 "\"@b>", 0, 0, "\"" L64 L64 L64 " " L16 L16 "\"@b", "" },
	{ "<\"" L64 L64 L64 " " L64 "\"@b>", 0, -EMSGSIZE, NULL, NULL },
	{ "<a@" L64 ">", 0, -EINVAL, NULL, NULL },
	{ "<j\xc3\xbcrgen@b>", PATH_UTF8, 0, "j\xc3\xbcrgen@b", "" },
	{ "<j\xc3\xbcrgen@b>", 0, -EILSEQ, NULL, NULL },
	{ "<a@b\xc3\xbc>", 0, -EILSEQ, NULL, NULL },
	{ "<\"\xc3\xbc\"@b>", 0, -EILSEQ, NULL, NULL },
	{ "<j\xc3@b>", PATH_UTF8, -EILSEQ, NULL, NULL },
	{ "<j\xed\xa0\x80@b>", PATH_UTF8, -EILSEQ, NULL, NULL },
};

static void path(void **state)
{
	struct kurir_str rest, got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path_case *c = &paths[i];
		int r;

		rest = kurir_str_of(c->in);
		r = smtp_path(&rest, c->allowed, arena, &got);
		if (r != c->result)
			print_message("# %s\n", c->in);
		assert_int_equal(r, c->result);
		if (r < 0)
			continue;
		assert_int_equal(got.len, strlen(c->address));
		assert_memory_equal(got.ptr, c->address, got.len);
		assert_int_equal(rest.len, strlen(c->rest));
	}
}

/* What is cut anywhere is never accepted, and nothing is read behind the end. */
static void path_cut(void **state)
{
	static const char whole[] = "<@x.example:\"a\\\"b\"@[IPv6:::1]>";
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(whole) - 1; n++) {
		struct kurir_str rest = kurir_copy(arena, (struct kurir_str){ whole, n }), got;

		assert_true(smtp_path(&rest, 0, arena, &got) < 0);
	}
}

static void param(void **state)
{
	struct kurir_str rest = KURIR_STR(" SIZE=12 SMTPUTF8  X-Y=a=b "), key, value;

	(void)state;
	assert_int_equal(smtp_param(&rest, &key, &value), 1);
	assert_true(
	    kurir_str_equal(key, KURIR_STR("SIZE")) && kurir_str_equal(value, KURIR_STR("12")));
	assert_int_equal(smtp_param(&rest, &key, &value), 1);
	assert_true(kurir_str_equal(key, KURIR_STR("SMTPUTF8")) && value.ptr == NULL);
	assert_int_equal(smtp_param(&rest, &key, &value), 1);
	assert_true(
	    kurir_str_equal(key, KURIR_STR("X-Y")) && kurir_str_equal(value, KURIR_STR("a=b")));
	assert_int_equal(smtp_param(&rest, &key, &value), 0);
	rest = KURIR_STR("SIZE=1");
	assert_int_equal(smtp_param(&rest, &key, &value), -EINVAL);
	rest = KURIR_STR(" =1");
	assert_int_equal(smtp_param(&rest, &key, &value), -EINVAL);
	rest = KURIR_STR(" SIZE=");
	assert_int_equal(smtp_param(&rest, &key, &value), -EINVAL);
	rest = KURIR_STR(" -X");
	assert_int_equal(smtp_param(&rest, &key, &value), -EINVAL);
}

static void xtext(void **state)
{
	(void)state;
	assert_true(smtp_is_xtext(KURIR_STR("")));
	assert_true(smtp_is_xtext(KURIR_STR("a+2Bb")));
	assert_false(smtp_is_xtext(KURIR_STR("a+2bb")));
	assert_false(smtp_is_xtext(KURIR_STR("a+2")));
	assert_false(smtp_is_xtext(KURIR_STR("+")));
	assert_false(smtp_is_xtext(KURIR_STR("a=b")));
	assert_false(smtp_is_xtext(KURIR_STR("a b")));
	assert_false(smtp_is_xtext(KURIR_STR("\xc3\xbc")));
	assert_true(smtp_is_orcpt(KURIR_STR("rfc822;a+2Bb@c")));
	assert_true(smtp_is_orcpt(KURIR_STR("utf-8;j\xc3\xbcrgen@c")));
	assert_false(smtp_is_orcpt(KURIR_STR("rfc822;")));
	assert_false(smtp_is_orcpt(KURIR_STR(";a@b")));
	assert_false(smtp_is_orcpt(KURIR_STR("rfc822;a b")));
}

static void notify(void **state)
{
	uint32_t n;

	(void)state;
	assert_int_equal(smtp_notify(KURIR_STR("NEVER"), &n), 0);
	assert_int_equal(n, KURIR_NOTIFY_NEVER);
	assert_int_equal(smtp_notify(KURIR_STR("success,Failure,DELAY"), &n), 0);
	assert_int_equal(n, KURIR_NOTIFY_SUCCESS | KURIR_NOTIFY_FAILURE | KURIR_NOTIFY_DELAY);
	assert_int_equal(smtp_notify(KURIR_STR("NEVER,DELAY"), &n), -EINVAL);
	assert_int_equal(smtp_notify(KURIR_STR("DELAY,DELAY"), &n), -EINVAL);
	assert_int_equal(smtp_notify(KURIR_STR("DELAY,"), &n), -EINVAL);
	assert_int_equal(smtp_notify(KURIR_STR(""), &n), -EINVAL);
}

static void from(void **state)
{
	static const struct {
		const char *value, *want; /* NULL: refused */
	} rows[] = {
		{ " hyd@satu.example\r\n", "hyd@satu.example" },
		{ " Hyd <hyd@Satu.Example>\r\n", "hyd@satu.example" },
		{ "\"Hyd, <paijo@dua.example>\" <hyd@satu.example>", "hyd@satu.example" },
		{ "hyd@satu.example (Hyd <x@y> \\) (nested))", "hyd@satu.example" },
		{ "a@b.example, Paijo Y <c@d.example>,,", "a@b.example c@d.example" },
		{ "Us: a@b.example, <c@d.example>;", "a@b.example c@d.example" },
		{ "Us:;", "" },
		{ "", "" },
		{ "\"a b\"@c.example", "\"a b\"@c.example" },
		{ "a . b @ c.example", "a.b@c.example" },
		{ "x@y.example <hyd@satu.example>", "hyd@satu.example" },
		{ "<@r.example:hyd@satu.example>", "hyd@satu.example" },
		{ "\xc3\xbc <\xc3\xbc@satu.example>", "\xc3\xbc@satu.example" },
		{ "a b@c.example", NULL },
		{ "hyd", NULL },
		{ "<hyd@satu.example> <paijo@dua.example>", NULL },
		{ "<hyd@satu.example> paijo@dua.example", NULL },
		{ "<hyd@satu.example", NULL },
		{ "hyd@satu.example>", NULL },
		{ "<hyd@satu.example (", NULL },
		{ "\"Hyd <hyd@satu.example>", NULL },
		{ "<<hyd@satu.example>>", NULL },
		{ "<>", NULL },
		{ "a@b.example c@d.example", NULL },
		{ "<a@b.example,c@d.example>", NULL },
		{ "a,b,c@d.example", NULL },
		{ "1@x.example,2@x.example,3@x.example,4@x.example,5@x.example", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kurir_str list[4], all = KURIR_STR("");
		size_t n = 0;
		int r = smtp_from(kurir_str_of(rows[i].value), arena, list, 4, &n);

		for (size_t k = 0; k < n; k++)
			all = kurir_format(arena, "%.*s%s%.*s", KURIR_ARG(all), k > 0 ? " " : "",
			    KURIR_ARG(list[k]));
		if ((r == 0) != (rows[i].want != NULL))
			fail_msg("\"%s\": %d", rows[i].value, r);
		if (r == 0 && !kurir_str_equal(all, kurir_str_of(rows[i].want)))
			fail_msg("\"%s\": %.*s", rows[i].value, KURIR_ARG(all));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path),
		cmocka_unit_test(path_cut),
		cmocka_unit_test(param),
		cmocka_unit_test(xtext),
		cmocka_unit_test(notify),
		cmocka_unit_test(from),
	};
	int r;

	arena = kurir_arena_new("test");
	r = cmocka_run_group_tests_name("smtp parsers", tests, NULL, NULL);
	kurir_arena_free(arena);
	return r;
}
