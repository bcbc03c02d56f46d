/* worker_wire.h - what the proxy and the worker say to each other, packed as in kurir/call.h. */
#ifndef CORE_WORKER_WIRE_H
#define CORE_WORKER_WIRE_H

#include "conn.h"
#include "tx.h"

/* Edge: what the worker's hook of that point says; a verdict or -errno. */
int worker_hook(struct kurir_self *, enum chain_point, struct chain_call *) KURIR_PARKS;

#define WORKER_ENDPOINT "hook"

/* A question.  Texts are borrowed. */
struct worker_question {
	struct kurir_str instance;
	uint64_t edge; /* of this process's life: its sessions go with it */
	uint32_t edge_index;
	enum chain_point point;
	struct kurir_str id; /* the connection's */
	struct conn_origin from;
	struct kurir_str account, helo, text;
	int verdict;
	bool has_tx, has_rcpt;
	struct kurir_str tx_id;
	struct kurir_tx_params tx;
	uint64_t bytes;	      /* kurir_tx_size() */
	uint32_t base, count; /* recipients from base on follow, count of them */
	const struct kurir_recipient *rcpts;
	struct kurir_recipient rcpt; /* RCPT: the one it is about */
				     /* MESSAGE: the body comes from the descriptor */
};
int worker_put_question(struct kurir_buf *, const struct worker_question *);
/* The list of recipients is in arena.  0 or -EBADMSG. */
int worker_get_question(struct kurir_reader *, struct kurir_arena *, struct worker_question *ret);

/* An answer, beside the verdict: what the module did to the envelope, in this order.  A place is
 * a recipient's number before that, or for the one that the question was about: */
#define WORKER_THIS UINT32_MAX
enum worker_change_kind {
	WORKER_SENDER = 1, /* address: the new one */
	WORKER_SET,
	WORKER_DROP, /* the highest place first */
	WORKER_ADD,
	WORKER_CHANGES,
};
struct worker_change {
	enum worker_change_kind kind;
	uint32_t place;
	struct kurir_str address;
};
struct worker_answer {
	uint32_t code; /* 0: no reply was set */
	bool hold;     /* kurir_tx_hold() */
	struct kurir_str xyz, text;
	struct kurir_str headers; /* whole lines, as they stand in a message */
	uint32_t count;
	const struct worker_change *changes;
};
int worker_put_answer(struct kurir_buf *, const struct worker_answer *);
int worker_get_answer(struct kurir_reader *, struct kurir_arena *, struct worker_answer *ret);

#endif
