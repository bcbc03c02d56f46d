/* quote.c - texts as JSON strings (RFC 8259): whatever a peer sends, the line stays one line. */
#include "quote.h"
#include "utf8.h"

#include <string.h>

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* As most texts are: in one go. */
static bool put_plain(struct kurir_buf *b, struct kurir_str s)
{
	size_t i = 0;
	char *to;

	while (i < s.len && is_plain((unsigned char)s.ptr[i]))
		i++;
	if (i < s.len || kurir_buf_reserve(b, s.len + 2) < 0)
		return false;
	to = b->ptr + b->len;
	to[0] = '"';
	memcpy(to + 1, s.ptr, s.len);
	to[s.len + 1] = '"';
	to[s.len + 2] = '\0';
	b->len += s.len + 2;
	return true;
}

void quote_json(struct kurir_buf *b, struct kurir_str s)
{
	size_t from = 0, n;
	uint32_t code;

	if (put_plain(b, s))
		return;
	(void)kurir_buf_add(b, KURIR_STR("\""));
	for (size_t i = 0; i < s.len; i += n) {
		unsigned char c = (unsigned char)s.ptr[i];

		n = 1;
		if (is_plain(c))
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
