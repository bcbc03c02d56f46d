/* dial_far.c - kurir_dial() of roles that have no network: the resolver connects, and carries the
 * bytes.
 *
 *   dial = text address, text source; and a descriptor, the other end of the caller's stream
 *
 * The call is answered when the connection stands.  It lasts until one of both sides ends; what
 * the other host said before is handed on first.  Lines count as connections, so that a resolver
 * that is replaced ends after them. */
#include "dial_far.h"

#include "carry.h"
#include "channel.h"
#include "conn.h"
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDPOINT    "dial"
#define CONNECT_MAX 300000 /* ms; the caller's own deadline cancels the call */
#define PATIENCE    300000

struct line {
	struct kurir_conn *conn; /* the caller's side */
	struct kurir_stream *out;
	struct kurir_signal *ended;
	bool over;
};
struct direction {
	struct line *line;
	struct kurir_stream *from, *to;
};

KURIR_PARKS static void direction_run(void *arg)
{
	struct direction *d = arg;

	(void)carry(d->from, d->to, PATIENCE);
	d->line->over = true;
	kurir_signal_raise(d->line->ended);
}

KURIR_PARKS static void line_run(void *arg)
{
	struct line *l = arg;
	struct kurir_stream *inner = kurir_conn_stream(l->conn);
	struct direction there = { l, inner, l->out }, back = { l, l->out, inner };
	struct kurir_group *g = kurir_group_begin(NULL);

	if (kurir_group_go(g, "dial out", direction_run, &there) >= 0 &&
	    kurir_group_go(g, "dial in", direction_run, &back) >= 0)
		while (!l->over && kurir_signal_wait(l->ended, KURIR_FOREVER) >= 0)
			continue;
	kurir_group_end(g);
	kurir_close(l->out);
	conn_drop(l->conn); /* the line lives in its arena */
}

/* Takes out. */
static int line_begin(struct kurir_str address, int fd, struct kurir_stream *out)
{
	static struct kurir_group *lines;
	struct conn_origin from = { .peer = address };
	struct kurir_stream *inner;
	struct kurir_conn *conn;
	struct line *l;
	int r = kurir_stream_of(fd, &inner);

	if (r < 0) {
		kurir_close(out);
		return r;
	}
	conn = conn_new(inner, &from, KURIR_STR(""));
	l = kurir_alloc(kurir_conn_arena(conn), sizeof(*l));
	*l = (struct line){
		.conn = conn, .out = out, .ended = kurir_signal_new(kurir_conn_arena(conn))
	};
	if (lines == NULL)
		lines = kurir_group_begin(NULL);
	r = kurir_group_go(lines, "dial", line_run, l);
	if (r < 0) {
		kurir_close(out);
		conn_drop(conn);
	}
	return r;
}

KURIR_PARKS static int dial_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_str address = kurir_get_text(&rd), source = kurir_get_text(&rd);
	struct kurir_stream *out;
	int fd, r;

	(void)reply;
	if (rd.error < 0 || in->fd < 0)
		return -EBADMSG;
	r = dial_direct(NULL, address, source, kurir_now() + CONNECT_MAX, &out);
	if (r < 0)
		return r;
	fd = fcntl(in->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		r = -errno;
		kurir_close(out);
		return r;
	}
	return line_begin(address, fd, out);
}

KURIR_PARKS static int dial_far(struct kurir_self *self, struct kurir_str address,
    struct kurir_str source, kurir_time until, struct kurir_stream **ret)
{
	struct kurir_buf b = KURIR_BUF(4096);
	int pair[2], r = kurir_put_text(&b, address);

	if (r == 0)
		r = kurir_put_text(&b, source);
	if (r == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		r = -errno;
	if (r == 0) {
		struct kurir_request q = { .endpoint = ENDPOINT,
			.key = kurir_str_hash(address),
			.body = kurir_buf_str(&b),
			.fd = pair[1] };

		r = kurir_call(self, &q, until, NULL, NULL);
		(void)close(pair[1]);
		if (r >= 0)
			r = kurir_stream_of(pair[0], ret); /* takes it in any case */
		else
			(void)close(pair[0]);
	}
	kurir_buf_free(&b);
	return r;
}

void dial_far_serve(bool serves, bool asks)
{
	if (serves)
		channel_serve(ENDPOINT, KURIR_ROLE_RESOLVER, dial_called, NULL);
	else
		channel_book_endpoint(KURIR_STR(ENDPOINT), KURIR_ROLE_RESOLVER);
	dial_through = asks ? dial_far : NULL;
}
