/* watch.c - descriptors and clocks for modules: kurir_wait_fd() and kurir_watch.
 * The loop is edge-triggered; a watch asks again after each call, which makes it level-triggered
 * for libraries that read one piece at a time. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct kurir_watch {
	struct loop_fd fd;
	struct loop_timer timer;
	void (*ready)(void *arg, short events);
	void *arg;
	short events; /* asked for */
	bool added;   /* to the loop */
	bool *gone;   /* set when freed in its own callback */
};

KURIR_PARKS int kurir_wait_fd(int fd, short poll_events, kurir_time until)
{
	return loop_wait(fd, poll_events, until);
}

static uint32_t watch_epoll_events(short events)
{
	uint32_t e = EPOLLET;

	if (events & POLLIN)
		e |= EPOLLIN | EPOLLRDHUP;
	if (events & POLLOUT)
		e |= EPOLLOUT;
	return e;
}

static void watch_ready(struct loop_fd *f, uint32_t got)
{
	struct kurir_watch *w =
	    (struct kurir_watch *)((char *)f - offsetof(struct kurir_watch, fd));
	short events = 0;
	bool gone = false;

	if (got & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		events |= POLLIN;
	if (got & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		events |= POLLOUT;
	events &= w->events;
	if (events == 0)
		return;
	w->gone = &gone;
	w->ready(w->arg, events);
	if (gone)
		return;
	w->gone = NULL;
	if (w->added && w->events != 0)
		(void)loop_fd_change(&w->fd, watch_epoll_events(w->events));
}

static void watch_fire(struct loop_timer *t)
{
	struct kurir_watch *w =
	    (struct kurir_watch *)((char *)t - offsetof(struct kurir_watch, timer));
	bool gone = false;

	w->gone = &gone;
	w->ready(w->arg, 0);
	if (!gone)
		w->gone = NULL;
}

int kurir_watch_new(struct kurir_self *self, int fd, void (*ready)(void *arg, short events),
    void *arg, struct kurir_watch **ret)
{
	struct kurir_watch *w = calloc(1, sizeof(*w));

	(void)self;
	if (w == NULL)
		return -ENOMEM;
	w->fd.fd = fd;
	w->fd.ready = watch_ready;
	w->ready = ready;
	w->arg = arg;
	*ret = w;
	return 0;
}

int kurir_watch_set(struct kurir_watch *w, short poll_events, kurir_time until)
{
	int r = 0;

	if (until == KURIR_FOREVER)
		loop_timer_clear(&w->timer);
	else
		loop_timer_set(&w->timer, until, watch_fire);
	w->events = poll_events;
	if (w->fd.fd < 0)
		return 0;
	if (poll_events == 0) {
		if (w->added)
			loop_fd_remove(&w->fd);
		w->added = false;
		return 0;
	}
	r = w->added ? loop_fd_change(&w->fd, watch_epoll_events(poll_events))
		     : loop_fd_add(&w->fd, watch_epoll_events(poll_events));
	if (r >= 0)
		w->added = true;
	return r;
}

void kurir_watch_free(struct kurir_watch *w)
{
	if (w == NULL)
		return;
	if (w->gone != NULL)
		*w->gone = true;
	if (w->added)
		loop_fd_remove(&w->fd);
	loop_timer_clear(&w->timer);
	free(w);
}
