/* test_headers.c - what the module headers makes of one field, and of a wrong configuration. */
#include <modules/headers/headers.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(x) KURIR_STR(x)

static struct kurir_arena *arena;
static struct kurir_str error;

static struct kurir_texts texts(size_t n, const struct kurir_str *items)
{
	return (struct kurir_texts){ n, items };
}

static struct kurir_map map(struct kurir_str key, size_t n, const struct kurir_str *values)
{
	struct kurir_pair *p = kurir_alloc(arena, sizeof(*p));

	*p = (struct kurir_pair){ key, texts(n, values) };
	return (struct kurir_map){ 1, p };
}

static const char *edited(const struct headers_conf *c, struct kurir_str field)
{
	struct headers_rules *r = headers_rules_new(arena, c, &error);
	struct kurir_buf out = KURIR_BUF(HEADERS_FIELD_MAX);
	enum headers_edit e;
	const char *text;

	assert_non_null(r);
	e = headers_edit(r, field, &out);
	text = e == HEADERS_GONE ? "gone"
	    : e == HEADERS_SAME	 ? "same"
				 : kurir_copy(arena, kurir_buf_str(&out)).ptr;
	kurir_buf_free(&out);
	return text;
}

static void names(void **state)
{
	struct kurir_str name;

	(void)state;
	assert_int_equal(headers_name(S("Subject: x"), &name), 0);
	assert_true(kurir_str_equal(name, S("Subject")));
	assert_int_equal(headers_name(S("Subject \t: x"), &name), 0);
	assert_true(kurir_str_equal(name, S("Subject")));
	assert_int_equal(headers_name(S("Sub ject: x"), &name), -EINVAL);
	assert_int_equal(headers_name(S(": x"), &name), -EINVAL);
	assert_int_equal(headers_name(S("  : x"), &name), -EINVAL);
	assert_int_equal(headers_name(S("words"), &name), -EINVAL);
	assert_int_equal(headers_name(S("\xc3\xa4: x"), &name), -EINVAL);
	assert_int_equal(headers_name(S(""), &name), -EINVAL);
}

static void removing(void **state)
{
	const struct kurir_str list[] = { S("X-Spam-*"), S("User-Agent") };
	const struct kurir_str one[] = { S("new") };
	struct headers_conf c = { .remove = texts(2, list), .set = map(S("Sender"), 1, one) };

	(void)state;
	assert_string_equal(edited(&c, S("x-spam-flag: YES\r\n")), "gone");
	assert_string_equal(edited(&c, S("X-SPAM-: \r\n")), "gone");
	assert_string_equal(edited(&c, S("X-Spam: no\r\n")), "same");
	assert_string_equal(edited(&c, S("user-agent : a\r\n b\r\n")), "gone");
	assert_string_equal(edited(&c, S("User-Agents: a\r\n")), "same");
	assert_string_equal(edited(&c, S("Sender: a@b\r\n")), "gone");
}

static void rewriting(void **state)
{
	const struct kurir_str pair[] = { S("^re: *(.*) (x?)end$"), S("<\\1|\\2|\\0\\\\>") };
	struct headers_conf c = { .rewrite = map(S("Subject"), 2, pair) };
	const struct kurir_str twice[] = { S("(.*)"), S("\\1\\1") };
	struct headers_conf d = { .rewrite = map(S("Subject"), 2, twice) };
	char line[700] = "Subject: ";

	(void)state;
	assert_string_equal(edited(&c, S("subject:RE: one\r\n two end \r\n")),
	    "subject: <one two||RE: one two end\\>\r\n");
	assert_string_equal(edited(&c, S("Subject: other\r\n")), "same");
	assert_string_equal(edited(&c, S("To: re: x end\r\n")), "same");
	assert_string_equal(edited(&c, S("Subject:\r\n")), "same");
	assert_string_equal(edited(&c, S("Subject: re: a\0b end\r\n")), "same");
	assert_string_equal(edited(&d, S("Subject: ab\r\n")), "Subject: abab\r\n");
	memset(line + 9, 'a', 600);
	assert_string_equal(edited(&d, kurir_str_of(line)), "same"); /* 1209 would be too long */
}

static void refused(const struct headers_conf *c, const char *why)
{
	assert_null(headers_rules_new(arena, c, &error));
	assert_non_null(strstr(kurir_copy(arena, error).ptr, why));
}

static void configurations(void **state)
{
	const struct kurir_str bad[] = { S("a b") }, all[] = { S("*") }, folded[] = { S("a\nb") };
	const struct kurir_str pair[] = { S("(("), S("x") };
	struct headers_conf c = { .remove = texts(1, bad) };

	(void)state;
	refused(&c, "remove: \"a b\"");
	c = (struct headers_conf){ .remove = texts(1, all) };
	refused(&c, "remove: \"*\"");
	c = (struct headers_conf){ .add = map(S("X:"), 1, all) };
	refused(&c, "add: \"X:\"");
	c = (struct headers_conf){ .set = map(S("X"), 1, folded) };
	refused(&c, "set: the value of \"X\"");
	c = (struct headers_conf){ .rewrite = map(S("X"), 1, all) };
	refused(&c, "rewrite: \"X\" needs");
	c = (struct headers_conf){ .rewrite = map(S("X"), 2, pair) };
	refused(&c, "rewrite: the expression of \"X\"");
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(removing),
		cmocka_unit_test(rewriting),
		cmocka_unit_test(configurations),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
