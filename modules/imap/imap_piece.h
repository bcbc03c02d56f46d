/* imap_piece.h - a piece of a reply that is put together before it is written: replies for many
 * messages are made of a few words and numbers each. */
#ifndef IMAP_PIECE_H
#define IMAP_PIECE_H

#include <string.h>

#include "imap.h"

#define IMAP_PIECE_MAX 256 /* octets, and half of them when another item begins */

struct imap_piece {
	size_t len;
	char text[IMAP_PIECE_MAX];
};

static inline void imap_piece_add(struct imap_piece *p, const char *text, size_t len)
{
	size_t room = sizeof(p->text) - p->len;

	len = len < room ? len : room;
	memcpy(p->text + p->len, text, len);
	p->len += len;
}

/* Of a few words. */
static inline void imap_piece_text(struct imap_piece *p, const char *text)
{
	imap_piece_add(p, text, strlen(text));
}

static inline void imap_piece_number(struct imap_piece *p, uint64_t n)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	imap_piece_add(p, at, (size_t)(digits + sizeof(digits) - at));
}

static inline KURIR_PARKS int imap_piece_write(struct imap *s, struct imap_piece *p)
{
	struct kurir_str text = { p->text, p->len };

	p->len = 0;
	return text.len > 0 ? kurir_write(s->stream, text) : 0;
}

/* imap_out.c: all flags; keywords are written at once, with what is in front of them. */
int imap_piece_flags(struct imap *, struct imap_piece *, const struct kurir_message *)
    KURIR_PARKS;
/* "* 5 FETCH (" or, once the client wants nothing but UIDs, "* 17 UIDFETCH (". */
void imap_piece_fetch(const struct imap *, struct imap_piece *, size_t index, uint32_t uid);

#endif
