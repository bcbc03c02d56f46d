/* handover.c - an authenticated connection moves from the edge to the access role.
 * A plain one moves with its descriptor and what the edge has read too much.  With TLS the
 * edge keeps the keys: the access role gets one end of a socket pair, and two fibers here
 * carry the bytes until either side ends.  What access trusts is the ticket, not the edge. */
#include "auth.h"
#include "carry.h"
#include "channel.h"
#include "conn.h"
#include "fiber.h"
#include "instance.h"
#include "listener.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATE_MAX   (256u << 10)
#define REDEEM_TIME 10000
#define PATIENCE    300000 /* ms; the session behind has timeouts of its own */

/* Edge: the two ends of a TLS session that access serves. */
struct pump {
	struct kurir_stream *from, *to;
};

/* One direction, until the end or an error; then the other side is told. */
KURIR_PARKS static void pump_run(void *arg)
{
	struct pump *p = arg;

	(void)carry(p->from, p->to, PATIENCE);
	/* The session learns at once that its client has gone. */
	if (stream_fd(p->to) >= 0)
		(void)shutdown(stream_fd(p->to), SHUT_WR);
}

static int pack_text(struct kurir_buf *b, struct kurir_str s, int r)
{
	return r < 0 ? r : kurir_put_text(b, s);
}

/* text ticket, id, peer, local, listener, protocol, pipeline, account, state, input; u32 peer
 * port; u8 tls mode, encrypted */
static int handover_pack(struct kurir_conn *c, struct kurir_str ticket, struct kurir_str state,
    struct kurir_str input, struct kurir_buf *b)
{
	int r = pack_text(b, ticket, 0);

	r = pack_text(b, c->id, r);
	r = pack_text(b, c->from.peer, r);
	r = pack_text(b, c->from.local, r);
	r = pack_text(b, c->from.listener, r);
	r = pack_text(b, c->from.protocol, r);
	r = pack_text(b, c->from.pipeline, r);
	r = pack_text(b, c->account, r);
	r = pack_text(b, state, r);
	r = pack_text(b, input, r);
	if (r >= 0)
		r = kurir_put_u32(b, c->from.peer_port);
	if (r >= 0)
		r = kurir_put_u8(b, (uint8_t)c->from.tls);
	if (r >= 0)
		r = kurir_put_u8(b, kurir_conn_encrypted(c));
	return r;
}

KURIR_PARKS static int handover_call(struct kurir_conn *c, struct kurir_str ticket,
    struct kurir_str state, struct kurir_str input, int fd, kurir_time until)
{
	struct kurir_buf b = KURIR_BUF(KURIR_CALL_MAX);
	int r = handover_pack(c, ticket, state, input, &b);

	if (r >= 0)
		r = kurir_call(NULL,
		    &(struct kurir_request){ .endpoint = "conn.resume",
			.key = kurir_str_hash(c->account),
			.body = kurir_buf_str(&b),
			.fd = fd },
		    until, NULL, NULL);
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS static int handover_plain(
    struct kurir_conn *c, struct kurir_str ticket, struct kurir_str state, kurir_time until)
{
	struct kurir_str input = KURIR_STR("");
	int r;

	if (kurir_pending(c->stream) > 0 && kurir_peek(c->stream, 0, &input, until) < 0)
		return -ECONNRESET;
	r = handover_call(c, ticket, state, input, stream_fd(c->stream), until);
	/* Not refused: it may have begun there, and two must not speak with one client. */
	c->doubtful = r == -ETIMEDOUT || r == -ECANCELED || r == -ECONNRESET;
	if (r < 0)
		return r;
	r = stream_detach(c->stream);
	if (r >= 0)
		(void)close(r);
	c->stream = NULL;
	return 0;
}

KURIR_PARKS static int handover_carry(
    struct kurir_conn *c, struct kurir_str ticket, struct kurir_str state, kurir_time until)
{
	struct pump in = { .from = c->stream }, out = { .to = c->stream };
	struct kurir_stream *inner;
	struct kurir_group *g;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = handover_call(c, ticket, state, KURIR_STR(""), pair[1], until);
	(void)close(pair[1]);
	if (r < 0) {
		(void)close(pair[0]);
		return r;
	}
	r = kurir_stream_of(pair[0], &inner);
	if (r < 0)
		return 0; /* access sees the end of the connection */
	in.to = out.from = inner;
	g = kurir_group_begin(NULL);
	/* The client's bytes on a fiber of their own; the session's end is the end. */
	if (kurir_group_go(g, "carry in", pump_run, &in) >= 0)
		pump_run(&out);
	(void)kurir_flush(c->stream, kurir_now() + 5000);
	kurir_group_end(g);
	kurir_close(inner);
	kurir_close(c->stream);
	c->stream = NULL;
	return 0;
}

KURIR_PARKS int kurir_conn_handover(
    struct kurir_conn *c, struct kurir_str ticket, struct kurir_str state, kurir_time until)
{
	int r;

	if (c == NULL || c->magic != CONN_MAGIC)
		abort();
	if (state.len > STATE_MAX)
		return -EMSGSIZE;
	r = kurir_flush(c->stream, until);
	if (r < 0)
		return r;
	return stream_fd(c->stream) >= 0 ? handover_plain(c, ticket, state, until)
					 : handover_carry(c, ticket, state, until);
}

/* Access. */

struct resumed {
	struct kurir_conn *conn;
	const struct kurir_protocol_ops *ops;
	struct kurir_self *owner;
	struct kurir_str state;
};

KURIR_PARKS static void resumed_run(void *arg)
{
	struct resumed *s = arg;
	struct kurir_conn *c = s->conn;

	fiber_set_label(c->id);
	s->ops->resume(s->owner, c, s->state);
	conn_free(c); /* s lives in its arena */
	fiber_set_label(KURIR_STR(""));
}

/* Takes fd. */
static int resume_begin(const struct conn_origin *from, struct kurir_str id,
    struct kurir_str account, struct kurir_str state, struct kurir_str input, int fd)
{
	struct kurir_stream *stream;
	struct resumed *s;
	struct kurir_conn *c;
	char name[64] = "";
	int r;

	if (from->protocol.len >= sizeof(name)) {
		(void)close(fd);
		return -EINVAL;
	}
	memcpy(name, from->protocol.ptr, from->protocol.len);
	r = stream_of_stranger(fd, &stream);
	if (r < 0)
		return r;
	c = conn_new(stream, from, id);
	s = kurir_alloc(c->arena, sizeof(*s));
	s->conn = c;
	s->ops = kurir_service_find("protocol", name, &s->owner);
	s->state = kurir_copy(c->arena, state);
	kurir_conn_set_account(c, account);
	r = s->ops == NULL || s->ops->resume == NULL ? -ENOENT : stream_unread(stream, input);
	if (r >= 0)
		r = listener_go(resumed_run, s);
	if (r < 0)
		conn_drop(c);
	return r;
}

KURIR_PARKS static int resume_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_str ticket = kurir_get_text(&rd), id = kurir_get_text(&rd), account;
	struct conn_origin from = { .peer = kurir_get_text(&rd) };
	struct kurir_str state, input;
	int r, fd;

	(void)reply;
	from.local = kurir_get_text(&rd);
	from.listener = kurir_get_text(&rd);
	from.protocol = kurir_get_text(&rd);
	from.pipeline = kurir_get_text(&rd);
	account = kurir_get_text(&rd);
	state = kurir_get_text(&rd);
	input = kurir_get_text(&rd);
	from.peer_port = (uint16_t)kurir_get_u32(&rd);
	from.tls = (enum kurir_tls_mode)kurir_get_u8(&rd);
	from.encrypted = kurir_get_u8(&rd) != 0;
	r = rd.error < 0 || in->fd < 0 || from.tls > KURIR_TLS_IMPLICIT ? -EBADMSG : 0;
	/* What the edge says the account is only chose the process. */
	if (r >= 0)
		r = ticket_redeem(
		    ticket, from.protocol, kurir_now() + REDEEM_TIME, kurir_scratch(), &account);
	if (r < 0)
		return r;
	fd = fcntl(in->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : resume_begin(&from, id, account, state, input, fd);
}

void handover_serve(void)
{
	channel_serve("conn.resume", KURIR_ROLE_ACCESS, resume_called, NULL);
}
