/* imap_expunge.c - EXPUNGE, UID EXPUNGE, CLOSE and UNSELECT (RFC 9051 sections 6.4.1 to 6.4.3 and
 * 6.4.9).
 *
 *   command-select = "CLOSE" / "UNSELECT" / "EXPUNGE"
 *   uid-expunge    = "UID" SP "EXPUNGE" SP sequence-set */

#include <errno.h>

#include "imap.h"

static const struct kurir_uid_range all = { 1, UINT32_MAX };

KURIR_PARKS static int remove_deleted(
    struct imap *s, const struct kurir_uid_set *uids, struct kurir_changed *ret)
{
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = *uids,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR("") };

	kurir_count(s->self, IMAP_EXPUNGED, 1);
	return s->store->change(s->store_self, s->place.account, s->place.mailbox, &change,
	    imap_until(s), kurir_scratch(), ret);
}

/* What the client knows of when it knows what this removed, too (RFC 7162 section 3.2.8): not
 * more, when others did something meanwhile. */
KURIR_PARKS static uint64_t modseq_after(struct imap *s, const struct kurir_uid_set *removed)
{
	struct kurir_mailbox_changes c;
	int r = s->store->changes(s->store_self, s->place.account, s->place.mailbox,
	    s->view.modseq, false, imap_until(s), kurir_scratch(), &c);
	struct kurir_uid_set others;

	if (r < 0 || c.now.count > 0)
		return s->view.modseq;
	others = imap_uids_combine(kurir_scratch(), &c.vanished, removed, IMAP_IN_FIRST_ONLY);
	return others.count > 0 ? s->view.modseq : c.now.modseq;
}

KURIR_PARKS void imap_expunge(struct imap *s, struct imap_args *a)
{
	struct kurir_uid_set uids = { 1, &all };
	struct kurir_changed changed;
	uint32_t lowest = 0;
	int r;

	if ((s->by_uid && imap_set_arg(s, a, &uids) < 0) || !imap_end(a)) {
		imap_bad(s, "UID EXPUNGE takes a set, EXPUNGE nothing");
		return;
	}
	if (s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	if (!(s->place.rights & IMAP_RIGHT_EXPUNGE)) {
		imap_failed(s, -EACCES);
		return;
	}
	if (s->by_uid)
		imap_limit(s, &uids, &lowest);
	r = remove_deleted(s, &uids, &changed);
	if (r >= 0)
		r = imap_update(s, true);
	if (r < 0)
		imap_failed(s, r);
	else if ((s->enabled & IMAP_CONDSTORE) && lowest == 0)
		imap_ok(s, "[HIGHESTMODSEQ %llu] Done", (unsigned long long)s->view.modseq);
	else
		imap_limited_ok(s, lowest);
}

/* Removes what is marked, and says nothing of it. */
KURIR_PARKS void imap_close(struct imap *s, struct imap_args *a)
{
	struct kurir_uid_set uids = { 1, &all };
	struct kurir_changed changed = { .uids = { 0, NULL } };
	bool may = !s->read_only && (s->place.rights & IMAP_RIGHT_EXPUNGE);
	int r = !may ? 0 : remove_deleted(s, &uids, &changed);
	uint64_t modseq = 0;

	(void)a;
	if (r >= 0 && changed.uids.count > 0 && (s->enabled & IMAP_CONDSTORE) &&
	    imap_can_resync(s))
		modseq = modseq_after(s, &changed.uids);
	imap_view_close(s);
	if (modseq > 0)
		imap_ok(s, "[HIGHESTMODSEQ %llu] Done", (unsigned long long)modseq);
	else
		imap_done(s, r);
}

KURIR_PARKS void imap_unselect(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_view_close(s);
	imap_ok(s, "Done");
}
