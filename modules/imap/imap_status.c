/* imap_status.c - STATUS (RFC 9051 section 6.3.11; STATUS=SIZE, RFC 8438; CONDSTORE, RFC 7162;
 * APPENDLIMIT, RFC 7889; DELETED-STORAGE, RFC 9208; MAILBOXID, RFC 8474).
 *
 *   status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static int put_counts(
    struct imap *s, const struct kurir_mailbox *m, uint64_t deleted_bytes, uint32_t items)
{
	const uint64_t counts[IMAP_STATUS_KNOWN] = { m->messages, m->recent, m->uid_next,
		m->uid_validity, m->unseen, m->deleted, m->bytes, m->modseq, s->conf->append_max,
		deleted_bytes };
	const char *before = "";
	int r;

	imap_puts(s, "* STATUS ");
	imap_put_mailbox(s, m->name);
	imap_puts(s, " (");
	for (size_t i = 0; i < IMAP_STATUS_KNOWN; i++)
		if (items & ~(uint32_t)IMAP_STATUS_MAILBOXID & 1u << i) {
			kurir_printf(s->stream, "%s%s %llu", before, imap_status_names[i],
			    (unsigned long long)counts[i]);
			before = " ";
		}
	if ((items & IMAP_STATUS_MAILBOXID) && m->id.len > 0)
		kurir_printf(s->stream, "%sMAILBOXID (%.*s)", before, KURIR_ARG(m->id));
	r = imap_puts(s, ")\r\n");
	if (items & IMAP_STATUS_HIGHESTMODSEQ) /* which says a line of its own */
		imap_enable_condstore(s);
	return r;
}

/* For a store that cannot tell without looking at all messages. */
KURIR_PARKS static int count(struct imap *s, const struct imap_place *place,
    struct kurir_mailbox *ret, uint64_t *deleted_bytes)
{
	struct kurir_arena *box = kurir_arena_new("imap status");
	struct kurir_mailbox m = { .name = place->name };
	struct kurir_mailbox_view v;
	int r = s->store->view(
	    s->store_self, place->account, place->mailbox, false, imap_until(s), box, &v);

	for (size_t i = 0; r >= 0 && i < v.count; i++) {
		m.recent += (v.messages[i].flags & KURIR_MESSAGE_RECENT) != 0;
		m.unseen += !(v.messages[i].flags & KURIR_MESSAGE_SEEN);
		m.deleted += (v.messages[i].flags & KURIR_MESSAGE_DELETED) != 0;
		m.bytes += v.messages[i].size;
		if (v.messages[i].flags & KURIR_MESSAGE_DELETED)
			*deleted_bytes += v.messages[i].size;
	}
	if (r >= 0) {
		m.messages = (uint32_t)v.count;
		m.uid_next = v.uid_next;
		m.uid_validity = v.uid_validity;
		m.modseq = v.modseq;
		m.id = kurir_copy(kurir_scratch(), v.id);
		*ret = m;
	}
	kurir_arena_free(box);
	return r;
}

KURIR_PARKS int imap_put_status(struct imap *s, struct kurir_str mailbox, uint32_t items)
{
	uint64_t deleted_bytes = 0;
	struct imap_place place;
	struct kurir_mailbox m;
	int r = imap_place_find(s, mailbox, IMAP_RIGHT_READ, &place);

	if (r >= 0)
		r = !(items & IMAP_STATUS_DELETED_STORAGE) && imap_store_has(s, status)
		    ? s->store->status(s->store_self, place.account, place.mailbox, imap_until(s),
			  kurir_scratch(), &m)
		    : count(s, &place, &m, &deleted_bytes);
	if (r < 0)
		return r;
	m.name = place.name;
	return put_counts(s, &m, deleted_bytes, items);
}

/* Nobody counts the bytes of deleted messages beforehand. */
KURIR_PARKS int imap_put_counts(struct imap *s, const struct kurir_mailbox *m, uint32_t items)
{
	if (items & IMAP_STATUS_DELETED_STORAGE)
		return imap_put_status(s, m->name, items);
	return put_counts(s, m, 0, items);
}

KURIR_PARKS void imap_status(struct imap *s, struct imap_args *a)
{
	struct kurir_str name;
	uint32_t items;

	if (imap_mailbox(a, &name) < 0 || !imap_space(a) || imap_status_items(a, &items) < 0 ||
	    !imap_end(a)) {
		imap_bad(s, "STATUS takes a mailbox and a list of items");
		return;
	}
	imap_done(s, imap_put_status(s, name, items));
}
