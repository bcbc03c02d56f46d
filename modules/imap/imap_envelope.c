/* imap_envelope.c - ENVELOPE (RFC 9051 section 7.5.2).
 *
 *   envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP
 *              in-reply-to SP message-id ")" */

#include "imap_body.h"

#define ADDRESSES_MAX 1000

static struct kurir_str get(struct kurir_arena *arena, struct kurir_str header, const char *name)
{
	return mime_header_get(arena, header, kurir_str_of(name));
}

KURIR_PARKS static void put_addresses(
    struct imap *s, struct kurir_arena *arena, struct kurir_str text)
{
	struct mime_address *list;
	size_t n, room = 4;

	for (size_t i = 0; text.ptr && i < text.len && room < ADDRESSES_MAX; i++)
		room += text.ptr[i] == ',' || text.ptr[i] == ':' || text.ptr[i] == ';';
	list = kurir_alloc(arena, room * sizeof(*list));
	n = text.ptr ? mime_addresses(arena, text, list, room) : 0;
	if (n == 0) {
		imap_puts(s, "NIL");
		return;
	}
	imap_puts(s, "(");
	for (size_t i = 0; i < n; i++) {
		imap_puts(s, "(");
		imap_nstring(s, list[i].name);
		imap_puts(s, " ");
		imap_nstring(s, list[i].route);
		imap_puts(s, " ");
		imap_nstring(s, list[i].mailbox);
		imap_puts(s, " ");
		imap_nstring(s, list[i].host);
		imap_puts(s, ")");
	}
	imap_puts(s, ")");
}

KURIR_PARKS void imap_put_envelope(
    struct imap *s, struct kurir_arena *arena, struct kurir_str header)
{
	struct kurir_str from = get(arena, header, "From"), sender = get(arena, header, "Sender");
	struct kurir_str reply_to = get(arena, header, "Reply-To");

	imap_puts(s, "(");
	imap_nstring(s, get(arena, header, "Date"));
	imap_puts(s, " ");
	imap_nstring(s, get(arena, header, "Subject"));
	imap_puts(s, " ");
	put_addresses(s, arena, from);
	imap_puts(s, " ");
	put_addresses(s, arena, sender.len > 0 ? sender : from);
	imap_puts(s, " ");
	put_addresses(s, arena, reply_to.len > 0 ? reply_to : from);
	imap_puts(s, " ");
	put_addresses(s, arena, get(arena, header, "To"));
	imap_puts(s, " ");
	put_addresses(s, arena, get(arena, header, "Cc"));
	imap_puts(s, " ");
	put_addresses(s, arena, get(arena, header, "Bcc"));
	imap_puts(s, " ");
	imap_nstring(s, get(arena, header, "In-Reply-To"));
	imap_puts(s, " ");
	imap_nstring(s, get(arena, header, "Message-ID"));
	imap_puts(s, ")");
}
