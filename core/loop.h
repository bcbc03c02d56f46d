/* loop.h - epoll, timers and the clock of one process.  See fiber.h for who waits here. */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <kurir/module.h>

/* The process's only loop.  virtual_clock: time stands still while any fiber can run and
 * jumps to the next timer when none can and no descriptor is ready (tests). */
void loop_init(bool virtual_clock);
void loop_fini(void);
/* Runs until loop_stop(), or (virtual clock) until nothing can ever happen again. */
void loop_run(void);
void loop_stop(void);
/* One round: waits at most until the given time. */
void loop_turn(kurir_time until);
/* Virtual clock only: how far kurir_wallclock() is from kurir_now(). */
void loop_set_wallclock(int64_t unix_ms);
void loop_advance(kurir_time by); /* virtual clock: fires the timers on the way */

bool loop_clock_is_virtual(void);
/* In a round, before its tasks have run: what loop_defer() takes now runs in this round or the
 * next. */
bool loop_is_turning(void);

/* Timers: on the loop's stack, must not park. */
struct loop_timer {
	kurir_time when;
	void (*fire)(struct loop_timer *);
	size_t place;	/* in the heap, 0: not set */
	uint64_t order; /* equal times fire in the order they were set */
};
void loop_timer_set(struct loop_timer *, kurir_time when, void (*fire)(struct loop_timer *));
void loop_timer_clear(struct loop_timer *);

/* Descriptors: registered once, edge-triggered; ready() runs on the loop's stack. */
struct loop_fd {
	int fd;
	void (*ready)(struct loop_fd *, uint32_t epoll_events);
};
int loop_fd_add(struct loop_fd *, uint32_t epoll_events);
int loop_fd_change(struct loop_fd *, uint32_t epoll_events);
void loop_fd_remove(struct loop_fd *); /* before close(2) */
/* The running fiber waits for POLLIN or POLLOUT on fd: 1, -ETIMEDOUT, -ECANCELED. For rare
 * waits. */
int loop_wait(int fd, short poll_events, kurir_time until) KURIR_PARKS;

/* Work for the end of this round, after the ready fibers ran; once per object while queued. */
struct loop_task {
	void (*run)(struct loop_task *);
	struct loop_task *next;
	bool queued;
};
void loop_defer(struct loop_task *);

#endif
