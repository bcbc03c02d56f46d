/* imap_status_parse.c - the items of STATUS (RFC 9051 section 9).
 *
 *   status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE" /
 *                "RECENT" / "HIGHESTMODSEQ" / "APPENDLIMIT" / "DELETED-STORAGE" / "MAILBOXID" */

#include <errno.h>

#include "imap.h"

/* In the order of enum imap_status_item. */
const char *const imap_status_names[IMAP_STATUS_KNOWN] = { "MESSAGES", "RECENT", "UIDNEXT",
	"UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ", "APPENDLIMIT",
	"DELETED-STORAGE", "MAILBOXID" };

int imap_status_items(struct imap_args *a, uint32_t *ret)
{
	uint32_t items = 0;

	if (!imap_take(a, '('))
		return -EBADMSG;
	do {
		size_t i = 0;

		while (i < IMAP_STATUS_KNOWN && !imap_take_word(a, imap_status_names[i]))
			i++;
		if (i == IMAP_STATUS_KNOWN)
			return -EBADMSG;
		items |= 1u << i;
	} while (imap_space(a));
	if (!imap_take(a, ')'))
		return -EBADMSG;
	*ret = items;
	return 0;
}
