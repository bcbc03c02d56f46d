/* fiber.h - stacks and switches: code that waits as if it blocked.
 *
 * One thread, one loop, any number of fibers.  A fiber runs until it parks; it is woken by
 * another fiber, by the loop (a descriptor, a deadline) or by the end of its group.
 * Stacks are 64 KiB with a guard page, cached, and known to ASan and valgrind. */
#ifndef CORE_FIBER_H
#define CORE_FIBER_H

#include <kurir/module.h>

struct fiber;

struct fiber *fiber_self(void); /* NULL on the loop's own stack */
/* Waits for fiber_wake() or the deadline: the woken result, -ETIMEDOUT, or -ECANCELED (now and
 * from every later call once the fiber's group is ending). */
int fiber_park(kurir_time until) KURIR_PARKS;
/* The fiber runs soon, park returns result. The first wake counts until it has run; waking a
 * fiber that is not parked does nothing. Never switches by itself. */
void fiber_wake(struct fiber *, int result);
bool fiber_canceled(void);
/* Like fiber_park without a deadline, and deaf to the end of the group: for the few waits that
 * must not be cut short, because somebody else works on this fiber's memory. */
int fiber_park_shielded(void) KURIR_PARKS;
/* The fiber is ending: now and later its parks say -ECANCELED. */
void fiber_cancel(struct fiber *);
/* Like kurir_group_go, and gives the fiber for waking. */
int fiber_start(
    struct kurir_group *, const char *name, void (*fn)(void *), void *arg, struct fiber **ret);
/* Session id shown in the log lines of this fiber and those it starts; borrowed while it runs. */
void fiber_set_label(struct kurir_str label);
struct kurir_str fiber_label(void);
const char *fiber_name(void); /* "loop" outside of fibers */
struct fiber_census {
	unsigned running, peak, stacks; /* stacks: mapped, with the cached ones */
};
struct fiber_census fiber_census(void);

/* For the loop: runs every fiber that is ready, returns how many ran. */
unsigned fiber_run_ready(void);
bool fiber_any_ready(void);
/* Gives the cached stacks and the loop's scratch arena back. */
void fiber_fini(void);
/* Gives back the stack pages below fibers that stand where they stood the last time; true while
 * there are fibers that may get there. */
bool fiber_trim(void);

/* The group of everything that was begun without an instance and not ended. */
struct kurir_group *fiber_group_root(void);

/* Between fiber.c and group.c: the fiber's link in its group, and its last act. */
struct fiber_link {
	struct kurir_group *group;
	struct fiber *fiber;
	struct fiber_link *prev, *next;
};
struct fiber *fiber_new(
    const char *name, void (*fn)(void *), void *arg, struct fiber_link **ret_link);
void group_left(struct fiber_link *); /* from fiber.c, when the fiber has returned */

/* Fibers that wait for the same thing; lives on the waiters' stacks. */
struct fiber_waiter {
	struct fiber *fiber;
	struct fiber_waiter *prev, *next;
};
struct fiber_waiters {
	struct fiber_waiter *first, *last;
};
/* Parks in the list. Returns what fiber_park does; the list may be gone by then when it was
 * woken. */
int fiber_waiters_park(struct fiber_waiters *, kurir_time until) KURIR_PARKS;
int fiber_waiters_park_shielded(struct fiber_waiters *) KURIR_PARKS;
void fiber_waiters_wake(struct fiber_waiters *, int result); /* all of them */

/* Faults for the tests: the n-th parking call from now returns err (0: off).  Returns what was
 * left of the n before: 0 when it came to that. */
unsigned fiber_fail_park(unsigned n, int err);

#endif
