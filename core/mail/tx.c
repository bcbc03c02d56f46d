/* tx.c - the session and its transaction, from the first hook to the last.
 * The protocol module asks, the chain decides, and what happened is told here, once. */
#include "tx.h"

#include "breaker.h"
#include "check.h"
#include "instance.h"
#include "log.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void session_over(void *arg)
{
	struct session *s = arg;

	kurir_arena_free(s->tx_arena);
}

struct session *session_of(struct kurir_conn *conn)
{
	struct session **slot = conn_session_slot(conn), *s = *slot;

	if (s != NULL)
		return s;
	s = kurir_alloc(kurir_conn_arena(conn), sizeof(*s));
	s->conn = conn;
	s->chain = chain_find(kurir_conn_pipeline(conn));
	s->tx_arena = kurir_arena_new("transaction");
	*slot = s;
	kurir_at_end(kurir_conn_arena(conn), session_over, s);
	return s;
}

static struct kurir_str code_text(char *to, size_t n, const struct kurir_answer *a)
{
	int len = snprintf(to, n, a->xyz.len > 0 ? "%d/%.*s" : "%d", a->code, KURIR_ARG(a->xyz));

	return (struct kurir_str){ to, len > 0 ? (size_t)len : 0 };
}

/* Refusals are news, the rest is detail: the message's own line tells it again. */
static void tell(struct session *s, enum chain_point point, int verdict,
    const struct chain_call *c, const struct kurir_self *who, const struct kurir_answer *a)
{
	bool no = verdict == KURIR_REJECT || verdict == KURIR_DEFER || verdict == KURIR_HANGUP;
	enum kurir_level level = no ? KURIR_INFO : KURIR_DEBUG;
	struct kurir_field f[11 + TX_NOTES];
	char code[24];
	size_t n = 0;

	if (s->trace != NULL || (!no && !log_wants(KURIR_DEBUG)))
		return;
	f[n++] = (struct kurir_field){ "verdict", kurir_str_of(kurir_verdict_name(verdict)) };
	if (c->tx != NULL) {
		f[n++] = (struct kurir_field){ "id", c->tx->id };
		f[n++] = (struct kurir_field){ "from", c->tx->sender };
	}
	if (c->rcpt != NULL)
		f[n++] = (struct kurir_field){ "to", c->rcpt->r.address };
	if (point == CHAIN_HELO)
		f[n++] = (struct kurir_field){ "name", c->text };
	if (point == CHAIN_AUTH)
		f[n++] = (struct kurir_field){ "account", c->text };
	f[n++] = (struct kurir_field){ "peer", kurir_conn_peer(s->conn) };
	if (who != NULL)
		f[n++] = (struct kurir_field){ "module", kurir_str_of(who->name) };
	f[n++] = (struct kurir_field){ "code", code_text(code, sizeof(code), a) };
	f[n++] = (struct kurir_field){ "text", a->text };
	if (who != NULL && c->failed < 0)
		f[n++] = (struct kurir_field){ "why",
			kurir_format(kurir_scratch(), "it could not decide: %s",
			    c->failed == BREAKER_OPEN
				? "it is not asked, as it failed again and again"
				: strerror(-c->failed)) };
	if (c->tx != NULL && point == CHAIN_MESSAGE)
		n += tx_put_notes(c->tx, f + n);
	kurir_emit(NULL, level, chain_point_names[point], f, n);
}

int session_decide(struct session *s, enum chain_point point, struct chain_call *c,
    struct kurir_str ok, struct kurir_answer *ret)
{
	struct kurir_self *who = NULL;
	int v = KURIR_NEXT;

	reply_clear(s);
	c->conn = s->conn;
	c->current = &s->current;
	c->trace = s->trace;
	if (s->chain->count[point] > 0)
		v = chain_decide(s->chain, point, c, &who);
	if (v == KURIR_NEXT && point == CHAIN_RCPT && !c->tx->trusted) {
		reply_set(s, 550, "5.7.1", KURIR_STR("relaying denied"));
		v = KURIR_REJECT;
	}
	if (v == KURIR_NEXT)
		v = KURIR_ACCEPT;
	reply_answer(s, point, v, ok, ret);
	tell(s, point, v, c, who, ret);
	if (s->trace != NULL)
		trace_point(s->trace, s->chain, point, v, who, ret->code);
	return v;
}

int kurir_session_connect(struct kurir_conn *conn, struct kurir_answer *ret)
{
	struct chain_call c = { 0 };

	return session_decide(session_of(conn), CHAIN_CONNECT, &c, kurir_hostname(), ret);
}

int kurir_session_helo(struct kurir_conn *conn, struct kurir_str name, struct kurir_answer *ret)
{
	struct session *s = session_of(conn);
	struct chain_call c = { .text = name };
	int v = session_decide(s, CHAIN_HELO, &c, kurir_hostname(), ret);

	if (v == KURIR_ACCEPT) {
		name = kurir_str_part(name, 0, sizeof(s->helo));
		memcpy(s->helo, name.ptr, name.len);
		s->helo_len = name.len;
	}
	return v;
}

int kurir_session_auth(
    struct kurir_conn *conn, struct kurir_str account, struct kurir_answer *ret)
{
	struct chain_call c = { .text = account };

	return session_decide(
	    session_of(conn), CHAIN_AUTH, &c, KURIR_STR("Authentication succeeded"), ret);
}

KURIR_PARKS void kurir_session_closed(struct kurir_conn *conn)
{
	struct session *s = session_of(conn);
	struct chain_call c = { .conn = conn, .current = &s->current, .trace = s->trace };

	if (s->closed)
		return;
	s->closed = true;
	if (s->tx != NULL)
		kurir_tx_end(s->tx);
	chain_observe(s->chain, CHAIN_CLOSED, &c);
}

/* ---- the transaction ---- */

struct kurir_tx *tx_check(struct kurir_tx *tx)
{
	kurir_assert(tx != NULL && tx->magic == TX_MAGIC);
	return tx;
}

KURIR_PARKS struct kurir_tx *tx_new(
    struct session *s, struct kurir_str id, const struct kurir_tx_params *p)
{
	struct kurir_tx *tx;

	if (s->tx != NULL)
		kurir_tx_end(s->tx);
	tx = kurir_alloc(s->tx_arena, sizeof(*tx) + instance_tx_bytes + 16);
	tx->magic = TX_MAGIC;
	tx->slots = (char *)(tx + 1);
	tx->slots += -(uintptr_t)tx->slots & 15;
	tx->s = s;
	tx->arena = s->tx_arena;
	tx->id = id.len > 0 ? kurir_copy(tx->arena, id) : kurir_message_id(tx->arena);
	tx->sender = kurir_copy(tx->arena, p->sender);
	tx->envid = kurir_copy(tx->arena, p->envid);
	tx->flags = p->flags;
	tx->trusted = p->trusted;
	tx->headers = KURIR_BUF(64 * 1024);
	tx->verdict = KURIR_DEFER;
	return s->tx = tx;
}

int kurir_tx_mail(struct kurir_conn *conn, const struct kurir_tx_params *p,
    struct kurir_tx **ret_tx, struct kurir_answer *ret)
{
	struct session *s = session_of(conn);
	struct kurir_tx *tx = tx_new(s, KURIR_STR(""), p);
	struct chain_call c = { .tx = tx, .text = tx->sender };
	int v;

	v = session_decide(s, CHAIN_MAIL, &c, KURIR_STR("Ok"), ret);
	tx->discard = v == KURIR_DISCARD;
	if (v != KURIR_ACCEPT && v != KURIR_DISCARD) {
		tx->verdict = v;
		kurir_tx_end(tx);
		return v;
	}
	*ret_tx = tx;
	return v;
}

int kurir_tx_data(struct kurir_tx *tx, struct kurir_answer *ret)
{
	struct chain_call c = { .tx = tx_check(tx) };

	return session_decide(
	    tx->s, CHAIN_DATA, &c, KURIR_STR("End with a dot on a line by itself"), ret);
}

KURIR_PARKS void kurir_tx_end(struct kurir_tx *tx)
{
	struct session *s = tx_check(tx)->s;
	struct chain_call c = { .tx = tx,
		.conn = s->conn,
		.current = &s->current,
		.verdict = tx->verdict,
		.trace = s->trace };

	tx_body_drop(tx);
	chain_observe(s->chain, CHAIN_DONE, &c);
	kurir_buf_free(&tx->headers);
	tx->magic = 0;
	s->tx = NULL;
	kurir_arena_clear(s->tx_arena);
}

/* ---- for hooks ---- */

struct kurir_conn *kurir_tx_conn(struct kurir_tx *tx)
{
	return tx_check(tx)->s->conn;
}

struct kurir_arena *kurir_tx_arena(struct kurir_tx *tx)
{
	return tx_check(tx)->arena;
}

struct kurir_str kurir_tx_id(struct kurir_tx *tx)
{
	return tx_check(tx)->id;
}

struct kurir_str kurir_tx_sender(struct kurir_tx *tx)
{
	return tx_check(tx)->sender;
}

struct kurir_str kurir_tx_helo(struct kurir_tx *tx)
{
	struct session *s = tx_check(tx)->s;

	return (struct kurir_str){ s->helo, s->helo_len };
}

#define NOTE_MAX 250

void kurir_tx_note(struct kurir_tx *tx, const char *name, struct kurir_str value)
{
	if (tx_check(tx)->note_count < TX_NOTES)
		tx->notes[tx->note_count++] = (struct kurir_field){ name,
			kurir_copy(tx->arena, kurir_str_part(value, 0, NOTE_MAX)) };
}

size_t tx_put_notes(const struct kurir_tx *tx, struct kurir_field *to)
{
	memcpy(to, tx->notes, tx->note_count * sizeof(*to));
	return tx->note_count;
}

bool kurir_tx_trusted(struct kurir_tx *tx)
{
	return tx_check(tx)->trusted;
}

bool tx_may(const struct kurir_tx *tx, uint32_t cap)
{
	return tx->s->current == NULL || (tx->s->current->module->caps & cap) != 0;
}

/* Names and values that could end the header early are refused. */
static bool good_field(struct kurir_str name, struct kurir_str value)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	for (i = 0; i < value.len; i++) {
		char after = i + 1 < value.len ? value.ptr[i + 1] : '\0';

		if (value.ptr[i] == '\0' || value.ptr[i] == '\r')
			return false;
		if (value.ptr[i] == '\n' && after != ' ' && after != '\t')
			return false; /* folded lines only */
	}
	return name.len > 0;
}

int kurir_header_add(struct kurir_tx *tx, struct kurir_str name, struct kurir_str value)
{
	size_t i, start;
	int r;

	if (!tx_may(tx_check(tx), KURIR_CAP_BODY))
		return -EPERM;
	if (tx->spool != NULL && (tx->in == NULL || tx->bytes > 0))
		return -EBUSY; /* what stands above is written already */
	if (!good_field(name, value))
		return -EINVAL;
	start = tx->headers.len;
	r = kurir_buf_printf(&tx->headers, "%.*s: ", KURIR_ARG(name));
	for (i = 0; i < value.len && r == 0; i++)
		r = kurir_buf_add(&tx->headers,
		    value.ptr[i] == '\n' ? KURIR_STR("\r\n") : kurir_str_part(value, i, 1));
	if (r == 0)
		r = kurir_buf_add(&tx->headers, KURIR_STR("\r\n"));
	if (r < 0)
		tx->headers.len = start;
	return r;
}

void *kurir_tx_state(struct kurir_tx *tx, struct kurir_self *self)
{
	return tx_check(tx)->slots + self->tx_offset;
}
