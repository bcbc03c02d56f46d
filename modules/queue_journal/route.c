/* route.c - asks the route services, and replaces aliases by what they stand for.
 *
 * An alias becomes a new message with the same id and the addresses as recipients, made durable
 * before the alias counts as done: each address has a fate of its own. */
#include "dispatch.h"
#include "spool_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPAND_DEPTH 10
#define EXPAND_MAX   10000
#define ROUTE_TIME   60000
#define COPY_PIECE   32768

KURIR_PARKS static int ask_routes(
    struct work *w, struct kurir_str address, struct kurir_route *ret)
{
	struct kurir_self *owner;
	const struct kurir_route_ops *ops;
	for (unsigned n = 0; (ops = kurir_service_at("route", n, &owner)) != NULL; n++) {
		struct kurir_route route = { 0 };
		int r = ops->route(owner, address, kurir_now() + ROUTE_TIME, w->arena, &route);
		if (r < 0) {
			route = (struct kurir_route){ .kind = KURIR_ROUTE_LATER,
				.xyz = KURIR_STR("4.4.3") };
			route.text = kurir_format(
			    w->arena, "%s: %s", kurir_self_name(owner), strerror(-r));
		}
		if (route.kind == KURIR_ROUTE_NONE)
			continue;
		*ret = route;
		KURIR_EMIT(w->q->self, KURIR_INFO, "route", { "id", w->envelope.id },
		    { "to", address }, { "by", kurir_str_of(kurir_self_name(owner)) },
		    { "transport", route.transport }, { "destination", route.destination },
		    { "why", route.why }, { "xyz", route.xyz }, { "text", route.text });
		return 0;
	}
	*ret = (struct kurir_route){ .kind = KURIR_ROUTE_FAIL,
		.xyz = KURIR_STR("5.4.4"),
		.text = KURIR_STR("no route to this domain") };
	return 0;
}

struct expansion {
	struct kurir_str *seen; /* aliases and addresses, in order; the leaves are marked */
	bool *leaf;
	size_t count;
};

static bool expansion_add(struct expansion *x, struct kurir_str address)
{
	for (size_t i = 0; i < x->count; i++)
		if (kurir_str_equal(x->seen[i], address))
			return true;
	if (x->count == EXPAND_MAX)
		return false;
	x->seen[x->count] = address;
	x->leaf[x->count++] = true;
	return true;
}

/* All that the alias stands for in the end: 0, -ELOOP, -E2BIG. */
KURIR_PARKS static int expand(
    struct work *w, struct kurir_str alias, const struct kurir_route *first, struct expansion *x)
{
	struct kurir_route route = *first;
	size_t at = 0, level_end = 1;
	x->seen = kurir_alloc(w->arena, EXPAND_MAX * sizeof(*x->seen));
	x->leaf = kurir_alloc(w->arena, EXPAND_MAX * sizeof(*x->leaf));
	expansion_add(x, alias);
	for (unsigned depth = 0; depth < EXPAND_DEPTH; depth++) {
		for (; at < level_end; at++) {
			if (depth > 0 && ask_routes(w, x->seen[at], &route) != 0)
				continue;
			if (route.kind != KURIR_ROUTE_EXPAND)
				continue;
			x->leaf[at] = false;
			for (size_t i = 0; i < route.addresses.count; i++)
				if (!expansion_add(x, route.addresses.items[i]))
					return -E2BIG;
		}
		if (x->count == level_end)
			return 0;
		level_end = x->count;
	}
	return -ELOOP;
}

KURIR_PARKS static int copy_body(struct work *w, struct kurir_spool *s)
{
	struct kurir_body body;
	int r = queue_open_ref(w->q->self, w->ref, &body);
	if (r < 0)
		return r;
	char *piece = kurir_alloc(w->arena, COPY_PIECE);
	while (r == 0 && body.length > 0) {
		size_t n = body.length < COPY_PIECE ? (size_t)body.length : COPY_PIECE;
		ssize_t got = pread(body.fd, piece, n, (off_t)body.offset);
		if (got <= 0) {
			r = got == 0 ? -EIO : -errno;
			break;
		}
		r = spool_write(s, (struct kurir_str){ piece, (size_t)got });
		body.offset += (uint64_t)got;
		body.length -= (uint64_t)got;
	}
	close(body.fd);
	return r;
}

KURIR_PARKS static int respool(struct work *w, const struct target *t, const struct expansion *x)
{
	struct kurir_recipient *list = kurir_alloc(w->arena, x->count * sizeof(*list));
	struct kurir_envelope e = w->envelope;
	struct kurir_spool *s;
	e.count = 0;
	e.recipients = list;
	for (size_t i = 0; i < x->count; i++) {
		if (!x->leaf[i])
			continue;
		struct kurir_recipient *r = &list[e.count++];
		*r = *t->recipient;
		r->address = x->seen[i];
		if (r->orcpt.len == 0 && r->notify != KURIR_NOTIFY_UNSET)
			r->orcpt = kurir_format(
			    w->arena, "rfc822;%.*s", KURIR_ARG(t->recipient->address));
	}
	int err = spool_begin(w->q->self, 0, &s);
	if (err < 0)
		return err;
	err = copy_body(w, s);
	if (err < 0) {
		spool_abort(s);
		return err;
	}
	return spool_commit(s, &e, kurir_now() + ROUTE_TIME);
}

static int refuse(
    struct target *t, enum kurir_fate fate, struct kurir_str xyz, struct kurir_str text)
{
	t->result = (struct kurir_result){ .fate = fate, .xyz = xyz, .text = text };
	return -1;
}

int route_target(struct work *w, struct target *t)
{
	struct expansion x = { 0 };
	ask_routes(w, t->recipient->address, &t->route);
	t->local = kurir_str_equal(t->route.transport, KURIR_STR("local"));
	switch (t->route.kind) {
	case KURIR_ROUTE_TO:
		return 1;
	case KURIR_ROUTE_FAIL:
		return refuse(t, KURIR_FATE_FAILED, t->route.xyz, t->route.text);
	case KURIR_ROUTE_EXPAND:
		break;
	default:
		return refuse(t, KURIR_FATE_DEFERRED, t->route.xyz, t->route.text);
	}
	int r = expand(w, t->recipient->address, &t->route, &x);
	size_t leaves = 0;
	for (size_t i = 0; i < x.count; i++)
		leaves += x.leaf[i];
	if (r == -ELOOP || (r == 0 && leaves == 0))
		return refuse(t, KURIR_FATE_FAILED, KURIR_STR("5.4.6"),
		    KURIR_STR("the alias leads in a circle"));
	if (r == 0)
		r = respool(w, t, &x);
	if (r == -E2BIG)
		return refuse(t, KURIR_FATE_FAILED, KURIR_STR("5.2.4"),
		    KURIR_STR("the alias has too many members"));
	if (r < 0)
		return refuse(t, KURIR_FATE_DEFERRED, KURIR_STR("4.3.1"),
		    kurir_format(w->arena, "cannot expand the alias: %s", strerror(-r)));
	return 0;
}

/* To that address, with what else was asked of the recipient. */
KURIR_PARKS static int redirect(
    struct work *w, struct target *t, struct segment *s, struct kurir_str to)
{
	bool leaf = true;
	struct expansion x = { .seen = &to, .leaf = &leaf, .count = 1 };
	struct kurir_str packed;
	s->users++;
	w->ref = queue_ref(w->arena, w->message);
	int r = queue_read_record(w->q, w->message, w->arena, NULL, &packed);
	struct kurir_reader reader = KURIR_READER(packed);
	if (r == 0)
		r = kurir_get_envelope(&reader, w->arena, &w->envelope);
	if (r == 0 && t->entry->index >= w->envelope.count)
		r = -EBADMSG;
	if (r == 0) {
		t->recipient = &w->envelope.recipients[t->entry->index];
		r = respool(w, t, &x);
	}
	s->users--;
	return r;
}

int route_redirect(struct queue *q, struct message *m, struct entry *e, struct kurir_str to)
{
	struct work *w = calloc(1, sizeof(*w) + sizeof(w->targets[0]));
	if (w == NULL)
		return -ENOMEM;
	*w = (struct work){ .q = q, .message = m, .arena = kurir_arena_new("queue-redirect") };
	struct target *t = &w->targets[0];
	int64_t due = e->due;
	if (e->state == ENTRY_HELD)
		e->flags |= ENTRY_HOLD; /* again, when this fails */
	scheduler_join(&q->scheduler, e);
	e->flags |= ENTRY_TRYING; /* what else is asked meanwhile waits for the outcome */
	*t = (struct target){ .entry = e, .turn = e->turn };
	m->users++;
	int r = redirect(w, t, m->segment, to);
	e->flags &= (uint8_t)~ENTRY_TRYING;
	if (r == 0) {
		dispatch_settle(w, t, ENTRY_EXPANDED);
	} else {
		kurir_log(q->self, KURIR_WARN, r, "cannot redirect a recipient");
		scheduler_at(&q->scheduler, e, due);
		dispatch_finish_entry(q, m, e);
	}
	m->users--;
	kurir_arena_free(w->arena);
	free(w);
	return r;
}
