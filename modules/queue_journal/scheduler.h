/* scheduler.h - which recipient is due, and whether its destination may be bothered now.
 *
 * Pure: it knows times and lists, nothing of files, channels or fibers.  Times are
 * kurir_wallclock() milliseconds, because they outlive the process.
 *
 * A recipient is in one state: TIMED (in the heap), READY (in one of the lanes), BUSY (a fiber
 * has it), WAITING (its destination has enough to do), BLOCKED (its destination is in trouble;
 * in the heap as well), HELD, or decided. */
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
};
/* One undecided recipient: small, there may be millions. */
struct entry {
	struct entry *next, **link; /* in a list: who points here */
	int64_t due;
	struct destination *destination; /* while WAITING or BLOCKED */
	uint32_t heap;			 /* place, from 1; 0: not in it */
	uint32_t index;			 /* in the message */
	uint16_t attempts;
	uint8_t state, flags;
	uint8_t lane;
};

struct entry_list {
	struct entry *first, **last;
};

#define SCHEDULER_LANES 64

struct destination {
	struct destination *hash_next;
	struct entry_list waiting[2]; /* fresh, deferred */
	struct entry_list blocked;
	uint64_t hash;
	int64_t blocked_until;
	uint32_t active, waiting_count, blocked_count;
	uint16_t troubles; /* attempts in a row that failed for all */
	uint16_t limit;
	uint16_t name_length;
	char name[];
};

struct scheduler {
	struct entry **heap; /* from 1 */
	uint32_t heap_count, heap_room;
	struct entry_list lanes[2][SCHEDULER_LANES]; /* fresh first */
	unsigned lane_at[2];
	uint64_t lanes_used[2]; /* bit: the lane is not empty */
	struct destination *hash[4096];
	uint32_t destination_count;
	uint16_t destination_limit;
	const kurir_time *retry; /* spans; the last repeats */
	unsigned retry_count;
	uint64_t random;
	uint32_t ready;
};

void scheduler_init(
    struct scheduler *, const kurir_time *retry, unsigned count, unsigned destination_limit);
void scheduler_fini(struct scheduler *);

/* Takes the entry out of whatever it is in. */
void scheduler_remove(struct scheduler *, struct entry *);
void scheduler_at(struct scheduler *, struct entry *, int64_t due);
void scheduler_ready(struct scheduler *, struct entry *);
/* The next one to work on, now BUSY; NULL: none before scheduler_next(). */
struct entry *scheduler_take(struct scheduler *, int64_t now);
int64_t scheduler_next(const struct scheduler *); /* INT64_MAX: never */
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
/* One that was active is over; wakes those that can go now.
 * trouble: the whole destination failed. */
void scheduler_done(
    struct scheduler *, struct destination *, int64_t now, bool trouble, bool success);

#endif
