/* test_mime_gmime.c - the tree of parts, places, sizes and decoded bytes as GMime has them, over messages
 * that packages of Debian have for tests, over ours, and over ones that are made by lot and broken.
 *
 * Where the two may differ is decided by rules, each with its reason; any other difference fails.
 * With files or folders as arguments: these, and no others. */
#include "conf_unit.h"

#ifndef HAVE_GMIME

int main(void)
{
	puts("1..0 # SKIP built without GMime");
	return 0;
}

#else

#include <modules/mime/mime.h>

#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>

#include <gmime/gmime.h>

#define MADE 3000

static struct kurir_arena *arena;
static struct kurir_str bytes;
static char said[2000];
static unsigned compared, parts_compared;

/* Why two trees differ where they may. */
enum reason {
	SAME,
	/* A multipart without parts: ours is text/plain, as IMAP has no way to show one. */
	HOLLOW,
	/* A type that cannot be read: ours is text/plain, as RFC 2045 section 5.2 advises; GMime's
	 * is application/octet-stream. */
	TYPE,
	/* Two fields of that name: ours is the first, GMime's the last. */
	TWICE,
	/* In base64 or quoted-printable what is none of it, or not whole: ours keeps what it can. */
	ENCODING,
	/* A message/rfc822 with a transfer encoding, which RFC 2046 section 5.2.1 forbids, or one
	 * that is nothing but the beginning of a header: ours has no message in it. */
	MESSAGE,
	/* A header that a delimiter or the end cuts short, or with a line that is no field: ours has
	 * what stands there, GMime passes over parts, or ends the header. */
	HEADER,
	/* A part in a message with CRLF and LF alone, or before a last delimiter without any line
	 * end: GMime takes too much or too little for the delimiter's. */
	END,
	REASONS,
};
static const char *const reasons[REASONS] = { "same", "multipart without parts",
	"unreadable type", "field twice", "broken encoding", "message that is none",
	"cut or odd header", "odd line end" };
static unsigned counts[REASONS];

static void differ(const char *what, const struct mime_part *p, const char *theirs)
{
	snprintf(said, sizeof(said),
	    "%s: ours %.*s/%.*s header %llu+%llu body %llu+%llu%s, theirs %s", what,
	    KURIR_ARG(p->type), KURIR_ARG(p->subtype), (unsigned long long)p->header.at,
	    (unsigned long long)p->header.len, (unsigned long long)p->body.at,
	    (unsigned long long)p->body.len,
	    p->multipart     ? " multipart"
		: p->message ? " message"
			     : "",
	    theirs);
}

static bool is(struct kurir_str s, const char *word)
{
	return kurir_str_equal_nocase(s, kurir_str_of(word));
}

/* How many fields of that name the part has. */
static unsigned fields(const struct mime_part *p, const char *name)
{
	struct kurir_str header = mime_bytes(bytes, p->header), field, all;
	unsigned n = 0;

	while (mime_header_next(&header, &field, &all))
		n += is(field, name);
	return n;
}

/* Whether its header is cut short, or has lines that are no fields. */
static bool odd_header(const struct mime_part *p)
{
	struct kurir_str header = mime_bytes(bytes, p->header), field, all = KURIR_STR("");

	while (mime_header_next(&header, &field, &all))
		if (kurir_str_trim(all).len > 0 &&
		    (field.len == 0 || kurir_str_find(field, ' ') >= 0))
			return true;
	return kurir_str_trim(all).len > 0 || all.len == 0 ||
	    (p->body.len == 0 && p->header.len <= 2);
}

/* Why its type, or what is in it, may be another there. */
static enum reason excuse_type(const struct mime_part *p)
{
	struct kurir_str value = p->content_type.value, subtype = KURIR_STR("");
	ssize_t slash = value.ptr ? kurir_str_find(value, '/') : -1;

	if (fields(p, "Content-Type") > 1)
		return TWICE;
	if ((p->encoded || p->body.len == 0) &&
	    (!value.ptr || kurir_str_starts_nocase(value, KURIR_STR("message/"))))
		return MESSAGE;
	if (odd_header(p))
		return HEADER;
	if (slash >= 0)
		subtype = kurir_str_part(value, (size_t)slash + 1, value.len);
	return value.ptr &&
		(slash <= 0 || !kurir_str_equal_nocase(subtype, p->subtype) ||
		    (size_t)slash != p->type.len)
	    ? TYPE
	    : REASONS;
}

static bool mixed_ends(void)
{
	bool crlf = false, lf = false;

	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.ptr[i] == '\n') {
			crlf |= i > 0 && bytes.ptr[i - 1] == '\r';
			lf |= i == 0 || bytes.ptr[i - 1] != '\r';
		}
	return crlf && lf;
}

static enum reason excuse_place(const struct mime_part *p)
{
	struct kurir_str rest = kurir_str_part(bytes, p->body.at + p->body.len, bytes.len);
	ssize_t lf = kurir_str_find(rest, '\n');

	if (odd_header(p))
		return HEADER;
	if (mixed_ends())
		return END;
	rest = kurir_str_part(rest, (size_t)lf + 1, rest.len);
	return lf >= 0 && rest.len > 0 && kurir_str_find(rest, '\n') < 0 ? END : REASONS;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool broken_quoted(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		struct kurir_str rest = kurir_str_part(s, i + 1, s.len);
		ssize_t lf = kurir_str_find(rest, '\n');

		if (s.ptr[i] != '=' ||
		    (rest.len > 1 && is_hex(rest.ptr[0]) && is_hex(rest.ptr[1])))
			continue;
		if (lf < 0 || kurir_str_trim(kurir_str_part(rest, 0, (size_t)lf)).len > 0)
			return true;
	}
	return false;
}

static bool broken_base64(struct kurir_str s)
{
	unsigned digits = 0, padding = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (c != '=' && c != '+' && c != '/' && !isalnum((unsigned char)c))
			return true;
		if (padding > 0 && c != '=')
			return true;
		digits += c != '=';
		padding += c == '=';
	}
	return (digits + padding) % 4 != 0 || padding > 2;
}

static enum reason excuse_bytes(const struct mime_part *p)
{
	struct kurir_str body = mime_bytes(bytes, p->body);

	if (fields(p, "Content-Transfer-Encoding") > 1)
		return TWICE;
	return (is(p->encoding, "base64") ? broken_base64(body) : broken_quoted(body)) ? ENCODING
										       : REASONS;
}

/* Without the blanks at the end of lines: ours removes those that were added on the way (RFC 2045
 * section 6.7, rule 3), GMime none. */
static size_t without_blanks(char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i == len || s[i] == '\n' || s[i] == '\r')
			while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
				n--;
		if (i < len)
			s[n++] = s[i];
	}
	return n;
}

/* Whether it is what GMime made of it. */
static bool same_bytes(const struct mime_part *p, struct kurir_str ours, GByteArray *theirs)
{
	size_t len = theirs->len;

	if (is(p->encoding, "quoted-printable")) {
		ours = kurir_copy(arena, ours);
		ours.len = without_blanks((char *)(uintptr_t)ours.ptr, ours.len);
		len = without_blanks((char *)theirs->data, len);
	}
	return ours.len == len && (len == 0 || memcmp(ours.ptr, theirs->data, len) == 0);
}

static enum reason compare(const struct mime_part *, GMimeObject *);

static enum reason compare_leaf(const struct mime_part *p, GMimePart *o)
{
	GMimeContentType *type = g_mime_object_get_content_type((GMimeObject *)o);
	GMimeDataWrapper *content = g_mime_part_get_content(o);
	GMimeStream *at = content ? g_mime_data_wrapper_get_stream(content) : NULL, *out;
	struct kurir_str decoded;
	char theirs[400];
	GByteArray *data;
	enum reason r = SAME;

	snprintf(theirs, sizeof(theirs), "%s/%s %lld+%lld",
	    g_mime_content_type_get_media_type(type), g_mime_content_type_get_media_subtype(type),
	    at ? (long long)at->bound_start : -1,
	    at ? (long long)(at->bound_end - at->bound_start) : 0);
	parts_compared++;
	if (p->child) {
		differ("a leaf", p, theirs);
		return excuse_type(p);
	}
	if (!is(p->type, g_mime_content_type_get_media_type(type)) ||
	    !is(p->subtype, g_mime_content_type_get_media_subtype(type))) {
		differ("type", p, theirs);
		return excuse_type(p);
	}
	if (at &&
	    ((uint64_t)at->bound_start != p->body.at ||
		(uint64_t)(at->bound_end - at->bound_start) != p->body.len)) {
		differ("place", p, theirs);
		return excuse_place(p);
	}
	if (!content)
		return SAME;
	out = g_mime_stream_mem_new();
	g_mime_data_wrapper_write_to_stream(content, out);
	data = g_mime_stream_mem_get_byte_array((GMimeStreamMem *)out);
	if (mime_decode_transfer(arena, p, mime_bytes(bytes, p->body), &decoded) &&
	    !same_bytes(p, decoded, data)) {
		snprintf(theirs, sizeof(theirs), "%u bytes decoded, %zu here: %.*s", data->len,
		    decoded.len, data->len > 40 ? 40 : (int)data->len, (char *)data->data);
		differ("bytes", p, theirs);
		r = excuse_bytes(p);
	}
	g_object_unref(out);
	return r;
}

static enum reason compare(const struct mime_part *p, GMimeObject *o)
{
	enum reason r = SAME;

	if (GMIME_IS_MULTIPART(o)) {
		int n = g_mime_multipart_get_count((GMimeMultipart *)o), i = 0;

		if (n == 0 && !p->child)
			return HOLLOW;
		for (const struct mime_part *c = p->child; c && i < n && r == SAME; c = c->next)
			r = compare(c, g_mime_multipart_get_part((GMimeMultipart *)o, i++));
		if (r == REASONS && fields(p, "Content-Type") > 1)
			return TWICE;
		if (r == SAME && i < n) {
			differ("they have more parts", p, "");
			return excuse_type(p);
		}
		return r;
	}
	if (GMIME_IS_MESSAGE_PART(o)) {
		GMimeMessage *m = g_mime_message_part_get_message((GMimeMessagePart *)o);

		if (!p->message) {
			differ("a message", p, "");
			return excuse_type(p);
		}
		return m ? compare(p->child, g_mime_message_get_mime_part(m)) : SAME;
	}
	if (GMIME_IS_PART(o))
		return compare_leaf(p, (GMimePart *)o);
	differ("what is that", p, G_OBJECT_TYPE_NAME(o));
	return REASONS;
}

/* Why they differ; REASONS: nobody knows. */
static enum reason compare_message(struct kurir_str message)
{
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(message.ptr, message.len);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeParserOptions *options = g_mime_parser_options_new();
	const struct mime_part *root;
	enum reason r = SAME;
	GMimeMessage *m;

	bytes = message;
	root = mime_read(arena, message, NULL)->root;
	g_mime_parser_set_persist_stream(parser, TRUE);
	m = g_mime_parser_construct_message(parser, options);
	if (m && g_mime_message_get_mime_part(m))
		r = compare(root, g_mime_message_get_mime_part(m));
	compared++;
	if (r < REASONS)
		counts[r]++;
	if (m)
		g_object_unref(m);
	g_mime_parser_options_free(options);
	g_object_unref(parser);
	g_object_unref(stream);
	kurir_arena_clear(arena);
	return r;
}

static bool compare_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct kurir_buf b = KURIR_BUF((size_t)64 << 20);
	char piece[4096];
	enum reason r;
	size_t n;

	if (!f)
		return true;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		kurir_buf_add(&b, (struct kurir_str){ piece, n });
	fclose(f);
	r = compare_message(kurir_buf_str(&b));
	kurir_buf_free(&b);
	if (r == REASONS)
		print_message("# %s: %s\n", path, said);
	return r < REASONS;
}

static unsigned compare_folder(const char *path)
{
	DIR *d = opendir(path);
	unsigned bad = 0;
	char name[4096];

	if (!d)
		return !compare_file(path);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			bad += compare_folder(name);
	}
	closedir(d);
	return bad;
}

/* Messages made by lot. */

static uint64_t lot;

static unsigned draw(unsigned below)
{
	lot = lot * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((lot >> 33) % below);
}

static const char *one_of(const char *const *list, unsigned n)
{
	return list[draw(n)];
}

static void add_body(
    struct kurir_buf *b, const char *encoding, const char *const *boundaries, unsigned depth)
{
	static const char *const lines[] = { "text", "", "-", "--", "--b", " --b0", "From you",
		"a=20b =", "caf=C3=A9", "trailing  ", "x--b0--", ".", "\t", "=",
		"==", "a\xff\x80", "--b0x" };
	unsigned n = draw(6);

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(encoding, "base64") == 0) {
			for (unsigned j = draw(19); j > 0; j--)
				kurir_buf_printf(
				    b, "aG%c%c", 'A' + (int)draw(26), 'a' + (int)draw(26));
			kurir_buf_printf(b, "%s", i + 1 == n && draw(2) ? "aG0=" : "");
		} else {
			kurir_buf_printf(b, "%s", one_of(lines, sizeof(lines) / sizeof(*lines)));
			if (draw(40) == 0 && depth > 0)
				kurir_buf_printf(b, "\r\n--%s%s", boundaries[draw(depth)],
				    draw(2) ? "" : "--");
		}
		kurir_buf_printf(b, "\r\n");
	}
	if (draw(4) == 0)
		kurir_buf_printf(b, "no line end");
}

static void add_entity(struct kurir_buf *b, const char **boundaries, unsigned depth)
{
	static const char *const encodings[] = { "7bit", "8bit", "quoted-printable", "base64",
		"binary" };
	static const char *const leaves[] = { "text/plain; charset=utf-8", "text/html",
		"image/png; name=\"a b\"", "application/octet-stream",
		"text/x-y (comment); a=b" };
	static const char *const multis[] = { "mixed", "alternative", "related", "digest",
		"x-own" };
	static const char *const names[] = { "b0", "b", "=_x?y'z", "b0b", "----=_Part_1", "a b" };
	const char *encoding = one_of(encodings, 5);
	unsigned kind = depth > 6 ? draw(5) : draw(12);

	if (draw(2))
		kurir_buf_printf(b, "Subject: s%u\r\n folded\r\n", draw(100));
	if (kind > 6 && kind < 10) {
		const char *name = one_of(names, 6);
		unsigned n = draw(4);

		boundaries[depth] = name;
		kurir_buf_printf(b, "Content-Type: multipart/%s;%sboundary=\"%s\"\r\n\r\n",
		    one_of(multis, 5), draw(2) ? "\r\n\t" : " ", name);
		kurir_buf_printf(b, "%s", draw(2) ? "preamble\r\n" : "");
		for (unsigned i = 0; i < n; i++) {
			kurir_buf_printf(b, "--%s%s\r\n", name, draw(5) ? "" : " \t");
			add_entity(b, boundaries, depth + 1);
			kurir_buf_printf(b, "\r\n");
		}
		if (draw(6))
			kurir_buf_printf(
			    b, "--%s--%s", name, draw(2) ? "\r\n" : " \r\nepilogue\r\n");
	} else if (kind >= 10) {
		kurir_buf_printf(b, "Content-Type: message/rfc822\r\n\r\n");
		add_entity(b, boundaries, depth);
	} else {
		if (kind > 1)
			kurir_buf_printf(b, "Content-Type: %s\r\n", one_of(leaves, 5));
		if (draw(2))
			kurir_buf_printf(b, "Content-Transfer-Encoding: %s\r\n", encoding);
		else
			encoding = "7bit";
		kurir_buf_printf(b, "\r\n");
		add_body(b, encoding, (const char *const *)boundaries, depth);
	}
}

static void break_it(struct kurir_buf *b)
{
	size_t at = draw((unsigned)b->len + 1), n = 1 + draw(20);

	if (n > b->len - at)
		n = b->len - at;
	switch (draw(4)) {
	case 0: /* cut */
		b->len = at;
		break;
	case 1:
		memmove(b->ptr + at, b->ptr + at + n, b->len - at - n);
		b->len -= n;
		break;
	case 2: /* something twice */
		kurir_buf_add(b, kurir_str_part(kurir_buf_str(b), at, 200));
		break;
	default: /* all lines end in LF */
		n = 0;
		for (size_t i = 0; i < b->len; i++)
			if (b->ptr[i] != '\r')
				b->ptr[n++] = b->ptr[i];
		b->len = n;
	}
}

static void made(void **state)
{
	const char *seed = getenv("KURIR_SEED"), *boundaries[16];
	uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
	struct kurir_buf b = KURIR_BUF(1 << 20);
	unsigned bad = 0;

	(void)state;
	for (uint64_t i = 0; i < MADE; i++) {
		lot = first * 1000003 + i;
		draw(2);
		kurir_buf_clear(&b);
		add_entity(&b, boundaries, 0);
		if (i % 2 && b.len > 0)
			break_it(&b);
		if (b.len > 0 && compare_message(kurir_buf_str(&b)) == REASONS && bad++ < 10) {
			print_message("# KURIR_SEED=%llu, the %llu-th: %s\n",
			    (unsigned long long)first, (unsigned long long)i, said);
			if (getenv("KURIR_SHOW"))
				print_message("%.*s\n====\n", (int)b.len, b.ptr);
		}
	}
	kurir_buf_free(&b);
	assert_int_equal(bad, 0);
}

static void found(void **state)
{
	/* libpython3.11-testsuite; spamassassin */
	static const char *const places[] = { "/usr/lib/python3.11/test/test_email/data",
		"/usr/share/doc/spamassassin/examples" };
	const char *top = getenv("top_srcdir");
	char corpus[4096];
	unsigned bad = 0;

	(void)state;
	snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/mime", top ? top : ".");
	bad += compare_folder(corpus);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (access(places[i], R_OK) == 0)
			bad += compare_folder(places[i]);
		else
			print_message("# not here: %s\n", places[i]);
	assert_int_equal(bad, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(found), cmocka_unit_test(made) };
	unsigned bad = 0;
	int r = 0;

	g_mime_init();
	arena = kurir_arena_new("test");
	for (int i = 1; i < argc; i++)
		bad += compare_folder(argv[i]);
	if (argc == 1)
		r = cmocka_run_group_tests(tests, NULL, NULL);
	print_message("# %u messages, %u leaves", compared, parts_compared);
	for (unsigned i = 1; i < REASONS; i++)
		print_message(", %s %u", reasons[i], counts[i]);
	print_message("\n");
	kurir_arena_free(arena);
	return r || bad;
}

#endif
