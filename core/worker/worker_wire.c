/* worker_wire.c - see worker_wire.h.
 *
 *   question = text instance, u64 edge, u32 edge index, u8 point, text connection, origin,
 *              text account, text helo, text text, u32 verdict, u8 has-tx [transaction],
 *              u8 has-rcpt [recipient]
 *   origin   = text peer, u32 port, text local, text listener, text protocol, text pipeline,
 *              u8 tls mode, u8 encrypted, u8 simulated
 *   transaction = text id, text sender, text envid, u32 flags, u8 trusted, u64 bytes, u32 base,
 *                 u32 count, count recipients
 *   recipient   = text address, u32 notify, text orcpt
 *   answer   = u32 code, u8 hold, text xyz, text text, text headers, u32 count, count changes
 *   change   = u8 kind, u32 place, text address */
#include "worker_wire.h"

#include <errno.h>

static int put_rcpt(struct kurir_buf *b, const struct kurir_recipient *r)
{
	kurir_put_text(b, r->address);
	kurir_put_u32(b, r->notify);
	return kurir_put_text(b, r->orcpt);
}

static struct kurir_recipient get_rcpt(struct kurir_reader *in)
{
	struct kurir_recipient r = { .address = kurir_get_text(in) };

	r.notify = kurir_get_u32(in);
	r.orcpt = kurir_get_text(in);
	return r;
}

static void put_origin(struct kurir_buf *b, const struct conn_origin *o)
{
	kurir_put_text(b, o->peer);
	kurir_put_u32(b, o->peer_port);
	kurir_put_text(b, o->local);
	kurir_put_text(b, o->listener);
	kurir_put_text(b, o->protocol);
	kurir_put_text(b, o->pipeline);
	kurir_put_u8(b, (uint8_t)o->tls);
	kurir_put_u8(b, o->encrypted);
	kurir_put_u8(b, o->simulated);
}

static struct conn_origin get_origin(struct kurir_reader *in)
{
	struct conn_origin o = { .peer = kurir_get_text(in) };

	o.peer_port = (uint16_t)kurir_get_u32(in);
	o.local = kurir_get_text(in);
	o.listener = kurir_get_text(in);
	o.protocol = kurir_get_text(in);
	o.pipeline = kurir_get_text(in);
	o.tls = (enum kurir_tls_mode)kurir_get_u8(in);
	o.encrypted = kurir_get_u8(in) != 0;
	o.simulated = kurir_get_u8(in) != 0;
	return o;
}

static int put_tx(struct kurir_buf *b, const struct worker_question *q)
{
	int r;

	kurir_put_text(b, q->tx_id);
	kurir_put_text(b, q->tx.sender);
	kurir_put_text(b, q->tx.envid);
	kurir_put_u32(b, q->tx.flags);
	kurir_put_u8(b, q->tx.trusted);
	kurir_put_u64(b, q->bytes);
	kurir_put_u32(b, q->base);
	r = kurir_put_u32(b, q->count);
	for (uint32_t i = 0; i < q->count && r == 0; i++)
		r = put_rcpt(b, &q->rcpts[i]);
	return r;
}

/* A count that the rest cannot hold is not believed. */
static bool believable(const struct kurir_reader *in, uint32_t count, size_t least)
{
	return in->error == 0 && count <= in->rest.len / least;
}

static int get_tx(struct kurir_reader *in, struct kurir_arena *arena, struct worker_question *ret)
{
	struct kurir_recipient *list;

	ret->tx_id = kurir_get_text(in);
	ret->tx.sender = kurir_get_text(in);
	ret->tx.envid = kurir_get_text(in);
	ret->tx.flags = kurir_get_u32(in);
	ret->tx.trusted = kurir_get_u8(in) != 0;
	ret->bytes = kurir_get_u64(in);
	ret->base = kurir_get_u32(in);
	ret->count = kurir_get_u32(in);
	if (!believable(in, ret->count, 12))
		return -EBADMSG;
	ret->rcpts = list = kurir_alloc(arena, (ret->count + 1) * sizeof(*list));
	for (uint32_t i = 0; i < ret->count; i++)
		list[i] = get_rcpt(in);
	return in->error;
}

int worker_put_question(struct kurir_buf *b, const struct worker_question *q)
{
	int r;

	kurir_put_text(b, q->instance);
	kurir_put_u64(b, q->edge);
	kurir_put_u32(b, q->edge_index);
	kurir_put_u8(b, (uint8_t)q->point);
	kurir_put_text(b, q->id);
	put_origin(b, &q->from);
	kurir_put_text(b, q->account);
	kurir_put_text(b, q->helo);
	kurir_put_text(b, q->text);
	kurir_put_u32(b, (uint32_t)q->verdict);
	r = kurir_put_u8(b, q->has_tx);
	if (r == 0 && q->has_tx)
		r = put_tx(b, q);
	if (r == 0)
		r = kurir_put_u8(b, q->has_rcpt);
	if (r == 0 && q->has_rcpt)
		r = put_rcpt(b, &q->rcpt);
	return r;
}

int worker_get_question(
    struct kurir_reader *in, struct kurir_arena *arena, struct worker_question *ret)
{
	*ret = (struct worker_question){ .instance = kurir_get_text(in) };
	ret->edge = kurir_get_u64(in);
	ret->edge_index = kurir_get_u32(in);
	ret->point = (enum chain_point)kurir_get_u8(in);
	ret->id = kurir_get_text(in);
	ret->from = get_origin(in);
	ret->account = kurir_get_text(in);
	ret->helo = kurir_get_text(in);
	ret->text = kurir_get_text(in);
	ret->verdict = (int)kurir_get_u32(in);
	ret->has_tx = kurir_get_u8(in) != 0;
	if (ret->has_tx && get_tx(in, arena, ret) < 0)
		return -EBADMSG;
	ret->has_rcpt = kurir_get_u8(in) != 0;
	if (ret->has_rcpt)
		ret->rcpt = get_rcpt(in);
	return in->error < 0 || ret->point >= CHAIN_POINTS ? -EBADMSG : 0;
}

int worker_put_answer(struct kurir_buf *b, const struct worker_answer *a)
{
	int r;

	kurir_put_u32(b, a->code);
	kurir_put_u8(b, a->hold);
	kurir_put_text(b, a->xyz);
	kurir_put_text(b, a->text);
	kurir_put_text(b, a->headers);
	r = kurir_put_u32(b, a->count);
	for (uint32_t i = 0; i < a->count && r == 0; i++) {
		kurir_put_u8(b, (uint8_t)a->changes[i].kind);
		kurir_put_u32(b, a->changes[i].place);
		r = kurir_put_text(b, a->changes[i].address);
	}
	return r;
}

int worker_get_answer(
    struct kurir_reader *in, struct kurir_arena *arena, struct worker_answer *ret)
{
	struct worker_change *list;

	*ret = (struct worker_answer){ .code = kurir_get_u32(in) };
	ret->hold = kurir_get_u8(in) != 0;
	ret->xyz = kurir_get_text(in);
	ret->text = kurir_get_text(in);
	ret->headers = kurir_get_text(in);
	ret->count = kurir_get_u32(in);
	if (!believable(in, ret->count, 9))
		return -EBADMSG;
	ret->changes = list = kurir_alloc(arena, (ret->count + 1) * sizeof(*list));
	for (uint32_t i = 0; i < ret->count; i++) {
		list[i].kind = (enum worker_change_kind)kurir_get_u8(in);
		list[i].place = kurir_get_u32(in);
		list[i].address = kurir_get_text(in);
		if (list[i].kind < WORKER_SENDER || list[i].kind >= WORKER_CHANGES)
			return -EBADMSG;
	}
	return in->error;
}
