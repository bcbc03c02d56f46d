/* dns_event.c - the event base that libunbound runs on: its "pluggable event" tables, over
 * kurir_watch.
 * The rules are libevent's: an event that is not persistent is off before its callback; the time
 * of a persistent one starts anew with each call. */
#include "dns_event.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>

/* The header does not name them: libevent's bits. */
#define BIT_TIMEOUT 0x01
#define BIT_READ    0x02
#define BIT_WRITE   0x04
#define BIT_PERSIST 0x10
#define MAGIC	    0x44d74d78

struct dns_event_base {
	struct ub_event_base ub; /* first */
	struct kurir_self *self;
};

struct dns_event {
	struct ub_event ub; /* first */
	struct kurir_self *self;
	struct kurir_watch *watch; /* for watch_fd */
	int fd, watch_fd;
	short bits;
	kurir_time span; /* -1: no time */
	void (*tell)(int, short, void *);
	void *arg;
};

static void event_off(struct dns_event *e)
{
	if (e->watch != NULL)
		(void)kurir_watch_set(e->watch, 0, KURIR_FOREVER);
}

static int event_on(struct dns_event *e)
{
	short events = 0;

	if (e->fd >= 0 && e->bits & BIT_READ)
		events |= POLLIN;
	if (e->fd >= 0 && e->bits & BIT_WRITE)
		events |= POLLOUT;
	return kurir_watch_set(
	    e->watch, events, e->span < 0 ? KURIR_FOREVER : kurir_now() + e->span);
}

static void event_ready(void *arg, short events)
{
	struct dns_event *e = arg;
	short bits = 0;

	if (events == 0)
		bits |= BIT_TIMEOUT;
	if (events & POLLIN)
		bits |= BIT_READ;
	if (events & POLLOUT)
		bits |= BIT_WRITE;
	if (!(e->bits & BIT_PERSIST))
		event_off(e);
	else if (e->span >= 0)
		(void)event_on(e);
	e->tell(e->fd, bits, e->arg); /* may free e */
}

static void event_add_bits(struct ub_event *u, short bits)
{
	((struct dns_event *)u)->bits |= bits;
}

static void event_del_bits(struct ub_event *u, short bits)
{
	struct dns_event *e = (struct dns_event *)u;

	e->bits = (short)(e->bits & ~bits);
}

static void event_set_fd(struct ub_event *u, int fd)
{
	((struct dns_event *)u)->fd = fd;
}

static void event_free(struct ub_event *u)
{
	struct dns_event *e = (struct dns_event *)u;

	kurir_watch_free(e->watch);
	free(e);
}

static int event_add(struct ub_event *u, struct timeval *tv)
{
	struct dns_event *e = (struct dns_event *)u;

	if (e->watch != NULL && e->watch_fd != e->fd) {
		kurir_watch_free(e->watch);
		e->watch = NULL;
	}
	if (e->watch == NULL && kurir_watch_new(e->self, e->fd, event_ready, e, &e->watch) < 0)
		return -1;
	e->watch_fd = e->fd;
	e->span = tv == NULL ? -1 : (kurir_time)tv->tv_sec * 1000 + (tv->tv_usec + 999) / 1000;
	return event_on(e) < 0 ? -1 : 0;
}

static int event_del(struct ub_event *u)
{
	event_off((struct dns_event *)u);
	return 0;
}

static int event_add_timer(struct ub_event *u, struct ub_event_base *base,
    void (*tell)(int, short, void *), void *arg, struct timeval *tv)
{
	struct dns_event *e = (struct dns_event *)u;

	(void)base;
	e->tell = tell;
	e->arg = arg;
	return event_add(u, tv);
}

static int event_signal_add(struct ub_event *u, struct timeval *tv)
{
	(void)u;
	(void)tv;
	return -1;
}

static int event_signal_del(struct ub_event *u)
{
	(void)u;
	return -1;
}

static struct ub_event_vmt event_table = {
	.add_bits = event_add_bits,
	.del_bits = event_del_bits,
	.set_fd = event_set_fd,
	.free = event_free,
	.add = event_add,
	.del = event_del,
	.add_timer = event_add_timer,
	.del_timer = event_del,
	.add_signal = event_signal_add,
	.del_signal = event_signal_del,
};

static struct ub_event *base_event(
    struct ub_event_base *u, int fd, short bits, void (*tell)(int, short, void *), void *arg)
{
	struct dns_event *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->ub.magic = MAGIC;
	e->ub.vmt = &event_table;
	e->self = ((struct dns_event_base *)u)->self;
	e->fd = e->watch_fd = fd;
	e->bits = bits;
	e->span = -1;
	e->tell = tell;
	e->arg = arg;
	return &e->ub;
}

static struct ub_event *base_signal(
    struct ub_event_base *u, int fd, void (*tell)(int, short, void *), void *arg)
{
	return base_event(u, -1, 0, tell, ((void)fd, arg));
}

static void base_free(struct ub_event_base *u)
{
	(void)u;
}

static int base_dispatch(struct ub_event_base *u)
{
	(void)u;
	return -1;
}

static int base_exit(struct ub_event_base *u, struct timeval *tv)
{
	(void)u;
	(void)tv;
	return -1;
}

static struct ub_event_base_vmt base_table = {
	.free = base_free,
	.dispatch = base_dispatch,
	.loopexit = base_exit,
	.new_event = base_event,
	.new_signal = base_signal,
};

struct dns_event_base *dns_event_base_new(struct kurir_self *self)
{
	struct dns_event_base *b = kurir_alloc(kurir_self_arena(self), sizeof(*b));

	b->ub.magic = MAGIC;
	b->ub.vmt = &base_table;
	b->self = self;
	return b;
}

struct ub_event_base *dns_event_base_ub(struct dns_event_base *b)
{
	return &b->ub;
}
