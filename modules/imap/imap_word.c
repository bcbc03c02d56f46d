/* imap_word.c - who gave rights to an account: "owner/OWNER" among its entries, so that LIST knows
 * where to look for mailboxes of others.
 *
 * One for each owner, however many mailboxes they are; no right to anything, so that it may be
 * there without one.  It is left before a right is given and once more behind it, and who removes
 * it looks again whether one is there: so none is given that LIST does not find. */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static int set(
    struct imap *s, struct kurir_str account, struct kurir_str owner, struct kurir_str value)
{
	struct kurir_entry word = { .value = value };

	word.name = kurir_format(kurir_scratch(), IMAP_OWNER_ENTRY "%.*s", KURIR_ARG(owner));
	return s->store->set_entries(
	    s->store_self, account, KURIR_STR(""), &word, 1, imap_until(s));
}

KURIR_PARKS int imap_word_leave(struct imap *s, struct kurir_str account, struct kurir_str owner)
{
	return set(s, account, owner, KURIR_STR("1"));
}

KURIR_PARKS int imap_word_remove(struct imap *s, struct kurir_str account, struct kurir_str owner)
{
	return set(s, account, owner, (struct kurir_str){ NULL, 0 });
}

KURIR_PARKS int imap_word_holds(
    struct imap *s, struct kurir_str account, struct kurir_str owner, uint32_t right)
{
	struct kurir_arena *arena = kurir_arena_new("imap word");
	struct kurir_mailbox *all;
	size_t count;
	bool any = false;
	int r = s->store->list(s->store_self, owner, 0, imap_until(s), arena, &all, &count);

	for (size_t i = 0; r >= 0 && i < count && !any; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());

		if (all[i].flags & KURIR_MAILBOX_NOSELECT)
			continue;
		r = imap_rights_of(s, account, owner, all[i].name);
		any = r > 0 && (r & (int)right);
		r = r == -ENOENT ? 0 : r; /* it has just gone */
		kurir_rewind(kurir_scratch(), mark);
	}
	kurir_arena_free(arena);
	return r < 0 ? r : any;
}

KURIR_PARKS int imap_word_tidy(struct imap *s, struct kurir_str account, struct kurir_str owner)
{
	int r = imap_word_holds(s, account, owner, IMAP_RIGHT_LOOKUP);

	if (r != 0)
		return r < 0 ? r : 0;
	r = imap_word_remove(s, account, owner);
	if (r >= 0)
		r = imap_word_holds(s, account, owner, IMAP_RIGHT_LOOKUP);
	return r > 0 ? imap_word_leave(s, account, owner) : r;
}
