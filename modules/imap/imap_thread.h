/* imap_thread.h - messages as trees (RFC 5256). */
#ifndef IMAP_THREAD_H
#define IMAP_THREAD_H

#include "imap.h"

#define IMAP_NO_NODE UINT32_MAX

struct imap_node {
	uint32_t parent, child, next; /* of the forest's nodes; IMAP_NO_NODE: none */
	uint32_t number;	      /* what the client calls it; 0: no message, only its id */
	uint32_t order;		      /* among those of the same date */
	int64_t date;
	struct kurir_str subject; /* base subject, folded; borrowed from the arena */
	bool reply;		  /* the subject says that it is one, or is a forward */
};
struct imap_forest {
	struct kurir_arena *arena;
	struct imap_node *nodes;
	uint32_t count, room, spare, first; /* first: of the roots */
	uint32_t *ids;			    /* hash of message ids: a node's index and 1 */
	struct kurir_str *names;	    /* of the nodes, ptr NULL: none */
	uint32_t id_mask;
};
struct imap_thread_message {
	uint32_t number;
	int64_t date;
	struct kurir_str subject; /* folded base subject, in the forest's arena */
	bool reply;
	struct kurir_str id, references; /* as in the header; ptr NULL: absent */
};

/* imap_forest.c: room for so many messages, and as many again that are only referred to. */
void imap_forest_init(struct imap_forest *, struct kurir_arena *, size_t messages);
/* THREAD=REFERENCES, message by message; then the forest is finished once. */
void imap_forest_add(struct imap_forest *, const struct imap_thread_message *);
void imap_forest_by_references(struct imap_forest *);
/* THREAD=ORDEREDSUBJECT, of messages that were added as they are. */
void imap_forest_add_single(struct imap_forest *, const struct imap_thread_message *);
void imap_forest_by_subject(struct imap_forest *);

#endif
