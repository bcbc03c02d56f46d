/* scheduler.h - which recipient is due, and whether its destination may be bothered now.
 *
 * Pure: it knows times and lists, nothing of files, channels or fibers.  Times are
 * kurir_wallclock() milliseconds, because they outlive the process.
 *
 * A recipient is in one state: TIMED (in the heap), READY (in one of the lanes), BUSY (a fiber
 * has it), WAITING (in line at a destination that has enough to do or is in trouble; in the heap
 * with the end of its time), BLOCKED (its destination failed it; in the heap with its next time),
 * HELD, or decided.
 *
 * Nobody delays the others: who sends is a lane, lanes take turns, and none has more messages
 * under way than places are free; deferred ones as a whole neither.  A destination has its own
 * limits, and a trouble of its own: then one tries now and then, and when it is back all come. */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include <kurir/module.h>

struct message;
struct destination;

enum entry_state {
	ENTRY_NEW = 0,
	ENTRY_TIMED,
	ENTRY_READY,
	ENTRY_BUSY,
	ENTRY_WAITING,
	ENTRY_BLOCKED,
	ENTRY_HELD,
	ENTRY_DELIVERED, /* this and all after it: decided */
	ENTRY_BOUNCED,
	ENTRY_CANCELLED,
	ENTRY_EXPANDED,
};
enum entry_flag {
	ENTRY_WARNED = 1u << 0, /* a delay notice was sent */
	ENTRY_URGENT = 1u << 1, /* an administrator said "now": back-off is ignored once */
	ENTRY_HOLD = 1u << 2,	/* to be held when its attempt is over */
	ENTRY_CANCEL = 1u << 3, /* to be cancelled when its attempt is over */
	ENTRY_TRYING = 1u << 4, /* BUSY, and the transport has it: nothing can be changed now */
	ENTRY_EXPIRE = 1u << 5, /* an administrator said "give up" */
	ENTRY_ENDING = 1u << 6, /* BUSY, and its sender is being told so */
};
/* One undecided recipient: small, there may be millions. */
struct entry {
	struct entry *next, **link; /* in a list: who points here */
	int64_t due;
	struct destination *destination; /* while WAITING or BLOCKED */
	uint32_t heap;			 /* place, from 1; 0: not in it */
	uint32_t index : 20;		 /* in the message */
	uint32_t turn : 12; /* grows when a fiber takes it: one that waited can tell */
	uint16_t attempts;
	uint16_t reason; /* why it was deferred: scheduler_reason(); 0: not since the start */
	uint8_t state, flags;
	uint8_t lane;
};

struct entry_list {
	struct entry *first, **last;
};

#define SCHEDULER_LANES 256

struct destination {
	struct destination *hash_next;
	struct entry_list waiting[2]; /* fresh, deferred */
	struct entry_list blocked;
	uint64_t hash;
	int64_t blocked_until;
	int64_t credit_at; /* rate: when credit was counted */
	uint32_t credit;   /* milliseconds; a job costs 60000 / rate */
	uint32_t active, users, waiting_count, blocked_count;
	char *error;	   /* of the last trouble; owned, or NULL */
	uint16_t troubles; /* attempts in a row that failed for all */
	uint16_t limit;
	uint16_t rate; /* jobs a minute; 0: any */
	uint16_t name_length;
	char name[];
};

struct scheduler {
	struct entry **heap; /* from 1 */
	uint32_t heap_count, heap_room;
	struct entry_list lanes[2][SCHEDULER_LANES]; /* fresh first */
	unsigned lane_at[2];
	uint64_t lanes_used[2][SCHEDULER_LANES / 64]; /* bit: the lane is not empty */
	uint16_t lane_busy[SCHEDULER_LANES];	      /* messages under way */
	uint32_t busy, busy_deferred, limit;
	uint32_t turn; /* counts takes */
	struct destination *hash[4096];
	uint32_t destination_count;
	uint16_t destination_limit, destination_rate;
	const kurir_time *retry; /* spans; the last repeats */
	unsigned retry_count;
	uint64_t random;
	uint32_t ready, waiting;
	int64_t swept;
	/* When the time of a recipient is over; NULL: never. */
	int64_t (*end)(const struct entry *, const void *arg);
	/* Limits of a new destination; NULL: those of all. */
	void (*configure)(struct destination *, const void *arg);
	const void *arg;
};

void scheduler_init(
    struct scheduler *, const kurir_time *retry, unsigned count, unsigned destination_limit);
void scheduler_fini(struct scheduler *);

/* Takes the entry out of whatever it is in. */
void scheduler_remove(struct scheduler *, struct entry *);
void scheduler_at(struct scheduler *, struct entry *, int64_t due);
void scheduler_ready(struct scheduler *, struct entry *);
/* The next one to work on, now BUSY, until scheduler_leave(); NULL: none before
 * scheduler_next(). */
struct entry *scheduler_take(struct scheduler *, int64_t now);
void scheduler_leave(struct scheduler *, uint8_t lane, bool deferred);
/* Another of the same message. */
void scheduler_join(struct scheduler *, struct entry *);
int64_t scheduler_next(const struct scheduler *); /* INT64_MAX: never */
/* Once a second: destinations whose time has come, and what got lost. */
void scheduler_sweep(struct scheduler *, int64_t now);
/* When to try again after that many attempts (from 1): with jitter of an eighth. */
int64_t scheduler_retry(struct scheduler *, unsigned attempts, int64_t now);

struct destination *scheduler_destination(struct scheduler *, struct kurir_str name);
void scheduler_drop_unused(struct scheduler *, struct destination *);
enum scheduler_answer { SCHEDULER_GO, SCHEDULER_WAIT, SCHEDULER_BLOCKED };
/* GO counts as active until scheduler_done(). urgent: trouble is no reason. */
enum scheduler_answer scheduler_ask(
    struct scheduler *, struct destination *, int64_t now, bool urgent);
void scheduler_wait(struct scheduler *, struct destination *, struct entry *);
void scheduler_block(struct scheduler *, struct destination *, struct entry *, int64_t due);
/* "4.4.1" in 16 bits; 0: none. */
uint16_t scheduler_reason(struct kurir_str xyz);
/* What the destination said, or did not, before scheduler_done() with trouble; copied. */
void scheduler_trouble(struct destination *, struct kurir_str error);
/* One that was active is over; wakes those that can go now.
 * trouble: the whole destination failed. */
void scheduler_done(
    struct scheduler *, struct destination *, int64_t now, bool trouble, bool success);

#endif
