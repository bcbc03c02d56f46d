/* tx_filter.c - modules that change a message: on its way to the spool, or once it lies there.
 *
 *   session > in|out > stage 1 > stage 2 > pump > queue
 *
 * Each stage is a fiber between two pairs in memory (kurir_filter_body).  The pump runs the
 * filter hooks, which put the stages up, and carries what the last one writes to the queue.
 * Whatever ends first, the pump ends the stages, waits for them, and only then closes what they
 * read. */
#include "trace.h"

#include <errno.h>

#define NEVER	 KURIR_FOREVER
#define PATIENCE 300000

struct tx_filter {
	struct kurir_group *group; /* the stages' */
	int error;		   /* of the first stage that failed */
};

struct stage {
	struct tx_filter *all;
	kurir_body_fn *fn;
	void *arg;
	struct kurir_stream *from, *to;
};

KURIR_PARKS static int drain(struct kurir_stream *from)
{
	struct kurir_str piece;
	int r;

	while ((r = kurir_peek(from, 0, &piece, NEVER)) == 1)
		kurir_consume(from, piece.len);
	return r;
}

KURIR_PARKS static void stage(void *arg)
{
	struct stage *s = arg;
	int r = s->fn(s->arg, s->from, s->to);

	if (r >= 0)
		r = drain(s->from);
	if (r >= 0)
		r = kurir_flush(s->to, kurir_now() + PATIENCE);
	if (r < 0 && s->all->error == 0)
		s->all->error = r;
	kurir_close(s->to);
}

int kurir_filter_body(
    struct kurir_tx *tx, struct kurir_stream **body, kurir_body_fn *fn, void *arg)
{
	struct kurir_stream *mine;
	struct stage *s;
	int r;

	if (!tx_may(tx_check(tx), KURIR_CAP_BODY))
		return -EPERM;
	if (tx->filters == NULL)
		return -EBUSY;
	s = kurir_alloc(tx->arena, sizeof(*s));
	*s = (struct stage){ .all = tx->filters, .fn = fn, .arg = arg, .from = *body };
	r = kurir_stream_pair(&s->to, &mine);
	if (r < 0)
		return r;
	r = kurir_group_go(s->all->group, "filter", stage, s);
	if (r < 0) {
		kurir_close(s->to);
		kurir_close(mine);
		return r;
	}
	*body = mine;
	return 0;
}

KURIR_PARKS static int carry(struct kurir_tx *tx, struct kurir_stream *from)
{
	struct kurir_str piece;
	size_t i;
	int r;

	while ((r = kurir_peek(from, 0, &piece, NEVER)) == 1) {
		for (i = 0; i < piece.len && (piece.ptr[i] & 0x80) == 0; i++)
			;
		if (i < piece.len)
			tx->flags |= KURIR_ENV_8BIT;
		r = tx_store(tx, piece);
		if (r < 0)
			return r;
		kurir_consume(from, piece.len);
	}
	/* What came was looked at, not what became of it. */
	tx->flags |= KURIR_ENV_DOTLINE;
	return r;
}

struct pump {
	struct kurir_tx *tx;
	struct kurir_str trace;
};

KURIR_PARKS static void pump(void *arg)
{
	struct pump *p = arg;
	struct kurir_tx *tx = p->tx;
	struct tx_filter all = { .group = kurir_group_begin(NULL) };
	struct chain_call c = { .tx = tx,
		.conn = tx->s->conn,
		.current = &tx->s->current,
		.stream = &tx->out,
		.trace = tx->s->trace };
	int r;

	tx->filters = &all;
	r = chain_filter(tx->s->chain, &c);
	if (c.trace != NULL)
		trace_point(c.trace, tx->s->chain, CHAIN_FILTER, r, NULL, 0);
	tx->filters = NULL;
	if (r == 0)
		r = tx_store_top(tx, p->trace);
	if (r == 0)
		r = carry(tx, tx->out);
	kurir_group_end(all.group);
	tx->pumped = all.error < 0 && r != -ECANCELED ? all.error : r;
	/* The session may be writing: when this end is gone it stops waiting. */
	kurir_close(tx->out);
	tx->out = NULL;
	while (c.under_count > 0)
		kurir_close(c.under[--c.under_count]);
}

KURIR_PARKS int tx_filters_begin(struct kurir_tx *tx, struct kurir_str trace)
{
	struct pump *p = kurir_alloc(tx->arena, sizeof(*p));
	int r = kurir_stream_pair(&tx->in, &tx->out);

	if (r < 0)
		return r;
	p->tx = tx;
	p->trace = kurir_copy(tx->arena, trace);
	/* Ended by tx_filters_stop(), which every way out of a body takes. */
	tx->group = kurir_group_begin(NULL);
	return kurir_group_go(tx->group, "filters", pump, p);
}

KURIR_PARKS int tx_filters_stop(struct kurir_tx *tx, bool complete, kurir_time until)
{
	int r = 0, waited = 0;

	if (tx->group == NULL)
		return 0;
	if (complete && tx->in != NULL) {
		r = kurir_flush(tx->in, until);
		kurir_close(tx->in);
		tx->in = NULL;
		waited = kurir_group_wait(tx->group, until);
	}
	/* Before the input ends: half a message must not look like a whole one to a stage. */
	kurir_group_end(tx->group);
	tx->group = NULL;
	kurir_close(tx->in);
	kurir_close(tx->out);
	tx->in = tx->out = NULL;
	return waited < 0 ? waited : tx->pumped < 0 ? tx->pumped : r;
}

/* ---- once it lies in the spool ---- */

struct tx_old {
	struct kurir_spool *spool;
	struct tx_old *next;
};

KURIR_PARKS void tx_old_drop(struct kurir_tx *tx)
{
	while (tx->old != NULL) {
		struct tx_old *o = tx->old;

		tx->old = o->next;
		tx->queue->abort(o->spool);
	}
}

/* Into tx->spool what fn makes of from. */
KURIR_PARKS static int rewrite(
    struct kurir_tx *tx, struct kurir_stream *from, kurir_body_fn *fn, void *arg)
{
	struct tx_filter all = { .group = kurir_group_begin(NULL) };
	struct kurir_stream *out = from;
	int r;

	tx->filters = &all;
	r = kurir_filter_body(tx, &out, fn, arg);
	tx->filters = NULL;
	if (r == 0)
		r = carry(tx, out);
	kurir_group_end(all.group);
	if (out != from)
		kurir_close(out);
	return all.error < 0 && r != -ECANCELED && r != -ETIMEDOUT ? all.error : r;
}

KURIR_PARKS int kurir_message_rewrite(struct kurir_tx *tx, kurir_body_fn *fn, void *arg)
{
	struct kurir_spool *before, *fresh;
	struct kurir_stream *from;
	struct tx_old *old;
	uint64_t bytes;
	uint32_t flags;
	int r;

	if (!tx_may(tx_check(tx), KURIR_CAP_BODY))
		return -EPERM;
	if (tx->state != TX_DONE || tx->spool == NULL)
		return -EBUSY;
	before = tx->spool;
	bytes = tx->bytes;
	flags = tx->flags;
	r = tx->queue->begin(tx->queue_self, bytes, &fresh);
	if (r < 0)
		return r;
	r = tx->queue->read(before, &from);
	if (r == 0) {
		tx->spool = fresh;
		tx->bytes = 0;
		r = rewrite(tx, from, fn, arg);
		kurir_close(from);
	}
	if (r < 0) {
		tx->queue->abort(fresh);
		tx->spool = before;
		tx->bytes = bytes;
		tx->flags = flags;
		return r;
	}
	/* The hook, and its caller, may read the old one still. */
	old = kurir_alloc(tx->arena, sizeof(*old));
	*old = (struct tx_old){ before, tx->old };
	tx->old = old;
	return 0;
}

size_t kurir_tx_top(struct kurir_tx *tx)
{
	return tx_check(tx)->top;
}

uint64_t kurir_tx_size(struct kurir_tx *tx)
{
	return tx_check(tx)->bytes;
}
