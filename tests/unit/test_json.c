/* test_json.c - the reader of JSON: values, places, limits. */
#include "conf_unit.h"

#include "json.h"

static struct kurir_arena *arena;
static struct report report;

static struct json *parse(const char *text)
{
	kurir_buf_clear(&report.text);
	report.errors = 0;
	report.broken = false;
	return json_parse(arena, "f", kurir_str_of(text), &report);
}

/* As a complaint about v shows it. */
static struct kurir_str pointer(const struct json *v)
{
	struct report r = REPORT();
	struct kurir_str s;

	report_at(&r, v, "x");
	s = kurir_copy(arena, kurir_buf_str(&r.text));
	kurir_buf_free(&r.text);
	s = kurir_str_part(s, (size_t)kurir_str_find(s, '/'), s.len);
	return kurir_str_part(s, 0, s.len - strlen(": x\n"));
}

static void values(void **state)
{
	const struct json *
	    v = parse(
	       "{\"a\": [true, false, null, -12, 1.5e3, \"\\u00e9\\n\\ud83d\\ude00\"], \"b\": {}}"),
	   *c;

	(void)state;
	assert_int_equal(report.errors, 0);
	c = json_get(v, "a")->first;
	assert_true(c->type == VALUE_BOOL && c->truth);
	c = c->next;
	assert_true(c->type == VALUE_BOOL && !c->truth);
	c = c->next;
	assert_int_equal(c->type, VALUE_NULL);
	c = c->next;
	assert_true(c->type == VALUE_INT && c->number == -12);
	c = c->next;
	assert_int_equal(c->type, VALUE_REAL);
	assert_str(c->text, "1.5e3");
	c = c->next;
	assert_str(c->text, "\xc3\xa9\n\xf0\x9f\x98\x80");
	assert_int_equal(json_get(v, "b")->count, 0);
	assert_null(json_get(v, "c"));
	assert_null(json_get(NULL, "a"));
}

static void places(void **state)
{
	const struct json *v =
	    parse("\xef\xbb\xbf// one\r\n{ /* a\n b */ \"k\" : [ 1,\n\t2 ,], }");
	const struct json *k = json_get(v, "k");

	(void)state;
	assert_int_equal(report.errors, 0);
	assert_int_equal(v->line, 2);
	assert_int_equal(v->column, 1);
	assert_int_equal(k->key_line, 3);
	assert_int_equal(k->key_column, 7);
	assert_int_equal(k->line, 3);
	assert_int_equal(k->column, 13);
	assert_int_equal(k->last->line, 4);
	assert_int_equal(k->last->column, 2);
	assert_str(pointer(k->last), "/k/1");
	assert_str(pointer(v), "/");
}

static void pointers(void **state)
{
	const struct json *v = parse("{\"a/b\": {\"~\": [[0]]}}");

	(void)state;
	assert_str(pointer(v->first->first->first->first), "/a~1b/~0/0/0");
}

static void numbers(void **state)
{
	const struct json *v;

	(void)state;
	v = parse("9223372036854775807");
	assert_true(v->type == VALUE_INT && v->number == INT64_MAX);
	v = parse("-9223372036854775807");
	assert_true(v->type == VALUE_INT && v->number == -INT64_MAX);
	assert_int_equal(parse("9223372036854775808")->type, VALUE_REAL);
	assert_int_equal(parse("99999999999999999999999999")->type, VALUE_REAL);
	assert_int_equal(parse("0")->number, 0);
	assert_null(parse("00"));
}

static void recovery(void **state)
{
	const struct json *v = parse("{\"a\": 1 \"b\": 2\n \"c\": 3}");

	(void)state;
	assert_int_equal(report.errors, 2);
	assert_true(report.broken);
	assert_int_equal(v->count, 3);
}

static void deep(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 2];

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	text[2 * JSON_DEPTH_MAX] = '\0';
	assert_non_null(parse(text));
	assert_int_equal(report.errors, 0);
	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	parse(text);
	assert_int_equal(report.errors, 1);
}

static void many_duplicates(void **state)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);

	(void)state;
	kurir_buf_add(&text, KURIR_STR("{\"k\": 0"));
	for (int i = 0; i < 2000; i++)
		kurir_buf_printf(&text, ",\n\"k\": %d", i);
	kurir_buf_add(&text, KURIR_STR("}"));
	parse(text.ptr);
	assert_int_equal(report.errors, 2000);
	assert_non_null(strstr(report.text.ptr, "... and more\n"));
	assert_true(report.text.len < 100000);
	kurir_buf_free(&text);
}

/* No part of a good text is good, and none does harm. */
static void cut_off(void **state)
{
	static const char whole[] =
	    "{\"a\": [1, -2.5e+7, \"x\\u00e9\\ud83d\\ude00\", /* c */ true, null], // d\n\"b\": {}}";
	char *part;

	(void)state;
	for (size_t n = 0; n + 1 < sizeof(whole); n++) {
		part = strndup(whole, n);
		parse(part);
		assert_true(report.errors > 0);
		free(part);
	}
	parse(whole);
	assert_int_equal(report.errors, 0);
}

static int set_up(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	report = REPORT();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	kurir_buf_free(&report.text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(places),
		cmocka_unit_test(pointers),
		cmocka_unit_test(numbers),
		cmocka_unit_test(recovery),
		cmocka_unit_test(deep),
		cmocka_unit_test(many_duplicates),
		cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests_name("json", tests, set_up, tear_down);
}
