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
/* Waits for fiber_wake() or the deadline: the woken result, -ETIMEDOUT, or -ECANCELED (now and from
 * every later call once the fiber's group is ending). */
int fiber_park(kurir_time until) KURIR_PARKS;
/* The fiber runs soon, park returns result.  The first wake counts until it has run; waking a fiber that is
 * not parked does nothing.  Never switches by itself. */
void fiber_wake(struct fiber *, int result);
bool fiber_canceled(void);
/* Like kurir_group_go, and gives the fiber for waking. */
int fiber_start(struct kurir_group *, const char *name, void (*fn)(void *), void *arg, struct fiber **ret);
/* Session id shown in the log lines of this fiber and those it starts; borrowed while it runs. */
void fiber_set_label(struct kurir_str label);
struct kurir_str fiber_label(void);
struct fiber_census {
	unsigned running, peak, stacks; /* stacks: mapped, with the cached ones */
};
struct fiber_census fiber_census(void);

/* For the loop: runs every fiber that is ready, returns how many ran. */
unsigned fiber_run_ready(void);

/* For instances: the group of everything an instance began and did not end. */
struct kurir_group *fiber_group_root(void);

/* Faults for the tests: the n-th parking call from now returns err (0: off). */
void fiber_fail_park(unsigned n, int err);

#endif
