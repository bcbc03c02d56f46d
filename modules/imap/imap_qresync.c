/* imap_qresync.c - what happened while a client was away (QRESYNC, RFC 7162 section 3.2).
 *
 *   expunged-resp = "VANISHED" [SP "(EARLIER)"] SP known-uids */

#include <errno.h>

#include "imap_qresync.h"

bool imap_can_resync(const struct imap *s)
{
	return imap_store_has(s, changes);
}

/* What is gone since, as far as the store remembers; else all that is not there. */
KURIR_PARKS static int vanished(
    struct imap *s, uint64_t since, struct kurir_arena *arena, struct kurir_mailbox_changes *ret)
{
	struct kurir_uid_range *ever = kurir_alloc(arena, sizeof(*ever));
	int r = s->store->changes(s->store_self, s->place.account, s->place.mailbox, since, false,
	    imap_until(s), arena, ret);

	if (r != -ESTALE)
		return r;
	r = s->store->view(s->store_self, s->place.account, s->place.mailbox, false,
	    imap_until(s), arena, &ret->now);
	*ever = (struct kurir_uid_range){ 1, s->view.uid_next - 1 };
	ret->vanished = (struct kurir_uid_set){ s->view.uid_next > 1, ever };
	return r;
}

/* Those whose removal is still to be told in its place (EXPUNGE) are not said to be gone. */
KURIR_PARKS static void put_earlier(struct imap *s, const struct kurir_uid_set *gone,
    const struct kurir_uid_set *within, struct kurir_arena *arena)
{
	struct kurir_uid_set all = imap_box_all(&s->box), said = *gone;

	if (within->count > 0)
		said = imap_uids_combine(arena, &said, within, IMAP_IN_BOTH);
	said = imap_uids_combine(arena, &said, &all, IMAP_IN_FIRST_ONLY);
	if (said.count == 0)
		return;
	imap_puts(s, "* VANISHED (EARLIER) ");
	imap_put_uids(s, &said);
	imap_puts(s, "\r\n");
}

KURIR_PARKS int imap_put_vanished(
    struct imap *s, uint64_t since, const struct kurir_uid_set *within)
{
	struct kurir_arena *arena = kurir_arena_new("imap vanished");
	struct kurir_mailbox_changes c;
	int r = vanished(s, since, arena, &c);

	if (r >= 0 && within->count > 0)
		put_earlier(s, &c.vanished, within, arena);
	kurir_arena_free(arena);
	return r;
}

KURIR_PARKS int imap_put_resync(struct imap *s, const struct imap_qresync *q)
{
	struct kurir_arena *arena;
	struct kurir_mailbox_changes c;
	int r;

	if (q->validity != s->view.uid_validity || q->modseq >= s->view.modseq)
		return 0;
	arena = kurir_arena_new("imap vanished");
	r = vanished(s, q->modseq, arena, &c);
	if (r >= 0)
		put_earlier(s, &c.vanished, &q->known, arena);
	for (size_t i = 0; r >= 0 && i < c.now.count; i++) {
		const struct kurir_message *m = &c.now.messages[i];
		size_t index = imap_box_index(&s->box, m->uid);

		/* What came after the view that the client was told of is told as new. */
		if (index == s->box.count || m->modseq <= q->modseq ||
		    (q->known.count > 0 && !kurir_uid_set_has(&q->known, m->uid)))
			continue;
		imap_put_fetch(s, index, m->uid);
		if (!(s->enabled & IMAP_UIDONLY))
			kurir_printf(s->stream, "UID %u ", m->uid);
		imap_box_learn(&s->box, m, 1);
		imap_put_flags(s, imap_at(s, index));
		r = kurir_printf(s->stream, " MODSEQ (%llu))\r\n", (unsigned long long)m->modseq);
	}
	kurir_arena_free(arena);
	return r < 0 ? r : 0;
}
