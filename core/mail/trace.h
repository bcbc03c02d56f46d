/* trace.h - what the hooks say in a session that is simulated: see simulate.h.
 *
 * Other sessions have none, and pay nothing for it. */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include "tx.h"

typedef struct json_t json_t;

struct trace {
	struct kurir_arena *arena;
	json_t *asked;	 /* the hooks of the point that runs now */
	json_t *points;	 /* those that ran since the last reply */
	json_t *replies; /* the tree: see trace_said() */
	bool kept;	 /* the message would lie in the queue: */
	struct kurir_str sender;
	size_t count;
	struct kurir_str *recipients;
};
void trace_begin(struct trace *, struct kurir_arena *);
void trace_end(struct trace *); /* what is left of it */

/* Around the call of a hook: {"instance": "", "verdict": "next", "us": 1.5, "changes": [""]}, and
 * when it could not decide {"error": "", "on-error": "defer"}. */
struct trace_before {
	struct kurir_str sender, address;
	size_t count, headers;
	struct kurir_rcpt **rcpts;
	struct kurir_str *addresses;
	const void *stream, *spool;
	uint32_t flags;
	uint64_t bytes;
};
void trace_before(struct trace *, const struct chain_call *, struct trace_before *);
void trace_after(struct trace *, const struct kurir_self *, const struct chain_call *,
    const struct trace_before *, int result, double nanos);
/* All that were to be asked have been: {"hook": "rcpt", "verdict": "", "by": "instance", "code":
 * 550, "asked": [], "not-asked": [""]}. */
void trace_point(struct trace *, const struct chain *, enum chain_point, int verdict,
    const struct kurir_self *by, int code);
/* What the client was told: {"at": "rcpt", "about": "", "code": 550, "text": "", "by": "",
 * "points": []}; server: who said it when no module did. */
void trace_said(struct trace *, const char *at, struct kurir_str about, int code,
    struct kurir_str text, const char *server);
void trace_envelope(struct trace *, const struct kurir_envelope *);

#endif
