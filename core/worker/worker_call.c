/* worker_call.c - the proxy in the edge: asks the worker, does what its module wanted done. */
#include "worker.h"
#include "worker_wire.h"

#include "carry.h"
#include "instance.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define END_WAIT 5000 /* ms for points that only tell */

/* Which life of this process it is: a worker forgets the sessions of the one before. */
static uint64_t this_edge(void)
{
	static uint64_t id;

	if (id == 0 && getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		id = (uint64_t)kurir_wallclock();
	return id;
}

/* The message on its way to the worker, piece by piece, as far as its module reads. */
struct feed {
	struct kurir_stream *from, *to;
	struct kurir_group *group;
	int result;
};

KURIR_PARKS static void feed_run(void *arg)
{
	struct feed *f = arg;
	int r = carry(f->from, f->to, KURIR_FOREVER); /* the hook has its deadline */

	f->result = r == -EPIPE || r == -ECONNRESET || r == -ECANCELED ? 0 : r;
	kurir_close(f->to);
	f->to = NULL;
}

/* The worker's end, or -errno. */
KURIR_PARKS static int feed_begin(struct feed *f, struct chain_call *c)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = kurir_stream_of(pair[0], &f->to);
	if (r >= 0)
		r = c->open(c, &f->from);
	if (r >= 0) {
		f->group = kurir_group_begin(NULL);
		r = kurir_group_go(f->group, "message to worker", feed_run, f);
	}
	if (r >= 0)
		return pair[1];
	(void)close(pair[1]);
	return r;
}

/* Nothing is read any more.  -errno: the module did not see all it could have. */
KURIR_PARKS static int feed_end(struct feed *f)
{
	if (f->group != NULL)
		kurir_group_end(f->group);
	kurir_close(f->to);
	kurir_close(f->from);
	return f->result;
}

static void describe_conn(struct kurir_conn *conn, struct worker_question *q)
{
	struct session *s = session_of(conn);

	q->id = kurir_conn_id(conn);
	q->from = (struct conn_origin){ .peer = kurir_conn_peer(conn),
		.peer_port = kurir_conn_peer_port(conn),
		.local = kurir_conn_local(conn),
		.listener = kurir_conn_listener(conn),
		.protocol = kurir_conn_protocol(conn),
		.pipeline = kurir_conn_pipeline(conn),
		.tls = kurir_conn_tls_mode(conn),
		.encrypted = kurir_conn_encrypted(conn),
		.simulated = kurir_conn_simulated(conn) };
	q->account = kurir_conn_account(conn);
	q->helo = (struct kurir_str){ s->helo, s->helo_len };
}

/* Recipients go over once; all of them again when somebody changed some. */
static void describe_tx(struct kurir_tx *tx, struct chain_far_tx *seen, struct worker_question *q)
{
	struct kurir_recipient *list;

	if (seen->changes != tx->changes)
		seen->sent = 0;
	seen->changes = tx->changes;
	q->has_tx = true;
	q->tx_id = tx->id;
	q->tx = (struct kurir_tx_params){ .sender = tx->sender,
		.envid = tx->envid,
		.flags = tx->flags,
		.trusted = tx->trusted };
	q->bytes = tx->bytes;
	q->base = seen->sent;
	q->count = (uint32_t)tx->count - seen->sent;
	q->rcpts = list = kurir_alloc(kurir_scratch(), (q->count + 1) * sizeof(*list));
	for (uint32_t i = 0; i < q->count; i++)
		list[i] = tx->rcpts[q->base + i]->r;
}

/* Whole fields, folded lines and all; what kurir_header_add() refuses is not added. */
static int add_headers(struct kurir_tx *tx, struct kurir_str lines)
{
	char *value = kurir_alloc(kurir_scratch(), lines.len + 1); /* of one, then of the next */
	int r = 0;

	while (lines.len > 0 && r == 0) {
		ssize_t colon = kurir_str_find(lines, ':');
		size_t at = (size_t)colon + 1, n = 0;
		struct kurir_str name = kurir_str_part(lines, 0, (size_t)colon);

		if (colon < 0)
			return -EBADMSG;
		if (at < lines.len && lines.ptr[at] == ' ')
			at++;
		for (; at < lines.len; at++) {
			bool folded = at + 1 < lines.len &&
			    (lines.ptr[at + 1] == ' ' || lines.ptr[at + 1] == '\t');

			if (lines.ptr[at] == '\n' && !folded)
				break;
			if (lines.ptr[at] != '\r')
				value[n++] = lines.ptr[at];
		}
		r = kurir_header_add(tx, name, (struct kurir_str){ value, n });
		lines = kurir_str_part(lines, at + 1, lines.len);
	}
	return r;
}

static int change_envelope(struct chain_call *c, const struct worker_change *change)
{
	struct kurir_rcpt *to =
	    change->place == WORKER_THIS ? c->rcpt : kurir_tx_rcpt_at(c->tx, change->place);

	switch (change->kind) {
	case WORKER_SENDER:
		return kurir_tx_set_sender(c->tx, change->address);
	case WORKER_ADD:
		return kurir_rcpt_add(c->tx, change->address);
	case WORKER_SET:
		return to != NULL ? kurir_rcpt_set_address(c->tx, to, change->address) : -EBADMSG;
	case WORKER_DROP:
		return to != NULL ? kurir_rcpt_drop(c->tx, to) : -EBADMSG;
	case WORKER_CHANGES:
		break;
	}
	return -EBADMSG;
}

/* The highest place is dropped first: so that costs no more than the list is long. */
static bool in_order(const struct worker_answer *a, uint32_t i)
{
	const struct worker_change *now = &a->changes[i], *before = now - 1;

	return i == 0 || now->kind != WORKER_DROP || before->kind != WORKER_DROP ||
	    now->place < before->place;
}

/* What the module did there is done here, as far as it may. */
static int carry_out(struct chain_call *c, struct kurir_conn *conn, struct kurir_str text)
{
	struct kurir_reader in = KURIR_READER(text);
	struct worker_answer a;
	int r = worker_get_answer(&in, kurir_scratch(), &a);

	if (r == 0 && a.code > 0)
		r = kurir_reply(conn, (int)a.code,
		    a.xyz.len > 0 ? kurir_copy(kurir_scratch(), a.xyz).ptr : NULL, "%.*s",
		    KURIR_ARG(kurir_str_part(a.text, 0, REPLY_TEXT_MAX)));
	if (r == 0 && a.headers.len > 0)
		r = c->tx != NULL ? add_headers(c->tx, a.headers) : -EBADMSG;
	if (r == 0 && a.hold && c->tx != NULL && tx_may(c->tx, KURIR_CAP_RCPT))
		c->tx->flags |= KURIR_ENV_HOLD; /* the worker has told why */
	if (r == 0 && a.count > 0 && c->tx == NULL)
		r = -EBADMSG;
	for (uint32_t i = 0; i < a.count && r == 0; i++)
		r = in_order(&a, i) ? change_envelope(c, &a.changes[i]) : -EBADMSG;
	return r;
}

KURIR_PARKS static int ask(struct kurir_self *self, const struct worker_question *q, int fd,
    struct kurir_str *ret_answer)
{
	struct kurir_buf b = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_request request = {
		.endpoint = WORKER_ENDPOINT, .key = self->worker - 1, .fd = fd
	};
	bool tells = q->point == CHAIN_DONE || q->point == CHAIN_CLOSED;
	int r = worker_put_question(&b, q);

	request.body = kurir_buf_str(&b);
	if (r == 0)
		r = kurir_call(self, &request, tells ? kurir_now() + END_WAIT : KURIR_FOREVER,
		    kurir_scratch(), ret_answer);
	kurir_buf_free(&b);
	return r;
}

/* A worker that began anew lacks recipients it was told of: once more, with all of them. */
KURIR_PARKS static int ask_knowing(struct kurir_self *self, struct chain_call *c,
    struct worker_question *q, int fd, struct kurir_str *ret_answer)
{
	int r = ask(self, q, fd, ret_answer);

	if (r != -ESTALE || c->tx == NULL)
		return r;
	((struct chain_far_tx *)kurir_tx_state(c->tx, self))->sent = 0;
	describe_tx(c->tx, kurir_tx_state(c->tx, self), q);
	return ask(self, q, fd, ret_answer);
}

static struct worker_question describe(struct kurir_self *self, enum chain_point point,
    struct chain_call *c, struct kurir_conn *conn)
{
	struct worker_question q = { .instance = kurir_str_of(self->name),
		.edge = this_edge(),
		.edge_index = kurir_role_index(),
		.point = point,
		.text = c->text,
		.verdict = c->verdict };

	describe_conn(conn, &q);
	if (c->tx != NULL)
		describe_tx(c->tx, kurir_tx_state(c->tx, self), &q);
	if (c->rcpt != NULL) {
		q.has_rcpt = true;
		q.rcpt = c->rcpt->r;
	}
	return q;
}

/* MESSAGE: with the body beside it. */
KURIR_PARKS static int ask_feeding(struct kurir_self *self, struct chain_call *c,
    struct worker_question *q, struct kurir_str *ret_answer)
{
	struct feed feed = { .result = 0 };
	int fd = feed_begin(&feed, c), r, e;

	r = fd < 0 ? fd : ask_knowing(self, c, q, fd, ret_answer);
	if (fd >= 0)
		(void)close(fd);
	e = feed_end(&feed);
	return r < 0 ? r : e < 0 ? e : r;
}

KURIR_PARKS int worker_hook(struct kurir_self *self, enum chain_point point, struct chain_call *c)
{
	struct kurir_conn *conn = c->conn != NULL ? c->conn : kurir_tx_conn(c->tx);
	struct chain_far_conn *seen = kurir_conn_state(conn, self);
	struct chain_far_tx *tx = c->tx != NULL ? kurir_tx_state(c->tx, self) : NULL;
	struct kurir_str answer = KURIR_STR("");
	struct worker_question q;
	int r, e;

	if ((point == CHAIN_CLOSED && !seen->known) || (point == CHAIN_DONE && !tx->known))
		return KURIR_NEXT;
	q = describe(self, point, c, conn);
	seen->known = true;
	if (tx != NULL)
		tx->known = true;
	r = point == CHAIN_MESSAGE ? ask_feeding(self, c, &q, &answer)
				   : ask_knowing(self, c, &q, -1, &answer);
	if (r < 0)
		return r;
	if (tx != NULL)
		tx->sent = q.base + q.count;
	if (point == CHAIN_DONE || point == CHAIN_CLOSED)
		return KURIR_NEXT;
	e = carry_out(c, conn, answer);
	return e < 0 ? e : r;
}
