/* utf7.c - modified UTF-7 (RFC 3501 section 5.1.3), for the names of mailboxes.
 *
 *   printable US-ASCII stands for itself, "&" is "&-", all else is "&" modified-base64 "-"
 *   of its UTF-16 */

#include <errno.h>
#include <string.h>

#include <kurir/store.h>

#include "utf8.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool direct(unsigned char c, const char *also)
{
	return c >= 32 && c < 127 && c != '&' && strchr(also, c) == NULL;
}

/* Bits on their way into base64. */
struct bits {
	uint32_t value;
	unsigned count;
};

static int push16(struct kurir_buf *out, struct bits *b, uint32_t unit)
{
	int r = 0;

	b->value = b->value << 16 | unit;
	b->count += 16;
	while (r >= 0 && b->count >= 6) {
		b->count -= 6;
		r = kurir_buf_add(
		    out, (struct kurir_str){ &alphabet[b->value >> b->count & 63], 1 });
	}
	return r;
}

int kurir_utf7_encode(struct kurir_buf *out, struct kurir_str s, const char *also)
{
	size_t at = 0;
	int r = 0;

	while (r >= 0 && at < s.len) {
		struct bits b = { 0 };

		if (s.ptr[at] == '&') {
			r = kurir_buf_add(out, KURIR_STR("&-"));
			at++;
			continue;
		}
		if (direct((unsigned char)s.ptr[at], also)) {
			r = kurir_buf_add(out, kurir_str_part(s, at++, 1));
			continue;
		}
		r = kurir_buf_add(out, KURIR_STR("&"));
		while (r >= 0 && at < s.len && s.ptr[at] != '&' &&
		    !direct((unsigned char)s.ptr[at], also)) {
			uint32_t v;

			size_t n = utf8_get(kurir_str_part(s, at, s.len), &v);

			at += n;
			r = n > 0 ? 0 : -EINVAL;
			if (r >= 0 && v >= 0x10000) {
				r = push16(out, &b, 0xD800 + ((v - 0x10000) >> 10));
				v = 0xDC00 + ((v - 0x10000) & 0x3FF);
			}
			if (r >= 0)
				r = push16(out, &b, v);
		}
		if (r >= 0 && b.count > 0)
			r = kurir_buf_add(out,
			    (struct kurir_str){ &alphabet[b.value << (6 - b.count) & 63], 1 });
		if (r >= 0)
			r = kurir_buf_add(out, KURIR_STR("-"));
	}
	return r;
}

static int digit(char c)
{
	for (int i = 0; i < 64; i++)
		if (alphabet[i] == c)
			return i;
	return -1;
}

static int put_utf8(struct kurir_buf *out, uint32_t code)
{
	char c[4];

	return kurir_buf_add(out, (struct kurir_str){ c, utf8_put(c, code) });
}

/* What stands between '&' and '-', as UTF-8. */
static int decode_run(struct kurir_buf *out, struct kurir_str run)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < run.len; i++) {
		int d = digit(run.ptr[i]);
		uint32_t unit;

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)d;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		unit = bits >> count & 0xFFFF;
		if (unit >= 0xD800 && unit < 0xDC00 && high == 0) {
			high = unit;
		} else if (unit >= 0xDC00 && unit < 0xE000 && high != 0) {
			r = put_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00));
			high = 0;
		} else if (high != 0 || (unit >= 0xD800 && unit < 0xE000) || unit == 0) {
			return -EINVAL;
		} else {
			r = put_utf8(out, unit);
		}
	}
	return r < 0 ? r : high != 0 || count >= 6 ? -EINVAL : 0;
}

int kurir_utf7_decode(struct kurir_buf *out, struct kurir_str s)
{
	int r = 0;

	while (r >= 0 && s.len > 0) {
		ssize_t minus;

		if (s.ptr[0] != '&') {
			if ((unsigned char)s.ptr[0] < 32 || (unsigned char)s.ptr[0] > 126)
				return -EINVAL;
			r = kurir_buf_add(out, kurir_str_part(s, 0, 1));
			s = kurir_str_part(s, 1, s.len);
			continue;
		}
		minus = kurir_str_find(s, '-');
		if (minus < 0)
			return -EINVAL;
		if (minus == 1)
			r = kurir_buf_add(out, KURIR_STR("&"));
		else
			r = decode_run(out, kurir_str_part(s, 1, (size_t)minus - 1));
		s = kurir_str_part(s, (size_t)minus + 1, s.len);
	}
	return r;
}
