/* dispatch.h - one message being worked on, shared by dispatch.c and route.c. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "queue_role.h"

struct target { /* one recipient of it */
	struct target *next;
	struct entry *entry;
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
};

void dispatch_tell(
    struct work *, const struct target *, const char *event, const struct kurir_result *);
/* 1: t->route says where to; 0: it was an alias, and is replaced; -1: t->result says why not. */
int route_target(struct work *, struct target *) KURIR_PARKS;

#endif
