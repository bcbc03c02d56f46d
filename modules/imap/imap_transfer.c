/* imap_transfer.c - COPY and MOVE to where the store cannot copy by itself: into the mailbox of
 * another account, or where the client may not set all flags (RFC 4314 section 4).
 *
 * Messages are appended, some at a time.  All of them arrive or none (RFC 9051 section 6.4.7):
 * what came before goes again.  A message that is moved is durable in its new place before it
 * leaves the old one; when it cannot leave that, it is in both. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "imap_incoming.h"

#define SOME  100		 /* messages at a time */
#define BYTES (8u * 1024 * 1024) /* and of them, but for the last one */
#define CHUNK 65536

struct transfer {
	struct imap *s;
	const struct imap_place *to;
	struct imap_incoming in; /* the messages of this turn */
	uint32_t *uids;		 /* theirs, where they come from */
	struct kurir_uid_range *from;
	size_t from_count;
	struct kurir_changed *done;
};

KURIR_PARKS static int copy_bytes(struct transfer *t, const struct kurir_body *body)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	char *chunk = kurir_alloc(kurir_scratch(), CHUNK);
	int r = 0;

	for (uint64_t at = 0; at < body->length && r >= 0;) {
		uint64_t left = body->length - at;
		ssize_t n = pread(body->fd, chunk, left < CHUNK ? (size_t)left : CHUNK,
		    (off_t)(body->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			r = n < 0 ? -errno : -EIO;
		else
			r = imap_incoming_write(&t->in, (struct kurir_str){ chunk, (size_t)n });
		at += n > 0 ? (uint64_t)n : 0;
		if (r >= 0)
			r = kurir_yield();
	}
	kurir_rewind(kurir_scratch(), mark);
	return r == -EPERM ? -EMSGSIZE : r;
}

/* One of which the client has heard may have gone since: it is left out. */
KURIR_PARKS static int add(struct transfer *t, const struct kurir_message *m)
{
	struct imap *s = t->s;
	struct kurir_append *to = &t->in.messages[t->in.count];
	struct kurir_body body;
	int r = s->store->open(
	    s->store_self, s->place.account, s->place.mailbox, m, imap_until(s), &body);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*to = (struct kurir_append){ .flags = m->flags & ~(uint32_t)KURIR_MESSAGE_RECENT,
		.keywords = m->keywords,
		.date = m->date,
		.offset = t->in.length,
		.length = body.length };
	imap_place_flags(t->to, to);
	r = copy_bytes(t, &body);
	close(body.fd);
	if (r >= 0)
		t->uids[t->in.count++] = m->uid;
	return r;
}

/* They are there now. */
KURIR_PARKS static int hand_over(struct transfer *t)
{
	struct imap *s = t->s;
	struct kurir_changed one = { .uids = { 0, NULL } };
	int r;

	for (size_t i = 0; i < t->in.count; i++)
		t->in.messages[i].fd = t->in.fd;
	r = s->store->append(s->store_self, t->to->account, t->to->mailbox, t->in.messages,
	    t->in.count, imap_until(s), kurir_scratch(), &one);
	if (r < 0)
		return r;
	t->done->target_validity = one.target_validity;
	t->done->target =
	    imap_uids_combine(kurir_scratch(), &t->done->target, &one.target, IMAP_IN_EITHER);
	for (size_t i = 0; i < t->in.count; i++)
		imap_set_add(t->from, &t->from_count, t->uids[i]);
	t->in.count = 0;
	t->in.length = 0;
	return ftruncate(t->in.fd, 0) < 0 ? -errno : 0;
}

/* All, in the order in which they stand. */
KURIR_PARKS static int copy_all(struct transfer *t, const struct kurir_uid_set *uids)
{
	struct imap *s = t->s;
	int r = imap_need(s, uids);

	for (size_t i = imap_box_next(&s->box, uids, 0); i < s->box.count && r >= 0;
	     i = imap_box_next(&s->box, uids, i + 1)) {
		const struct kurir_message *m = imap_at(s, i);

		if (t->in.count == SOME || t->in.length >= BYTES ||
		    (t->in.count > 0 && t->in.length + m->size > s->conf->append_max))
			r = hand_over(t);
		if (r >= 0)
			r = add(t, m);
	}
	return r >= 0 && t->in.count > 0 ? hand_over(t) : r;
}

KURIR_PARKS static int expunge(
    struct imap *s, const struct imap_place *place, struct kurir_uid_set uids)
{
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = uids,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR(""),
		.force = true };
	struct kurir_changed gone;

	return uids.count == 0 ? 0
			       : s->store->change(s->store_self, place->account, place->mailbox,
				     &change, imap_until(s), kurir_scratch(), &gone);
}

/* What came of them before one did not. */
KURIR_PARKS static void take_back(struct transfer *t)
{
	int r = expunge(t->s, t->to, t->done->target);

	if (r < 0)
		kurir_log(t->s->self, KURIR_ERROR, r,
		    "messages that were copied to %.*s of %.*s cannot be taken back there",
		    KURIR_ARG(t->to->mailbox), KURIR_ARG(t->to->account));
	*t->done = (struct kurir_changed){ .uids = { 0, NULL } };
}

KURIR_PARKS int imap_transfer(struct imap *s, const struct imap_place *to,
    const struct kurir_uid_set *uids, bool moves, struct kurir_changed *ret)
{
	struct transfer *t = kurir_alloc(kurir_scratch(), sizeof(*t));
	int r;

	*ret = (struct kurir_changed){ .uids = { 0, NULL } };
	*t = (struct transfer){ .s = s, .to = to, .in = { .s = s, .fd = -1 }, .done = ret };
	t->in.messages = kurir_alloc(kurir_scratch(), SOME * sizeof(*t->in.messages));
	t->uids = kurir_alloc(kurir_scratch(), SOME * sizeof(*t->uids));
	t->from = kurir_alloc(kurir_scratch(), (s->box.count + 1) * sizeof(*t->from));
	r = copy_all(t, uids);
	imap_incoming_end(&t->in);
	ret->uids = (struct kurir_uid_set){ t->from_count, t->from };
	if (r < 0) {
		take_back(t);
		return r;
	}
	/* Who asked in vain may have been heard all the same: then there are only the copies. */
	return moves ? expunge(s, &s->place, ret->uids) : 0;
}
