/* utf8.c - characters as UTF-8 (RFC 3629): shortest form only, no surrogates, up to U+10FFFF. */
#include "utf8.h"

size_t utf8_get(struct kurir_str s, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = s.len > 0 ? (unsigned char)s.ptr[0] : 0xff;
	size_t n = c < 0x80 ? 1 : c < 0xc0 ? 5 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 5;
	uint32_t code = n == 1 ? c : c & (0x7fu >> n);

	if (n > 4 || n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)s.ptr[i] & 0x3fu);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return n;
}

size_t utf8_put(char to[4], uint32_t code)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(n == 1 ? code : (0xf00u >> n & 0xf0) | code);
	return n;
}
