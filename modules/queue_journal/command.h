/* command.h - what the commands of kurirctl share.
 *
 *	command.c            "kurirctl queue": all messages, a page at a time
 *	command_predicate.c  which recipients it is about
 *	command_show.c       how they are shown
 *	command_ledger.c     "kurirctl ledger" */
#ifndef COMMAND_H
#define COMMAND_H

#include "queue_role.h"

#include <jansson.h>

int command_answer(struct kurir_buf *reply, json_t *); /* takes the value */
int command_fail(struct kurir_buf *reply, const char *sentence);

/* The order in which a command sees messages: as they arrived, also when they move. */
struct command_key {
	int64_t arrived;
	uint32_t id_hash;
	uint64_t segment, offset;
};
/* Where a page ended, and what was counted until there.  It travels to kurirctl and comes back
 * as after=. */
struct cursor {
	struct command_key at;
	uint32_t index;			      /* of its next recipient; 0: all were shown */
	uint64_t recipients, messages, later; /* later: are being tried right now */
	bool begun;
};

struct predicate {
	struct kurir_str id, sender, rcpt, domain, state, address, site, to; /* of the request */
	kurir_time older, younger;					     /* 0: any */
	uint64_t larger, smaller;
	uint32_t id_hash;
	uint16_t reason;
	bool any;
	uint64_t request; /* of these words: the same for all pages */
	struct cursor after;
};
/* The words of a request behind the first: 0 or -EINVAL. */
int predicate_parse(const json_t *args, struct predicate *);
/* What can be told without the envelope: some recipient may match. */
bool predicate_message(
    const struct queue *, const struct predicate *, const struct message *, int64_t now);
bool predicate_envelope(const struct predicate *, const struct kurir_envelope *);
bool predicate_entry(const struct predicate *, const struct kurir_envelope *,
    const struct entry *, const struct kurir_recipient *);

extern const char *const command_state_names[];			     /* by enum entry_state */
uint64_t command_size(const struct queue *, const struct message *); /* with the body's file */
struct kurir_str command_site(const struct entry *); /* where it stands in line; or empty */
bool command_is_mailbox(struct kurir_str);

/* A page of messages, as text and as JSON: neither grows beyond what a reply can hold. */
struct command_page {
	struct queue *q;
	struct kurir_buf text;
	json_t *list;
	size_t list_bytes;
	bool title; /* still to come */
};
/* Shows the recipients from *index on that show() wants; false: the page is full at *index. */
bool command_show(struct command_page *, const struct message *, const struct kurir_envelope *,
    const struct predicate *, bool whole, uint32_t *index);
/* "kurirctl queue destinations" */
int command_destinations(struct queue *, struct kurir_buf *reply);

#endif
