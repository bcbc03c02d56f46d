/* test_mime.c - the tree of parts by offsets, header fields, addresses, texts, previews. */
#include "conf_unit.h"

#include <errno.h>
#include <stdio.h>

#include <modules/mime/mime_private.h>

static struct kurir_arena *arena;
static struct kurir_str bytes;

/* The message's tree; pieces of it are compared by header() and body(). */
static const struct mime_part *parse(struct kurir_str message)
{
	bytes = message;
	return mime_read(arena, message, NULL)->root;
}

static struct kurir_str header(const struct mime_part *p)
{
	return mime_bytes(bytes, p->header);
}

static struct kurir_str body(const struct mime_part *p)
{
	return mime_bytes(bytes, p->body);
}

static void single(void **state)
{
	const struct mime_part *p = parse(KURIR_STR("Subject: x\r\n\r\none\r\ntwo\r\n"));

	(void)state;
	assert_str(header(p), "Subject: x\r\n\r\n");
	assert_str(body(p), "one\r\ntwo\r\n");
	assert_int_equal(p->lines, 2);
	assert_str(p->type, "text");
	assert_str(p->subtype, "plain");
	assert_null(p->child);
}

static void no_body(void **state)
{
	const struct mime_part *p = parse(KURIR_STR("Subject: x\r\n"));

	(void)state;
	assert_int_equal(p->body.len, 0);
	p = parse(KURIR_STR(""));
	assert_int_equal(p->header.len, 0);
	p = parse(KURIR_STR("\r\nbody"));
	assert_str(body(p), "body");
	assert_int_equal(p->lines, 1);
}

static void multipart(void **state)
{
	const struct mime_part *p = parse(KURIR_STR(
	    "Content-Type: multipart/mixed;\r\n boundary=\"b;b\"\r\n\r\n"
	    "preamble\r\n--b;b\r\n\r\nfirst\r\n--b;b  \r\nContent-Type: image/png; name=x\r\n\r\nsecond\r\n\r\n"
	    "--b;b--\r\nepilogue\r\n--b;b\r\nnot a part"));

	(void)state;
	assert_true(p->multipart);
	assert_str(body(p->child), "first");
	assert_str(body(p->child->next), "second\r\n");
	assert_str(p->child->next->type, "image");
	assert_null(p->child->next->next);
}

static void nested_message(void **state)
{
	const struct mime_part *p = parse(KURIR_STR(
	    "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: inner\r\n\r\ntext\r\n--d--"));

	(void)state;
	assert_true(p->child->message);
	assert_str(header(p->child->child), "Subject: inner\r\n\r\n");
	assert_str(body(p->child->child), "text");
}

/* What delimits, what does not, and whom it belongs to. */
static void boundaries(void **state)
{
	const struct mime_part *p = parse(KURIR_STR(
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--bx\n--b\n\n--b-x\n--b--x\n -b\n--b \t\r\n"
	    "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\nin\n--b\n\n\n\n--b--\n--b\n"));

	(void)state;
	p = p->child;
	assert_str(body(p), "--b-x\n--b--x\n -b");
	assert_int_equal(p->lines, 3);
	/* Never closed, but the outer one goes on. */
	p = p->next;
	assert_true(p->multipart);
	assert_str(body(p->child), "in");
	assert_str(body(p->next), "\n");
	assert_int_equal(p->next->lines, 1);
	assert_null(p->next->next);
	/* Nothing between two delimiters is no part. */
	p = parse(KURIR_STR("Content-Type: multipart/mixed; boundary*=us-ascii''b%20c\r\n\r\n"
			    "--b c\r\n--b c\r\n\r\none\r\n--b c\r\n--b c--"));
	assert_str(body(p->child), "one");
	assert_null(p->child->next);
	p = parse(KURIR_STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--"));
	assert_str(p->type, "text");
	assert_null(p->child);
	/* A message that is encoded is not looked into. */
	p = parse(KURIR_STR("Content-Type: message/rfc822\r\n"
			    "Content-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQ0K"));
	assert_str(p->type, "application");
	/* In a header. */
	p = parse(KURIR_STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
			    "--b\r\nContent-ID: <1>\r\n--b\r\n\r\n--b--"));
	assert_str(p->child->id, "<1>");
	assert_str(header(p->child), "Content-ID: <1>");
	assert_str(header(p->child->next), "\r\n");
	assert_str(body(p->child->next), "");
}

static void long_header(void **state)
{
	struct kurir_buf b = KURIR_BUF(1 << 22);
	const struct mime_part *p;

	(void)state;
	kurir_buf_printf(&b, "Subject: x\r\n");
	while (b.len < 1 << 20)
		kurir_buf_printf(&b, " folded\r\n");
	kurir_buf_printf(&b, "From: late@b\r\n\r\nbody");
	p = parse(kurir_buf_str(&b));
	assert_str(body(p), "body");
	assert_int_equal(p->header.len + 4, b.len);
	assert_true(p->envelope.len < MIME_HEADER_MAX);
	kurir_buf_free(&b);
}

/* No input may take the parser deeper or to more parts than its limits. */
static void bombs(void **state)
{
	struct kurir_buf b = KURIR_BUF(1 << 24);
	const struct mime_part *p;
	unsigned depth = 0, parts = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		kurir_buf_printf(
		    &b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	for (p = parse(kurir_buf_str(&b)); p; p = p->child)
		depth++;
	assert_int_equal(depth, MIME_DEPTH_MAX + 1);
	kurir_buf_clear(&b);
	kurir_buf_printf(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (int i = 0; i < 100000; i++)
		kurir_buf_add(&b, KURIR_STR("--x\r\n\r\n\r\n"));
	for (p = parse(kurir_buf_str(&b))->child; p; p = p->next)
		parts++;
	assert_int_equal(parts, MIME_PARTS_MAX - 1);
	/* The last has what follows. */
	for (p = parse(kurir_buf_str(&b))->child; p->next; p = p->next)
		continue;
	assert_int_equal(p->body.at + p->body.len, b.len);
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

static struct kurir_str preview(const char *message)
{
	const struct mime_options options = { .preview = true };

	return mime_read(arena, kurir_str_of(message), &options)->preview;
}

static void decoding(void **state)
{
	struct kurir_str out;
	const struct mime_part *p =
	    parse(KURIR_STR("Content-Type: text/plain; charset=iso-8859-1\r\n"
			    "Content-Transfer-Encoding: quoted-printable (no)\r\n\r\n"
			    "caf=E9 =  \r\nau  lait=3  \r\n=4\r\n end=\r\n=4a=4B=4  "));

	(void)state;
	assert_true(mime_decode_transfer(arena, p, body(p), &out));
	assert_str(out, "caf\xe9 au  lait=3\r\n=4\r\n endJK=4");
	p = parse(KURIR_STR("Content-Transfer-Encoding: base64\r\n\r\naGk=!aGk\r\n=Y2FmZQ"));
	assert_true(mime_decode_transfer(arena, p, body(p), &out));
	assert_str(out, "hihicafe");
	p = parse(KURIR_STR("Content-Transfer-Encoding: x-gzip64\r\n\r\naGk="));
	assert_false(mime_decode_transfer(arena, p, body(p), &out));
	assert_str(out, "aGk=");
	assert_str(
	    mime_decode_words(arena, KURIR_STR("=?utf-8?Q?a_b?= =?UTF-8?b?Yw==?= d =?x?y")),
	    "a bc d =?x?y");
	/* A character cut in two, a language, and another charset. */
	assert_str(mime_decode_words(arena,
		       KURIR_STR("=?utf-8*fr?Q?caf=C3?=\t=?utf-8?b?qQ==?= =?koi8-r?q?=C1?=")),
	    "caf\xc3\xa9\xd0\xb0");
}

static void charsets(void **state)
{
	static const struct {
		const char *name, *in, *out;
	} cases[] = {
		{ "utf-8", "a\xc3\xa9\xff\xed\xa0\x80z\xe2\x82",
		    "a\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd" },
		{ "ISO-8859-1", "\xe9\x80", "\xc3\xa9\xe2\x82\xac" },
		{ "iso-8859-15", "\xa4", "\xe2\x82\xac" },
		{ "windows-1251", "\xcf", "\xd0\x9f" },
		{ "koi8-r", "\xf0", "\xd0\x9f" },
		{ "windows-1253", "\xff", "\xef\xbf\xbd" },
		{ "utf-7", "+AOk-+-x+2D3eAA-y", "\xc3\xa9+x\xf0\x9f\x98\x80y" },
		{ "utf-16le", "a\x01\x3d\xd8", "\xc5\xa1\xef\xbf\xbd" },
		{ "utf-16",
		    "\xff\xfe"
		    "a\x01",
		    "\xc5\xa1" },
		{ "utf-16",
		    "\x01"
		    "a",
		    "\xc5\xa1" },
		{ "gb2312", "\xd6\xd0", "\xe4\xb8\xad" },
		{ "Big5", "\xa4\xa4", "\xe4\xb8\xad" },
		{ "iso-2022-jp", "\x1b$BCf\x1b(Ba",
		    "\xe4\xb8\xad"
		    "a" },
		{ "Shift_JIS", "\x92\x86", "\xe4\xb8\xad" },
		{ "euc-kr", "\xc7\xd1x\xc7", "\xed\x95\x9cx\xef\xbf\xbd" },
		{ "//TRANSLIT", "\xe9", "\xef\xbf\xbd" },
		{ "x-unknown", "a", "a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kurir_str in =
		    kurir_format(arena, "=?%s?q?%s?=", cases[i].name, cases[i].in);

		assert_str(mime_decode_words(arena, in), cases[i].out);
	}
	assert_null(mime_charset_iconv(KURIR_STR("UNICODE")));
}

static void parameters(void **state)
{
	struct mime_field f;

	(void)state;
	mime_field_parse(arena,
	    KURIR_STR("attachment; filename*1=\"b c\"; FILENAME*0*=utf-8'en'%c3%a9a%2; "
		      "filename*2*=%20d; filename*04=no"),
	    &f);
	assert_str(mime_param_text(arena, &f, KURIR_STR("filename")),
	    "\xc3\xa9"
	    "a%2b c d");
	mime_field_parse(arena, KURIR_STR("x; name=\"=?utf-8?q?=c3=a9?=\""), &f);
	assert_str(mime_param_text(arena, &f, KURIR_STR("name")), "\xc3\xa9");
	assert_null(mime_param_text(arena, &f, KURIR_STR("nam")).ptr);
}

static void previews(void **state)
{
	static const struct {
		const char *message, *preview;
	} cases[] = {
		{ "\r\nHello,\r\n> quoted\r\n\r\n  it\tis\r\n", "Hello, it is" },
		{ "Content-Type: text/html\r\n\r\n<html><head><title>no</title></head>"
		  "<style>p{}</style><!-- a > b --><p title='>'>T<b>o</b>m &amp; J&euml;rry &lt;3"
		  " &#x263a;&bogus; a<b</p><script>x</script>!",
		    "Tom & J\xc3\xabrry <3 \xe2\x98\xba&bogus; a !" },
		{ "Content-Type: text/html\r\n\r\n1 < 2 &", "1 < 2 &" },
		{ "Content-Type: multipart/alternative; boundary=b\r\n\r\npre\r\n--b\r\n"
		  "Content-Type: text/html\r\n\r\n<p>html</p>\r\n--b\r\n\r\nplain\r\n--b--\r\npost",
		    "plain" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
		  "Content-Disposition: attachment\r\n\r\nno\r\n--b\r\n"
		  "Content-Type: text/html\r\n\r\nyes\r\n--b--\r\n",
		    "yes" },
		{ "Content-Type: text/plain; charset=utf-8\r\n\r\na\xff"
		  "b\xe2\x82",
		    "ab" },
		{ "Content-Type: image/png\r\n\r\nxxxx\r\n", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_str(preview(cases[i].message), cases[i].preview);
	/* Characters are counted, and none is cut. */
	struct kurir_buf b = KURIR_BUF(4096);

	kurir_buf_printf(&b, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
	for (int i = 0; i < 300; i++)
		kurir_buf_printf(&b, "\xc3\xa9");
	assert_int_equal(preview(b.ptr).len, 2 * MIME_PREVIEW_MAX);
	kurir_buf_free(&b);
}

/* However its bytes come, one at a time above all. */
static void pieces(void **state)
{
	const struct mime_options options = { .preview = true };
	struct kurir_buf b = KURIR_BUF(65536);
	struct mime_parser *p = mime_begin(arena, &options);
	const struct mime_message *m;

	(void)state;
	kurir_buf_printf(&b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n");
	for (int i = 0; i < 190; i++)
		kurir_buf_printf(&b, "a   \r\n");
	kurir_buf_printf(&b, "\r\n--b--\r\n");
	for (size_t i = 0; i < b.len; i++)
		mime_feed(p, (struct kurir_str){ b.ptr + i, 1 });
	m = mime_end(p);
	assert_int_equal(m->preview.len, MIME_PREVIEW_MAX - 1);
	assert_int_equal(m->root->child->body.len, 190 * 6);
	assert_int_equal(m->root->child->lines, 190);
	kurir_buf_free(&b);
}

static void tell(void *arg, enum mime_text what, const struct mime_part *part, bool within,
    struct kurir_str name, struct kurir_str text)
{
	(void)part;
	if (what == MIME_TEXT_FIELD)
		kurir_buf_printf(arg, "%s%.*s=", within ? "^" : "", KURIR_ARG(name));
	if (what == MIME_TEXT_NAME)
		kurir_buf_printf(arg, "@");
	kurir_buf_add(arg, text);
	if (what != MIME_TEXT_BODY)
		kurir_buf_printf(arg, "|");
}

static void words(void **state)
{
	struct kurir_buf said = KURIR_BUF(4096);
	const struct mime_options options = { .text = tell, .arg = &said };

	(void)state;
	mime_read(arena,
	    KURIR_STR("Subject: =?utf-8?q?=C3=A9?=\r\n"
		      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
		      "Content-Type: text/html; name=n\r\n\r\n<p>x</p>\r\n--b\r\n"
		      "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ny\r\n\r\n--b--"),
	    &options);
	assert_str(kurir_buf_str(&said),
	    "Subject=\xc3\xa9|Content-Type=multipart/mixed; boundary=b|"
	    "Content-Type=text/html; name=n|@n| x |"
	    "Content-Type=message/rfc822|^Subject=in|y\r\n|");
	kurir_buf_free(&said);
}

static struct kurir_str structure(const char *message, bool extended)
{
	struct kurir_buf b = KURIR_BUF(65536);
	struct kurir_str s;

	assert_int_equal(mime_put_structure(&b, parse(kurir_str_of(message)), extended), 0);
	s = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return s;
}

static void structures(void **state)
{
	static const char message[] =
	    "From: a <a@b>\r\nSubject: \"q\"\r\n"
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\ntwo\r\n--x\r\n"
	    "Content-Type: message/rfc822\r\nContent-Disposition: inline; a=b\r\n\r\n"
	    "Subject: caf\xc3\xa9\r\n\r\nin\r\n\r\n--x--\r\n";
	struct kurir_buf small = KURIR_BUF(100);

	(void)state;
	assert_str(structure(message, false),
	    "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 8 2)(\"message\" \"rfc822\" NIL NIL NIL "
	    "\"7bit\" 22 (NIL {5}\r\ncaf\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL) "
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 4 1) 3) \"mixed\")");
	assert_str(structure("Content-Type: multipart/x\r\n\r\nx", true),
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL NIL NIL NIL)");
	assert_str(parse(KURIR_STR("From: a <a@b>\r\nSubject: \"q\\\"\r\n"))->envelope,
	    "(NIL \"\\\"q\\\\\\\"\" ((\"a\" NIL \"a\" \"b\")) ((\"a\" NIL \"a\" \"b\")) "
	    "((\"a\" NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)");
	assert_int_equal(
	    mime_put_structure(&small, parse(kurir_str_of(message)), true), -EMSGSIZE);
	kurir_buf_free(&small);
}

/* A header full of beginnings without an end. */
/* What a line is full of is gone through once: else these would take hours. */
static void repeated(void **state)
{
	enum { MANY = 80000 };
	char *subject = kurir_alloc(arena, 3 * MANY + 1),
	     *type = kurir_alloc(arena, 3 * MANY + 1);
	struct kurir_mark mark = kurir_mark(arena);
	bool reply;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		memcpy(subject + 3 * i, "[a]", 3);
		memcpy(type + 3 * i, i == 0 ? "a/b" : i + 1 < MANY ? ";;;" : "c=d", 3);
	}
	for (unsigned n = 0; n < 50; n++) {
		struct kurir_str s = { subject, 3 * MANY };
		struct mime_field f;

		s = mime_base_subject(arena, s, &reply);
		assert_true(kurir_str_equal(s, KURIR_STR("[a]")));
		mime_field_parse(arena, (struct kurir_str){ type, 3 * MANY }, &f);
		assert_int_equal(f.count, 1);
		kurir_rewind(arena, mark);
	}
}

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

static bool has(const char *head, const char *field, const char *text)
{
	struct mime_needle k = mime_needle_of(arena, kurir_str_of(text));

	return mime_header_has(arena, kurir_str_of(head), kurir_str_of(field), &k);
}

/* What a value says, and what its addresses do without what stands between their parts. */
static void finding(void **state)
{
	static const char plain[] = "Subject: Aye\r\nFROM : \"Doe, J.\" <j.doe@dua.example>\r\n";

	(void)state;
	assert_true(has(plain, "From", "DOE, j"));
	assert_true(has(plain, "From", "\" <j.doe@"));
	assert_true(has(plain, "from", "j.doe@dua.example"));
	assert_false(has(plain, "From", "aye"));
	assert_false(has(plain, "To", ""));
	assert_true(has(plain, "From", ""));
	assert_true(has(plain, "", "subject: a"));
	assert_false(has(plain, "Subject", "subject"));
	assert_true(has("From: a@dua.example\r\nFrom: b@dua.example\r\n", "From", "b@dua"));
	assert_true(
	    has("Subject: =?utf-8?q?p=C3=A5?= =?utf-8?q?_l?=\r\n", "Subject", "p\303\245 L"));
	assert_true(has("Subject: one\r\n two\r\n", "Subject", "one two"));
	assert_true(has("Subject: aaab\r\n", "Subject", "aab"));
}

/* Whatever stands there: what its addresses are is found. */
static void finding_addresses(void **state)
{
	static const char letters[] = "aaaab@@@..<<>>\"\"  () \t\\,,:;[";
	struct mime_address list[32];
	uint32_t seed = 1;

	(void)state;
	for (size_t n = 0; n < 50000; n++) {
		struct kurir_mark mark = kurir_mark(arena);
		char text[24] = "", head[40];

		for (size_t i = 0; i < 4 + n % (sizeof(text) - 4); i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		(void)snprintf(head, sizeof(head), "To: %s\r\n", text);
		size_t count =
		    mime_addresses(arena, mime_unfold(arena, kurir_str_of(text)), list, 32);
		for (size_t i = 0; i < count; i++) {
			struct kurir_str m = list[i].mailbox, h = list[i].host;
			struct mime_needle k;

			if (!m.ptr || !h.ptr)
				continue;
			k = mime_needle_of(
			    arena, kurir_format(arena, "%.*s@%.*s", KURIR_ARG(m), KURIR_ARG(h)));
			if (!mime_header_has(arena, kurir_str_of(head), KURIR_STR("To"), &k))
				fail_msg("%s has no %.*s", text, KURIR_ARG(k.text));
		}
		kurir_rewind(arena, mark);
	}
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
		cmocka_unit_test(decoding), cmocka_unit_test(charsets),
		cmocka_unit_test(parameters), cmocka_unit_test(previews),
		cmocka_unit_test(pieces), cmocka_unit_test(words), cmocka_unit_test(structures),
		cmocka_unit_test(boundaries), cmocka_unit_test(long_header),
		cmocka_unit_test(unended_words), cmocka_unit_test(repeated),
		cmocka_unit_test(finding), cmocka_unit_test(finding_addresses) };

	return cmocka_run_group_tests(tests, begin, end);
}
