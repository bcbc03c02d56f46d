/* quote.c - texts as JSON strings (RFC 8259): whatever a peer sends, the line stays one line. */
#include "quote.h"
#include "utf8.h"

void quote_json(struct kurir_buf *b, struct kurir_str s)
{
	size_t from = 0, n;
	uint32_t code;

	(void)kurir_buf_add(b, KURIR_STR("\""));
	for (size_t i = 0; i < s.len; i += n) {
		unsigned char c = (unsigned char)s.ptr[i];

		n = 1;
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		n = c < 0x80 ? 0 : utf8_get(kurir_str_part(s, i, s.len), &code);
		if (n > 0)
			continue;
		n = 1;
		(void)kurir_buf_add(b, kurir_str_part(s, from, i - from));
		from = i + 1;
		(void)kurir_buf_printf(b, "\\u%04x", c);
	}
	(void)kurir_buf_add(b, kurir_str_part(s, from, s.len));
	(void)kurir_buf_add(b, KURIR_STR("\""));
}
