/* imap_list.h - LIST as it was asked for. */
#ifndef IMAP_LIST_H
#define IMAP_LIST_H

#include "imap_metadata.h"

#define IMAP_PATTERNS_MAX 32
#define IMAP_NAME_MAX	  1024

enum imap_list_option {
	/* Which: */
	IMAP_LIST_SUBSCRIBED = 1u << 0,
	IMAP_LIST_SPECIAL = 1u << 1,
	IMAP_LIST_RECURSIVE = 1u << 2, /* RECURSIVEMATCH: and what has such below it */
	/* What is said of each: */
	IMAP_LIST_SAY_SUBSCRIBED = 1u << 8,
	IMAP_LIST_SAY_STATUS = 1u << 9,
	IMAP_LIST_SAY_RIGHTS = 1u << 10, /* RFC 8440 */
	/* It came with options, or is in a form that RFC 3501 does not have. */
	IMAP_LIST_EXTENDED = 1u << 16,
};
struct imap_list {
	uint32_t options;		   /* enum imap_list_option */
	uint32_t status;		   /* enum imap_status_item */
	struct imap_getmetadata *metadata; /* RFC 9590; or NULL */
	struct kurir_str patterns[IMAP_PATTERNS_MAX];
	size_t count;
};
/* imap_list_parse.c: the arguments of LIST, or of LSUB. */
int imap_list_parse(struct imap_args *, struct imap_list *ret);
int imap_lsub_parse(struct imap_args *, struct imap_list *ret);
/* Whether one of the patterns matches. */
bool imap_list_matches(const struct imap_list *, struct kurir_str name);

bool imap_is_below(struct kurir_str name, struct kurir_str parent);
int imap_put_list(struct imap *, const char *verb, const struct kurir_mailbox *, uint32_t options,
    bool child_info) KURIR_PARKS;

#endif
