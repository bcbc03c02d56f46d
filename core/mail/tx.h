/* tx.h - a client's side of the pipeline: the session, its answers, its transaction. */
#ifndef CORE_TX_H
#define CORE_TX_H

#include <kurir/queue.h>
#include <kurir/session.h>
#include <kurir/smtp.h>
#include "chain.h"

#define TX_MAGIC       0x4b545831u
#define REPLY_TEXT_MAX 400
#define TX_NOTES       8

struct reply {
	int code; /* 0: no module set one */
	char xyz[12];
	size_t len;
	char text[REPLY_TEXT_MAX];
};

/* Lives in the connection's arena from the first kurir_session_ or kurir_tx_ call on. */
struct session {
	const struct chain *chain;
	struct kurir_conn *conn;
	struct kurir_arena *tx_arena; /* used again for each transaction */
	struct kurir_tx *tx;	      /* the one that is open, or NULL */
	struct kurir_self *current;   /* whose hook runs */
	struct reply reply;
	char answer[REPLY_TEXT_MAX + 64];
	char helo[256];
	size_t helo_len;
	uint32_t seen; /* 1u << enum chain_point of the events that were emitted */
	bool closed;
	struct trace *trace; /* it is simulated: see trace.h */
};
/* Where the connection keeps its session: one pointer in struct kurir_conn (conn.c). */
struct session **conn_session_slot(struct kurir_conn *);

struct kurir_rcpt {
	struct kurir_recipient r;
};

enum tx_state { TX_OPEN, TX_BODY, TX_DONE };
struct kurir_tx {
	uint32_t magic;
	enum tx_state state;
	struct session *s;
	struct kurir_arena *arena;
	struct kurir_str id, sender, envid;
	uint32_t flags;
	bool trusted, discard, settled;
	struct kurir_rcpt **rcpts;
	size_t count, room;
	unsigned changes; /* of sender and recipients by hooks */
	struct kurir_field notes[TX_NOTES];
	size_t note_count;
	struct kurir_buf headers; /* of kurir_header_add() */
	char *slots;		  /* tx_state of the modules */
	uint64_t bytes;
	int verdict;
	/* the spool, see tx_body.c */
	const struct kurir_queue_ops *queue;
	struct kurir_self *queue_self;
	struct kurir_spool *spool;
	int error;		       /* sticky */
	struct tx_old *old;	       /* spools that a rewrite left, until the answer */
	size_t top;		       /* bytes that are ours, above what the client sent */
	struct kurir_stream *in, *out; /* filters: what the session writes, what the pump reads */
	struct kurir_group *group;
	struct tx_filter *filters; /* where kurir_filter_body() adds one; NULL: not now */
	int pumped;
};

struct session *session_of(struct kurir_conn *);
struct kurir_tx *tx_check(struct kurir_tx *); /* itself, or the end when it is over */
/* A transaction of that id (empty: a new one) in place of the one that is open. */
struct kurir_tx *tx_new(struct session *, struct kurir_str id, const struct kurir_tx_params *)
    KURIR_PARKS;
void tx_keep(struct kurir_tx *, struct kurir_rcpt *);		      /* one recipient more */
size_t tx_put_notes(const struct kurir_tx *, struct kurir_field *to); /* how many */
/* Runs a decide point and fills *ret; the text of the accept answer is ok. */
int session_decide(struct session *, enum chain_point, struct chain_call *, struct kurir_str ok,
    struct kurir_answer *ret) KURIR_PARKS;
void reply_clear(struct session *);
/* The answer to a verdict: what the module said, or the point's default. */
void reply_answer(struct session *, enum chain_point, int verdict, struct kurir_str ok,
    struct kurir_answer *ret);
void reply_set(struct session *, int code, const char *xyz, struct kurir_str text);
void tx_body_drop(struct kurir_tx *) KURIR_PARKS;   /* forgets an unfinished body */
bool tx_may(const struct kurir_tx *, uint32_t cap); /* whoever's hook runs now */

/* tx_body.c: into the spool; the lines above what the client sent. */
int tx_store(struct kurir_tx *, struct kurir_str) KURIR_PARKS;
int tx_store_top(struct kurir_tx *, struct kurir_str trace) KURIR_PARKS;

/* tx_filter.c: from now on the session writes into tx->in.  0 or -errno. */
int tx_filters_begin(struct kurir_tx *, struct kurir_str trace) KURIR_PARKS;
/* After the last byte, or in the middle when the body is given up. */
int tx_filters_stop(struct kurir_tx *, bool complete, kurir_time until) KURIR_PARKS;
void tx_old_drop(struct kurir_tx *) KURIR_PARKS;

#endif
