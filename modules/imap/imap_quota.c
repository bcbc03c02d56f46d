/* imap_quota.c - GETQUOTA and GETQUOTAROOT (RFC 9208 section 4.1): what an account uses.
 *
 *   getquota           = "GETQUOTA" SP quota-root-name
 *   getquotaroot       = "GETQUOTAROOT" SP mailbox
 *   quota-response     = "QUOTA" SP quota-root-name SP quota-list
 *   quota-list         = "(" [quota-resource *(SP quota-resource)] ")"
 *   quota-resource     = resource-name SP resource-usage SP resource-limit
 *   quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name)
 *
 * There is one root, "", for all of an account, and "user/OWNER" for that of another: of it those
 * hear who may put messages there, for which the owner pays.  STORAGE counts units of 1,024
 * bytes.  What has no limit is not listed. */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static void put_resource(
    struct imap *s, const char **before, const char *name, uint64_t usage, uint64_t limit)
{
	if (limit == 0)
		return;
	kurir_printf(s->stream, "%s%s %llu %llu", *before, name, (unsigned long long)usage,
	    (unsigned long long)limit);
	*before = " ";
}

KURIR_PARKS static int put_quota(struct imap *s, struct kurir_str root, struct kurir_str account)
{
	struct kurir_quota q;
	int r = s->store->quota(s->store_self, account, imap_until(s), &q);
	const char *before = "";

	if (r < 0)
		return r;
	imap_puts(s, "* QUOTA ");
	imap_string(s, root);
	imap_puts(s, " (");
	put_resource(s, &before, "STORAGE", (q.bytes + 1023) / 1024, q.bytes_limit / 1024);
	put_resource(s, &before, "MESSAGE", q.messages, q.messages_limit);
	return imap_puts(s, ")\r\n");
}

bool imap_has_quota(const struct imap *s)
{
	return imap_store_has(s, quota);
}

/* Whose root that is: 0; -ENOENT: nobody's of whom the client may know. */
KURIR_PARKS static int find_root(struct imap *s, struct kurir_str root, struct kurir_str *ret)
{
	int r = 0;

	*ret = s->account;
	if (root.len == 0)
		return 0;
	if (imap_has_acl(s) && imap_others_owner(root, ret) &&
	    root.len == sizeof(IMAP_OTHERS) - 1 + ret->len && !kurir_str_equal(*ret, s->account))
		r = imap_account_exists(s, *ret);
	if (r > 0)
		r = imap_word_holds(s, s->account, *ret, IMAP_RIGHT_INSERT);
	return r != 0 ? r : -ENOENT;
}

KURIR_PARKS void imap_getquota(struct imap *s, struct imap_args *a)
{
	struct kurir_str root, account;
	int r;

	if (!imap_has_quota(s) || imap_astring(a, &root) < 0 || !imap_end(a)) {
		imap_bad(s, "GETQUOTA takes the name of a root");
		return;
	}
	r = find_root(s, root, &account);
	if (r == -ENOENT)
		imap_no(s, "[NONEXISTENT] There is no such root");
	else
		imap_done(s, r < 0 ? r : put_quota(s, root, account));
}

/* A mailbox of one's own need not be there. */
KURIR_PARKS void imap_getquotaroot(struct imap *s, struct imap_args *a)
{
	struct kurir_str mailbox, root = KURIR_STR("");
	struct imap_place place;
	bool told = true;
	int r;

	if (!imap_has_quota(s) || imap_mailbox(a, &mailbox) < 0 || !imap_end(a)) {
		imap_bad(s, "GETQUOTAROOT takes the name of a mailbox");
		return;
	}
	r = imap_place_find(s, mailbox, 0, &place);
	if (r >= 0 && !kurir_str_equal(place.account, s->account)) {
		root =
		    kurir_format(kurir_scratch(), IMAP_OTHERS "%.*s", KURIR_ARG(place.account));
		told = (place.rights & IMAP_RIGHT_INSERT) != 0;
		if (!(place.rights & (IMAP_RIGHT_LOOKUP | IMAP_RIGHT_INSERT)))
			r = -ENOENT;
	}
	if (r >= 0) {
		imap_puts(s, "* QUOTAROOT ");
		imap_put_mailbox(s, mailbox);
		if (told) {
			imap_puts(s, " ");
			imap_string(s, root);
		}
		imap_puts(s, "\r\n");
		r = told ? put_quota(s, root, place.account) : 0;
	}
	imap_done(s, r);
}
