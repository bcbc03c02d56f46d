/* imap_search.h - a SEARCH as a tree of keys, and what it finds; SORT and THREAD find the same
 * way. */
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
	IMAP_KEY_MODSEQ, /* at least */
	IMAP_KEY_OLDER,	 /* than so many seconds, RFC 5032 */
	IMAP_KEY_YOUNGER,
	IMAP_KEY_BEFORE, /* internal date, by day */
	IMAP_KEY_ON,
	IMAP_KEY_SINCE,
	IMAP_KEY_SAVED_BEFORE, /* RFC 8514 */
	IMAP_KEY_SAVED_ON,
	IMAP_KEY_SAVED_SINCE,
	IMAP_KEY_SAVED_KNOWN,
	IMAP_KEY_EMAIL_ID, /* RFC 8474 */
	IMAP_KEY_THREAD_ID,
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

enum imap_return {
	IMAP_RETURN_MIN = 1u << 0,
	IMAP_RETURN_MAX = 1u << 1,
	IMAP_RETURN_ALL = 1u << 2,
	IMAP_RETURN_COUNT = 1u << 3,
	IMAP_RETURN_SAVE = 1u << 4,
	IMAP_RETURN_PARTIAL = 1u << 5,
};
/* RFC 9394: 1:500 from the beginning, -1:-100 from the end. */
struct imap_partial {
	bool backward;
	uint32_t first, last; /* first <= last */
	struct kurir_str spelled;
};
struct imap_search {
	bool extended;	  /* RETURN was given */
	uint32_t returns; /* enum imap_return */
	struct imap_partial partial;
	bool modseq; /* a key asks for it: the reply has it */
	struct imap_key *key;
};
/* imap_search_parse.c.  -EBADMSG, or -EINVAL for a charset we do not know. */
int imap_search_parse(struct imap *, struct imap_args *, struct imap_search *ret);
/* [SP "RETURN" SP "(" ... ")"]: takes the space behind it, too. */
int imap_returns_parse(struct imap_args *, struct imap_search *ret);
/* search-key *(SP search-key), after the charset, to the end of the command. */
int imap_keys_parse(struct imap *, struct imap_args *, struct imap_search *ret);
int imap_charset_parse(struct imap_args *); /* 0, -EBADMSG, -EINVAL */
int imap_partial_parse(struct imap_args *, struct imap_partial *ret);
/* Which of count results it means, as indices of them from *ret_begin to before *ret_end. */
void imap_partial_of(
    const struct imap_partial *, size_t count, size_t *ret_begin, size_t *ret_end);

/* What was found: indices of the snapshot, ascending unless sorted. */
struct imap_hits {
	size_t count;
	uint32_t *at;
	uint32_t lowest; /* RFC 9738: not all were looked at, this was the last */
};
/* imap_match.c: 0, or -errno and the session is over. */
int imap_find(struct imap *, const struct imap_key *, struct kurir_arena *, struct imap_hits *ret)
    KURIR_PARKS;
/* imap_result.c: SEARCH, SORT or ESEARCH. */
void imap_put_found(
    struct imap *, bool sorted, const struct imap_search *, const struct imap_hits *) KURIR_PARKS;
/* A tagged BAD or NO for what the parsers said. */
void imap_search_refuse(struct imap *, int r) KURIR_PARKS;

#endif
