/* imap_manage.c - what becomes of mailboxes: DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051
 * sections 6.3.5 to 6.3.8).
 *
 *   delete = "DELETE" SP mailbox          rename = "RENAME" SP mailbox SP mailbox */

#include <errno.h>

#include "imap.h"

/* Where they are, and whether the client may do that there: "x" for the one that goes, "k" for
 * the one above its new place (RFC 4314 section 4).  Names can be subscribed to, and no more. */
KURIR_PARKS static int resolve(
    struct imap *s, struct kurir_manage *what, struct kurir_str *account)
{
	struct imap_place from, to;
	struct kurir_str above;
	int r;

	*account = s->account;
	if (what->kind == KURIR_MANAGE_SUBSCRIBE || what->kind == KURIR_MANAGE_UNSUBSCRIBE)
		return 0;
	r = imap_place_find(s, what->mailbox, IMAP_RIGHT_REMOVE, &from);
	if (r < 0)
		return r;
	*account = from.account;
	what->mailbox = from.mailbox;
	/* What leaves an INBOX stays in the account: that is its owner's. */
	if (!kurir_str_equal(*account, s->account) &&
	    kurir_str_equal(from.mailbox, KURIR_STR("INBOX")))
		return -EACCES;
	if (what->kind != KURIR_MANAGE_RENAME)
		return 0;
	r = imap_place_new(s, what->new_name, &to, &above);
	if (r >= 0 && !kurir_str_equal(to.account, *account))
		r = -EXDEV;
	if (r >= 0)
		what->new_name = to.mailbox;
	return r;
}

KURIR_PARKS static void manage(struct imap *s, struct imap_args *a, enum kurir_manage_kind kind)
{
	struct kurir_str name, other = KURIR_STR(""), id, account;
	struct kurir_manage what;
	int r = imap_mailbox(a, &name);

	if (r >= 0 && kind == KURIR_MANAGE_RENAME &&
	    (!imap_space(a) || imap_mailbox(a, &other) < 0))
		r = -EBADMSG;
	if (r < 0 || !imap_end(a)) {
		imap_bad(s, "This takes the name of a mailbox");
		return;
	}
	what = (struct kurir_manage){ .kind = kind, .mailbox = name, .new_name = other };
	r = resolve(s, &what, &account);
	if (r >= 0)
		r = s->store->manage(
		    s->store_self, account, &what, imap_until(s), kurir_scratch(), &id);
	if (r == -EXDEV)
		imap_no(s, "[CANNOT] A mailbox stays with its owner");
	else
		imap_done(s, r);
}

KURIR_PARKS void imap_delete(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_DELETE);
}

KURIR_PARKS void imap_rename(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_RENAME);
}

KURIR_PARKS void imap_subscribe(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_SUBSCRIBE);
}

KURIR_PARKS void imap_unsubscribe(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_UNSUBSCRIBE);
}
