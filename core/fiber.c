/* fiber.c - parking, waking and running: which fiber goes on, and with what result.
 * Every switch goes between a fiber and the loop's own stack, never from fiber to fiber.
 * The switch itself and the stacks are in fiber_stack.c. */
#include "fiber.h"

#include <errno.h>
#include <string.h>

#include "check.h"
#include "fiber_stack.h"
#include "loop.h"

#define FIBER_MAGIC 0x4b464231u
#define FIBER_LABEL 32

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED };

/* Lives at the top of its own stack. */
struct fiber {
	uint32_t magic;
	enum fiber_state state;
	int result; /* what park returns */
	bool canceled, shielded, waits_until;
	bool trimmed; /* its unused pages were given back in this park */
	uint8_t label_len;
	uint32_t parks; /* how often it parked, for trimming */
	uint32_t seen;	/* parks when fiber_trim() last came by */
	struct fiber_stack stack;
	struct fiber_link link;
	struct loop_timer timer;
	kurir_time until;
	struct fiber *next_ready;
	struct fiber *prev, *next; /* all fibers */
	struct kurir_arena *scratch;
	const char *name;
	void (*fn)(void *);
	void *arg;
	char label[FIBER_LABEL];
};

static struct fiber *current;
static struct {
	struct fiber *first, **last;
} ready = { NULL, &ready.first };
static struct fiber *everyone;
static struct kurir_arena *loop_scratch;
static unsigned running, peak;
static unsigned fail_in;
static int fail_with;

struct fiber *fiber_self(void)
{
	return current;
}

const char *fiber_name(void)
{
	return current ? current->name : "loop";
}

bool fiber_canceled(void)
{
	return current && current->canceled;
}

void fiber_set_label(struct kurir_str label)
{
	if (!current)
		return;
	label = kurir_str_part(label, 0, FIBER_LABEL);
	if (label.len)
		memmove(current->label, label.ptr, label.len);
	current->label_len = (uint8_t)label.len;
}

struct kurir_str fiber_label(void)
{
	return current ? (struct kurir_str){ current->label, current->label_len } : KURIR_STR("");
}

struct fiber_census fiber_census(void)
{
	return (struct fiber_census){ running, peak, fiber_stack_count() };
}

unsigned fiber_fail_park(unsigned n, int err)
{
	unsigned left = fail_in;
	fail_in = n;
	fail_with = err;
	return left;
}

struct kurir_arena *kurir_scratch(void)
{
	struct kurir_arena **a = current ? &current->scratch : &loop_scratch;
	if (!*a)
		*a = kurir_arena_new("scratch");
	return *a;
}

void fiber_fini(void)
{
	kurir_assert(!running);
	kurir_arena_free(loop_scratch);
	loop_scratch = NULL;
	fiber_stack_fini();
}

static void ready_add(struct fiber *f, int result)
{
	f->state = FIBER_READY;
	f->result = result;
	f->next_ready = NULL;
	*ready.last = f;
	ready.last = &f->next_ready;
}

void fiber_wake(struct fiber *f, int result)
{
	kurir_assert(f->magic == FIBER_MAGIC);
	if (f->state == FIBER_PARKED)
		ready_add(f, result);
}

void fiber_cancel(struct fiber *f)
{
	kurir_assert(f->magic == FIBER_MAGIC);
	f->canceled = true;
	if (!f->shielded)
		fiber_wake(f, -ECANCELED);
}

/* The timer is left set when a deadline moves away or is not reached, as it does with
 * every read of a session: then it fires once, early, and is set to what holds by then. */
static void timer_fired(struct loop_timer *t)
{
	struct fiber *f = (struct fiber *)((char *)t - offsetof(struct fiber, timer));
	if (f->state != FIBER_PARKED || !f->waits_until)
		return;
	if (f->until <= t->when)
		fiber_wake(f, -ETIMEDOUT);
	else
		loop_timer_set(t, f->until, timer_fired);
}

static void timer_arm(struct fiber *f, kurir_time until)
{
	f->until = until;
	f->waits_until = until != KURIR_FOREVER;
	if (f->waits_until && (!f->timer.place || until < f->timer.when))
		loop_timer_set(&f->timer, until, timer_fired);
}

KURIR_PARKS static int park(struct fiber *f)
{
	f->state = FIBER_PARKED;
	f->parks++;
	fiber_stack_leave(&f->stack);
	f->waits_until = false;
	if (loop_clock_is_virtual())
		loop_timer_clear(&f->timer);
	return f->result;
}

static int injected_failure(struct fiber *f)
{
	if (!fail_in || --fail_in)
		return 0;
	if (fail_with == -ECANCELED)
		f->canceled = true;
	return fail_with;
}

KURIR_PARKS int fiber_park(kurir_time until)
{
	struct fiber *f = current;
	kurir_assert(f);
	int r = injected_failure(f);
	if (r)
		return r;
	if (f->canceled)
		return -ECANCELED;
	timer_arm(f, until);
	return park(f);
}

KURIR_PARKS int fiber_park_shielded(void)
{
	struct fiber *f = current;
	kurir_assert(f);
	f->shielded = true;
	int r = park(f);
	f->shielded = false;
	return r;
}

KURIR_PARKS int kurir_sleep(kurir_time until)
{
	int r = fiber_park(until);
	return r == -ETIMEDOUT ? 0 : r;
}

KURIR_PARKS int kurir_yield(void)
{
	struct fiber *f = current;
	kurir_assert(f);
	int r = injected_failure(f);
	if (r)
		return r;
	if (f->canceled)
		return -ECANCELED;
	f->parks++;
	ready_add(f, 0);
	fiber_stack_leave(&f->stack);
	return f->canceled ? -ECANCELED : 0;
}

/* On the fiber's stack; what it returns to is the loop, for good. */
static void fiber_main(void *p)
{
	struct fiber *f = p;
	f->fn(f->arg);
}

struct fiber *fiber_new(
    const char *name, void (*fn)(void *), void *arg, struct fiber_link **ret_link)
{
	struct fiber_stack stack;
	struct fiber *f = fiber_stack_new(&stack, sizeof(*f));
	if (!f)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->magic = FIBER_MAGIC;
	f->stack = stack;
	f->name = name;
	f->fn = fn;
	f->arg = arg;
	f->link.fiber = f;
	if (current) {
		memcpy(f->label, current->label, current->label_len);
		f->label_len = current->label_len;
	}
	fiber_stack_start(&f->stack, fiber_main, f);
	f->next = everyone;
	if (everyone)
		everyone->prev = f;
	everyone = f;
	if (++running > peak)
		peak = running;
	ready_add(f, 0);
	*ret_link = &f->link;
	return f;
}

static void fiber_free(struct fiber *f)
{
	loop_timer_clear(&f->timer);
	kurir_arena_free(f->scratch);
	if (f->next)
		f->next->prev = f->prev;
	*(f->prev ? &f->prev->next : &everyone) = f->next;
	running--;
	group_left(&f->link);
	f->magic = 0;
	struct fiber_stack stack = f->stack;
	fiber_stack_free(&stack);
}

bool fiber_any_ready(void)
{
	return ready.first;
}

unsigned fiber_run_ready(void)
{
	unsigned n = 0;
	kurir_assert(!current);
	struct fiber *batch = ready.first;
	ready.first = NULL;
	ready.last = &ready.first;
	while (batch) {
		struct fiber *f = batch;
		batch = f->next_ready;
		f->state = FIBER_RUNNING;
		current = f;
		bool returned = fiber_stack_enter(&f->stack);
		current = NULL;
		if (returned)
			fiber_free(f);
		n++;
	}
	return n;
}

bool fiber_trim(void)
{
	bool more = false;
	for (struct fiber *f = everyone; f; f = f->next) {
		if (f->trimmed && f->seen == f->parks)
			continue;
		if (f->state == FIBER_PARKED && f->seen == f->parks) {
			fiber_stack_trim(&f->stack);
			f->trimmed = true;
			continue;
		}
		f->trimmed = false;
		f->seen = f->parks;
		more = true;
	}
	return more;
}

KURIR_PARKS static int waiters_park(struct fiber_waiters *list, kurir_time until, bool shielded)
{
	struct fiber_waiter w = { .fiber = current, .prev = list->last };
	*(w.prev ? &w.prev->next : &list->first) = &w;
	list->last = &w;
	int r = shielded ? fiber_park_shielded() : fiber_park(until);
	if (!w.fiber)
		return r;
	*(w.next ? &w.next->prev : &list->last) = w.prev;
	*(w.prev ? &w.prev->next : &list->first) = w.next;
	return r;
}

KURIR_PARKS int fiber_waiters_park(struct fiber_waiters *list, kurir_time until)
{
	return waiters_park(list, until, false);
}

KURIR_PARKS int fiber_waiters_park_shielded(struct fiber_waiters *list)
{
	return waiters_park(list, KURIR_FOREVER, true);
}

void fiber_waiters_wake(struct fiber_waiters *list, int result)
{
	struct fiber_waiter *w = list->first;
	*list = (struct fiber_waiters){ 0 };
	while (w) {
		struct fiber_waiter *next = w->next;
		fiber_wake(w->fiber, result);
		w->fiber = NULL;
		w = next;
	}
}
