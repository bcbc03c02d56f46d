/* command.c - "kurirctl queue ..." and "kurirctl ledger".
 *
 *	queue list|show|retry|hold|release|cancel [predicate...]
 *	predicate = "all" / ID / address / domain
 *	          / "id=" ID / "sender=" A / "rcpt=" A / "domain=" D / "state=" S
 *
 * An address is that of the sender or of a recipient.  Several predicates: all must hold.  Walks
 * the whole queue in pieces, so that deliveries go on. */
#include "queue_role.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIST_MAX   1000
#define WALK_PIECE 200 /* messages between two yields */

struct predicate {
	struct kurir_str id, sender, rcpt, domain, state, address;
	bool all, any;
};

static const char *const state_names[] = { "new", "waiting", "ready", "active",
	"destination busy", "destination down", "held", "delivered", "bounced", "cancelled",
	"expanded" };

static bool take_key(struct kurir_str arg, const char *key, struct kurir_str *to)
{
	struct kurir_str k = kurir_str_of(key);
	if (!kurir_str_starts(arg, k))
		return false;
	*to = kurir_str_part(arg, k.len, arg.len);
	return true;
}

static int parse_predicates(const json_t *args, struct predicate *p)
{
	for (size_t i = 1; i < json_array_size(args); i++) {
		const char *text = json_string_value(json_array_get(args, i));
		struct kurir_str arg = kurir_str_of(text != NULL ? text : "");
		p->any = true;
		if (kurir_str_equal(arg, KURIR_STR("all")))
			p->all = true;
		else if (take_key(arg, "id=", &p->id) || take_key(arg, "sender=", &p->sender) ||
		    take_key(arg, "rcpt=", &p->rcpt) || take_key(arg, "domain=", &p->domain) ||
		    take_key(arg, "state=", &p->state))
			continue;
		else if (kurir_str_find(arg, '@') >= 0)
			p->address = arg; /* before "=": a local part may have one */
		else if (kurir_str_find(arg, '=') < 0 && kurir_str_find(arg, '.') >= 0)
			p->domain = arg;
		else if (arg.len > 0 && kurir_str_find(arg, '=') < 0)
			p->id = arg;
		else
			return -EINVAL;
	}
	return 0;
}

static bool match_message(const struct predicate *p, const struct kurir_envelope *e)
{
	if (p->id.len > 0 && !kurir_str_equal(p->id, e->id))
		return false;
	return p->sender.len == 0 || kurir_str_equal_nocase(p->sender, e->sender) ||
	    (e->sender.len == 0 && kurir_str_equal(p->sender, KURIR_STR("<>")));
}

static bool match_entry(const struct predicate *p, const struct kurir_envelope *e,
    const struct entry *x, const struct kurir_recipient *r)
{
	struct kurir_str domain = kurir_str_part(
	    r->address, (size_t)(kurir_str_find_last(r->address, '@') + 1), r->address.len);
	if (p->rcpt.len > 0 && !kurir_str_equal_nocase(p->rcpt, r->address))
		return false;
	if (p->domain.len > 0 && !kurir_str_equal_nocase(p->domain, domain))
		return false;
	if (p->address.len > 0 && !kurir_str_equal_nocase(p->address, r->address) &&
	    !kurir_str_equal_nocase(p->address, e->sender))
		return false;
	return p->state.len == 0 ||
	    kurir_str_equal(p->state, kurir_str_of(state_names[x->state]));
}

enum verb { LIST, SHOW, RETRY, HOLD, RELEASE, CANCEL };

struct walk {
	struct queue *q;
	enum verb verb;
	struct predicate want;
	json_t *list;
	uint64_t hits, messages, later; /* later: what is being tried right now */
	struct kurir_buf text;
};

/* True when it was changed. */
static bool act(struct walk *w, struct message *m, struct entry *e)
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
		w->later += trying;
		if (!trying)
			dispatch_finish_entry(q, m, e);
		return !trying;
	default:
		return false;
	}
}

static void tell(struct walk *w, const struct kurir_envelope *e, const struct kurir_recipient *r)
{
	static const char *const events[] = { NULL, NULL, NULL, "held", "released", "cancelled" };
	if (events[w->verb] != NULL)
		KURIR_EMIT(w->q->self, KURIR_NOTICE, events[w->verb], { "id", e->id },
		    { "to", r->address }, { "by", KURIR_STR("administrator") });
}

static json_t *json_text(struct kurir_str s)
{
	json_t *j = json_stringn(s.ptr, s.len);
	return j != NULL ? j : json_string("(not UTF-8)");
}

static void show_entry(
    struct walk *w, json_t *list, const struct entry *x, const struct kurir_recipient *r)
{
	int64_t wait = x->due - kurir_wallclock();
	json_array_append_new(list,
	    json_pack("{s:o, s:s, s:i, s:I, s:i}", "address", json_text(r->address), "state",
		state_names[x->state], "attempts", (int)x->attempts, "due", (json_int_t)x->due,
		"index", (int)x->index));
	kurir_buf_printf(&w->text, "    %.*s: %s, %u attempts", KURIR_ARG(r->address),
	    state_names[x->state], x->attempts);
	if ((x->state == ENTRY_TIMED || x->state == ENTRY_BLOCKED) && wait > 0)
		kurir_buf_printf(&w->text, ", next in %llds", (long long)(wait / 1000));
	kurir_buf_printf(&w->text, "\n");
}

static void show_message(struct walk *w, struct message *m, const struct kurir_envelope *e)
{
	json_t *list = json_array();
	char date[32];
	struct tm tm;
	time_t t = (time_t)(m->arrived / 1000);
	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	kurir_buf_printf(&w->text, "%.*s  %s  %u bytes  from <%.*s>\n", KURIR_ARG(e->id), date,
	    m->bytes, KURIR_ARG(e->sender));
	if (w->verb == SHOW)
		kurir_buf_printf(&w->text, "    came from %.*s (%.*s), segment %016llx at %llu\n",
		    KURIR_ARG(e->peer), KURIR_ARG(e->helo), (unsigned long long)m->segment->id,
		    (unsigned long long)m->offset);
	for (uint32_t i = 0; i < m->count && i < e->count; i++)
		if (w->verb == SHOW ||
		    (!entry_decided(&m->entries[i]) &&
			match_entry(&w->want, e, &m->entries[i], &e->recipients[i])))
			show_entry(w, list, &m->entries[i], &e->recipients[i]);
	json_array_append_new(w->list,
	    json_pack("{s:o, s:o, s:I, s:i, s:o}", "id", json_text(e->id), "sender",
		json_text(e->sender), "arrived", (json_int_t)m->arrived, "bytes", (int)m->bytes,
		"recipients", list));
}

KURIR_PARKS static void visit(struct walk *w, struct message *m)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_envelope e;
	struct kurir_str packed;
	uint64_t before = w->hits;
	m->users++; /* stays while we read */
	int r = queue_read_record(w->q, m, kurir_scratch(), NULL, &packed);
	struct kurir_reader reader = KURIR_READER(packed);
	if (r == 0)
		r = kurir_get_envelope(&reader, kurir_scratch(), &e);
	if (r == 0 && match_message(&w->want, &e)) {
		for (uint32_t i = 0; i < m->count && i < e.count && !m->dead; i++) {
			struct entry *x = &m->entries[i];
			if (entry_decided(x) || !match_entry(&w->want, &e, x, &e.recipients[i]))
				continue;
			if (w->verb <= SHOW) {
				w->hits++;
			} else if (act(w, m, x)) {
				w->hits++;
				tell(w, &e, &e.recipients[i]);
			}
		}
		if (w->hits > before && w->verb <= SHOW && w->messages < LIST_MAX && !m->dead)
			show_message(w, m, &e);
		w->messages += w->hits > before;
	}
	m->users--;
	kurir_rewind(kurir_scratch(), mark);
}

/* Every message: the table may change while a piece waits, so places are collected first. */
struct place {
	uint64_t segment, offset;
};
KURIR_PARKS static int walk_all(struct walk *w)
{
	struct queue *q = w->q;
	struct kurir_buf places = KURIR_BUF((size_t)1 << 32);
	uint32_t bucket = 0, hash = (uint32_t)kurir_str_hash(w->want.id);
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m)) {
		struct place p = { m->segment->id, m->offset };
		if (m->dead || (w->want.id.len > 0 && m->id_hash != hash))
			continue;
		if (kurir_buf_add(&places, (struct kurir_str){ (const char *)&p, sizeof(p) }) !=
		    0)
			break;
	}
	int r = 0;
	size_t n = places.len / sizeof(struct place);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct place p;
		memcpy(&p, places.ptr + i * sizeof(p), sizeof(p));
		struct message *m = table_find(q, table_segment(q, p.segment, false), p.offset);
		if (m != NULL && !m->dead)
			visit(w, m);
		if (i % WALK_PIECE == WALK_PIECE - 1)
			r = kurir_yield();
	}
	kurir_buf_free(&places);
	return r;
}

static int answer(struct kurir_buf *reply, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	int r = text == NULL ? -ENOMEM : kurir_buf_add(reply, kurir_str_of(text));
	free(text);
	return r;
}

static int fail(struct kurir_buf *reply, const char *sentence)
{
	return answer(reply, json_pack("{s:s}", "error", sentence));
}

int command_queue(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	static const char *const verbs[] = { "list", "show", "retry", "hold", "release",
		"cancel" };
	static const char *const done[] = { "in the queue", "in the queue", "will be tried now",
		"held", "released", "cancelled" };
	struct walk w = {
		.q = queue_self(self)->queue, .verb = LIST, .text = KURIR_BUF(KURIR_CALL_MAX / 2)
	};
	json_t *body = json_loadb(in->body.ptr, in->body.len, 0, NULL);
	const json_t *args = json_object_get(body, "args");
	const char *verb = json_string_value(json_array_get(args, 0));
	bool known = verb == NULL;
	for (unsigned i = 0; verb != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i]) == 0) {
			w.verb = (enum verb)i;
			known = true;
		}
	const char *error = NULL;
	if (w.q == NULL || !w.q->started)
		error = "the queue is not running";
	else if (!known)
		error = "unknown command; there are: list show retry hold release cancel";
	else if (parse_predicates(args, &w.want) < 0)
		error = "predicates are: all, ID, sender=A, rcpt=A, domain=D, state=S";
	else if (w.verb != LIST && !w.want.any)
		error = "which ones?  Say an id, sender=A, rcpt=A, domain=D or all";
	if (error != NULL) {
		json_decref(body);
		return fail(reply, error);
	}
	w.list = json_array();
	int r = walk_all(&w);
	json_decref(body);
	if (r == 0 && w.verb > SHOW)
		dispatch_wake(w.q);
	if (r == 0 && w.verb == CANCEL)
		r = state_wait(w.q, kurir_now() + 30000);
	if (w.messages > LIST_MAX)
		kurir_buf_printf(
		    &w.text, "... and %llu more\n", (unsigned long long)(w.messages - LIST_MAX));
	kurir_buf_printf(
	    &w.text, "%llu recipients %s\n", (unsigned long long)w.hits, done[w.verb]);
	if (w.later > 0)
		kurir_buf_printf(&w.text, "%llu are being delivered: %s unless that succeeds\n",
		    (unsigned long long)w.later, done[w.verb]);
	if (r == 0)
		r = answer(reply,
		    json_pack("{s:o, s:{s:I, s:I, s:I, s:o}}", "text",
			json_text(kurir_buf_str(&w.text)), "data", "recipients",
			(json_int_t)w.hits, "later", (json_int_t)w.later, "messages",
			(json_int_t)w.messages, "list", w.list));
	else
		json_decref(w.list);
	kurir_buf_free(&w.text);
	return r;
}

int command_ledger(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct queue *q = queue_self(self)->queue;
	(void)in;
	if (q == NULL || !q->started)
		return fail(reply, "the queue is not running");
	uint64_t queued = 0, held = 0;
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m))
		for (uint32_t i = 0; i < m->count; i++) {
			queued += !entry_decided(&m->entries[i]);
			held += m->entries[i].state == ENTRY_HELD;
		}
	const struct totals *t = &q->totals;
	bool balanced = t->accepted == t->delivered + t->bounced + t->cancelled + queued;
	struct kurir_str text = kurir_format(kurir_scratch(),
	    "accepted %llu = delivered %llu + bounced %llu + cancelled %llu + queued %llu%s\n",
	    (unsigned long long)t->accepted, (unsigned long long)t->delivered,
	    (unsigned long long)t->bounced, (unsigned long long)t->cancelled,
	    (unsigned long long)queued, balanced ? "" : "  DOES NOT BALANCE");
	return answer(reply,
	    json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:b}}", "text", json_text(text),
		"data", "accepted", (json_int_t)t->accepted, "delivered",
		(json_int_t)t->delivered, "bounced", (json_int_t)t->bounced, "cancelled",
		(json_int_t)t->cancelled, "queued", (json_int_t)queued, "held", (json_int_t)held,
		"balanced", (int)balanced));
}
