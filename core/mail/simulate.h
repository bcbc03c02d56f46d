/* simulate.h - a session that is only played: what would become of a message.
 *
 * The listener's own protocol serves a stream in memory, at whose other end it plays the client
 * (struct kurir_protocol_ops, rehearse).  All hooks run as they would, isolated ones too.  The
 * session ends where the message would be made durable; it counts nothing, and events of it are
 * not kept (their connection's id begins with SIMULATE_LABEL). */
#ifndef CORE_SIMULATE_H
#define CORE_SIMULATE_H

#include <kurir/session.h>

#define SIMULATE_ENDPOINT "peek.simulate" /* edge */
#define SIMULATE_LABEL	  "simulated-"
#define SIMULATE_TIME	  60000

struct simulate_question {
	struct kurir_str listener; /* empty: the first of a protocol that can */
	struct kurir_str peer, helo, account, sender;
	struct kurir_texts recipients;
	struct kurir_str message;
};
int simulate_put(struct kurir_buf *, const struct simulate_question *);
/* Texts are borrowed, the list is in arena.  0 or -EBADMSG. */
int simulate_get(struct kurir_str, struct kurir_arena *, struct simulate_question *ret);

/* The endpoint's answer: {"error": ""}, or {"listener": "", "protocol": "", "pipeline": "",
 * "replies": [as trace_said() has them], "kept": true, "sender": "", "recipients": [""],
 * "broken": ""}. */
void simulate_serve(void);

#endif
