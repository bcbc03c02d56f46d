/* imap_quota.c - GETQUOTA and GETQUOTAROOT (RFC 9208 section 4.1): what an account uses.
 *
 *   getquota           = "GETQUOTA" SP quota-root-name
 *   getquotaroot       = "GETQUOTAROOT" SP mailbox
 *   quota-response     = "QUOTA" SP quota-root-name SP quota-list
 *   quota-list         = "(" [quota-resource *(SP quota-resource)] ")"
 *   quota-resource     = resource-name SP resource-usage SP resource-limit
 *   quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name)
 *
 * There is one root, "", for all of an account.  STORAGE counts units of 1,024 bytes.  What has no
 * limit is not listed. */

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

KURIR_PARKS static int put_quota(struct imap *s)
{
	struct kurir_quota q;
	int r = s->store->quota(s->store_self, s->account, imap_until(s), &q);
	const char *before = "";

	if (r < 0)
		return r;
	imap_puts(s, "* QUOTA \"\" (");
	put_resource(s, &before, "STORAGE", (q.bytes + 1023) / 1024, q.bytes_limit / 1024);
	put_resource(s, &before, "MESSAGE", q.messages, q.messages_limit);
	return imap_puts(s, ")\r\n");
}

bool imap_has_quota(const struct imap *s)
{
	return imap_store_has(s, quota);
}

KURIR_PARKS void imap_getquota(struct imap *s, struct imap_args *a)
{
	struct kurir_str root;

	if (!imap_has_quota(s) || imap_astring(a, &root) < 0 || !imap_end(a))
		imap_bad(s, "GETQUOTA takes the name of a root");
	else if (root.len > 0)
		imap_no(s, "[NONEXISTENT] The only root has an empty name");
	else
		imap_done(s, put_quota(s));
}

/* The mailbox need not be there. */
KURIR_PARKS void imap_getquotaroot(struct imap *s, struct imap_args *a)
{
	struct kurir_str mailbox;

	if (!imap_has_quota(s) || imap_mailbox(a, &mailbox) < 0 || !imap_end(a)) {
		imap_bad(s, "GETQUOTAROOT takes the name of a mailbox");
		return;
	}
	imap_puts(s, "* QUOTAROOT ");
	imap_put_mailbox(s, mailbox);
	imap_puts(s, " \"\"\r\n");
	imap_done(s, put_quota(s));
}
