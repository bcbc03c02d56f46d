/* tx_body.c - the message on its way to the spool.
 *
 * Without filters each piece goes straight to the queue's write(); with filters it takes the way
 * that tx_filter.c tells.  Either way one error stays, and nothing is promised before commit()
 * returned 0. */
#include "trace.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

KURIR_PARKS int tx_store(struct kurir_tx *tx, struct kurir_str piece)
{
	int r = 0;

	if (piece.len == 0 || tx->spool == NULL)
		return 0;
	r = tx->queue->write(tx->spool, piece);
	tx->bytes += piece.len;
	return r;
}

/* The lines that stand above what the client sent: the trace first (RFC 5321 4.4). */
KURIR_PARKS int tx_store_top(struct kurir_tx *tx, struct kurir_str trace)
{
	int r = tx_store(tx, trace);

	if (r == 0)
		r = tx_store(tx, kurir_buf_str(&tx->headers));
	tx->top = (size_t)tx->bytes;
	return r;
}

/* ---- the calls ---- */

int kurir_tx_body_begin(struct kurir_tx *tx, struct kurir_str trace)
{
	int r;

	tx->state = TX_BODY;
	if (tx->discard || tx->count == 0)
		return 0;
	tx->queue = kurir_service_find("queue", NULL, &tx->queue_self);
	if (tx->queue == NULL)
		return tx->error = -ENOSYS;
	r = tx->queue->begin(tx->queue_self, 0, &tx->spool);
	if (r < 0)
		tx->spool = NULL;
	else if (tx->s->chain->count[CHAIN_FILTER] > 0)
		r = tx_filters_begin(tx, trace);
	else
		r = tx_store_top(tx, trace);
	if (r < 0)
		tx->error = r;
	return tx->error;
}

int kurir_tx_body_write(struct kurir_tx *tx, struct kurir_str piece)
{
	int r;

	if (tx->error < 0 || tx->spool == NULL)
		return tx->error;
	r = tx->in != NULL ? kurir_write(tx->in, piece) : tx_store(tx, piece);
	if (r < 0)
		tx->error = r;
	return tx->error;
}

void tx_body_drop(struct kurir_tx *tx)
{
	(void)tx_filters_stop(tx, false, 0);
	tx_old_drop(tx);
	if (tx->spool != NULL)
		tx->queue->abort(tx->spool);
	tx->spool = NULL;
}

KURIR_PARKS static int open_body(struct chain_call *c, struct kurir_stream **ret)
{
	return c->tx->queue->read(c->tx->spool, ret);
}

/* The message hooks' verdict; the answer is theirs. */
KURIR_PARKS static int ask(struct kurir_tx *tx, struct kurir_answer *ret)
{
	struct session *s = tx->s;
	struct chain_call c = { .tx = tx, .open = open_body };
	int n = snprintf(s->answer, sizeof(s->answer), "Ok: queued as %.*s", KURIR_ARG(tx->id));
	struct kurir_str ok = { s->answer, (size_t)n };

	return session_decide(s, CHAIN_MESSAGE, &c, ok, ret);
}

/* One line for what was accepted: the whole story of the session's side. */
static void tell_queued(struct kurir_tx *tx, const struct kurir_envelope *e, bool kept)
{
	static char list[480];
	char size[24], count[16];
	struct kurir_str tls = kurir_tls_summary(kurir_conn_stream(tx->s->conn));
	struct kurir_field f[12 + TX_NOTES];
	size_t i, n = 0, len = 0;

	if (tx->s->trace != NULL)
		return;
	for (i = 0; i < e->count && len + e->recipients[i].address.len + 2 < sizeof(list); i++) {
		if (i > 0)
			list[len++] = ',';
		memcpy(list + len, e->recipients[i].address.ptr, e->recipients[i].address.len);
		len += e->recipients[i].address.len;
	}
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)tx->bytes);
	(void)snprintf(count, sizeof(count), "%zu", e->count);
	f[n++] = (struct kurir_field){ "id", e->id };
	f[n++] = (struct kurir_field){ "from", e->sender };
	f[n++] = (struct kurir_field){ "to", { list, len } };
	f[n++] = (struct kurir_field){ "rcpts", kurir_str_of(count) };
	f[n++] = (struct kurir_field){ "size", kurir_str_of(size) };
	f[n++] = (struct kurir_field){ "peer", e->peer };
	f[n++] = (struct kurir_field){ "helo", e->helo };
	f[n++] = (struct kurir_field){ "listener", e->listener };
	if (e->account.len > 0)
		f[n++] = (struct kurir_field){ "account", e->account };
	if (tls.len > 0)
		f[n++] = (struct kurir_field){ "tls", tls };
	f[n++] =
	    (struct kurir_field){ "verdict", kept ? KURIR_STR("accept") : KURIR_STR("discard") };
	n += tx_put_notes(tx, f + n);
	kurir_emit(NULL, KURIR_INFO, "message", f, n);
}

static void fill_envelope(struct kurir_tx *tx, struct kurir_envelope *e)
{
	struct kurir_recipient *list = kurir_alloc(tx->arena, (tx->count + 1) * sizeof(*list));
	struct session *s = tx->s;
	size_t i;

	for (i = 0; i < tx->count; i++)
		list[i] = tx->rcpts[i]->r;
	*e = (struct kurir_envelope){ .id = tx->id,
		.sender = tx->sender,
		.envid = tx->envid,
		.flags = tx->flags,
		.arrived = kurir_wallclock(),
		.peer = kurir_conn_peer(s->conn),
		.helo = { s->helo, s->helo_len },
		.account = kurir_conn_account(s->conn),
		.listener = kurir_conn_listener(s->conn),
		.count = tx->count,
		.recipients = list };
}

/* No room and no luck are temporary, and look different to the administrator only. */
static int trouble(struct kurir_tx *tx, int err, struct kurir_answer *ret)
{
	bool full = err == -ENOSPC || err == -EDQUOT || err == -EMFILE || err == -ENFILE ||
	    err == -ENOMEM;

	(void)kurir_log(NULL, KURIR_ERROR, err, "message %.*s could not be kept, deferring",
	    KURIR_ARG(tx->id));
	*ret = (struct kurir_answer){ full ? 452 : 451,
		full ? KURIR_STR("4.3.1") : KURIR_STR("4.3.0"),
		full ? KURIR_STR("Insufficient system storage")
		     : KURIR_STR("Local error, try again") };
	return tx->verdict = KURIR_DEFER;
}

int kurir_tx_body_finish(
    struct kurir_tx *tx, uint32_t flags, kurir_time until, struct kurir_answer *ret)
{
	struct kurir_envelope e;
	int v, r;

	tx->state = TX_DONE;
	if (tx->group != NULL) {
		r = tx_filters_stop(tx, tx->error == 0, until);
		if (tx->error == 0 || tx->error == -EPIPE || tx->error == -ECONNRESET)
			tx->error = r;
	}
	if (tx->error < 0)
		return trouble(tx, tx->error, ret);
	tx->flags |= flags;
	if (tx->spool == NULL) { /* mail or rcpt said DISCARD */
		int n = snprintf(tx->s->answer, sizeof(tx->s->answer), "Ok: queued as %.*s",
		    KURIR_ARG(tx->id));

		*ret = (struct kurir_answer){ 250, KURIR_STR("2.0.0"),
			{ tx->s->answer, (size_t)n } };
		fill_envelope(tx, &e);
		tell_queued(tx, &e, false);
		return tx->verdict = KURIR_DISCARD;
	}
	v = ask(tx, ret);
	if (v == KURIR_ACCEPT && tx->count == 0)
		v = KURIR_DISCARD; /* hooks have dropped them all */
	tx->verdict = v;
	fill_envelope(tx, &e); /* the hooks may have changed it */
	tx_old_drop(tx);
	if (v != KURIR_ACCEPT) {
		tx_body_drop(tx);
		if (v == KURIR_DISCARD)
			tell_queued(tx, &e, false);
		return v;
	}
	if (tx->s->trace != NULL) {
		trace_envelope(tx->s->trace, &e);
		tx_body_drop(tx);
		return v;
	}
	r = tx->queue->commit(tx->spool, &e, until);
	tx->spool = NULL;
	if (r < 0)
		return trouble(tx, r, ret);
	tell_queued(tx, &e, true);
	return v;
}
