/* test_mime.c - the tree of parts by offsets, header fields, addresses, encodings. */
#include "conf_unit.h"

#include <modules/imap/mime.h>

static struct kurir_arena *arena;

static void single(void **state)
{
	struct mime_part *p = mime_parse(arena, KURIR_STR("Subject: x\r\n\r\none\r\ntwo\r\n"));

	(void)state;
	assert_str(p->header, "Subject: x\r\n\r\n");
	assert_str(p->body, "one\r\ntwo\r\n");
	assert_int_equal(p->lines, 2);
	assert_str(p->type, "text");
	assert_str(p->subtype, "plain");
	assert_null(p->child);
}

static void no_body(void **state)
{
	struct mime_part *p = mime_parse(arena, KURIR_STR("Subject: x\r\n"));

	(void)state;
	assert_int_equal(p->body.len, 0);
	p = mime_parse(arena, KURIR_STR(""));
	assert_int_equal(p->header.len, 0);
	p = mime_parse(arena, KURIR_STR("\r\nbody"));
	assert_str(p->body, "body");
	assert_int_equal(p->lines, 1);
}

static void multipart(void **state)
{
	struct mime_part *p = mime_parse(arena,
	    KURIR_STR(
		"Content-Type: multipart/mixed;\r\n boundary=\"b;b\"\r\n\r\n"
		"preamble\r\n--b;b\r\n\r\nfirst\r\n--b;b  \r\nContent-Type: image/png; name=x\r\n\r\nsecond\r\n\r\n"
		"--b;b--\r\nepilogue\r\n--b;b\r\nnot a part"));

	(void)state;
	assert_true(p->multipart);
	assert_str(p->child->body, "first");
	assert_str(p->child->next->body, "second\r\n");
	assert_str(p->child->next->type, "image");
	assert_null(p->child->next->next);
}

static void nested_message(void **state)
{
	struct mime_part *p = mime_parse(arena,
	    KURIR_STR(
		"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: inner\r\n\r\ntext\r\n--d--"));

	(void)state;
	assert_true(p->child->message);
	assert_str(p->child->child->header, "Subject: inner\r\n\r\n");
	assert_str(p->child->child->body, "text");
}

/* No input may take the parser deeper or to more parts than its limits. */
static void bombs(void **state)
{
	struct kurir_buf b = KURIR_BUF(1 << 24);
	struct mime_part *p;
	unsigned depth = 0, parts = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		kurir_buf_printf(
		    &b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	for (p = mime_parse(arena, kurir_buf_str(&b)); p; p = p->child)
		depth++;
	assert_true(depth <= MIME_DEPTH_MAX + 1);
	kurir_buf_clear(&b);
	kurir_buf_printf(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (int i = 0; i < 100000; i++)
		kurir_buf_add(&b, KURIR_STR("--x\r\n\r\n\r\n"));
	for (p = mime_parse(arena, kurir_buf_str(&b))->child; p; p = p->next)
		parts++;
	assert_true(parts > 100 && parts < MIME_PARTS_MAX);
	kurir_buf_free(&b);
}

static void fields(void **state)
{
	struct mime_field f;

	(void)state;
	mime_field_parse(
	    arena, KURIR_STR("text/plain (c) ; charset=\"a\\\"b\" ; x = y;;=z; n"), &f);
	assert_str(f.value, "text/plain");
	assert_int_equal(f.count, 2);
	assert_str(f.params[0].value, "a\"b");
	assert_str(f.params[1].name, "x");
	assert_str(mime_header_get(arena, KURIR_STR("A: 1\r\nb:\r\n two\r\n\tthree\r\nB: no\r\n"),
		       KURIR_STR("B")),
	    "two three");
	assert_null(mime_header_get(arena, KURIR_STR("A: 1\r\n"), KURIR_STR("B")).ptr);
}

static void addresses(void **state)
{
	struct mime_address a[10];
	size_t n = mime_addresses(arena,
	    KURIR_STR("\"hyd, the first\" <hyd@satu.example>, paijo@dua.example (Paijo), "
		      "all: a@b, c@d;, <@r.example:x@y>"),
	    a, 10);

	(void)state;
	assert_int_equal(n, 7);
	assert_str(a[0].name, "hyd, the first");
	assert_str(a[0].mailbox, "hyd");
	assert_str(a[0].host, "satu.example");
	assert_str(a[1].name, "Paijo");
	assert_str(a[2].mailbox, "all");
	assert_null(a[2].host.ptr);
	assert_str(a[4].mailbox, "c");
	assert_null(a[5].mailbox.ptr);
	assert_str(a[6].route, "@r.example");
	assert_int_equal(
	    mime_addresses(arena, KURIR_STR("a: b: c: ;;;,,,<<>\"(("), a, 3) <= 3, 1);
}

static void decoding(void **state)
{
	struct mime_part *p = mime_parse(arena,
	    KURIR_STR(
		"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
		"caf=E9 =\r\nau lait=3"));

	(void)state;
	assert_str(mime_decode_body(arena, p), "caf\xc3\xa9 au lait=3");
	assert_str(
	    mime_decode_words(arena, KURIR_STR("=?utf-8?Q?a_b?= =?UTF-8?b?Yw==?= d =?x?y")),
	    "a bc d =?x?y");
}

/* A header full of beginnings without an end. */
static void unended_words(void **state)
{
	static const char begin[] = "=?a?q?x";
	const size_t len = sizeof(begin) - 1, count = 36000;
	char *s = kurir_alloc(arena, count * len + 2);

	(void)state;
	for (size_t i = 0; i < count; i++)
		memcpy(s + i * len, begin, len);
	memcpy(s + count * len, "?=", 2);
	struct kurir_str out = mime_decode_words(arena, (struct kurir_str){ s, count * len + 2 });
	/* Those that are far from the end are looked at no further than a word can be long. */
	assert_true(out.len > (count - 200) * len);
	assert_memory_equal(out.ptr, s, (count - 200) * len);
	memset(s, 'x', 900);
	memcpy(s, "=?a?q?", 6);
	memcpy(s + 898, "?=", 2);
	assert_int_equal(mime_decode_words(arena, (struct kurir_str){ s, 900 }).len, 892);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(single), cmocka_unit_test(no_body),
		cmocka_unit_test(multipart), cmocka_unit_test(nested_message),
		cmocka_unit_test(bombs), cmocka_unit_test(fields), cmocka_unit_test(addresses),
		cmocka_unit_test(decoding), cmocka_unit_test(unended_words) };

	return cmocka_run_group_tests(tests, begin, end);
}
