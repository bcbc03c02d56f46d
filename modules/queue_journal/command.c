/* command.c - "kurirctl queue ...".
 *
 *	queue list|show|retry|hold|release|cancel|expire|redirect [predicate...] [to=A]
 *	predicate = "all" / ID / address / domain
 *	          / "id=" ID / "sender=" A / "rcpt=" A / "domain=" D / "site=" NAME
 *	          / "state=" S / "reason=" XYZ / "older=" T / "younger=" T / "larger=" N / "smaller=" N
 *
 * An address is that of the sender or of a recipient.  Several predicates: all must hold.  Walks
 * the whole queue in pieces, so that deliveries go on. */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIST_MAX   1000
#define WALK_PIECE 1000 /* buckets between two yields */
#define BUCKET_MAX 64	/* messages in one of them */

struct predicate {
	struct kurir_str id, sender, rcpt, domain, state, address, site, to;
	kurir_time older, younger; /* 0: any */
	uint64_t larger, smaller;
	uint16_t reason;
	bool any;
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

/* size = 1*DIGIT [ "K" / "M" / "G" ] */
static int parse_size(struct kurir_str s, uint64_t *ret)
{
	unsigned shift = 0;
	char c = s.len > 0 ? s.ptr[s.len - 1] : 0;
	if (c == 'K' || c == 'M' || c == 'G') {
		shift = c == 'K' ? 10 : c == 'M' ? 20 : 30;
		s.len--;
	}
	int r = kurir_str_number(s, UINT32_MAX, ret);
	*ret <<= r == 0 ? shift : 0;
	return r;
}

/* 1: one of those with a measure; 0: another; -EINVAL. */
static int parse_measure(struct kurir_str arg, struct predicate *p)
{
	struct kurir_str v;
	int r = 0;
	if (take_key(arg, "older=", &v))
		r = queue_span(v, &p->older);
	else if (take_key(arg, "younger=", &v))
		r = queue_span(v, &p->younger);
	else if (take_key(arg, "larger=", &v))
		r = parse_size(v, &p->larger);
	else if (take_key(arg, "smaller=", &v))
		r = parse_size(v, &p->smaller);
	else if (take_key(arg, "reason=", &v))
		r = (p->reason = scheduler_reason(v)) != 0 ? 0 : -EINVAL;
	else
		return 0;
	return r < 0 ? -EINVAL : 1;
}

static int parse_predicates(const json_t *args, struct predicate *p)
{
	for (size_t i = 1; i < json_array_size(args); i++) {
		const char *text = json_string_value(json_array_get(args, i));
		struct kurir_str arg = kurir_str_of(text != NULL ? text : "");
		if (take_key(arg, "to=", &p->to))
			continue;
		p->any = true;
		int r = parse_measure(arg, p);
		if (r < 0)
			return r;
		if (r > 0 || kurir_str_equal(arg, KURIR_STR("all")))
			continue;
		if (take_key(arg, "id=", &p->id) || take_key(arg, "sender=", &p->sender) ||
		    take_key(arg, "rcpt=", &p->rcpt) || take_key(arg, "domain=", &p->domain) ||
		    take_key(arg, "state=", &p->state) || take_key(arg, "site=", &p->site))
			continue;
		if (kurir_str_find(arg, '@') >= 0)
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

/* What can be told without the envelope. */
static bool match_size(const struct queue *q, const struct predicate *p, const struct message *m)
{
	int64_t age = kurir_wallclock() - m->arrived;
	if ((p->older > 0 && age <= p->older) || (p->younger > 0 && age >= p->younger))
		return false;
	if (p->larger == 0 && p->smaller == 0)
		return true;
	uint64_t bytes = m->bytes;
	char name[SEGMENT_NAME_MAX];
	struct stat st;
	segment_name(name, m->body_file, ".body");
	if (m->body_file != 0 && fstatat(q->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		bytes = (uint64_t)st.st_size;
	return (p->larger == 0 || bytes > p->larger) && (p->smaller == 0 || bytes < p->smaller);
}

static bool match_message(const struct predicate *p, const struct kurir_envelope *e)
{
	if (p->id.len > 0 && !kurir_str_equal(p->id, e->id))
		return false;
	return p->sender.len == 0 || kurir_str_equal_nocase(p->sender, e->sender) ||
	    (e->sender.len == 0 && kurir_str_equal(p->sender, KURIR_STR("<>")));
}

/* Where it stands in line. */
static struct kurir_str site_of(const struct entry *x)
{
	const struct destination *d = x->destination;
	struct kurir_str none = { "", 0 };
	return d != NULL ? (struct kurir_str){ d->name, d->name_length } : none;
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
	if (p->to.len > 0 && kurir_str_equal(p->to, r->address))
		return false; /* is there already */
	if (p->reason != 0 && p->reason != x->reason)
		return false;
	if (p->site.len > 0 && !kurir_str_equal_nocase(p->site, site_of(x)))
		return false;
	return p->state.len == 0 ||
	    kurir_str_equal(p->state, kurir_str_of(state_names[x->state]));
}

/* RFC 5321 4.1.2, without quoted strings and literals: who needs those sends the mail anew.
 *
 *	Mailbox    = Dot-string "@" Domain
 *	Dot-string = Atom *("."  Atom)
 *	Domain     = sub-domain *("." sub-domain)
 *
 * RFC 6531 3.3 adds what is beyond ASCII to both. */
static bool is_atext(unsigned char c, bool domain)
{
	if (c >= 128 || c == '-' || (c >= '0' && c <= '9'))
		return true;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return !domain && c > ' ' && strchr("!#$%&'*+/=?^_`{|}~", c) != NULL;
}

/* Of one character at least between any two dots. */
static bool is_dotted(struct kurir_str s, bool domain)
{
	char last = '.';
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.' ? last == '.' : !is_atext((unsigned char)s.ptr[i], domain))
			return false;
		last = s.ptr[i];
	}
	return last != '.';
}

static bool is_mailbox(struct kurir_str a)
{
	ssize_t at = kurir_str_find(a, '@');
	return at > 0 && at <= 64 && a.len <= 254 &&
	    is_dotted((struct kurir_str){ a.ptr, (size_t)at }, false) &&
	    is_dotted(kurir_str_part(a, (size_t)at + 1, a.len), true);
}

enum verb { LIST, SHOW, RETRY, HOLD, RELEASE, CANCEL, EXPIRE, REDIRECT };

struct walk {
	struct queue *q;
	enum verb verb;
	struct predicate want;
	json_t *list;
	uint64_t hits, messages, later; /* later: what is being tried right now */
	struct kurir_buf text;
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
		w->later += trying;
		if (!trying)
			dispatch_finish_entry(q, m, e);
		return !trying;
	case EXPIRE:
		e->flags |= ENTRY_EXPIRE;
		w->later += trying;
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
	    json_pack("{s:o, s:s, s:i, s:I, s:i, s:o}", "address", json_text(r->address), "state",
		state_names[x->state], "attempts", (int)x->attempts, "due", (json_int_t)x->due,
		"index", (int)x->index, "site", json_text(site_of(x))));
	kurir_buf_printf(&w->text, "    %.*s: %s, %u attempts", KURIR_ARG(r->address),
	    state_names[x->state], x->attempts);
	if ((x->state == ENTRY_TIMED || x->state == ENTRY_BLOCKED) && wait > 0)
		kurir_buf_printf(&w->text, ", next in %llds", (long long)(wait / 1000));
	if (x->destination != NULL)
		kurir_buf_printf(&w->text, " at %.*s", KURIR_ARG(site_of(x)));
	if (x->reason != 0)
		kurir_buf_printf(&w->text, " (%d.%d.%d)", x->reason >> 13 & 1 ? 5 : 4,
		    x->reason >> 10 & 7, x->reason & 1023);
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

/* The messages of one bucket: it may change while one is visited. */
KURIR_PARKS static void walk_bucket(struct walk *w, uint32_t bucket, uint32_t id_hash)
{
	struct place {
		uint64_t segment, offset;
	} places[BUCKET_MAX];
	struct queue *q = w->q;
	unsigned n = 0;
	for (const struct message *m = q->hash[bucket]; m != NULL && n < BUCKET_MAX;
	     m = m->hash_next)
		if (!m->dead && (w->want.id.len == 0 || m->id_hash == id_hash) &&
		    match_size(q, &w->want, m))
			places[n++] = (struct place){ m->segment->id, m->offset };
	for (unsigned i = 0; i < n; i++) {
		struct message *m =
		    table_find(q, table_segment(q, places[i].segment, false), places[i].offset);
		if (m != NULL && !m->dead)
			visit(w, m);
	}
}

/* Every message.  The table may grow meanwhile: then each bucket that was not seen yet becomes
 * two that are not, so that none is missed.  No message moves to another place. */
KURIR_PARKS static int walk_all(struct walk *w)
{
	struct queue *q = w->q;
	uint32_t id_hash = (uint32_t)kurir_str_hash(w->want.id);
	int r = 0;
	q->walks++;
	while (q->moving && r == 0)
		r = kurir_sleep(kurir_now() + 20);
	for (uint32_t bucket = 0; bucket < q->hash_size && r == 0; bucket++) {
		walk_bucket(w, bucket, id_hash);
		if (bucket % WALK_PIECE == WALK_PIECE - 1)
			r = kurir_yield();
	}
	q->walks--;
	return r;
}

static const char *check_to(enum verb verb, struct kurir_str to)
{
	if ((verb == REDIRECT) != (to.len > 0))
		return "redirect, and nothing else, takes to=ADDRESS";
	return verb == REDIRECT && !is_mailbox(to)
	    ? "to= takes one address, like paijo@dua.example"
	    : NULL;
}

int command_queue(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	static const char *const verbs[] = { "list", "show", "retry", "hold", "release", "cancel",
		"expire", "redirect" };
	static const char *const done[] = { "in the queue", "in the queue", "will be tried now",
		"held", "released", "cancelled", "given up", "sent elsewhere" };
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
		error = "unknown command; there are: list show retry hold release cancel "
			"expire redirect";
	else if (parse_predicates(args, &w.want) < 0)
		error =
		    "predicates are: all, ID, sender=A, rcpt=A, domain=D, site=NAME, state=S, "
		    "reason=X.Y.Z, older=T, younger=T, larger=N, smaller=N";
	else if (w.verb != LIST && !w.want.any)
		error = "which ones?  Say an id, sender=A, rcpt=A, domain=D or all";
	else
		error = check_to(w.verb, w.want.to);
	if (error != NULL) {
		json_decref(body);
		return command_fail(reply, error);
	}
	w.list = json_array();
	int r = walk_all(&w);
	json_decref(body);
	if (r == 0 && w.verb > SHOW)
		dispatch_wake(w.q);
	if (r == 0 && w.verb > RETRY)
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
		r = command_answer(reply,
		    json_pack("{s:o, s:{s:I, s:I, s:I, s:o}}", "text",
			json_text(kurir_buf_str(&w.text)), "data", "recipients",
			(json_int_t)w.hits, "later", (json_int_t)w.later, "messages",
			(json_int_t)w.messages, "list", w.list));
	else
		json_decref(w.list);
	kurir_buf_free(&w.text);
	return r;
}
