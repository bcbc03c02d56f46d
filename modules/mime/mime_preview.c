/* mime_preview.c - the beginning of what a message says, for lists of messages (RFC 8970).
 *
 *   preview = "PREVIEW" SP nstring ; at most 200 characters
 *
 * Lines that quote another message are left out, white space is one space each. */

#include <string.h>

#include "mime_private.h"

static void put_character(struct mime_preview *v, char c)
{
	/* The last byte of U+FFFD: what was no character is left out. */
	if (c == '\xbd' && v->len > 2 && memcmp(v->text + v->len - 2, "\xef\xbf", 2) == 0) {
		v->len -= 2;
		v->characters--;
		return;
	}
	if (((unsigned char)c & 0xc0) != 0x80) {
		v->full = v->characters == MIME_PREVIEW_MAX;
		v->characters += !v->full;
	}
	if (!v->full)
		v->text[v->len++] = c;
}

void mime_preview_put(struct mime_preview *v, const char *s, size_t n)
{
	for (size_t i = 0; i < n && !v->full; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!v->inside)
			v->quoted = v->plain && c == '>';
		v->inside = c != '\n';
		if (v->quoted && c != '\n')
			continue;
		if (c > 32 && c != 127)
			put_character(v, s[i]);
		else if (v->len > 0 && v->text[v->len - 1] != ' ')
			put_character(v, ' ');
	}
}

struct kurir_str mime_preview_text(const struct mime_preview *v)
{
	return kurir_str_trim((struct kurir_str){ v->text, v->len });
}
