/* imap_status.c - STATUS (RFC 9051 section 6.3.11; STATUS=SIZE, RFC 8438; CONDSTORE, RFC 7162;
 * APPENDLIMIT, RFC 7889).
 *
 *   status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */

#include <errno.h>

#include "imap.h"

KURIR_PARKS int imap_put_counts(struct imap *s, const struct kurir_mailbox *m, uint32_t items)
{
	const uint64_t counts[IMAP_STATUS_KNOWN] = { m->messages, m->recent, m->uid_next,
		m->uid_validity, m->unseen, m->deleted, m->bytes, m->modseq,
		s->conf->append_max };
	const char *before = "";

	imap_puts(s, "* STATUS ");
	imap_put_mailbox(s, m->name);
	imap_puts(s, " (");
	for (size_t i = 0; i < IMAP_STATUS_KNOWN; i++)
		if (items & 1u << i) {
			kurir_printf(s->stream, "%s%s %llu", before, imap_status_names[i],
			    (unsigned long long)counts[i]);
			before = " ";
		}
	if (items & IMAP_STATUS_HIGHESTMODSEQ)
		imap_enable_condstore(s);
	return imap_puts(s, ")\r\n");
}

/* For a store that cannot tell without looking at all messages. */
KURIR_PARKS static int count(struct imap *s, struct kurir_str mailbox, struct kurir_mailbox *ret)
{
	struct kurir_arena *box = kurir_arena_new("imap status");
	struct kurir_mailbox m = { .name = mailbox };
	struct kurir_mailbox_view v;
	int r = s->store->view(s->store_self, s->account, mailbox, false, imap_until(s), box, &v);

	for (size_t i = 0; r >= 0 && i < v.count; i++) {
		m.recent += (v.messages[i].flags & KURIR_MESSAGE_RECENT) != 0;
		m.unseen += !(v.messages[i].flags & KURIR_MESSAGE_SEEN);
		m.deleted += (v.messages[i].flags & KURIR_MESSAGE_DELETED) != 0;
		m.bytes += v.messages[i].size;
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

KURIR_PARKS static int put_status(struct imap *s, struct kurir_str mailbox, uint32_t items)
{
	struct kurir_mailbox m;
	int r = imap_store_has(s, status) ? s->store->status(s->store_self, s->account, mailbox,
						imap_until(s), kurir_scratch(), &m)
					  : count(s, mailbox, &m);

	return r < 0 ? r : imap_put_counts(s, &m, items);
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
	imap_done(s, put_status(s, name, items));
}
