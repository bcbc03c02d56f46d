/* imap_expunge.c - EXPUNGE, UID EXPUNGE, CLOSE and UNSELECT (RFC 9051 sections 6.4.1 to 6.4.3 and
 * 6.4.9).
 *
 *   command-select = "CLOSE" / "UNSELECT" / "EXPUNGE"
 *   uid-expunge    = "UID" SP "EXPUNGE" SP sequence-set */

#include <errno.h>

#include "imap.h"

static const struct kurir_uid_range all = { 1, UINT32_MAX };

KURIR_PARKS static int remove_deleted(struct imap *s, const struct kurir_uid_set *uids)
{
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = *uids,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR("") };
	struct kurir_changed changed;

	kurir_count(s->self, IMAP_EXPUNGED, 1);
	return s->store->change(s->store_self, s->account, s->box.name, &change, imap_until(s),
	    kurir_scratch(), &changed);
}

KURIR_PARKS void imap_expunge(struct imap *s, struct imap_args *a)
{
	struct kurir_uid_set uids = { 1, &all };
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
	if (s->by_uid)
		imap_limit(s, &uids, &lowest);
	r = remove_deleted(s, &uids);
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
	int r = s->read_only ? 0 : remove_deleted(s, &uids);

	(void)a;
	imap_view_close(s);
	imap_done(s, r);
}

KURIR_PARKS void imap_unselect(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_view_close(s);
	imap_ok(s, "Done");
}
