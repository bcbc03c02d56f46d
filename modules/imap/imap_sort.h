/* imap_sort.h - what SORT and THREAD compare messages by. */
#ifndef IMAP_SORT_H
#define IMAP_SORT_H

#include "imap_body.h"
#include "imap_search.h"

enum imap_sort_key {
	IMAP_SORT_ARRIVAL,
	IMAP_SORT_SIZE,
	IMAP_SORT_DATE,
	IMAP_SORT_SUBJECT,
	IMAP_SORT_FROM,
	IMAP_SORT_TO,
	IMAP_SORT_CC,
	IMAP_SORT_DISPLAY_FROM,
	IMAP_SORT_DISPLAY_TO,
};
#define IMAP_SORT_MAX 16
struct imap_sort_by {
	enum imap_sort_key key;
	bool reverse;
};

/* As it is compared (RFC 5051, of ASCII letters): small ones are capitals. */
struct kurir_str imap_folded(struct kurir_arena *, struct kurir_str);
/* When the message was sent; when it came, if it does not say. */
int64_t imap_sent_date(struct imap_bytes *, const struct kurir_message *);

#endif
