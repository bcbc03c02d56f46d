/* command.c - "kurirctl queue ...".
 *
 *	queue list|show|retry|hold|release|cancel|expire|redirect [predicate...] [to=A] [after=C]
 *	queue destinations
 *
 * A call looks at some messages, in the order of their arrival, and answers with "next": C when
 * there may be more; who asked goes on with after=C.  So no answer is too long, none comes too
 * late, and deliveries go on meanwhile, however long the queue is. */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WALK_PIECE 1000	 /* buckets between two yields */
#define SHOW_MOST  4000	 /* messages that a call looks at */
#define DO_MOST	   20000 /* it has no list to send */
#define PAGE_TIME  2000	 /* ms: or until then */

enum verb { LIST, SHOW, RETRY, HOLD, RELEASE, CANCEL, EXPIRE, REDIRECT, DESTINATIONS };

struct walk {
	struct queue *q;
	enum verb verb;
	struct predicate want;
	struct cursor at;
	struct command_page page;
	bool more;
};

/* True when it was changed. */
KURIR_PARKS static bool act(struct walk *w, struct message *m, struct entry *e)
{
	struct queue *q = w->q;
	bool trying = e->state == ENTRY_BUSY && (e->flags & ENTRY_TRYING) != 0;
	switch (w->verb) {
	case RETRY:
		if (e->state == ENTRY_BUSY || e->state == ENTRY_HELD)
			return false;
		e->flags |= ENTRY_URGENT;
		scheduler_ready(&q->scheduler, e);
		return true;
	case RELEASE:
		e->flags &= (uint8_t)~ENTRY_HOLD;
		if (e->state != ENTRY_HELD)
			return false;
		e->due = kurir_wallclock();
		scheduler_ready(&q->scheduler, e);
		state_entry(q, m, e);
		return true;
	case HOLD:
	case CANCEL:
		if (w->verb == HOLD && e->state == ENTRY_HELD)
			return false;
		e->flags |= w->verb == HOLD ? ENTRY_HOLD : ENTRY_CANCEL;
		/* A fiber that only asks for its route notices that it lost the recipient. */
		w->at.later += trying;
		if (!trying)
			dispatch_finish_entry(q, m, e);
		return !trying;
	case EXPIRE:
		e->flags |= ENTRY_EXPIRE;
		w->at.later += trying;
		if (!trying)
			scheduler_ready(&q->scheduler, e);
		return !trying;
	case REDIRECT:
		return !trying && route_redirect(q, m, e, w->want.to) == 0;
	default:
		return false;
	}
}

static void tell(struct walk *w, const struct kurir_envelope *e, const struct kurir_recipient *r)
{
	static const char *const events[] = { NULL, NULL, NULL, "held", "released", "cancelled",
		"expired", "redirected" };
	if (events[w->verb] != NULL)
		KURIR_EMIT(w->q->self, KURIR_NOTICE, events[w->verb], { "id", e->id },
		    { "to", r->address }, { "by", KURIR_STR("administrator") });
}

/* False: the page is full. */
KURIR_PARKS static bool visit(struct walk *w, struct message *m)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_envelope e;
	struct kurir_str packed;
	uint64_t before = w->at.recipients;
	bool room = true;
	m->users++; /* stays while we read */
	int r = queue_read_record(w->q, m, kurir_scratch(), NULL, &packed);
	struct kurir_reader reader = KURIR_READER(packed);
	if (r == 0)
		r = kurir_get_envelope(&reader, kurir_scratch(), &e);
	if (r == 0 && predicate_envelope(&w->want, &e)) {
		uint32_t from = w->at.index;
		uint64_t hits = 0;
		for (uint32_t i = 0; i < m->count && i < e.count && !m->dead; i++) {
			struct entry *x = &m->entries[i];
			if (!predicate_entry(&w->want, &e, x, &e.recipients[i]))
				continue;
			if (w->verb > SHOW && !act(w, m, x))
				continue;
			hits++;
			if (w->verb > SHOW)
				tell(w, &e, &e.recipients[i]);
		}
		if (hits > 0 && w->verb <= SHOW && !m->dead)
			room = command_show(
			    &w->page, m, &e, &w->want, w->verb == SHOW, &w->at.index);
		if (from == 0 && (room || w->at.index > 0)) { /* else it comes again */
			w->at.recipients += hits;
			w->at.messages += w->at.recipients > before;
		}
	}
	if (room)
		w->at.index = 0;
	m->users--;
	kurir_rewind(kurir_scratch(), mark);
	return room;
}

static int compare_keys(const void *a, const void *b)
{
	const struct command_key *x = a, *y = b;
	if (x->arrived != y->arrived)
		return x->arrived < y->arrived ? -1 : 1;
	if (x->id_hash != y->id_hash)
		return x->id_hash < y->id_hash ? -1 : 1;
	if (x->segment != y->segment)
		return x->segment < y->segment ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The first messages behind the cursor that may match. */
struct pick {
	struct command_key *keys;
	size_t count, most;
	bool cut; /* there are more */
};

/* Sorts; what was seen twice is there once, as the table may have grown meanwhile. */
static void pick_cut(struct pick *p)
{
	size_t n = 0;
	if (p->count == 0)
		return;
	qsort(p->keys, p->count, sizeof(*p->keys), compare_keys);
	for (size_t i = 1; i < p->count; i++)
		if (compare_keys(&p->keys[n], &p->keys[i]) != 0)
			p->keys[++n] = p->keys[i];
	p->count = n + 1;
	p->cut |= p->count > p->most;
	if (p->count > p->most)
		p->count = p->most;
}

static void pick_bucket(const struct walk *w, struct pick *p, uint32_t bucket, int64_t now)
{
	const struct cursor *c = &w->at;
	for (const struct message *m = w->q->hash[bucket]; m != NULL; m = m->hash_next) {
		struct command_key k = { m->arrived, m->id_hash, m->segment->id, m->offset };
		int order = c->begun ? compare_keys(&k, &c->at) : 1;
		if (order < 0 || (order == 0 && c->index == 0))
			continue;
		if (p->cut && compare_keys(&k, &p->keys[p->most - 1]) > 0)
			continue;
		if (!predicate_message(w->q, &w->want, m, now))
			continue;
		if (p->count == 2 * p->most)
			pick_cut(p);
		p->keys[p->count++] = k;
	}
}

/* Looks at every message.  The table may grow meanwhile: then each bucket that was not seen yet
 * becomes two that are not, so that none is missed. */
KURIR_PARKS static int pick_all(struct walk *w, struct pick *p)
{
	int64_t now = kurir_wallclock();
	int r = 0;
	for (uint32_t bucket = 0; bucket < w->q->hash_size && r == 0; bucket++) {
		pick_bucket(w, p, bucket, now);
		if (bucket % WALK_PIECE == WALK_PIECE - 1)
			r = kurir_yield();
	}
	pick_cut(p);
	return r;
}

/* A page.  No message moves to another place meanwhile; between pages one may, and is then seen
 * a second time at most, as its new place is a later one. */
KURIR_PARKS static int walk_page(struct walk *w)
{
	struct queue *q = w->q;
	struct pick p = { .most = w->verb <= SHOW ? SHOW_MOST : DO_MOST };
	bool room = true;
	size_t i;
	int r = 0;
	p.keys = calloc(2 * p.most, sizeof(*p.keys));
	if (p.keys == NULL)
		return -ENOMEM;
	q->walks++;
	while (q->moving && r == 0)
		r = kurir_sleep(kurir_now() + 20);
	if (r == 0)
		r = pick_all(w, &p);
	kurir_time until = kurir_now() + PAGE_TIME;
	for (i = 0; i < p.count && r == 0 && room && (i == 0 || kurir_now() < until); i++) {
		struct cursor before = w->at;
		if (compare_keys(&p.keys[i], &w->at.at) != 0)
			w->at.index = 0;
		w->at.at = p.keys[i];
		w->at.begun = true;
		struct message *m =
		    table_find(q, table_segment(q, p.keys[i].segment, false), p.keys[i].offset);
		room = m == NULL || m->dead || visit(w, m);
		if (!room && w->at.index == 0)
			w->at = before; /* nothing of it was shown */
	}
	w->more = p.cut || !room || i < p.count;
	free(p.keys);
	q->walks--;
	return r;
}

static const char *check_to(enum verb verb, struct kurir_str to)
{
	if ((verb == REDIRECT) != (to.len > 0))
		return "redirect, and nothing else, takes to=ADDRESS";
	return verb == REDIRECT && !command_is_mailbox(to)
	    ? "to= takes one address, like paijo@dua.example"
	    : NULL;
}

static const char *parse(struct walk *w, const json_t *args)
{
	static const char *const verbs[] = { "list", "show", "retry", "hold", "release", "cancel",
		"expire", "redirect", "destinations" };
	const char *verb = json_string_value(json_array_get(args, 0));
	unsigned i = 0;
	if (w->q == NULL || !w->q->started)
		return "the queue is not running";
	while (
	    verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verb, verbs[i]) != 0)
		i++;
	if (i == sizeof(verbs) / sizeof(verbs[0]))
		return "unknown command; there are: list show retry hold release cancel expire "
		       "redirect destinations";
	w->verb = (enum verb)i;
	if (predicate_parse(args, &w->want) < 0)
		return "predicates are: all, ID, sender=A, rcpt=A, domain=D, site=NAME, state=S, "
		       "reason=X.Y.Z, older=T, younger=T, larger=N, smaller=N";
	if (w->verb != LIST && w->verb != DESTINATIONS && !w->want.any)
		return "which ones?  Say an id, sender=A, rcpt=A, domain=D or all";
	return check_to(w->verb, w->want.to);
}

/* The last page ends with what all of them had. */
static void put_sum(struct walk *w)
{
	static const char *const done[] = { "in the queue", "in the queue", "will be tried now",
		"held", "released", "cancelled", "given up", "sent elsewhere" };
	const struct cursor *c = &w->at;
	kurir_buf_printf(&w->page.text, "%llu recipients of %llu messages %s\n",
	    (unsigned long long)c->recipients, (unsigned long long)c->messages, done[w->verb]);
	if (c->later > 0)
		kurir_buf_printf(&w->page.text,
		    "%llu are being delivered: %s unless that succeeds\n",
		    (unsigned long long)c->later, done[w->verb]);
}

static int answer(struct walk *w, struct kurir_buf *reply)
{
	const struct cursor *c = &w->at;
	char next[200];
	if (!w->more)
		put_sum(w);
	json_t *j = json_pack("{s:s%, s:{s:I, s:I, s:I, s:O}}", "text",
	    w->page.text.ptr != NULL ? w->page.text.ptr : "", w->page.text.len, "data",
	    "recipients", (json_int_t)c->recipients, "later", (json_int_t)c->later, "messages",
	    (json_int_t)c->messages, "list", w->page.list);
	snprintf(next, sizeof(next), "%lld.%u.%llu.%llu.%u.%llu.%llu.%llu.",
	    (long long)c->at.arrived, c->at.id_hash, (unsigned long long)c->at.segment,
	    (unsigned long long)c->at.offset, c->index, (unsigned long long)c->recipients,
	    (unsigned long long)c->messages, (unsigned long long)c->later);
	if (w->more)
		json_object_set_new(j, "next", json_string(next));
	return command_answer(reply, j);
}

int command_queue(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct walk w = { .q = queue_self(self)->queue, .verb = LIST };
	json_t *body = json_loadb(in->body.ptr, in->body.len, 0, NULL);
	const char *error = parse(&w, json_object_get(body, "args"));
	if (error != NULL || w.verb == DESTINATIONS) {
		json_decref(body);
		return error != NULL ? command_fail(reply, error)
				     : command_destinations(w.q, reply);
	}
	w.at = w.want.after;
	w.page = (struct command_page){ .q = w.q,
		.text = KURIR_BUF(KURIR_CALL_MAX / 4),
		.list = json_array(),
		.title = !w.at.begun };
	int r = walk_page(&w);
	json_decref(body);
	if (r == 0 && w.verb > SHOW)
		dispatch_wake(w.q);
	if (r == 0 && w.verb > RETRY)
		r = state_wait(w.q, kurir_now() + 30000);
	if (r == 0)
		r = answer(&w, reply);
	json_decref(w.page.list);
	kurir_buf_free(&w.page.text);
	return r;
}
