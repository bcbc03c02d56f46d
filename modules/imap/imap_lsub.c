/* imap_lsub.c - LSUB (RFC 3501 section 6.3.9).
 *
 *   lsub = "LSUB" SP mailbox SP list-mailbox
 *
 * A parent that is not subscribed but has such below it, where the pattern's "%" ends, is
 * \Noselect. */

#include "imap_list.h"

static bool hides_subscribed(const struct imap_list *l, const struct kurir_mailbox *all,
    size_t count, struct kurir_str parent)
{
	for (size_t i = 0; i < count; i++)
		if ((all[i].flags & KURIR_MAILBOX_SUBSCRIBED) &&
		    imap_is_below(all[i].name, parent) && !imap_list_matches(l, all[i].name))
			return true;
	return false;
}

KURIR_PARKS void imap_lsub(struct imap *s, struct imap_args *a)
{
	struct imap_list *l = kurir_alloc(kurir_scratch(), sizeof(*l));
	struct kurir_mailbox *all;
	size_t count;
	int r;

	if (imap_lsub_parse(a, l) < 0) {
		imap_bad(s, "LSUB takes a reference and a pattern");
		return;
	}
	if (l->patterns[0].len == 0) {
		imap_puts(s, "* LSUB (\\Noselect) \"/\" \"\"\r\n");
		imap_ok(s, "Done");
		return;
	}
	r = s->store->list(
	    s->store_self, s->account, 0, imap_until(s), kurir_scratch(), &all, &count);
	if (r >= 0)
		r = imap_others_add(s, l, &all, &count);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct kurir_mailbox m = all[i];

		if (!imap_list_matches(l, m.name))
			continue;
		if (!(m.flags & KURIR_MAILBOX_SUBSCRIBED)) {
			if (!hides_subscribed(l, all, count, m.name))
				continue;
			m.flags |= KURIR_MAILBOX_NOSELECT;
		}
		r = imap_put_list(s, "LSUB", &m, 0, false);
	}
	imap_done(s, r);
}
