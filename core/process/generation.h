/* generation.h - all processes of one configuration, and how they know each other. */
#ifndef CORE_GENERATION_H
#define CORE_GENERATION_H

#include "loop.h"
#include "plan.h"

enum process_state {
	PROCESS_DOWN,	  /* not running; again is set, or the generation is ending */
	PROCESS_STARTING, /* until it says READY */
	PROCESS_READY,
	PROCESS_ENDING, /* was told to drain or stop */
};
extern const char *const process_state_names[];

struct generation;
struct process {
	struct process *next;
	struct generation *of;
	uint32_t role;
	unsigned index, count;
	char name[24];
	pid_t pid; /* 0: none */
	enum process_state state;
	struct loop_fd control; /* fd -1: none */
	struct loop_timer again, limit;
	kurir_time started, heard; /* heard: when it last said something */
	unsigned restarts, quick;  /* quick: crashes within a second of starting, in a row */
	unsigned lost;		   /* channels that it or others had to close */
	bool gone;		   /* has been told to go: told instances may start */
	bool killed;		   /* and not yet reaped */
};

struct generation {
	struct generation *older;
	unsigned number;
	struct plan *plan;
	struct kurir_arena *arena;
	int *listeners; /* in the order of the plan */
	int lock;	/* role_lock_state(); shared by the generations of one folder */
	unsigned listener_count;
	struct process *processes;
	bool serving, ending;
	struct keywatch *keys; /* keywatch.c */
};

/* Newest first. */
extern struct generation *generation_newest;

/* process.c: those that have been silent for too long are ended, and begin again. */
void process_watch(void);

/* What the supervisor wants to hear. */
void supervisor_ready(struct process *);
void supervisor_failed(struct process *, struct kurir_str why);
void supervisor_exited(struct process *);
void supervisor_command(struct process *, int64_t id, struct kurir_str command);

/* Takes the plan: makes and locks the folders, binds what is new.  0, or -errno and one sentence;
 * then the plan is freed and nothing is left.  -EBUSY: role_lock_state(). */
int generation_new(struct plan *, struct kurir_buf *why, struct generation **ret);
void generation_free(struct generation *); /* its processes are gone */
void generation_start(struct generation *);
bool generation_has(const struct generation *, uint32_t roles, bool alive);
/* Points what this older one calls at the newer's processes. */
void generation_rewire(struct generation *older, struct generation *newer);

void process_start(struct process *);
/* Descriptor pairs to everybody it has to do with. */
void process_wire(struct process *);
void process_go(struct process *);
/* kind: WIRE_DRAIN or WIRE_STOP; quiet: how long (in ticks) it waits for late callers. */
void process_end(struct process *, uint32_t kind, kurir_time limit, unsigned quiet);
void process_reap(void); /* after SIGCHLD */

#endif
