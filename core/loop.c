/* loop.c - one epoll, one clock: what happens next in this process.
 * A round: wait, call the descriptors that are ready, fire the timers, run the fibers, then
 * the deferred tasks.  While fibers are ready the kernel is asked only now and then. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fiber.h"
#include "offload.h"
#include "timer.h"

#define LOOP_BATCH	  256
#define LOOP_ROUNDS	  8		/* of ready fibers without asking the kernel */
#define LOOP_TRIM	  1000		/* ms between two looks at parked fibers */
#define LOOP_VIRTUAL_NOW  1000000	/* where a virtual clock starts */
#define LOOP_VIRTUAL_DATE 1767225600000 /* 2026-01-01T00:00:00Z */

static struct {
	int epoll;
	bool virtual, stopping, dispatching, turning;
	unsigned rounds;     /* since the kernel was asked */
	unsigned fds;	     /* registered */
	kurir_time now;	     /* virtual clock */
	int64_t wallclock;   /* virtual clock: minus now */
	kurir_time trimmed;  /* when fiber_trim() ran last */
	bool trim_wanted;    /* fibers ran since, or it said so */
	int batch, position; /* of events, while they are dispatched */
	struct epoll_event events[LOOP_BATCH];
	struct loop_task *first, **last;
} loop = { .epoll = -1, .last = &loop.first };

static kurir_time clock_ms(clockid_t id)
{
	struct timespec t;
	kurir_assert(clock_gettime(id, &t) == 0);
	return (kurir_time)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

kurir_time kurir_now(void)
{
	return loop.virtual ? loop.now : clock_ms(CLOCK_MONOTONIC);
}

kurir_time kurir_wallclock(void)
{
	return loop.virtual ? loop.now + loop.wallclock : clock_ms(CLOCK_REALTIME);
}

bool loop_is_turning(void)
{
	return loop.turning;
}

bool loop_clock_is_virtual(void)
{
	return loop.virtual;
}

void loop_set_wallclock(int64_t unix_ms)
{
	loop.wallclock = unix_ms - loop.now;
}

void loop_init(bool virtual_clock)
{
	kurir_assert(loop.epoll < 0);
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	kurir_assert(loop.epoll >= 0);
	loop.virtual = virtual_clock;
	loop.now = LOOP_VIRTUAL_NOW;
	loop.wallclock = LOOP_VIRTUAL_DATE - LOOP_VIRTUAL_NOW;
	loop.stopping = false;
	loop.fds = 0;
	loop.trimmed = kurir_now();
	loop.first = NULL;
	loop.last = &loop.first;
	/* A peer that has gone is -EPIPE from a write, not the end of the process. */
	(void)signal(SIGPIPE, SIG_IGN);
}

void loop_fini(void)
{
	offload_fini();
	timer_fini();
	fiber_fini();
	(void)close(loop.epoll);
	loop.epoll = -1;
	loop.virtual = false;
}

void loop_stop(void)
{
	loop.stopping = true;
}

int loop_fd_add(struct loop_fd *f, uint32_t epoll_events)
{
	struct epoll_event e = { .events = epoll_events | EPOLLET, .data.ptr = f };
	if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, f->fd, &e) < 0)
		return -errno;
	loop.fds++;
	return 0;
}

int loop_fd_change(struct loop_fd *f, uint32_t epoll_events)
{
	struct epoll_event e = { .events = epoll_events | EPOLLET, .data.ptr = f };
	return epoll_ctl(loop.epoll, EPOLL_CTL_MOD, f->fd, &e) < 0 ? -errno : 0;
}

/* What the kernel has already reported about it must not be called any more. */
void loop_fd_remove(struct loop_fd *f)
{
	for (int i = loop.position; i < loop.batch; i++)
		if (loop.events[i].data.ptr == f)
			loop.events[i].data.ptr = NULL;
	if (epoll_ctl(loop.epoll, EPOLL_CTL_DEL, f->fd, NULL) == 0)
		loop.fds--;
}

struct waiting_fd {
	struct loop_fd fd;
	struct fiber *fiber;
};

static void waiting_fd_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	fiber_wake(((struct waiting_fd *)f)->fiber, 1);
}

KURIR_PARKS int loop_wait(int fd, short poll_events, kurir_time until)
{
	struct waiting_fd w = { .fd = { .fd = fd, .ready = waiting_fd_ready },
		.fiber = fiber_self() };
	uint32_t events = (poll_events & POLLIN ? EPOLLIN | EPOLLRDHUP : 0u) |
	    (poll_events & POLLOUT ? EPOLLOUT : 0u);
	int r = loop_fd_add(&w.fd, events);
	if (r == -EPERM) /* a file: never waits */
		return 1;
	if (r < 0)
		return r;
	r = fiber_park(until);
	loop_fd_remove(&w.fd);
	return r;
}

void loop_defer(struct loop_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*loop.last = t;
	loop.last = &t->next;
}

static void run_tasks(void)
{
	struct loop_task *t = loop.first;
	loop.first = NULL;
	loop.last = &loop.first;
	while (t) {
		struct loop_task *next = t->next;
		t->queued = false;
		t->run(t);
		t = next;
	}
}

static bool anything_ready(void)
{
	return fiber_any_ready() || loop.first;
}

/* Milliseconds for epoll_wait: -1 for ever. */
static int wait_span(kurir_time until)
{
	if (anything_ready())
		return 0;
	kurir_time next = timer_next();
	if (loop.virtual) {
		/* The clock moves only when nothing real is under way. */
		if (offload_pending())
			return -1;
		return next != KURIR_FOREVER || until != KURIR_FOREVER || !loop.fds ? 0 : -1;
	}
	if (next < until)
		until = next;
	if (loop.trim_wanted && loop.trimmed + LOOP_TRIM < until)
		until = loop.trimmed + LOOP_TRIM;
	if (until == KURIR_FOREVER)
		return -1;
	kurir_time span = until - kurir_now();
	if (span <= 0)
		return 0;
	return span > 3600000 ? 3600000 : (int)span;
}

static bool dispatch(int span)
{
	int n = epoll_wait(loop.epoll, loop.events, LOOP_BATCH, span);
	kurir_assert(n >= 0 || errno == EINTR);
	loop.batch = n < 0 ? 0 : n;
	loop.dispatching = true;
	while (loop.position < loop.batch) {
		struct epoll_event e = loop.events[loop.position++];
		struct loop_fd *f = e.data.ptr;
		if (f)
			f->ready(f, e.events);
	}
	loop.dispatching = false;
	loop.batch = loop.position = 0;
	return n > 0;
}

/* Nothing is ready and nothing real is under way: to the next timer. */
static void jump(kurir_time until)
{
	kurir_time next = timer_next();
	if (next > until)
		next = until;
	if (next != KURIR_FOREVER && next > loop.now)
		loop.now = next;
}

static void trim(void)
{
	kurir_time now = kurir_now();
	if (now - loop.trimmed < LOOP_TRIM)
		return;
	loop.trimmed = now;
	loop.trim_wanted = fiber_trim();
}

void loop_turn(kurir_time until)
{
	kurir_assert(!loop.dispatching && !fiber_self());
	struct kurir_arena *scratch = kurir_scratch();
	struct kurir_mark mark = kurir_mark(scratch);
	loop.turning = true;
	if (!anything_ready() || ++loop.rounds >= LOOP_ROUNDS) {
		loop.rounds = 0;
		bool happened = dispatch(wait_span(until));
		if (loop.virtual && !happened && !anything_ready() && !offload_pending())
			jump(until);
	}
	if (timer_next() != KURIR_FOREVER)
		timer_fire(kurir_now());
	if (fiber_run_ready())
		loop.trim_wanted = !loop.virtual;
	run_tasks();
	loop.turning = false;
	if (loop.trim_wanted)
		trim();
	kurir_rewind(scratch, mark);
}

void loop_run(void)
{
	loop.stopping = false;
	while (!loop.stopping) {
		if (loop.virtual && !anything_ready() && !offload_pending() && !loop.fds &&
		    timer_next() == KURIR_FOREVER)
			break;
		loop_turn(KURIR_FOREVER);
	}
}

void loop_advance(kurir_time by)
{
	kurir_assert(loop.virtual);
	kurir_time target = loop.now + by;
	do
		loop_turn(target);
	while (loop.now < target || anything_ready() || timer_next() <= target);
}
