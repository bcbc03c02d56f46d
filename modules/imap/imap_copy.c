/* imap_copy.c - COPY and MOVE with their UID forms (RFC 9051 sections 6.4.7 and 6.4.8; UIDPLUS,
 * RFC 4315; MOVE, RFC 6851).
 *
 *   copy           = "COPY" SP sequence-set SP mailbox
 *   move           = "MOVE" SP sequence-set SP mailbox
 *   resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static void put_copied(struct imap *s, const struct kurir_changed *c)
{
	kurir_printf(s->stream, "OK [COPYUID %u ", c->target_validity);
	imap_put_uids(s, &c->uids);
	imap_puts(s, " ");
	imap_put_uids(s, &c->target);
	imap_puts(s, "] Done\r\n");
}

/* All of them, or none: a set that is too large is not cut. */
static bool too_many(struct imap *s, struct kurir_uid_set uids)
{
	uint32_t lowest;

	return imap_limit(s, &uids, &lowest) > 0;
}

/* Where they go. */
KURIR_PARKS static int target(
    struct imap *s, struct kurir_str name, bool moves, struct imap_place *ret)
{
	uint32_t gives = moves ? IMAP_RIGHT_DELETE | IMAP_RIGHT_EXPUNGE : 0;
	int r = imap_place_find(s, name, IMAP_RIGHT_INSERT, ret);

	return r >= 0 && (s->place.rights & gives) != gives ? -EACCES : r;
}

KURIR_PARKS static void refuse(struct imap *s, int r)
{
	if (r == -ENOENT)
		imap_no(s, "[TRYCREATE] No such mailbox");
	else if (r == -EMSGSIZE)
		imap_no(s, "[TOOBIG] A message is larger than what can be appended");
	else
		imap_failed(s, r);
}

/* Within an account the store copies, which costs no bytes; it knows no rights, so where some are
 * missing, and between accounts, the messages are appended. */
KURIR_PARKS static int carry(struct imap *s, struct kurir_change *change,
    const struct imap_place *to, struct kurir_changed *ret)
{
	bool moves = change->kind == KURIR_CHANGE_MOVE;

	if (kurir_str_equal(to->account, s->place.account) &&
	    imap_flags_of(to->rights) == imap_flags_of(IMAP_RIGHTS_ALL)) {
		change->target = to->mailbox;
		return s->store->change(s->store_self, s->place.account, s->place.mailbox, change,
		    imap_until(s), kurir_scratch(), ret);
	}
	return imap_transfer(s, to, &change->uids, moves, ret);
}

KURIR_PARKS static void copy(struct imap *s, struct imap_args *a, enum kurir_change_kind kind)
{
	struct kurir_change change = { .kind = kind, .keywords = KURIR_STR("") };
	bool moves = kind == KURIR_CHANGE_MOVE;
	struct kurir_changed changed = { .uids = { 0, NULL } };
	struct imap_place to;
	int r;

	if (imap_set_arg(s, a, &change.uids) < 0 || !imap_space(a) ||
	    imap_mailbox(a, &change.target) < 0 || !imap_end(a)) {
		imap_bad(s, "This takes a set and a mailbox");
		return;
	}
	if (moves && s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	r = target(s, change.target, moves, &to);
	if (r < 0) {
		refuse(s, r);
		return;
	}
	if (too_many(s, change.uids)) {
		imap_no(
		    s, "[MESSAGELIMIT %lld] Too many messages", (long long)s->conf->messages_max);
		return;
	}
	r = carry(s, &change, &to, &changed);
	if (moves && changed.uids.count > 0) {
		imap_puts(s, "* ");
		put_copied(s, &changed);
	}
	if (r == -ENOENT || r == -EMSGSIZE) {
		refuse(s, r);
		return;
	}
	if (r >= 0)
		r = imap_update(s, moves);
	if (r < 0 || moves || changed.uids.count == 0) {
		imap_done(s, r);
		return;
	}
	kurir_printf(s->stream, "%.*s ", KURIR_ARG(s->tag));
	put_copied(s, &changed);
}

KURIR_PARKS void imap_copy(struct imap *s, struct imap_args *a)
{
	copy(s, a, KURIR_CHANGE_COPY);
}

KURIR_PARKS void imap_move(struct imap *s, struct imap_args *a)
{
	copy(s, a, KURIR_CHANGE_MOVE);
}
