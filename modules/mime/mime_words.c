/* mime_words.c - encoded words in header fields (RFC 2047, with the language of RFC 2231).
 *
 *   encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
 *   encoding     = "Q" / "B"
 *
 * Words one after the other in the same charset are one text, as some cut characters in two. */

#include <string.h>

#include "mime_private.h"

#define ENCODED_MAX 1000 /* RFC 2047 section 2 says 75 */

struct word {
	struct kurir_str charset, text;
	bool base64;
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The word that s begins with: its length, or 0. */
static size_t take_word(struct kurir_str s, struct word *ret)
{
	struct kurir_str rest = kurir_str_part(s, 2, s.len), text;
	ssize_t q = kurir_str_find(rest, '?'), star, end = -1;
	char kind;

	if (q <= 0 || (size_t)q + 3 >= rest.len || rest.ptr[q + 2] != '?')
		return 0;
	kind = (char)(rest.ptr[q + 1] | 0x20);
	text = kurir_str_part(rest, (size_t)q + 3, ENCODED_MAX);
	for (size_t i = 0; i + 1 < text.len && end < 0; i++)
		if (text.ptr[i] == '?' && text.ptr[i + 1] == '=')
			end = (ssize_t)i;
	if (end < 0 || (kind != 'q' && kind != 'b'))
		return 0;
	ret->charset = kurir_str_part(rest, 0, (size_t)q);
	star = kurir_str_find(ret->charset, '*');
	if (star >= 0)
		ret->charset.len = (size_t)star;
	ret->text = kurir_str_part(text, 0, (size_t)end);
	ret->base64 = kind == 'b';
	return 2 + (size_t)q + 3 + (size_t)end + 2;
}

struct decoder {
	struct kurir_buf *out;
	bool open; /* words have begun, and may go on */
	struct kurir_str name;
	struct mime_charset charset;
	struct mime_transfer base64;
};

static void put_out(void *arg, const char *s, size_t n)
{
	struct decoder *d = arg;

	(void)kurir_buf_add(d->out, (struct kurir_str){ s, n });
}

static void put_bytes(void *arg, const char *s, size_t n)
{
	struct decoder *d = arg;
	struct mime_out out = { put_out, d };

	mime_charset_feed(&d->charset, (struct kurir_str){ s, n }, &out);
}

/* "_" is a space, "=" and two digits a byte, the rest itself. */
static void feed_q(struct decoder *d, struct kurir_str s)
{
	char bytes[ENCODED_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool byte = s.ptr[i] == '=' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 &&
		    hex(s.ptr[i + 2]) >= 0;

		bytes[n++] = s.ptr[i] == '_' ? ' '
		    : byte		     ? (char)(hex(s.ptr[i + 1]) << 4 | hex(s.ptr[i + 2]))
					     : s.ptr[i];
		i += byte ? 2 : 0;
	}
	if (n > 0)
		put_bytes(d, bytes, n);
}

static void end_words(struct decoder *d)
{
	struct mime_out out = { put_out, d };

	if (d->open)
		mime_charset_end(&d->charset, &out);
	d->open = false;
}

static void feed_word(struct decoder *d, const struct word *w)
{
	struct mime_out bytes = { put_bytes, d };

	if (d->open && !kurir_str_equal_nocase(d->name, w->charset))
		end_words(d);
	if (!d->open)
		mime_charset_begin(&d->charset, w->charset);
	d->open = true;
	d->name = w->charset;
	if (!w->base64) {
		feed_q(d, w->text);
		return;
	}
	(void)mime_transfer_begin(&d->base64, KURIR_STR("base64"));
	mime_transfer_feed(&d->base64, w->text, &bytes);
}

/* What is no word, which is UTF-8 or made such. */
static void feed_plain(struct decoder *d, struct kurir_str s)
{
	struct mime_out out = { put_out, d };

	end_words(d);
	mime_charset_begin(&d->charset, KURIR_STR("utf-8"));
	mime_charset_feed(&d->charset, s, &out);
	mime_charset_end(&d->charset, &out);
}

static size_t blanks(struct kurir_str s)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t'))
		n++;
	return n;
}

static bool begins_word(struct kurir_str s)
{
	return s.len > 6 && s.ptr[0] == '=' && s.ptr[1] == '?';
}

struct kurir_str mime_decode_words(struct kurir_arena *arena, struct kurir_str s)
{
	/* A byte becomes at most a character of 3, or of 4 of UTF-7 in the place of 5. */
	struct kurir_buf out = KURIR_BUF(4 * s.len + 16);
	struct decoder d = { .out = &out };
	struct word word;
	size_t plain = 0, i = 0;

	while (i < s.len) {
		struct kurir_str rest = kurir_str_part(s, i, s.len);
		size_t n = begins_word(rest) ? take_word(rest, &word) : 0;

		if (n == 0) {
			i++;
			continue;
		}
		/* White space between two encoded words is not part of the text. */
		rest = kurir_str_part(s, plain, i - plain);
		if (rest.len > 0 && !(d.open && blanks(rest) == rest.len))
			feed_plain(&d, rest);
		feed_word(&d, &word);
		i += n;
		plain = i;
	}
	if (plain < s.len)
		feed_plain(&d, kurir_str_part(s, plain, s.len));
	end_words(&d);
	s = kurir_copy(arena, kurir_buf_str(&out));
	kurir_buf_free(&out);
	return s;
}
