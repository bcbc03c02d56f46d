/* utf7.c - modified UTF-7 (RFC 3501 section 5.1.3), for the names of mailboxes.
 *
 *   printable US-ASCII stands for itself, "&" is "&-", all else is "&" modified-base64 "-"
 *   of its UTF-16 */

#include <errno.h>
#include <string.h>

#include <kurir/store.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool direct(unsigned char c, const char *also)
{
	return c >= 32 && c < 127 && c != '&' && strchr(also, c) == NULL;
}

/* One code point of UTF-8 at *at (RFC 3629: shortest form, no surrogates), or -EINVAL. */
static int next_point(struct kurir_str s, size_t *at, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)s.ptr[*at];
	unsigned more = c < 0x80 ? 0 : c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
	uint32_t v = more == 0 ? c : c & (0x3Fu >> more);

	if ((c >= 0x80 && c < 0xC0) || c > 0xF4 || *at + more >= s.len)
		return -EINVAL;
	for (unsigned i = 1; i <= more; i++) {
		unsigned char d = (unsigned char)s.ptr[*at + i];

		if ((d & 0xC0) != 0x80)
			return -EINVAL;
		v = v << 6 | (d & 0x3F);
	}
	if (v < least[more] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
		return -EINVAL;
	*at += more + 1;
	*ret = v;
	return 0;
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

			r = next_point(s, &at, &v);
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

static int put_utf8(struct kurir_buf *out, uint32_t v)
{
	char c[4];
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;

	if (n == 1) {
		c[0] = (char)v;
	} else {
		for (size_t i = n - 1; i > 0; i--, v >>= 6)
			c[i] = (char)(0x80 | (v & 0x3F));
		c[0] = (char)((0xF00u >> n & 0xF0) | v);
	}
	return kurir_buf_add(out, (struct kurir_str){ c, n });
}

static int digit(char c)
{
	for (int i = 0; i < 64; i++)
		if (alphabet[i] == c)
			return i;
	return -1;
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
