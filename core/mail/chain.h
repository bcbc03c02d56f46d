/* chain.h - pipelines: the hooks of the named instances, one flat array for each point. */
#ifndef CORE_CHAIN_H
#define CORE_CHAIN_H

#include <kurir/smtp.h>
#include <kurir/stream.h>
#include "instance.h"

/* The points of struct kurir_smtp_hooks, in its order. */
enum chain_point {
	CHAIN_CONNECT,
	CHAIN_HELO,
	CHAIN_AUTH,
	CHAIN_MAIL,
	CHAIN_RCPT,
	CHAIN_DATA,
	CHAIN_FILTER,
	CHAIN_MESSAGE,
	CHAIN_DONE,
	CHAIN_CLOSED,
	CHAIN_POINTS,
};
extern const char *const chain_point_names[CHAIN_POINTS + 1]; /* ends with NULL */

struct chain_link {
	void (*fn)(void); /* cast to the point's type by the caller */
	struct kurir_self *self;
	uint64_t *calls, *errors;
	struct hook *hook;
	struct breaker *breaker;
};
struct chain {
	struct kurir_str name;
	struct chain_link *links[CHAIN_POINTS];
	size_t count[CHAIN_POINTS];
	struct chain *next;
};
/* Compiles the pipeline from started (or at least configured) instances; -ENOENT: *ret_missing
 * is no instance. */
int chain_add(
    struct kurir_str name, const struct kurir_str *instances, size_t n, size_t *ret_missing);
/* Never NULL: an unknown or empty name is the empty chain. */
const struct chain *chain_find(struct kurir_str name);

#define CHAIN_FILTERS_MAX 16

struct trace;

/* What a hook is called with, whatever the point. */
struct chain_call {
	struct kurir_conn *conn;
	struct kurir_tx *tx;
	struct kurir_rcpt *rcpt;
	struct kurir_str text;	      /* helo: name; auth: account; mail: sender */
	struct kurir_stream **stream; /* filter */
	/* streams that others read from now: to be closed */
	struct kurir_stream *under[CHAIN_FILTERS_MAX];
	size_t under_count;
	/* message: the body, opened for each hook. */
	int (*open)(struct chain_call *, struct kurir_stream **ret) KURIR_PARKS;
	struct kurir_self **current; /* who runs now, for the checks of capabilities */
	int verdict;		     /* done */
	struct trace *trace;	     /* of a session that is simulated, or NULL */
	int failed;	/* decide: -errno of who settled it, when its "on-error" did */
	uint64_t clock; /* hook_clock() when the hook before returned; 0: none did */
};
/* An instance in a worker (core/worker/): what its proxy remembers as conn_state and as tx_state,
 * and who asks it.  A verdict or -errno. */
struct chain_far_conn {
	bool known; /* the worker was told of it, and waits for its end */
};
struct chain_far_tx {
	bool known;
	uint32_t sent;	  /* recipients that the worker has */
	unsigned changes; /* of the envelope when it got them */
};
typedef int chain_far_fn(struct kurir_self *, enum chain_point, struct chain_call *);
extern chain_far_fn *chain_far; /* parks */
/* Its hooks as a mask of 1u << enum chain_point. */
uint32_t chain_points_of(const struct kurir_smtp_hooks *);
/* What the first instance says at that point, -errno as it is; NEXT: it has no such hook. */
int chain_one(const struct chain *, enum chain_point, struct chain_call *) KURIR_PARKS;
/* A decide point: the settled verdict, NEXT when nobody settled; *ret_who is who did, or NULL. */
int chain_decide(const struct chain *, enum chain_point, struct chain_call *,
    struct kurir_self **ret_who) KURIR_PARKS;
/* CHAIN_FILTER: 0 or the first -errno. */
int chain_filter(const struct chain *, struct chain_call *) KURIR_PARKS;
/* CHAIN_DONE, CHAIN_CLOSED: all of them. */
void chain_observe(const struct chain *, enum chain_point, struct chain_call *) KURIR_PARKS;

#endif
