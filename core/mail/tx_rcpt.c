/* tx_rcpt.c - the transaction's envelope: recipients, and what hooks change of it. */
#include "tx.h"

#include <errno.h>
#include <string.h>

#define TX_RCPTS_MAX 100000u

void tx_keep(struct kurir_tx *tx, struct kurir_rcpt *r)
{
	if (tx->count == tx->room) {
		size_t room = tx->room > 0 ? tx->room * 2 : 8;
		struct kurir_rcpt **more =
		    kurir_alloc(tx->arena, room * sizeof(struct kurir_rcpt *));

		if (tx->count > 0)
			memcpy(more, tx->rcpts, tx->count * sizeof(struct kurir_rcpt *));
		tx->rcpts = more;
		tx->room = room;
	}
	tx->rcpts[tx->count++] = r;
}

int kurir_tx_rcpt(struct kurir_tx *tx, const struct kurir_recipient *to, struct kurir_answer *ret)
{
	struct chain_call c = { .tx = tx_check(tx) };
	struct kurir_rcpt *r = kurir_alloc(tx->arena, sizeof(*r));
	int v;

	r->r.address = kurir_copy(tx->arena, to->address);
	r->r.orcpt = kurir_copy(tx->arena, to->orcpt);
	r->r.notify = to->notify;
	c.rcpt = r;
	v = session_decide(tx->s, CHAIN_RCPT, &c, KURIR_STR("Ok"), ret);
	if (v != KURIR_ACCEPT)
		return v;
	if (tx->count >= TX_RCPTS_MAX) {
		*ret = (struct kurir_answer){ 452, KURIR_STR("4.5.3"),
			KURIR_STR("Too many recipients") };
		return KURIR_DEFER;
	}
	tx_keep(tx, r);
	return v;
}

size_t kurir_tx_rcpt_count(struct kurir_tx *tx)
{
	return tx_check(tx)->count;
}

struct kurir_rcpt *kurir_tx_rcpt_at(struct kurir_tx *tx, size_t i)
{
	return i < tx_check(tx)->count ? tx->rcpts[i] : NULL;
}

struct kurir_str kurir_rcpt_address(struct kurir_rcpt *r)
{
	return r->r.address;
}

static bool good_address(struct kurir_str s)
{
	return s.len <= 1024 && kurir_str_find(s, '\n') < 0 && kurir_str_find(s, '\r') < 0;
}

/* A hook's right to change the envelope with an address. */
static int may_change(const struct kurir_tx *tx, struct kurir_str address)
{
	return !tx_may(tx, KURIR_CAP_RCPT) ? -EPERM : good_address(address) ? 0 : -EINVAL;
}

int kurir_tx_set_sender(struct kurir_tx *tx, struct kurir_str sender)
{
	int r = may_change(tx_check(tx), sender);

	if (r < 0)
		return r;
	tx->sender = kurir_copy(tx->arena, sender);
	tx->changes++;
	return 0;
}

int kurir_rcpt_set_address(struct kurir_tx *tx, struct kurir_rcpt *r, struct kurir_str address)
{
	int e = may_change(tx_check(tx), address);

	if (e < 0 || address.len == 0)
		return e < 0 ? e : -EINVAL;
	r->r.address = kurir_copy(tx->arena, address);
	tx->changes++;
	return 0;
}

int kurir_rcpt_add(struct kurir_tx *tx, struct kurir_str address)
{
	struct kurir_rcpt *r;
	int e = may_change(tx_check(tx), address);

	if (e < 0 || address.len == 0)
		return e < 0 ? e : -EINVAL;
	if (tx->count >= TX_RCPTS_MAX)
		return -ENOBUFS;
	r = kurir_alloc(tx->arena, sizeof(*r));
	r->r.address = kurir_copy(tx->arena, address);
	r->r.orcpt = KURIR_STR("");
	tx_keep(tx, r);
	tx->changes++;
	return 0;
}

int kurir_rcpt_drop(struct kurir_tx *tx, struct kurir_rcpt *r)
{
	size_t i;

	if (!tx_may(tx_check(tx), KURIR_CAP_RCPT))
		return -EPERM;
	/* From the end: who drops many begins there. */
	for (i = tx->count; i > 0 && tx->rcpts[i - 1] != r; i--)
		;
	if (i == 0)
		return -ENOENT;
	for (i--, tx->count--; i < tx->count; i++)
		tx->rcpts[i] = tx->rcpts[i + 1];
	tx->changes++;
	return 0;
}

int kurir_tx_hold(struct kurir_tx *tx, struct kurir_str why)
{
	if (!tx_may(tx_check(tx), KURIR_CAP_RCPT))
		return -EPERM;
	tx->flags |= KURIR_ENV_HOLD;
	if (tx->s->trace == NULL)
		KURIR_EMIT(tx->s->current, KURIR_NOTICE, "held", { "id", tx->id },
		    { "from", tx->sender }, { "why", why });
	return 0;
}
