/* imap_catenate.c - a message made of pieces of others (CATENATE, RFC 4469).
 *
 *   cat-part = "URL" SP astring / "TEXT" SP literal
 *
 * "(" cat-part *(SP cat-part) ")".  A URL names a message that may be read, or a part of one. */

#include <errno.h>

#include "imap_incoming.h"

#define PARTS_MAX 1000

/* The message with that UID as the store has it; *ret_messages lives in arena. */
KURIR_PARKS static int find(struct imap *s, const struct imap_place *place,
    const struct imap_url *url, struct kurir_arena *arena, const struct kurir_message **ret)
{
	struct kurir_mailbox_view view;
	int r = s->store->view(
	    s->store_self, place->account, place->mailbox, false, imap_until(s), arena, &view);

	if (r < 0)
		return r;
	if (url->validity && url->validity != view.uid_validity)
		return -ENOENT;
	for (size_t i = 0; i < view.count; i++)
		if (view.messages[i].uid == url->uid) {
			*ret = &view.messages[i];
			return 0;
		}
	return -ENOENT;
}

KURIR_PARKS static int copy_section(struct imap_incoming *in, const struct imap_place *place,
    const struct imap_url *url, const struct kurir_message *m)
{
	struct imap_bytes b;
	struct kurir_str text;
	int r;

	imap_bytes_begin(&b, NULL);
	r = imap_bytes_open_in(in->s, place, m, &b);
	if (r >= 0)
		r = imap_bytes_map(&b);
	if (r >= 0) {
		text = imap_section(&b, &url->item);
		if (text.ptr && url->item.partial)
			text = kurir_str_part(text, url->item.start, url->item.octets);
		r = text.ptr ? imap_incoming_write(in, text) : -ENOENT;
	}
	imap_bytes_close(&b);
	return r;
}

KURIR_PARKS static int copy_url(struct imap_incoming *in)
{
	struct kurir_arena *arena;
	const struct kurir_message *m;
	struct imap_place place = in->s->place; /* of the selected one */
	struct imap_url url;
	int r = imap_incoming_astring(in, &in->url);

	if (r < 0)
		return r;
	r = imap_url_parse(in->url, &url);
	if (r >= 0 && url.mailbox.len == 0)
		r = in->s->state == IMAP_SELECTED ? 0 : -ENOENT;
	else if (r >= 0)
		r = imap_place_find(in->s, url.mailbox, IMAP_RIGHT_READ, &place);
	arena = kurir_arena_new("imap url");
	if (r >= 0)
		r = find(in->s, &place, &url, arena, &m);
	if (r >= 0)
		r = copy_section(in, &place, &url, m);
	kurir_arena_free(arena);
	if (r == -ENOENT || r == -EBADMSG || r == -EINVAL || r == -EACCES) {
		in->refusal = IMAP_REFUSED_URL;
		r = -EPERM;
	}
	return r;
}

KURIR_PARKS int imap_catenate(struct imap_incoming *in)
{
	unsigned parts = 0;
	uint64_t before = in->length;

	if (!imap_take(in->a, '('))
		return -EBADMSG;
	do {
		int r = -EBADMSG;

		if (++parts > PARTS_MAX)
			return -EBADMSG;
		if (imap_take_word(in->a, "TEXT") && imap_space(in->a))
			r = imap_incoming_literal(in, true);
		else if (imap_take_word(in->a, "URL") && imap_space(in->a))
			r = copy_url(in);
		if (r < 0)
			return r;
	} while (imap_space(in->a));
	if (!imap_take(in->a, ')'))
		return -EBADMSG;
	if (in->length == before) {
		in->refusal = IMAP_REFUSED_EMPTY;
		return -EPERM;
	}
	return 0;
}
