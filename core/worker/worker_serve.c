/* worker_serve.c - the worker: its module's hooks, called for sessions that live in the edge.
 *
 * A session here is a connection without a socket.  It ends when the edge says so, when that edge
 * has ended, or when it is the one that was silent longest of too many. */
#include "worker.h"
#include "worker_wire.h"

#include "call.h"
#include "channel.h"
#include "instance.h"
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/time.h>
#include <unistd.h>

#define SESSIONS_MAX 50000
#define BUCKETS	     4096u
#define BEAT	     250  /* ms */
#define STALLED_MIN  1000 /* ms */
#define STALLED_MAX  5000

struct guest {
	struct kurir_conn *conn;
	struct session *session;
	uint64_t edge;
	uint32_t edge_index;
	bool busy, over; /* over: ends when it is not busy any more */
	LIST_ENTRY(guest) chain;
	TAILQ_ENTRY(guest) order; /* who was silent longest comes first */
};
static LIST_HEAD(, guest) guests[BUCKETS];
static TAILQ_HEAD(, guest) by_age = TAILQ_HEAD_INITIALIZER(by_age);
static unsigned guest_count;
static struct kurir_self *host; /* the one instance whose hooks are here */
static const struct chain *hooks;

static struct guest *guest_find(struct kurir_str id)
{
	struct guest *g;

	LIST_FOREACH(g, &guests[kurir_str_hash(id) % BUCKETS], chain)
	if (kurir_str_equal(kurir_conn_id(g->conn), id))
		return g;
	return NULL;
}

/* Nobody finds it any more.  One that is busy is ended by who makes it so. */
static bool guest_unlink(struct guest *g)
{
	if (g->busy) {
		g->over = true;
		return false;
	}
	LIST_REMOVE(g, chain);
	TAILQ_REMOVE(&by_age, g, order);
	guest_count--;
	return true;
}

KURIR_PARKS static void guest_free(struct guest *g)
{
	kurir_session_closed(g->conn);
	conn_drop(g->conn);
	free(g);
}

KURIR_PARKS static void guest_end(struct guest *g)
{
	if (guest_unlink(g))
		guest_free(g);
}

/* An edge that began anew has none of the sessions of its former life. */
KURIR_PARKS static void forget_former(const struct worker_question *q)
{
	TAILQ_HEAD(, guest) former = TAILQ_HEAD_INITIALIZER(former);
	struct guest *g = TAILQ_FIRST(&by_age), *next;

	for (; g != NULL; g = next) {
		next = TAILQ_NEXT(g, order);
		if (g->edge_index == q->edge_index && g->edge != q->edge && guest_unlink(g))
			TAILQ_INSERT_TAIL(&former, g, order);
	}
	while ((g = TAILQ_FIRST(&former)) != NULL) {
		TAILQ_REMOVE(&former, g, order);
		guest_free(g);
	}
}

KURIR_PARKS static struct guest *guest_new(const struct worker_question *q)
{
	static uint64_t edges[256]; /* by index: the life that was seen last */
	struct guest *g;

	if (edges[q->edge_index % 256] != q->edge) {
		edges[q->edge_index % 256] = q->edge;
		forget_former(q);
	}
	if (guest_count >= SESSIONS_MAX)
		guest_end(TAILQ_FIRST(&by_age));
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return NULL;
	g->conn = conn_new(NULL, &q->from, q->id);
	g->session = session_of(g->conn);
	g->session->chain = hooks;
	g->edge = q->edge;
	g->edge_index = q->edge_index;
	LIST_INSERT_HEAD(&guests[kurir_str_hash(q->id) % BUCKETS], g, chain);
	TAILQ_INSERT_TAIL(&by_age, g, order);
	guest_count++;
	return g;
}

static void refresh(struct guest *g, const struct worker_question *q)
{
	struct kurir_str helo = kurir_str_part(q->helo, 0, sizeof(g->session->helo));

	TAILQ_REMOVE(&by_age, g, order);
	TAILQ_INSERT_TAIL(&by_age, g, order);
	if (!kurir_str_equal(kurir_conn_account(g->conn), q->account))
		kurir_conn_set_account(g->conn, q->account);
	g->conn->from.encrypted = q->from.encrypted;
	memcpy(g->session->helo, helo.ptr, helo.len);
	g->session->helo_len = helo.len;
}

static struct kurir_rcpt *rcpt_copy(struct kurir_tx *tx, const struct kurir_recipient *from)
{
	struct kurir_rcpt *r = kurir_alloc(tx->arena, sizeof(*r));

	r->r = (struct kurir_recipient){ .address = kurir_copy(tx->arena, from->address),
		.orcpt = kurir_copy(tx->arena, from->orcpt),
		.notify = from->notify };
	return r;
}

/* The transaction as the edge has it.  -ESTALE: recipients are missing here. */
KURIR_PARKS static int refresh_tx(struct guest *g, const struct worker_question *q)
{
	struct kurir_tx *tx = g->session->tx;

	if (!q->has_tx)
		return 0;
	if (tx == NULL || !kurir_str_equal(tx->id, q->tx_id))
		tx = tx_new(g->session, q->tx_id, &q->tx);
	if (q->base > tx->count)
		return -ESTALE;
	tx->bytes = q->bytes;
	if (!kurir_str_equal(tx->sender, q->tx.sender))
		tx->sender = kurir_copy(tx->arena, q->tx.sender);
	tx->count = q->base;
	for (uint32_t i = 0; i < q->count; i++)
		tx_keep(tx, rcpt_copy(tx, &q->rcpts[i]));
	return 0;
}

/* The envelope before the hook ran. */
struct before {
	struct kurir_str sender;
	size_t count;
	struct kurir_rcpt **rcpts;
	struct kurir_str *addresses; /* the last one: of the one that it is about */
};

/* At RCPT it is about one; a list of many is not gone through for each of them. */
static struct before remember(const struct chain_call *c)
{
	struct before b = { .count = c->tx != NULL && c->rcpt == NULL ? c->tx->count : 0 };

	b.rcpts = kurir_alloc(kurir_scratch(), (b.count + 1) * sizeof(struct kurir_rcpt *));
	b.addresses = kurir_alloc(kurir_scratch(), (b.count + 1) * sizeof(*b.addresses));
	for (size_t i = 0; i < b.count; i++) {
		b.rcpts[i] = c->tx->rcpts[i];
		b.addresses[i] = b.rcpts[i]->r.address;
	}
	if (c->rcpt != NULL)
		b.addresses[b.count] = c->rcpt->r.address;
	if (c->tx != NULL)
		b.sender = c->tx->sender;
	return b;
}

static void note(struct worker_answer *a, struct worker_change *list,
    enum worker_change_kind kind, size_t place, struct kurir_str address)
{
	list[a->count++] = (struct worker_change){ kind, (uint32_t)place, address };
}

/* Found by comparing, as a module may change any of it: those that are left stand in their old
 * order, new ones behind them. */
static void find_changes(
    const struct chain_call *c, const struct before *b, struct worker_answer *a)
{
	size_t now = c->tx != NULL && c->rcpt == NULL ? c->tx->count : 0, kept = 0;
	struct worker_change *list =
	    kurir_alloc(kurir_scratch(), (2 * b->count + now + 2) * sizeof(*list));
	bool *gone = kurir_alloc(kurir_scratch(), b->count + 1);

	if (c->tx != NULL && c->tx->sender.ptr != b->sender.ptr)
		note(a, list, WORKER_SENDER, 0, c->tx->sender);
	if (c->rcpt != NULL && c->rcpt->r.address.ptr != b->addresses[b->count].ptr)
		note(a, list, WORKER_SET, WORKER_THIS, c->rcpt->r.address);
	for (size_t i = 0; i < b->count; i++) {
		gone[i] = kept == now || c->tx->rcpts[kept] != b->rcpts[i];
		kept += !gone[i];
		if (!gone[i] && b->rcpts[i]->r.address.ptr != b->addresses[i].ptr)
			note(a, list, WORKER_SET, i, b->rcpts[i]->r.address);
	}
	for (size_t i = b->count; i-- > 0;)
		if (gone[i])
			note(a, list, WORKER_DROP, i, KURIR_STR(""));
	for (size_t i = kept; i < now; i++)
		note(a, list, WORKER_ADD, 0, c->tx->rcpts[i]->r.address);
	a->changes = list;
}

static int open_body(int fd, struct kurir_stream **ret)
{
	int mine = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -EBADMSG : mine < 0 ? -errno : kurir_stream_of(mine, ret);
}

static int give_body(struct chain_call *c, struct kurir_stream **ret)
{
	*ret = *c->stream;
	*c->stream = NULL;
	return 0;
}

/* The hook, and what it did beside its verdict. */
KURIR_PARKS static int run(
    struct guest *g, const struct worker_question *q, int fd, struct worker_answer *a)
{
	struct session *s = g->session;
	struct kurir_stream *body = NULL;
	struct chain_call c = { .conn = g->conn,
		.tx = s->tx,
		.rcpt = q->has_rcpt && s->tx != NULL ? rcpt_copy(s->tx, &q->rcpt) : NULL,
		.text = q->text,
		.stream = &body,
		.open = give_body,
		.current = &s->current };
	const struct before before = remember(&c);
	size_t headers;
	int r = 0;

	if (q->point == CHAIN_MESSAGE)
		r = open_body(fd, &body);
	if (r < 0)
		return r;
	headers = s->tx != NULL ? s->tx->headers.len : 0;
	reply_clear(s);
	r = chain_one(hooks, q->point, &c);
	kurir_close(body);
	*a = (struct worker_answer){ .code = (uint32_t)s->reply.code,
		.xyz = kurir_str_of(s->reply.xyz),
		.text = { s->reply.text, s->reply.len } };
	a->hold = s->tx != NULL && (s->tx->flags & KURIR_ENV_HOLD) != 0;
	if (s->tx != NULL)
		a->headers =
		    kurir_str_part(kurir_buf_str(&s->tx->headers), headers, s->tx->headers.len);
	find_changes(&c, &before, a);
	return r;
}

KURIR_PARKS static int answer(
    struct guest *g, const struct worker_question *q, int fd, struct kurir_buf *reply)
{
	struct worker_answer a = { .count = 0 };
	int r, e;

	if (g->busy) { /* a call that the edge no longer waits for has not returned yet */
		g->over = g->over || q->point == CHAIN_CLOSED;
		return -EBUSY;
	}
	g->busy = true;
	refresh(g, q);
	r = refresh_tx(g, q);
	if (r == 0 && q->point == CHAIN_DONE && g->session->tx != NULL) {
		g->session->tx->verdict = q->verdict;
		kurir_tx_end(g->session->tx);
	} else if (r == 0 && q->point != CHAIN_CLOSED) {
		r = run(g, q, fd, &a);
	}
	g->busy = false;
	e = r < 0 ? r : worker_put_answer(reply, &a);
	if (q->point == CHAIN_CLOSED || g->over)
		guest_end(g);
	return e < 0 ? e : r;
}

/* The one that this process is for: plan_for_role() left those of other workers out. */
static bool ready(void)
{
	struct kurir_str name;
	size_t missing;

	for (struct kurir_self *s = instance_list; s != NULL && host == NULL; s = s->next)
		if (s->points != 0)
			host = s;
	if (host == NULL || hooks != NULL)
		return host != NULL;
	name = kurir_str_of(host->name);
	if (chain_add(KURIR_STR("(worker)"), &name, 1, &missing) == 0)
		hooks = chain_find(KURIR_STR("(worker)"));
	return hooks != NULL;
}

KURIR_PARKS static int hook_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader reader = KURIR_READER(in->body);
	struct worker_question q;
	struct guest *g;
	int r = worker_get_question(&reader, kurir_scratch(), &q);

	if (r < 0)
		return r;
	if (!ready() || !kurir_str_equal(q.instance, kurir_str_of(host->name)))
		return -ENOENT;
	g = guest_find(q.id);
	if (g == NULL && (q.point == CHAIN_CLOSED || q.point == CHAIN_DONE))
		return worker_put_answer(reply, &(struct worker_answer){ .count = 0 });
	if (g == NULL)
		g = guest_new(&q);
	return g == NULL ? -ENOMEM : answer(g, &q, in->fd, reply);
}

void worker_serve(void)
{
	chain_far = worker_hook;
	channel_serve(WORKER_ENDPOINT, KURIR_ROLE_WORKER, hook_called, NULL);
}

/* Who blocks for longer than the deadline of his hooks answers nobody in time. */
static void beat(struct loop_timer *t)
{
	kurir_time patience = ready() ? host->deadline : STALLED_MAX;
	struct itimerval end = { .it_value = { 0 } };

	patience = patience < STALLED_MIN ? STALLED_MIN
	    : patience > STALLED_MAX	  ? STALLED_MAX
					  : patience;
	end.it_value.tv_sec = (patience + BEAT) / 1000;
	end.it_value.tv_usec = (patience + BEAT) % 1000 * 1000;
	(void)setitimer(ITIMER_REAL, &end, NULL);
	loop_timer_set(t, kurir_now() + BEAT, beat);
}

void worker_watch(void)
{
	static struct loop_timer timer;

	beat(&timer);
}
