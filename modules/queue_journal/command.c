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

#define WALK_PIECE 16384 /* buckets between two yields */
#define PICK_MOST  50000 /* messages that are found at once, for some pages */
#define PAGE_TIME  2000	 /* ms: a page ends, or when it is full */
#define READ_PIECE 200	 /* envelopes that are read at once */

enum verb { LIST, SHOW, RETRY, HOLD, RELEASE, CANCEL, EXPIRE, REDIRECT, DESTINATIONS };

struct walk {
	struct queue *q;
	enum verb verb;
	struct predicate want;
	struct cursor at;
	struct command_page page;
	bool more, found; /* found: a message that the id or sender fits */
};

/* True when it was changed. */
KURIR_PARKS static bool act(struct walk *w, struct message *m, struct entry *e)
{
	struct queue *q = w->q;
	bool trying = e->state == ENTRY_BUSY && (e->flags & ENTRY_TRYING) != 0;
	/* It is being given up: nothing else can become of it. */
	if ((e->flags & (ENTRY_EXPIRE | ENTRY_ENDING)) != 0 && !trying)
		return false;
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
KURIR_PARKS static bool visit(struct walk *w, struct message *m, struct kurir_str packed)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_reader reader = KURIR_READER(packed);
	struct kurir_envelope e;
	uint64_t before = w->at.recipients;
	bool room = true;
	m->users++; /* stays while something is done with it */
	if (kurir_get_envelope(&reader, kurir_scratch(), &e) == 0 &&
	    predicate_envelope(&w->want, &e)) {
		w->found = true;
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

/* The first messages behind the cursor that may match: kept from page to page, as to find them
 * every message has to be looked at. */
struct command_pick {
	struct command_key *keys; /* room for twice PICK_MOST */
	size_t count, done;
	bool cut;	  /* there are more */
	uint64_t request; /* whose it is */
	struct cursor at;
	uint64_t moves; /* of the queue: places are not those any more */
};

/* Sorts; what was seen twice is there once, as the table may have grown meanwhile. */
static void pick_cut(struct command_pick *p)
{
	size_t n = 0;
	if (p->count == 0)
		return;
	qsort(p->keys, p->count, sizeof(*p->keys), compare_keys);
	for (size_t i = 1; i < p->count; i++)
		if (compare_keys(&p->keys[n], &p->keys[i]) != 0)
			p->keys[++n] = p->keys[i];
	p->count = n + 1;
	p->cut |= p->count > PICK_MOST;
	if (p->count > PICK_MOST)
		p->count = PICK_MOST;
}

static void pick_bucket(
    const struct walk *w, struct command_pick *p, uint32_t bucket, int64_t now)
{
	const struct cursor *c = &w->at;
	for (const struct message *m = w->q->hash[bucket]; m != NULL; m = m->hash_next) {
		struct command_key k = { m->arrived, m->id_hash, m->segment->id, m->offset };
		int order = c->begun ? compare_keys(&k, &c->at) : 1;
		if (order < 0 || (order == 0 && c->index == 0))
			continue;
		if (p->cut && compare_keys(&k, &p->keys[PICK_MOST - 1]) > 0)
			continue;
		if (!predicate_message(w->q, &w->want, m, now))
			continue;
		if (p->count == 2 * (size_t)PICK_MOST)
			pick_cut(p);
		p->keys[p->count++] = k;
	}
}

/* Looks at every message.  The table may grow meanwhile: then each bucket that was not seen yet
 * becomes two that are not, so that none is missed. */
KURIR_PARKS static int pick_all(struct walk *w, struct command_pick *p)
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

static bool same_place(const struct cursor *a, const struct cursor *b)
{
	return a->begun && b->begun && compare_keys(&a->at, &b->at) == 0 && a->index == b->index;
}

void command_pick_free(struct command_pick *p)
{
	if (p == NULL)
		return;
	free(p->keys);
	free(p);
}

/* Where the page before left off, or new: 0 or -errno.  The caller's until pick_keep(). */
KURIR_PARKS static int pick_begin(struct walk *w, struct command_pick **ret)
{
	struct queue *q = w->q;
	struct command_pick *p = q->pick;
	int r = 0;
	q->pick = NULL;
	if (p == NULL || p->request != w->want.request || p->moves != q->moves ||
	    !same_place(&p->at, &w->at)) {
		command_pick_free(p);
		p = calloc(1, sizeof(*p));
		if (p == NULL)
			abort(); /* what we size cannot fail; the files survive it */
		p->keys = calloc(2 * (size_t)PICK_MOST, sizeof(*p->keys));
		if (p->keys == NULL)
			abort();
		p->request = w->want.request;
		p->moves = q->moves;
		r = pick_all(w, p);
	}
	*ret = p;
	return r;
}

/* For the next page, when there are some left. */
static void pick_keep(struct walk *w, struct command_pick *p)
{
	command_pick_free(w->q->pick);
	p->at = w->at;
	w->q->pick = p->done < p->count ? p : NULL;
	if (w->q->pick == NULL)
		command_pick_free(p);
}

/* Visits some of what was picked; false: the page is full. */
KURIR_PARKS static bool visit_piece(
    struct walk *w, struct queue_record *records, struct command_pick *p)
{
	const struct command_key *keys = p->keys + p->done;
	size_t left = p->count - p->done, n = left < READ_PIECE ? left : READ_PIECE;
	bool room = true;
	for (size_t i = 0; i < n; i++)
		records[i] = (struct queue_record){
			.segment = keys[i].segment, .offset = keys[i].offset, .result = -ECANCELED
		};
	queue_read_records(w->q, records, n);
	for (size_t i = 0; i < n && records[i].result != -EAGAIN; i++) {
		struct queue *q = w->q;
		struct cursor before = w->at;
		if (compare_keys(&keys[i], &w->at.at) != 0)
			w->at.index = 0;
		w->at.at = keys[i];
		w->at.begun = true;
		struct message *m =
		    table_find(q, table_segment(q, keys[i].segment, false), keys[i].offset);
		if (m != NULL && !m->dead && records[i].result == 0)
			room = visit(w, m, records[i].envelope);
		if (!room && w->at.index == 0)
			w->at = before; /* nothing of it was shown */
		if (!room)
			break;
		p->done++;
	}
	for (size_t i = 0; i < n; i++)
		free(records[i].bytes);
	return room;
}

/* A page.  No message moves to another place meanwhile; between pages one may, and is then seen
 * a second time at most, as its new place is a later one. */
KURIR_PARKS static int walk_page(struct walk *w)
{
	struct queue *q = w->q;
	struct queue_record *records = calloc(READ_PIECE, sizeof(*records));
	struct command_pick *p = NULL;
	bool room = true;
	int r = records != NULL ? 0 : -ENOMEM;
	q->walks++;
	while (q->moving && r == 0)
		r = kurir_sleep(kurir_now() + 20);
	if (r == 0)
		r = pick_begin(w, &p);
	kurir_time until = kurir_now() + PAGE_TIME;
	for (bool first = true; r == 0 && room && p->done < p->count; first = false) {
		if (!first && kurir_now() >= until)
			break;
		room = visit_piece(w, records, p);
		r = kurir_yield();
	}
	if (p != NULL) {
		w->more = p->cut || p->done < p->count;
		pick_keep(w, p);
	}
	free(records);
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
	w->want.request = i;
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
	kurir_buf_printf(&w->page.text, "%llu recipient%s of %llu message%s %s\n",
	    (unsigned long long)c->recipients, c->recipients == 1 ? "" : "s",
	    (unsigned long long)c->messages, c->messages == 1 ? "" : "s", done[w->verb]);
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
	if (r == 0 && w.verb != LIST && w.want.id.len > 0 && !w.found && !w.want.after.begun)
		error = "no such message is in the queue; \"kurirctl explain ID\" tells what "
			"became of it";
	json_decref(body);
	if (r == 0 && w.verb > SHOW)
		dispatch_wake(w.q);
	if (r == 0 && w.verb > RETRY)
		r = state_wait(w.q, kurir_now() + 30000);
	if (r == 0)
		r = error != NULL ? command_fail(reply, error) : answer(&w, reply);
	json_decref(w.page.list);
	kurir_buf_free(&w.page.text);
	return r;
}
