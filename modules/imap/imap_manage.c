/* imap_manage.c - what becomes of mailboxes: DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051
 * sections 6.3.5 to 6.3.8).
 *
 *   delete = "DELETE" SP mailbox          rename = "RENAME" SP mailbox SP mailbox */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static void manage(struct imap *s, struct imap_args *a, enum kurir_manage_kind kind)
{
	struct kurir_str name, other = KURIR_STR(""), id;
	struct kurir_manage what;
	int r = imap_mailbox(a, &name);

	if (r >= 0 && kind == KURIR_MANAGE_RENAME &&
	    (!imap_space(a) || imap_mailbox(a, &other) < 0))
		r = -EBADMSG;
	if (r < 0 || !imap_end(a)) {
		imap_bad(s, "This takes the name of a mailbox");
		return;
	}
	/* Names of others can be subscribed to, and no more. */
	if (kind != KURIR_MANAGE_SUBSCRIBE && kind != KURIR_MANAGE_UNSUBSCRIBE &&
	    (imap_is_others(name) || imap_is_others(other))) {
		imap_failed(s, -EACCES);
		return;
	}
	what = (struct kurir_manage){ .kind = kind, .mailbox = name, .new_name = other };
	imap_done(s,
	    s->store->manage(
		s->store_self, s->account, &what, imap_until(s), kurir_scratch(), &id));
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
