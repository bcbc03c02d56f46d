/* wire.h - the words between the supervisor and a role process: one packet each, over a socket
 * pair that the process was born with. */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <kurir/module.h>

#define WIRE_TEXT_MAX 65536

enum wire_kind {
	/* to a role */
	WIRE_PEER = 1, /* a channel (descriptor) to role/index of count, which is process value */
	WIRE_GO,       /* start your instances */
	WIRE_SERVE,    /* accept connections */
	WIRE_DRAIN,    /* finish what you began, within value ms, then end */
	WIRE_STOP,     /* the same at once */
	WIRE_ANSWER,   /* to the command value: a memory file (descriptor) */
	/* from a role */
	WIRE_READY,   /* the instances have started */
	WIRE_FAILED,  /* text is wrong: too bad for a generation that does not serve yet */
	WIRE_COMMAND, /* the control role asks "status", "reload" or "stop" as number value */
	/* to a role again */
	/* pair index was replaced: descriptor of its certificate (count 0), then key (1) */
	WIRE_KEY,
	WIRE_LOST,  /* from a role: the channel to process value is closed, but that one lives */
	WIRE_ALIVE, /* from a role, again and again */
	WIRE_KINDS,
};

struct wire {
	uint32_t kind, role, index, count;
	int64_t value;
	struct kurir_str text;
	int fd; /* sent: borrowed; received: owned; -1: none */
};

/* 0 or -errno; never waits. */
int wire_send(int socket, const struct wire *);
/* 1; 0: the other side has gone; -EAGAIN: nothing there; -EBADMSG; -errno. text lies in space. */
int wire_receive(int socket, char space[WIRE_TEXT_MAX], struct wire *ret);

#endif
