/* dispatch.h - one message being worked on: taken (dispatch.c), routed (route.c), tried
 * (attempt.c), decided (fate.c). */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "queue_role.h"

/* Before the name of a domain: the destination that counts who asks for its route. */
#define DISPATCH_GATE "@"

struct target { /* one recipient of it */
	struct target *next;
	struct entry *entry;
	uint32_t turn; /* of the entry, when we took it */
	const struct kurir_recipient *recipient;
	struct kurir_route route;
	struct destination *destination;
	struct kurir_result result;
	enum kurir_notice notice; /* 0: none */
	bool local;
};
struct work {
	struct queue *q;
	struct message *message;
	struct kurir_arena *arena;
	struct kurir_envelope envelope;
	struct kurir_str ref;
	struct target *routed, **routed_last;
	struct kurir_signal *changed; /* a part has ended */
	unsigned parts;
	uint8_t lane;
	bool deferred;
	uint32_t count;
	struct target targets[];
};

/* Whether it is still this fiber that has the recipient; ask after each park. */
bool dispatch_ours(const struct target *);
struct target *dispatch_keep_ours(struct target *);
void dispatch_attempt(struct work *, struct target *) KURIR_PARKS;
void dispatch_settle(struct work *, struct target *, enum entry_state);
/* Gives each recipient of the list what its result says. */
void dispatch_conclude(struct work *, struct target *) KURIR_PARKS;
void dispatch_all_results(
    struct target *, enum kurir_fate, struct kurir_str xyz, struct kurir_str text, bool site);
void dispatch_tell(struct work *, const struct target *, const char *event,
    const struct kurir_result *, int64_t next);
/* 1: t->route says where to; 0: it was an alias, and is replaced; -1: t->result says why not. */
int route_target(struct work *, struct target *) KURIR_PARKS;

#endif
