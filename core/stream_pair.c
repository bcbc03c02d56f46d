/* stream_pair.c - two ends in memory: what is written to one is read from the other.
 * Each direction holds a bounded number of bytes, so a writer waits for its reader as it would
 * on a socket. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define PAIR_ROOM 65536u

struct stream_end {
	struct stream_layer layer;
	struct stream_end *peer; /* NULL: closed */
	struct kurir_buf in;
	size_t start; /* of what was not read yet */
	struct fiber_waiters readers, writers;
};

static struct stream_end *of_layer(struct stream_layer *l)
{
	return (struct stream_end *)l;
}

static ssize_t pair_read(struct stream_layer *l, void *p, size_t n)
{
	struct stream_end *e = of_layer(l);
	size_t have = e->in.len - e->start;
	if (!have)
		return e->peer ? -EAGAIN : 0;
	if (n > have)
		n = have;
	memcpy(p, e->in.ptr + e->start, n);
	e->start += n;
	if (e->start == e->in.len) {
		e->start = 0;
		kurir_buf_free(&e->in);
	}
	if (e->peer)
		fiber_waiters_wake(&e->peer->writers, 0);
	return (ssize_t)n;
}

static ssize_t pair_write(struct stream_layer *l, const struct iovec *v, int count)
{
	struct stream_end *to = of_layer(l)->peer;
	size_t sent = 0;
	if (!to)
		return -EPIPE;
	kurir_buf_cut(&to->in, to->start);
	to->start = 0;
	for (int i = 0; i < count; i++) {
		size_t n = v[i].iov_len, room = PAIR_ROOM - to->in.len;
		if (n > room)
			n = room;
		kurir_assert(kurir_buf_add(&to->in, (struct kurir_str){ v[i].iov_base, n }) == 0);
		sent += n;
	}
	if (!sent)
		return -EAGAIN;
	fiber_waiters_wake(&to->readers, 0);
	return (ssize_t)sent;
}

KURIR_PARKS static int pair_wait(struct stream_layer *l, enum stream_want want, kurir_time until)
{
	struct stream_end *e = of_layer(l);
	return fiber_waiters_park(want == STREAM_READ ? &e->readers : &e->writers, until);
}

static bool pair_waited(struct stream_layer *l)
{
	return of_layer(l)->readers.first || of_layer(l)->writers.first;
}

static void pair_close(struct stream_layer *l)
{
	struct stream_end *e = of_layer(l);
	kurir_assert(!pair_waited(l));
	if (e->peer) {
		e->peer->peer = NULL;
		fiber_waiters_wake(&e->peer->readers, 0);
		fiber_waiters_wake(&e->peer->writers, 0);
	}
	kurir_buf_free(&e->in);
	free(e);
}

static const struct stream_ops pair_ops = {
	.name = "pair",
	.read = pair_read,
	.write = pair_write,
	.wait = pair_wait,
	.waited = pair_waited,
	.close = pair_close,
};

static struct stream_end *end_new(void)
{
	struct stream_end *e = calloc(1, sizeof(*e));
	if (!e)
		check_no_memory();
	e->layer.ops = &pair_ops;
	e->in = KURIR_BUF(PAIR_ROOM);
	return e;
}

int kurir_stream_pair(struct kurir_stream **ret_a, struct kurir_stream **ret_b)
{
	struct stream_end *a = end_new(), *b = end_new();
	a->peer = b;
	b->peer = a;
	*ret_a = stream_new(&a->layer);
	*ret_b = stream_new(&b->layer);
	return 0;
}
