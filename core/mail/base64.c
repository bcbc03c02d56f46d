/* base64.c - base64 (RFC 4648 section 4), for every protocol. */

#include <errno.h>

#include <kurir/auth.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct kurir_str kurir_base64_encode(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, (in.len + 2) / 3 * 4 + 1), *p = out;

	for (size_t i = 0; i < in.len; i += 3) {
		size_t left = in.len - i;
		uint32_t v = (uint32_t)(unsigned char)in.ptr[i] << 16;

		if (left > 1)
			v |= (uint32_t)(unsigned char)in.ptr[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)in.ptr[i + 2];
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*p++ = left > 2 ? alphabet[v & 63] : '=';
	}
	return (struct kurir_str){ out, (size_t)(p - out) };
}

/* The value of one digit, or -1. */
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

int kurir_base64_decode(struct kurir_arena *arena, struct kurir_str in, struct kurir_str *ret)
{
	size_t pad = 0, n = 0;
	uint32_t bits = 0;
	char *out;

	if (in.len % 4 != 0)
		return -EBADMSG;
	while (pad < 2 && pad < in.len && in.ptr[in.len - 1 - pad] == '=')
		pad++;
	out = kurir_alloc(arena, in.len / 4 * 3 + 1);
	for (size_t i = 0; i < in.len - pad; i++) {
		int d = digit(in.ptr[i]);

		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 != 0)
			out[n++] = (char)(bits >> (6 - i % 4 * 2));
	}
	/* RFC 4648 3.5: the bits behind the last whole octet are zero. */
	if ((pad == 1 && (bits & 3) != 0) || (pad == 2 && (bits & 15) != 0))
		return -EBADMSG;
	*ret = (struct kurir_str){ out, n };
	return 0;
}
