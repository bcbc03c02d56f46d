/* imap_getacl.c - GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 sections 3.3 to 3.8).
 *
 *   acl-data        = "ACL" SP mailbox *(SP identifier SP rights)
 *   listrights-data = "LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights)
 *   myrights-data   = "MYRIGHTS" SP mailbox SP rights */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static void put_rights(struct imap *s, uint32_t rights)
{
	char text[IMAP_RIGHTS_TEXT];

	imap_puts(s, " ");
	imap_string(s, kurir_str_of(imap_rights_put(text, rights)));
}

/* The owner, who is not in the list that is kept, and all that are. */
KURIR_PARKS static int put_acl(struct imap *s, const struct imap_place *place)
{
	struct kurir_entry *all;
	uint32_t rights;
	size_t count;
	int r = s->store->entries(s->store_self, place->account, place->mailbox, imap_until(s),
	    kurir_scratch(), &all, &count);

	if (r < 0)
		return r;
	imap_puts(s, "* ACL ");
	imap_put_mailbox(s, place->name);
	imap_puts(s, " ");
	imap_string(s, place->account);
	put_rights(s, IMAP_RIGHTS_ALL);
	for (size_t i = 0; i < count; i++) {
		if (!kurir_str_starts(all[i].name, KURIR_STR(IMAP_ACL_ENTRY)) ||
		    imap_rights_parse(all[i].value, &rights) < 0)
			continue;
		imap_puts(s, " ");
		imap_string(
		    s, kurir_str_part(all[i].name, sizeof(IMAP_ACL_ENTRY) - 1, all[i].name.len));
		put_rights(s, rights);
	}
	return imap_puts(s, "\r\n");
}

KURIR_PARKS void imap_getacl(struct imap *s, struct imap_args *a)
{
	struct imap_place place;
	struct kurir_str name;
	int r;

	if (!imap_has_acl(s) || imap_mailbox(a, &name) < 0 || !imap_end(a)) {
		imap_bad(s, "GETACL takes a mailbox");
		return;
	}
	r = imap_place_find(s, name, IMAP_RIGHT_ADMIN, &place);
	imap_done(s, r < 0 ? r : put_acl(s, &place));
}

/* The mailbox has to be there. */
KURIR_PARKS static int find(
    struct imap *s, struct kurir_str name, uint32_t needed, struct imap_place *ret)
{
	struct kurir_entry *all;
	size_t count;
	int r = imap_place_find(s, name, needed, ret);

	return r < 0 ? r
		     : s->store->entries(s->store_self, ret->account, ret->mailbox, imap_until(s),
			   kurir_scratch(), &all, &count);
}

KURIR_PARKS void imap_listrights(struct imap *s, struct imap_args *a)
{
	struct kurir_str name, identifier;
	struct imap_place place;
	int r;

	if (!imap_has_acl(s) || imap_mailbox(a, &name) < 0 || !imap_space(a) ||
	    imap_astring(a, &identifier) < 0 || identifier.len == 0 || !imap_end(a)) {
		imap_bad(s, "LISTRIGHTS takes a mailbox and an identifier");
		return;
	}
	r = find(s, name, IMAP_RIGHT_ADMIN, &place);
	if (r >= 0) {
		imap_puts(s, "* LISTRIGHTS ");
		imap_put_mailbox(s, name);
		imap_puts(s, " ");
		imap_string(s, identifier);
		if (kurir_str_equal_nocase(identifier, place.account))
			put_rights(s, IMAP_RIGHTS_ALL);
		else
			imap_puts(s, " \"\" l r s w i k x t e a c d");
		imap_puts(s, "\r\n");
	}
	imap_done(s, r);
}

KURIR_PARKS int imap_put_myrights(struct imap *s, const struct imap_place *place)
{
	imap_puts(s, "* MYRIGHTS ");
	imap_put_mailbox(s, place->name);
	put_rights(s, place->rights);
	return imap_puts(s, "\r\n");
}

KURIR_PARKS void imap_myrights(struct imap *s, struct imap_args *a)
{
	struct imap_place place;
	struct kurir_str name;
	int r;

	if (!imap_has_acl(s) || imap_mailbox(a, &name) < 0 || !imap_end(a)) {
		imap_bad(s, "MYRIGHTS takes a mailbox");
		return;
	}
	r = find(s, name, 0, &place);
	if (r >= 0 && !(place.rights & IMAP_RIGHTS_MY))
		r = -ENOENT;
	imap_done(s, r < 0 ? r : imap_put_myrights(s, &place));
}
