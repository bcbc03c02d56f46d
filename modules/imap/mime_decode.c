/* mime_decode.c - transfer encodings (RFC 2045 section 6) and encoded words (RFC 2047).
 *
 * UTF-8, US-ASCII and ISO 8859-1 become UTF-8; other charsets stay as their bytes. */

#include <string.h>

#include "mime.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* White space and a line end: how long they are, or 0 when something else follows. */
static size_t line_rest(struct kurir_str s, size_t at)
{
	size_t i = at;

	while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t'))
		i++;
	if (i < s.len && s.ptr[i] == '\r')
		i++;
	return i == s.len || s.ptr[i] == '\n' ? i - at + (i < s.len) : 0;
}

/* word: as in encoded words, "_" is a space. */
static struct kurir_str decode_q(struct kurir_arena *arena, struct kurir_str in, bool word)
{
	char *out = kurir_alloc(arena, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		size_t blank = word || (c != '=' && c != ' ' && c != '\t')
		    ? 0
		    : line_rest(in, i + (c == '='));

		if (word && c == '_') {
			out[n++] = ' ';
		} else if (c == '=' && blank > 0) {
			i += blank;
		} else if (blank > 0) { /* added on the way */
			while (i + 1 < in.len && (in.ptr[i + 1] == ' ' || in.ptr[i + 1] == '\t'))
				i++;
		} else if (c == '=' && i + 2 < in.len && hex(in.ptr[i + 1]) >= 0 &&
		    hex(in.ptr[i + 2]) >= 0) {
			out[n++] = (char)(hex(in.ptr[i + 1]) << 4 | hex(in.ptr[i + 2]));
			i += 2;
		} else {
			out[n++] = c; /* also "=" that is no encoding */
		}
	}
	return (struct kurir_str){ out, n };
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What is not base64 is passed over, as RFC 2045 section 6.8 asks. */
static struct kurir_str decode_b(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, in.len + 1);
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int d = digit(in.ptr[i]);

		if (d < 0)
			continue;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have & 0xFF);
		}
	}
	return (struct kurir_str){ out, n };
}

static struct kurir_str latin1(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, 2 * in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (c < 0x80) {
			out[n++] = (char)c;
		} else {
			out[n++] = (char)(0xC0 | c >> 6);
			out[n++] = (char)(0x80 | (c & 0x3F));
		}
	}
	return (struct kurir_str){ out, n };
}

static struct kurir_str to_utf8(
    struct kurir_arena *arena, struct kurir_str in, struct kurir_str charset)
{
	if (kurir_str_equal_nocase(charset, KURIR_STR("iso-8859-1")) ||
	    kurir_str_equal_nocase(charset, KURIR_STR("windows-1252")))
		return latin1(arena, in);
	return in;
}

bool mime_decode_transfer(
    struct kurir_arena *arena, const struct mime_part *p, struct kurir_str *ret)
{
	struct kurir_str encoding = p->encoding.ptr ? p->encoding : KURIR_STR("7bit");

	if (kurir_str_equal_nocase(encoding, KURIR_STR("quoted-printable")))
		*ret = decode_q(arena, p->body, false);
	else if (kurir_str_equal_nocase(encoding, KURIR_STR("base64")))
		*ret = decode_b(arena, p->body);
	else
		*ret = p->body;
	return ret->ptr != p->body.ptr || kurir_str_equal_nocase(encoding, KURIR_STR("7bit")) ||
	    kurir_str_equal_nocase(encoding, KURIR_STR("8bit")) ||
	    kurir_str_equal_nocase(encoding, KURIR_STR("binary"));
}

struct kurir_str mime_decode_body(struct kurir_arena *arena, const struct mime_part *p)
{
	struct kurir_str body, charset = KURIR_STR("");

	for (size_t i = 0; i < p->content_type.count; i++)
		if (kurir_str_equal_nocase(p->content_type.params[i].name, KURIR_STR("charset")))
			charset = p->content_type.params[i].value;
	mime_decode_transfer(arena, p, &body);
	return to_utf8(arena, body, charset);
}

#define ENCODED_MAX 1000 /* RFC 2047 section 2 says 75 */

/* "=?" charset "?" ("Q" / "B") "?" text "?=" at the beginning of s: its length and its text, or
 * 0. */
static size_t one_word(struct kurir_arena *arena, struct kurir_str s, struct kurir_str *ret)
{
	struct kurir_str rest = kurir_str_part(s, 2, s.len), charset, text;
	ssize_t q = kurir_str_find(rest, '?'), end = -1;
	char kind;

	if (q <= 0 || (size_t)q + 3 >= rest.len || rest.ptr[q + 2] != '?')
		return 0;
	charset = kurir_str_part(rest, 0, (size_t)q);
	kind = rest.ptr[q + 1];
	text = kurir_str_part(rest, (size_t)q + 3, ENCODED_MAX);
	for (size_t i = 0; i + 1 < text.len && end < 0; i++)
		if (text.ptr[i] == '?' && text.ptr[i + 1] == '=')
			end = (ssize_t)i;
	if (end < 0)
		return 0;
	text.len = (size_t)end;
	if (kind == 'q' || kind == 'Q')
		*ret = to_utf8(arena, decode_q(arena, text, true), charset);
	else if (kind == 'b' || kind == 'B')
		*ret = to_utf8(arena, decode_b(arena, text), charset);
	else
		return 0;
	return 2 + (size_t)q + 3 + (size_t)end + 2;
}

struct kurir_str mime_decode_words(struct kurir_arena *arena, struct kurir_str s)
{
	struct kurir_buf out = KURIR_BUF(4 * s.len + 16);
	bool after_word = false;
	struct kurir_str word;

	while (s.len > 0) {
		size_t n = s.len > 6 && s.ptr[0] == '=' && s.ptr[1] == '?'
		    ? one_word(arena, s, &word)
		    : 0;

		if (n > 0) {
			/* White space between two encoded words is not part of the text. */
			while (after_word && out.len > 0 && out.ptr[out.len - 1] == ' ')
				out.len--;
			kurir_buf_add(&out, word);
			after_word = true;
		} else {
			n = 1;
			kurir_buf_add(&out, kurir_str_part(s, 0, 1));
			after_word = after_word && (s.ptr[0] == ' ' || s.ptr[0] == '\t');
		}
		s = kurir_str_part(s, n, s.len);
	}
	s = kurir_copy(arena, kurir_buf_str(&out));
	kurir_buf_free(&out);
	return s;
}
