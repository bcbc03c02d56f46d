/* imap_metadata.h - annotations of mailboxes and of the account (RFC 5464). */
#ifndef IMAP_METADATA_H
#define IMAP_METADATA_H

#include "imap.h"

#define IMAP_ENTRIES_MAX 64    /* that one command names */
#define IMAP_ENTRY_MAX	 65536 /* bytes of a value, which the store can keep */

enum imap_depth { IMAP_DEPTH_0, IMAP_DEPTH_1, IMAP_DEPTH_INFINITY };
struct imap_getmetadata {
	struct kurir_str mailbox; /* empty: the account */
	struct kurir_str names[IMAP_ENTRIES_MAX];
	size_t count;
	enum imap_depth depth;
	uint64_t max; /* the longest value that is wanted */
};
struct imap_setmetadata {
	struct kurir_str mailbox;
	struct kurir_entry entries[IMAP_ENTRIES_MAX];
	size_t count;
};
/* imap_metadata_parse.c: 0 or -EBADMSG; -E2BIG: too many. */
int imap_getmetadata_parse(struct imap_args *, struct imap_getmetadata *ret);
int imap_setmetadata_parse(struct imap_args *, struct imap_setmetadata *ret);
int imap_entries_parse(struct imap_args *, struct imap_getmetadata *ret); /* "(" ... ")" */

/* The METADATA reply for one mailbox, if there is something to say; *longest grows to the length
 * of a value that was longer than wanted. */
int imap_put_metadata(struct imap *, struct kurir_str mailbox, const struct imap_getmetadata *,
    uint64_t *longest) KURIR_PARKS;

#endif
