/* imap_search.h - a SEARCH as a tree of keys. */
#ifndef IMAP_SEARCH_H
#define IMAP_SEARCH_H

#include "imap.h"

enum imap_key_kind {
	IMAP_KEY_ALL,
	IMAP_KEY_AND,	/* first, and what follows it */
	IMAP_KEY_OR,	/* first, second */
	IMAP_KEY_NOT,	/* first */
	IMAP_KEY_FLAGS, /* all of flags set */
	IMAP_KEY_KEYWORD,
	IMAP_KEY_UIDS,
	IMAP_KEY_NEW, /* recent and not seen */
	IMAP_KEY_LARGER,
	IMAP_KEY_SMALLER,
	IMAP_KEY_BEFORE, /* internal date, by day */
	IMAP_KEY_ON,
	IMAP_KEY_SINCE,
	IMAP_KEY_SENT_BEFORE, /* Date: header */
	IMAP_KEY_SENT_ON,
	IMAP_KEY_SENT_SINCE,
	IMAP_KEY_HEADER, /* field name contains text */
	IMAP_KEY_BODY,
	IMAP_KEY_TEXT,
};
struct imap_key {
	enum imap_key_kind kind;
	uint32_t flags;
	uint64_t number;
	int64_t date;
	struct kurir_str name, text;
	struct kurir_uid_set uids;
	struct imap_key *first, *second, *next;
};
/* All keys of a SEARCH, as one AND.  -EBADMSG, or -EINVAL for a charset we do not know. */
int imap_search_parse(struct imap *, struct imap_args *, struct imap_key **ret);

#endif
