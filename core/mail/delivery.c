/* delivery.c - jobs, results and next hops as they travel between the queue and the transports.
 *
 * Packing only (see pack.c): a reader that finds anything odd says -EBADMSG, and nothing that a
 * peer wrote decides how much memory is taken before its bytes were seen. */
#include <kurir/queue.h>

#include <errno.h>

#define TEXT_BYTES_MIN 4 /* a packed text is at least its length */

static int put_texts(struct kurir_buf *b, const struct kurir_texts *t)
{
	int r = kurir_put_u32(b, (uint32_t)t->count);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = kurir_put_text(b, t->items[i]);
	return r;
}

static struct kurir_texts get_texts(struct kurir_reader *r, struct kurir_arena *arena)
{
	struct kurir_texts none = { 0 };
	uint32_t count = kurir_get_u32(r);
	if (count > r->rest.len / TEXT_BYTES_MIN) {
		r->error = -EBADMSG;
		return none;
	}
	if (count == 0)
		return none;
	struct kurir_str *items = kurir_alloc(arena, count * sizeof(*items));
	for (uint32_t i = 0; i < count; i++)
		items[i] = kurir_get_text(r);
	return (struct kurir_texts){ .count = count, .items = items };
}

int kurir_put_next_hop(struct kurir_buf *b, const struct kurir_next_hop *h)
{
	int r = put_texts(b, &h->addresses);
	if (r == 0)
		r = kurir_put_text(b, h->name);
	if (r == 0)
		r = kurir_put_u32(b, h->port);
	if (r == 0)
		r = put_texts(b, &h->names);
	if (r == 0)
		r = kurir_put_u8(b, h->tls);
	if (r == 0)
		r = kurir_put_text(b, h->user);
	if (r == 0)
		r = kurir_put_text(b, h->password);
	if (r == 0)
		r = put_texts(b, &h->tlsa);
	if (r == 0)
		r = put_texts(b, &h->tlsa_names);
	return r;
}

int kurir_get_next_hop(
    struct kurir_reader *r, struct kurir_arena *arena, struct kurir_next_hop *ret)
{
	struct kurir_next_hop h = { 0 };
	h.addresses = get_texts(r, arena);
	h.name = kurir_get_text(r);
	uint32_t port = kurir_get_u32(r);
	h.port = (uint16_t)port;
	h.names = get_texts(r, arena);
	h.tls = kurir_get_u8(r);
	h.user = kurir_get_text(r);
	h.password = kurir_get_text(r);
	h.tlsa = get_texts(r, arena);
	h.tlsa_names = get_texts(r, arena);
	if (port > UINT16_MAX || h.tls > KURIR_HOP_DANE)
		r->error = -EBADMSG;
	if (h.names.count != 0 && h.names.count != h.addresses.count)
		r->error = -EBADMSG;
	if (h.tlsa_names.count != 0 && h.tlsa_names.count != h.tlsa.count)
		r->error = -EBADMSG;
	if (r->error != 0)
		return r->error;
	*ret = h;
	return 0;
}

int kurir_put_job(struct kurir_buf *b, const struct kurir_job *j)
{
	int r = kurir_put_text(b, j->ref);
	if (r == 0)
		r = kurir_put_u32(b, j->attempt);
	if (r == 0)
		r = kurir_put_text(b, j->destination);
	if (r == 0)
		r = kurir_put_text(b, j->parameters);
	if (r == 0)
		r = kurir_put_envelope(b, &j->envelope);
	return r;
}

int kurir_get_job(struct kurir_reader *r, struct kurir_arena *arena, struct kurir_job *ret)
{
	struct kurir_job j = { 0 };
	j.ref = kurir_get_text(r);
	j.attempt = kurir_get_u32(r);
	j.destination = kurir_get_text(r);
	j.parameters = kurir_get_text(r);
	if (r->error != 0)
		return r->error;
	int err = kurir_get_envelope(r, arena, &j.envelope);
	if (err != 0)
		return err;
	*ret = j;
	return 0;
}

int kurir_put_results(struct kurir_buf *b, const struct kurir_result *results, size_t count)
{
	int r = kurir_put_u32(b, (uint32_t)count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct kurir_result *x = &results[i];
		uint8_t flags = (uint8_t)((x->relayed_dsn ? 1 : 0) | (x->site ? 2 : 0));
		r = kurir_put_u8(b, (uint8_t)x->fate);
		if (r == 0)
			r = kurir_put_u8(b, flags);
		if (r == 0)
			r = kurir_put_u32(b, x->code);
		if (r == 0)
			r = kurir_put_text(b, x->xyz);
		if (r == 0)
			r = kurir_put_text(b, x->text);
		if (r == 0)
			r = kurir_put_text(b, x->remote);
	}
	return r;
}

/* Exactly count results are expected: one a recipient of the job, in order. */
int kurir_get_results(
    struct kurir_reader *r, struct kurir_arena *arena, struct kurir_result *ret, size_t count)
{
	if (kurir_get_u32(r) != count)
		r->error = -EBADMSG;
	for (size_t i = 0; r->error == 0 && i < count; i++) {
		uint8_t fate = kurir_get_u8(r);
		uint8_t flags = kurir_get_u8(r);
		struct kurir_result x = { .fate = (enum kurir_fate)fate };
		x.relayed_dsn = (flags & 1) != 0;
		x.site = (flags & 2) != 0;
		x.code = kurir_get_u32(r);
		x.xyz = kurir_copy(arena, kurir_get_text(r));
		x.text = kurir_copy(arena, kurir_get_text(r));
		x.remote = kurir_copy(arena, kurir_get_text(r));
		if (fate < KURIR_FATE_DELIVERED || fate > KURIR_FATE_DEFERRED)
			r->error = -EBADMSG;
		if (r->error == 0)
			ret[i] = x;
	}
	return r->error;
}
