/* mime_charset.c - texts in the charset they say become UTF-8 (RFC 2978 names).
 *
 * UTF-8, UTF-16, UTF-7 and what has one byte a character are read here; a few converters of the C
 * library do the rest, by the names of a list and never by one from a message. */

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "mime_private.h"

#define ROOM	    1024
#define REPLACEMENT 0xfffd

struct room {
	char bytes[ROOM];
	size_t used;
	const struct mime_out *out;
};

static void flush(struct room *r)
{
	if (r->used > 0)
		r->out->put(r->out->arg, r->bytes, r->used);
	r->used = 0;
}

size_t mime_utf8_put(char to[4], uint32_t code)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(n == 1 ? code : (0xf00u >> n & 0xf0) | code);
	return n;
}

/* UTF-8 (RFC 3629):
 *   UTF8-char = %x00-7F / %xC2-DF tail / %xE0 %xA0-BF tail / %xE1-EC 2tail / %xED %x80-9F tail /
 *               %xEE-EF 2tail / %xF0 %x90-BF 2tail / %xF1-F3 3tail / %xF4 %x80-8F 2tail */
size_t mime_utf8_length(struct kurir_str s)
{
	unsigned char c = (unsigned char)s.ptr[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

	for (size_t i = 1; i < n && i < s.len; i++) {
		c = (unsigned char)s.ptr[i];
		if (c < low || c > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

static void put(struct room *r, uint32_t code)
{
	if (r->used > ROOM - 4)
		flush(r);
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		code = REPLACEMENT;
	r->used += mime_utf8_put(r->bytes + r->used, code);
}

/* How many bytes at the beginning are ASCII. */
static size_t ascii(struct kurir_str s)
{
	size_t i = 0;
	uint64_t eight;

	while (i + 8 <= s.len) {
		memcpy(&eight, s.ptr + i, 8);
		if (eight & 0x8080808080808080u)
			break;
		i += 8;
	}
	while (i < s.len && (unsigned char)s.ptr[i] < 0x80)
		i++;
	return i;
}

/* How many bytes, which are no character, begin one that does not go on: they are one mistake. */
static size_t broken(struct kurir_str s)
{
	size_t n = 1;

	while (n < s.len && mime_utf8_length(kurir_str_part(s, 0, n + 1)) > 0)
		n++;
	return n;
}

/* Whole characters go through as they are. */
static size_t feed_utf8(struct mime_charset *c, struct kurir_str s, struct room *r)
{
	size_t good = 0;

	while (good < s.len) {
		size_t n = ascii(kurir_str_part(s, good, s.len));

		if (n == 0) {
			n = mime_utf8_length(kurir_str_part(s, good, s.len));
			if (n == 0 || good + n > s.len)
				break;
		}
		good += n;
	}
	if (good > 0) {
		flush(r);
		r->out->put(r->out->arg, s.ptr, good);
	}
	if (good == s.len)
		return good;
	if (mime_utf8_length(kurir_str_part(s, good, s.len)) > 0) {
		memcpy(c->held, s.ptr + good, s.len - good);
		c->count = s.len - good;
		return s.len;
	}
	put(r, REPLACEMENT);
	return good + broken(kurir_str_part(s, good, s.len));
}

/* The rest of a character whose beginning is held. */
static size_t feed_held(struct mime_charset *c, struct kurir_str s, struct room *r)
{
	struct kurir_str held;
	size_t n;

	c->held[c->count] = s.ptr[0];
	held = (struct kurir_str){ c->held, c->count + 1 };
	n = mime_utf8_length(held);
	if (n > held.len) {
		c->count++;
		return 1;
	}
	c->count = 0;
	if (n == 0) {
		put(r, REPLACEMENT);
		return 0;
	}
	if (r->used > ROOM - 4)
		flush(r);
	memcpy(r->bytes + r->used, held.ptr, n);
	r->used += n;
	return 1;
}

static void feed_table(const struct mime_charset *c, struct kurir_str s, struct room *r)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char byte = (unsigned char)s.ptr[i];

		put(r, byte < 0x80 ? byte : c->table[byte - 0x80]);
	}
}

/* A code unit of UTF-16 (RFC 2781). */
static void put_unit(struct mime_charset *c, uint32_t unit, struct room *r)
{
	uint32_t high = c->surrogate;

	c->surrogate = 0;
	if (high > 0 && unit >= 0xdc00 && unit < 0xe000) {
		put(r, 0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff)));
		return;
	}
	if (high > 0)
		put(r, REPLACEMENT);
	if (unit >= 0xd800 && unit < 0xdc00)
		c->surrogate = unit;
	else
		put(r, unit);
}

static void feed_utf16(struct mime_charset *c, struct kurir_str s, struct room *r)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned a, b;

		c->held[c->count++] = s.ptr[i];
		if (c->count < 2)
			continue;
		c->count = 0;
		a = (unsigned char)c->held[0];
		b = (unsigned char)c->held[1];
		if (!c->begun && a + b == 0xfe + 0xff && (a == 0xfe || b == 0xfe))
			c->little = a == 0xff;
		else
			put_unit(c, c->little ? b << 8 | a : a << 8 | b, r);
		c->begun = true;
	}
}

static int digit(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* UTF-7 (RFC 2152): "+" *base64 ["-"], "+-" is "+". */
static void feed_utf7(struct mime_charset *c, struct kurir_str s, struct room *r)
{
	for (size_t i = 0; i < s.len; i++) {
		char byte = s.ptr[i];
		int d = digit(byte);

		if (!c->shifted) {
			c->shifted = byte == '+';
			c->begun = false;
			if (!c->shifted)
				put(r, (unsigned char)byte < 0x80 ? (uint32_t)byte : REPLACEMENT);
			continue;
		}
		if (d < 0) {
			c->shifted = false;
			c->have = 0;
			if (byte == '-' && !c->begun)
				put(r, '+');
			else if (byte != '-')
				i--; /* it stands for itself */
			continue;
		}
		c->begun = true;
		c->bits = c->bits << 6 | (uint32_t)d;
		c->have += 6;
		if (c->have >= 16) {
			c->have -= 16;
			put_unit(c, c->bits >> c->have & 0xffff, r);
		}
	}
}

/* What the converter takes of the bytes held, and none of what it does not. */
static void convert(struct mime_charset *c, struct room *r, bool all)
{
	char *in = c->held;
	size_t left = c->count;

	while (left > 0) {
		char *out = r->bytes + r->used;
		size_t room = ROOM - r->used;
		size_t n = iconv(c->iconv, &in, &left, &out, &room);
		int error = n == (size_t)-1 ? errno : 0;

		r->used = (size_t)(out - r->bytes);
		if (error == E2BIG) {
			flush(r);
		} else if (error == EINVAL && !all && left < sizeof(c->held)) {
			break; /* the beginning of a character */
		} else if (error == EILSEQ || error == EINVAL) {
			put(r, REPLACEMENT);
			in++;
			left--;
		} else if (error != 0) {
			break;
		}
	}
	memmove(c->held, in, left);
	c->count = left;
}

static void feed_iconv(struct mime_charset *c, struct kurir_str s, struct room *r)
{
	while (s.len > 0) {
		size_t n = sizeof(c->held) - c->count;

		if (n > s.len)
			n = s.len;
		memcpy(c->held + c->count, s.ptr, n);
		c->count += n;
		s = kurir_str_part(s, n, s.len);
		convert(c, r, false);
	}
}

/* Names of charsets, and of what glibc reads them with; the same ones side by side. */
static const struct {
	const char *name, *converter;
} known[] = {
	{ "gb18030", "GB18030" },
	{ "gbk", "GB18030" },
	{ "gb2312", "GB18030" },
	{ "cp936", "GB18030" },
	{ "big5", "BIG5-HKSCS" },
	{ "big5-hkscs", "BIG5-HKSCS" },
	{ "euc-jp", "EUC-JP" },
	{ "x-euc-jp", "EUC-JP" },
	{ "euc-kr", "UHC" },
	{ "ks_c_5601-1987", "UHC" },
	{ "cp949", "UHC" },
	{ "euc-tw", "EUC-TW" },
	{ "iso-2022-jp", "ISO-2022-JP" },
	{ "iso-2022-kr", "ISO-2022-KR" },
	{ "shift_jis", "CP932" },
	{ "shift-jis", "CP932" },
	{ "x-sjis", "CP932" },
	{ "windows-31j", "CP932" },
	{ "cp932", "CP932" },
};

const char *mime_charset_iconv(struct kurir_str name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(known[i].name)))
			return known[i].converter;
	return NULL;
}

/* A converter is code, which a process in a sandbox cannot load any more: one of each is opened
 * with this library, and stays open, so that they are there. */
static iconv_t loaded[sizeof(known) / sizeof(*known)];

__attribute__((constructor)) static void load_converters(void)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (i == 0 || strcmp(known[i].converter, known[i - 1].converter) != 0)
			loaded[i] = iconv_open("UTF-8", known[i].converter);
}

void mime_charset_begin(struct mime_charset *c, struct kurir_str name)
{
	const char *converter;

	*c = (struct mime_charset){ .kind = MIME_CHARSET_UTF8 };
	if (name.len == 0 || kurir_str_equal_nocase(name, KURIR_STR("utf-8")) ||
	    kurir_str_equal_nocase(name, KURIR_STR("us-ascii")))
		return;
	c->table = mime_charset_table(name);
	if (c->table) {
		c->kind = MIME_CHARSET_TABLE;
	} else if (kurir_str_equal_nocase(name, KURIR_STR("utf-7"))) {
		c->kind = MIME_CHARSET_UTF7;
	} else if (kurir_str_starts_nocase(name, KURIR_STR("utf-16")) && name.len <= 8) {
		c->kind = MIME_CHARSET_UTF16;
		c->little = kurir_str_equal_nocase(name, KURIR_STR("utf-16le"));
	} else if ((converter = mime_charset_iconv(name)) != NULL) {
		iconv_t cd = iconv_open("UTF-8", converter);

		if (cd == (iconv_t)-1)
			return;
		c->kind = MIME_CHARSET_ICONV;
		c->iconv = cd;
	}
}

void mime_charset_feed(struct mime_charset *c, struct kurir_str s, const struct mime_out *out)
{
	struct room r;

	r.used = 0;
	r.out = out;
	switch (c->kind) {
	case MIME_CHARSET_UTF8:
		while (s.len > 0) {
			size_t n = c->count > 0 ? feed_held(c, s, &r) : feed_utf8(c, s, &r);

			s = kurir_str_part(s, n, s.len);
		}
		break;
	case MIME_CHARSET_TABLE:
		feed_table(c, s, &r);
		break;
	case MIME_CHARSET_UTF16:
		feed_utf16(c, s, &r);
		break;
	case MIME_CHARSET_UTF7:
		feed_utf7(c, s, &r);
		break;
	case MIME_CHARSET_ICONV:
		feed_iconv(c, s, &r);
		break;
	}
	flush(&r);
}

void mime_charset_end(struct mime_charset *c, const struct mime_out *out)
{
	struct room r;

	r.used = 0;
	r.out = out;
	if (c->kind == MIME_CHARSET_ICONV) {
		convert(c, &r, true);
		iconv_close(c->iconv);
		c->iconv = NULL;
	} else if (c->count > 0 || c->surrogate > 0) {
		put(&r, REPLACEMENT);
	}
	flush(&r);
	*c = (struct mime_charset){ .kind = MIME_CHARSET_UTF8 };
}
