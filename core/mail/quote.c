/* quote.c - texts as JSON strings (RFC 8259): whatever a peer sends, the line stays one line. */
#include "quote.h"

/*
 * How many bytes at s are one character beyond ASCII, RFC 3629; 0: they are none.
 * UTF8-2 = %xC2-DF tail; UTF8-3 = %xE0-EF 2tail; UTF8-4 = %xF0-F4 3tail
 */
static size_t utf8_length(struct kurir_str s)
{
	unsigned char c = (unsigned char)s.ptr[0], d;
	size_t n = c >= 0xc2 && c <= 0xdf ? 2
	    : c >= 0xe0 && c <= 0xef	  ? 3
	    : c >= 0xf0 && c <= 0xf4	  ? 4
					  : 0;

	if (n == 0 || s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	d = (unsigned char)s.ptr[1];
	if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) ||
	    (c == 0xf4 && d > 0x8f))
		return 0;
	return n;
}

void quote_json(struct kurir_buf *b, struct kurir_str s)
{
	size_t from = 0, n;

	(void)kurir_buf_add(b, KURIR_STR("\""));
	for (size_t i = 0; i < s.len; i += n) {
		unsigned char c = (unsigned char)s.ptr[i];

		n = 1;
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		if (c >= 0x80) {
			size_t whole = utf8_length(kurir_str_part(s, i, s.len));

			n = whole > 0 ? whole : 1;
			if (whole > 0)
				continue;
		}
		(void)kurir_buf_add(b, kurir_str_part(s, from, i - from));
		from = i + 1;
		(void)kurir_buf_printf(b, "\\u%04x", c);
	}
	(void)kurir_buf_add(b, kurir_str_part(s, from, s.len));
	(void)kurir_buf_add(b, KURIR_STR("\""));
}
