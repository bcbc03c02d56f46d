/* imap_replace.c - REPLACE and UID REPLACE (RFC 8508): a message in place of another, as clients
 * do with drafts.
 *
 *   replace = "REPLACE" SP seq-number SP mailbox append-message ; imap_incoming.c
 *
 * The new one is durable before the old one goes. */

#include <errno.h>

#include "imap_incoming.h"

#define REMOVES (IMAP_RIGHT_DELETE | IMAP_RIGHT_EXPUNGE)

/* One message that is there. */
static int parse_old(struct imap *s, struct imap_args *a, struct kurir_uid_set *ret)
{
	if (imap_set_arg(s, a, ret) < 0 || ret->count != 1 ||
	    ret->ranges[0].first != ret->ranges[0].last || !imap_space(a))
		return -EBADMSG;
	return imap_box_index(&s->box, ret->ranges[0].first) < s->box.count ? 0 : -ENOENT;
}

KURIR_PARKS static void replace(
    struct imap *s, struct imap_incoming *in, const struct kurir_uid_set *old)
{
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = *old,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR(""),
		.force = true };
	struct kurir_changed made = { .target_validity = 0 }, gone;
	int r = imap_incoming_store(in, &made);

	if (r == -ENOENT) {
		imap_no(s, "[TRYCREATE] No such mailbox");
		return;
	}
	if (r >= 0) {
		kurir_printf(s->stream, "* OK [APPENDUID %u ", made.target_validity);
		imap_put_uids(s, &made.target);
		imap_puts(s, "] The new one is there\r\n");
		r = s->store->change(s->store_self, s->place.account, s->place.mailbox, &change,
		    imap_until(s), kurir_scratch(), &gone);
	}
	if (r >= 0)
		r = imap_update(s, true);
	imap_done(s, r);
}

KURIR_PARKS void imap_replace(struct imap *s, struct imap_args *a)
{
	struct imap_incoming in = { .s = s, .a = a, .fd = -1 };
	struct kurir_uid_set old;
	int found = parse_old(s, a, &old), r = found == -EBADMSG ? found : 0;

	if (r >= 0)
		r = imap_incoming_mailbox(&in);
	if (r >= 0)
		r = imap_space(a) ? imap_incoming_read(&in, 1) : -EBADMSG;
	if (r < 0)
		imap_incoming_refuse(&in, r);
	else if (found < 0)
		imap_no(s, "[NONEXISTENT] There is no such message to replace");
	else if ((s->place.rights & REMOVES) != REMOVES)
		imap_failed(s, -EACCES);
	else if (s->read_only)
		imap_no(s, "[READ-ONLY] Nothing can be changed");
	else
		replace(s, &in, &old);
	imap_incoming_end(&in);
}
