/* milter_message.c - a message on its way to the milter, and what comes back.
 * Changes are gathered until the milter has settled the matter; then the message is written
 * anew, once. */
#include "milter.h"

#include <errno.h>
#include <string.h>

/* The message as the milter shall have it. */
struct message {
	struct kurir_self *self;
	struct kurir_tx *tx;
	struct kurir_conn *conn;
	struct kurir_stream *body;
	struct kurir_arena *arena;
	struct kurir_buf head; /* header, and what was read of the body with it */
	struct milter_header header;
	size_t skip; /* bytes of the message before its body, without those at its top */
	struct kurir_buf new_body;
	bool replaced;
	unsigned edits;
	size_t edited; /* bytes */
};

KURIR_PARKS static int drop(struct kurir_stream *s, size_t n)
{
	struct kurir_str piece;
	int r = 1;

	while (n > 0 && (r = kurir_peek(s, 0, &piece, KURIR_FOREVER)) == 1) {
		size_t part = piece.len < n ? piece.len : n;

		kurir_consume(s, part);
		n -= part;
	}
	return r < 0 ? r : n > 0 ? -EIO : 0;
}

/* Enough of the message that the end of its header is there. */
KURIR_PARKS static int read_head(struct message *m)
{
	struct kurir_str piece, all, rest;
	struct milter_field f;
	int r = drop(m->body, kurir_tx_top(m->tx));
	ssize_t end = -1;
	size_t from = 0;

	while (r == 0 && end < 0) {
		r = kurir_peek(m->body, 0, &piece, KURIR_FOREVER);
		if (r <= 0)
			break;
		r = kurir_buf_add(&m->head, piece);
		if (r < 0)
			break;
		kurir_consume(m->body, piece.len);
		all = kurir_buf_str(&m->head);
		if (kurir_str_starts(all, KURIR_STR("\r\n")))
			break;
		while (end < 0 && from + 4 <= all.len) {
			const char *p = memchr(all.ptr + from, '\n', all.len - from - 3);

			if (p == NULL) {
				from = all.len - 3;
				break;
			}
			from = (size_t)(p - all.ptr) + 1;
			if (p[1] == '\r' && p[2] == '\n')
				end = p - all.ptr;
		}
	}
	if (r < 0 && r != -EMSGSIZE)
		return r;
	rest = all = kurir_buf_str(&m->head);
	while (milter_header_next(&rest, &f) == 1)
		milter_header_add(&m->header, m->arena, m->header.count, &f);
	if (r == -EMSGSIZE && rest.len == 0)
		return r; /* the header goes on */
	if (kurir_str_starts(rest, KURIR_STR("\r\n")))
		rest = kurir_str_part(rest, 2, rest.len);
	m->skip = all.len - rest.len;
	return 0;
}

KURIR_PARKS static int send_header(struct message *m)
{
	struct milter_conn *mc = kurir_conn_state(m->conn, m->self);
	struct milter_step step = { MILTER_HEADER, MILTER_AT_END_HEADER, KURIR_STR(""),
		MILTER_NO_HEADERS, MILTER_NR_HEADER };
	struct milter_step end = { MILTER_END_HEADER, MILTER_AT_END_HEADER, KURIR_STR(""),
		MILTER_NO_END_HEADER, MILTER_NR_END_HEADER };
	int v = KURIR_NEXT;

	m->header.leading_space = (mc->link->options.protocol & MILTER_LEADING_SPACE) != 0;
	for (size_t i = 0; i < m->header.count && v == KURIR_NEXT; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct kurir_buf b = KURIR_BUF(2 * MILTER_CHUNK);
		struct kurir_str value = milter_header_value(
		    kurir_scratch(), &m->header.fields[i], m->header.leading_space);

		v = milter_put_text(
		    &b, kurir_str_part(m->header.fields[i].name, 0, MILTER_CHUNK / 2));
		if (v == 0)
			v = milter_put_text(&b, kurir_str_part(value, 0, MILTER_CHUNK / 2 - 2));
		step.data = kurir_buf_str(&b);
		if (v == 0)
			v = milter_step(m->self, m->conn, m->tx, NULL, &step);
		kurir_buf_free(&b);
		kurir_rewind(kurir_scratch(), mark);
	}
	if (v == KURIR_NEXT || v == MILTER_SKIP)
		v = milter_step(m->self, m->conn, m->tx, NULL, &end);
	return v == MILTER_SKIP ? KURIR_NEXT : v;
}

/* What was read with the header, then the rest: 1, 0 at the end. */
KURIR_PARKS static int next_piece(struct message *m, size_t *at, struct kurir_str *ret)
{
	struct kurir_str all = kurir_buf_str(&m->head);
	int r = 1;

	if (*at < all.len)
		*ret = kurir_str_part(all, *at, MILTER_CHUNK);
	else
		r = kurir_peek(m->body, 0, ret, KURIR_FOREVER);
	if (r == 1)
		*ret = kurir_str_part(*ret, 0, MILTER_CHUNK);
	return r;
}

KURIR_PARKS static int send_body(struct message *m)
{
	struct milter_step step = { MILTER_BODY, MILTER_AT_END, KURIR_STR(""), MILTER_NO_BODY,
		MILTER_NR_BODY };
	const struct milter_conn *mc = kurir_conn_state(m->conn, m->self);
	size_t at = m->skip, have = m->head.len;
	struct kurir_str piece;
	int r, v;

	if ((mc->link->options.protocol & MILTER_NO_BODY) != 0)
		return KURIR_NEXT;
	while ((r = next_piece(m, &at, &piece)) == 1) {
		bool gathered = at < have;

		step.data = piece;
		v = milter_step(m->self, m->conn, m->tx, NULL, &step);
		if (v != KURIR_NEXT)
			return v == MILTER_SKIP ? KURIR_NEXT : v;
		if (gathered)
			at += piece.len;
		else
			kurir_consume(m->body, piece.len);
	}
	return r;
}

/* ---- what comes back ---- */

static int change_rcpt(struct message *m, int reply, struct kurir_str data)
{
	struct kurir_reader r = KURIR_READER(data);
	struct kurir_str address = milter_bare_address(milter_get_text(&r));

	if (r.error < 0 || address.len == 0)
		return -EPROTO;
	if (reply != MILTER_DROP_RCPT)
		return kurir_rcpt_add(m->tx, address);
	for (size_t i = kurir_tx_rcpt_count(m->tx); i-- > 0;) {
		struct kurir_rcpt *rcpt = kurir_tx_rcpt_at(m->tx, i);
		int e = 0;

		if (kurir_str_equal_nocase(kurir_rcpt_address(rcpt), address))
			e = kurir_rcpt_drop(m->tx, rcpt);
		if (e < 0)
			return e;
	}
	return 0;
}

static int quarantine(struct message *m, struct kurir_str data)
{
	struct kurir_reader r = KURIR_READER(data);
	struct kurir_str why = milter_get_text(&r);

	if (r.error < 0)
		return -EPROTO;
	kurir_count(m->self, COUNT_QUARANTINED, 1);
	return kurir_tx_hold(m->tx, why);
}

/* One change: 0, -EPROTO, -EMSGSIZE when it is too much. */
static int change(struct message *m, int reply, struct kurir_str data)
{
	struct kurir_reader r = KURIR_READER(data);
	struct kurir_str address;

	m->edited += reply == MILTER_REPLACE_BODY ? 0 : data.len;
	if (++m->edits > MILTER_EDITS_MAX || m->edited > MILTER_HEADER_MAX)
		return -EMSGSIZE;
	switch (reply) {
	case MILTER_ADD_HEADER:
	case MILTER_INSERT_HEADER:
	case MILTER_CHANGE_HEADER:
		return milter_header_edit(&m->header, m->arena, (enum milter_reply)reply, data) <
			0
		    ? -EPROTO
		    : 0;
	case MILTER_REPLACE_BODY:
		m->replaced = true;
		return kurir_buf_add(&m->new_body, data);
	case MILTER_ADD_RCPT:
	case MILTER_ADD_RCPT_WITH:
	case MILTER_DROP_RCPT:
		return change_rcpt(m, reply, data);
	case MILTER_CHANGE_FROM:
		address = milter_get_text(&r);
		return r.error < 0 ? -EPROTO
				   : kurir_tx_set_sender(m->tx, milter_bare_address(address));
	case MILTER_QUARANTINE:
		return quarantine(m, data);
	default:
		return -ENOMSG; /* no change */
	}
}

/* The action that has to be agreed for a change. */
static uint32_t right(int reply)
{
	switch (reply) {
	case MILTER_ADD_HEADER:
	case MILTER_INSERT_HEADER:
		return MILTER_MAY_ADD_HEADERS;
	case MILTER_CHANGE_HEADER:
		return MILTER_MAY_CHANGE_HEADERS;
	case MILTER_REPLACE_BODY:
		return MILTER_MAY_CHANGE_BODY;
	case MILTER_ADD_RCPT:
		return MILTER_MAY_ADD_RCPT;
	case MILTER_ADD_RCPT_WITH:
		return MILTER_MAY_ADD_RCPT_WITH;
	case MILTER_DROP_RCPT:
		return MILTER_MAY_DROP_RCPT;
	case MILTER_CHANGE_FROM:
		return MILTER_MAY_CHANGE_FROM;
	case MILTER_QUARANTINE:
		return MILTER_MAY_QUARANTINE;
	default:
		return 0;
	}
}

KURIR_PARKS static int ask_end(struct message *m)
{
	const struct milter_conf *c = kurir_conf(m->self);
	struct milter_conn *mc = kurir_conn_state(m->conn, m->self);
	struct milter_tx *mt = kurir_tx_state(m->tx, m->self);
	int reply, v = milter_macros(m->self, m->conn, m->tx, NULL, MILTER_END, MILTER_AT_END);

	if (v == 0)
		v = milter_send(mc->link, MILTER_END, KURIR_STR(""));
	while (v == 0) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct kurir_str data;

		v = milter_receive(mc->link, &reply, &data, kurir_now() + c->content_time);
		if (v == 0 && reply != MILTER_PROGRESS) {
			if ((right(reply) & ~mc->link->options.actions) != 0)
				v = kurir_log(m->self, KURIR_ERROR, -EPROTO,
				    "the milter said '%c', which was not agreed", reply);
			else
				v = change(m, reply, kurir_copy(m->arena, data));
			if (v == -ENOMSG) {
				mt->open = false; /* it has seen the end */
				v = milter_verdict(m->self, m->conn, m->tx, reply, data);
				kurir_rewind(kurir_scratch(), mark);
				mc->link->between = v == KURIR_NEXT;
				return v;
			}
		}
		kurir_rewind(kurir_scratch(), mark);
	}
	return v;
}

/* Above the body: all that is this server's, then the header as it is now. */
KURIR_PARKS static int write_anew(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	struct message *m = arg;
	size_t top = kurir_tx_top(m->tx);
	struct kurir_str piece;
	int r = 0;

	while (top > 0 && r >= 0 && (r = kurir_peek(from, 0, &piece, KURIR_FOREVER)) == 1) {
		piece = kurir_str_part(piece, 0, top);
		r = kurir_write(to, piece);
		kurir_consume(from, piece.len);
		top -= piece.len;
	}
	for (size_t i = 0; i < m->header.count && r >= 0; i++)
		r = kurir_write(to, m->header.fields[i].raw);
	if (r >= 0)
		r = kurir_write(to, KURIR_STR("\r\n"));
	if (r >= 0 && m->replaced)
		return kurir_write(to, kurir_buf_str(&m->new_body));
	if (r >= 0)
		r = drop(from, m->skip);
	while (r >= 0 && (r = kurir_peek(from, 0, &piece, KURIR_FOREVER)) == 1) {
		r = kurir_write(to, piece);
		kurir_consume(from, piece.len);
	}
	return r;
}

KURIR_PARKS static int apply(struct message *m)
{
	int r;

	if (!m->header.changed && !m->replaced)
		return 0;
	r = kurir_message_rewrite(m->tx, write_anew, m);
	if (r == 0)
		kurir_count(m->self, COUNT_CHANGED, 1);
	return r;
}

int milter_message(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct milter_conf *c = kurir_conf(self);
	struct kurir_conn *conn = kurir_tx_conn(tx);
	struct milter_conn *mc = kurir_conn_state(conn, self);
	struct message m = { .self = self,
		.tx = tx,
		.conn = conn,
		.body = body,
		.arena = kurir_tx_arena(tx),
		.head = KURIR_BUF(MILTER_HEADER_MAX + MILTER_CHUNK),
		.new_body = KURIR_BUF((size_t)c->body_max) };
	int v;

	if (mc->link == NULL)
		return mc->error < 0 ? mc->error : -ENOTCONN;
	v = read_head(&m);
	if (v == -EMSGSIZE) { /* that is the message's fault: nobody else's mail is to suffer */
		(void)kurir_reply(conn, 552, "5.3.4", "The header is too long");
		v = KURIR_REJECT;
	}
	if (v == 0)
		v = send_header(&m);
	if (v == KURIR_NEXT)
		v = send_body(&m);
	if (v == KURIR_NEXT)
		v = ask_end(&m);
	if (v == KURIR_NEXT || v == KURIR_ACCEPT) {
		v = apply(&m);
		v = v < 0 ? v : KURIR_NEXT;
	}
	/* After trouble nobody knows what the milter thinks: its next answer would be to this. */
	if (v < 0 && mc->link != NULL) {
		kurir_count(self, COUNT_FAILED, 1);
		milter_link_close(mc->link);
		mc->link = NULL;
		mc->error = v;
	}
	kurir_buf_free(&m.head);
	kurir_buf_free(&m.new_body);
	return v;
}
