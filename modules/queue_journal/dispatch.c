/* dispatch.c - due recipients: one fiber a message, more for its domains and destinations, so
 * that none waits for another's.
 *
 * Nothing here decides when; that is the scheduler's.  While a fiber waits, its recipients may be
 * held, cancelled, or given to another fiber: dispatch_ours() tells. */
#include "dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_SHORT    ((int64_t)1000)
#define PAUSE_BROKEN   ((int64_t)5 * 60 * 1000) /* the longest when a record cannot be read */
#define FIBERS_MESSAGE 100			/* domains and destinations of one at a time */
#define FIBERS_FACTOR  5   /* of all, for each message that may be worked on */
#define GATHER	       100 /* ms: routes that are known by then share a job */

void dispatch_wake(struct queue *q)
{
	kurir_signal_raise(q->work);
}

bool dispatch_ours(const struct target *t)
{
	return t->entry->state == ENTRY_BUSY && t->entry->turn == t->turn;
}

struct target *dispatch_keep_ours(struct target *list)
{
	struct target *kept = NULL, **last = &kept;
	for (struct target *t = list, *next; t != NULL; t = next) {
		next = t->next;
		t->next = NULL;
		if (!dispatch_ours(t))
			continue;
		*last = t;
		last = &t->next;
	}
	return kept;
}

/* Recipients with one route are one job, up to so many. */
static struct target *take_job(struct work *w, struct target **list)
{
	struct target *first = *list, **out = &first->next;
	int64_t room = w->q->conf->recipients_per_job - 1;
	const struct kurir_route *a = &first->route;
	struct target *rest = first->next;
	*list = NULL;
	struct target **left = list;
	while (rest != NULL) {
		struct target *t = rest;
		const struct kurir_route *b = &t->route;
		rest = t->next;
		t->next = NULL;
		bool same = room > 0 && kurir_str_equal(a->transport, b->transport) &&
		    kurir_str_equal(a->destination, b->destination) &&
		    kurir_str_equal(a->parameters, b->parameters);
		if (same) {
			*out = t;
			out = &t->next;
			room--;
		} else {
			*left = t;
			left = &t->next;
		}
	}
	*out = NULL;
	return first;
}

static struct kurir_str domain_of(const struct target *t)
{
	struct kurir_str a = t->recipient->address;
	return kurir_str_part(a, (size_t)(kurir_str_find_last(a, '@') + 1), a.len);
}

static struct target *take_domain(struct target **list)
{
	struct target *first = *list, **out = &first->next, *rest = first->next, **left = list;
	struct kurir_str domain = domain_of(first);
	*list = NULL;
	for (struct target *t = rest, *next; t != NULL; t = next) {
		next = t->next;
		t->next = NULL;
		bool same = kurir_str_equal_nocase(domain_of(t), domain);
		*(same ? out : left) = t;
		if (same)
			out = &t->next;
		else
			left = &t->next;
	}
	*out = NULL;
	return first;
}

/* One recipient's route: true when it has one. */
KURIR_PARKS static bool route_one(struct work *w, struct target *t, struct target **failed)
{
	int r = -1;
	if (t->entry->flags & ENTRY_EXPIRE) {
		t->entry->flags &= (uint8_t)~ENTRY_EXPIRE;
		t->entry->flags |= ENTRY_ENDING;
		t->result = (struct kurir_result){ .fate = KURIR_FATE_FAILED,
			.xyz = KURIR_STR("5.4.7"),
			.text = KURIR_STR("given up by the administrator") };
	} else {
		r = route_target(w, t);
	}
	if (r > 0 || !dispatch_ours(t))
		return r > 0;
	if (r == 0) {
		dispatch_settle(w, t, ENTRY_EXPANDED);
		return false;
	}
	if (t->result.fate == KURIR_FATE_DEFERRED && kurir_yield() == -ECANCELED)
		return false; /* being ended is no answer */
	if (t->entry->attempts < UINT16_MAX)
		t->entry->attempts++;
	t->next = *failed;
	*failed = t;
	return false;
}

/* Recipients of one domain; what has a route goes to w->routed.  Few fibers ask for one domain at
 * a time: when its names cannot be found the others wait in line, not here. */
KURIR_PARKS static void route_domain(struct work *w, struct target *list)
{
	struct scheduler *s = &w->q->scheduler;
	struct kurir_str gate =
	    kurir_format(w->arena, DISPATCH_GATE "%.*s", KURIR_ARG(domain_of(list)));
	struct target *failed = NULL;
	struct destination *d = scheduler_destination(s, kurir_lower(w->arena, gate));
	list = dispatch_keep_ours(list);
	if (scheduler_ask(s, d, kurir_wallclock(), false) != SCHEDULER_GO) {
		for (struct target *t = list; t != NULL; t = t->next)
			scheduler_wait(s, d, t->entry);
		return;
	}
	for (struct target *t = list, *next; t != NULL; t = next) {
		next = t->next;
		t->next = NULL;
		if (route_one(w, t, &failed)) {
			*w->routed_last = t;
			w->routed_last = &t->next;
		}
	}
	scheduler_done(s, d, kurir_wallclock(), false, false);
	scheduler_drop_unused(s, d);
	dispatch_wake(w->q);
	failed = dispatch_keep_ours(failed);
	if (failed != NULL)
		dispatch_conclude(w, failed);
}

/* A fiber beside the message's own, for a domain or a destination. */
struct part {
	struct work *work;
	struct target *list;
	void (*run)(struct work *, struct target *) KURIR_PARKS;
	unsigned *counted;
};

KURIR_PARKS static void part_fiber(void *arg)
{
	struct part *p = arg;
	p->run(p->work, p->list);
	(*p->counted)--;
	p->work->parts--;
	p->work->q->parts--;
	kurir_signal_raise(p->work->changed);
}

static bool part_room(const struct work *w)
{
	unsigned most = FIBERS_FACTOR * (unsigned)w->q->conf->concurrency;
	return w->parts == 0 || (w->parts < FIBERS_MESSAGE && w->q->parts < most);
}

KURIR_PARKS static void part_begin(struct work *w, struct kurir_group *g, struct target *list,
    void (*run)(struct work *, struct target *) KURIR_PARKS, unsigned *counted)
{
	struct part *p = kurir_alloc(w->arena, sizeof(*p));
	*p = (struct part){ .work = w, .list = list, .run = run, .counted = counted };
	(*counted)++;
	w->parts++;
	w->q->parts++;
	if (kurir_group_go(g, "queue-part", part_fiber, p) < 0)
		part_fiber(p);
}

/* Many domains: each is asked for and goes on its own.  Those whose routes are known about the
 * same time share the jobs of a destination. */
KURIR_PARKS static void run_many(struct work *w, struct target *list)
{
	struct kurir_group *g = kurir_group_begin(w->q->self);
	kurir_time gathered = 0;
	unsigned routing = 0, trying = 0;
	int r = 0;
	w->changed = kurir_signal_new(w->arena);
	while (r != -ECANCELED && (list != NULL || w->routed != NULL || routing + trying > 0)) {
		while (list != NULL && part_room(w))
			part_begin(w, g, take_domain(&list), route_domain, &routing);
		bool all = list == NULL && routing == 0;
		if (w->routed != NULL && gathered == 0)
			gathered = kurir_now() + GATHER;
		while (w->routed != NULL && part_room(w) && (all || kurir_now() >= gathered)) {
			struct target *job = take_job(w, &w->routed);
			if (w->routed == NULL)
				w->routed_last = &w->routed;
			part_begin(w, g, job, dispatch_attempt, &trying);
		}
		if (w->routed == NULL)
			gathered = 0;
		kurir_time until = kurir_now() + 1000; /* others make room without a word */
		if (routing + trying > 0)
			r = kurir_signal_wait(
			    w->changed, kurir_now() < gathered ? gathered : until);
	}
	kurir_group_wait(g, KURIR_FOREVER);
	kurir_group_end(g);
}

KURIR_PARKS static void run_message(struct work *w, struct target *list)
{
	struct target *one = take_domain(&list);
	w->routed_last = &w->routed;
	if (list != NULL) {
		struct target *last = one;
		while (last->next != NULL)
			last = last->next;
		last->next = list;
		run_many(w, one);
		return;
	}
	route_domain(w, one);
	if (w->routed == NULL)
		return;
	one = take_job(w, &w->routed);
	if (w->routed == NULL) {
		dispatch_attempt(w, one);
		return;
	}
	/* One domain, more than one job. */
	struct target *last = one;
	while (last->next != NULL)
		last = last->next;
	last->next = w->routed;
	w->routed = one;
	while (last->next != NULL)
		last = last->next;
	w->routed_last = &last->next;
	run_many(w, NULL);
}

/* Puts recipients that nothing was done for back in the line. */
static void give_back(struct work *w, int64_t due)
{
	for (uint32_t i = 0; i < w->count; i++) {
		struct target *t = &w->targets[i];
		if (!dispatch_ours(t))
			continue;
		t->entry->flags &= (uint8_t) ~(ENTRY_TRYING | ENTRY_ENDING);
		scheduler_at(&w->q->scheduler, t->entry, due);
		dispatch_finish_entry(w->q, w->message, t->entry);
	}
}

static const struct kurir_recipient no_recipient;

KURIR_PARKS static int work_begin(struct work *w, struct target **ret)
{
	struct message *m = w->message;
	struct kurir_str packed;
	int r = queue_read_record(w->q, m, w->arena, NULL, &packed);
	if (r < 0)
		return r;
	struct kurir_reader reader = KURIR_READER(packed);
	r = kurir_get_envelope(&reader, w->arena, &w->envelope);
	if (r < 0)
		return r;
	w->ref = queue_ref(w->arena, m);
	struct target *list = NULL, **last = &list;
	for (uint32_t i = 0; i < w->count; i++) {
		struct target *t = &w->targets[i];
		uint32_t index = t->entry->index;
		t->recipient =
		    index < w->envelope.count ? &w->envelope.recipients[index] : &no_recipient;
		*last = t;
		last = &t->next;
	}
	*ret = dispatch_keep_ours(list);
	return 0;
}

static bool is_short(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

/* What this process is short of is there again soon.  A disk gets time, the more the longer it
 * has failed, as far as the age of the message tells. */
static int64_t unreadable_pause(const struct message *m, int err)
{
	int64_t pause = (kurir_wallclock() - m->arrived) / 4;
	if (is_short(err) || pause < PAUSE_SHORT)
		return PAUSE_SHORT;
	return pause < PAUSE_BROKEN ? pause : PAUSE_BROKEN;
}

/* The record rotted, or the disk does not give it: tried as long as any message is. */
static void unreadable(struct work *w, int err)
{
	struct queue *q = w->q;
	struct message *m = w->message;
	bool over = kurir_wallclock() >= m->arrived + q->conf->lifetime;
	kurir_log(q->self, KURIR_ERROR, err, "cannot read a message of segment %016llx%s",
	    (unsigned long long)m->segment->id, over ? ", given up" : ", trying again");
	if (!over || is_short(err))
		return;
	for (uint32_t i = 0; i < w->count; i++)
		if (dispatch_ours(&w->targets[i]))
			queue_orphan(q, m, w->targets[i].entry, err);
}

/* Who only waits for a turn will need it again, soon. */
static void drop_envelope(struct queue *q, struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].state == ENTRY_READY || m->entries[i].state == ENTRY_WAITING)
			return;
	queue_forget_envelope(q, m);
}

static void work_end(struct work *w)
{
	struct queue *q = w->q;
	w->message->users--;
	scheduler_leave(&q->scheduler, w->lane, w->deferred);
	free(w);
	dispatch_wake(q);
}

KURIR_PARKS static void message_fiber(void *arg)
{
	struct work *w = arg;
	struct message *m = w->message;
	struct segment *s = m->segment; /* where the body is, even if the message moves on */
	struct target *list = NULL;
	s->users++;
	w->arena = kurir_arena_new("queue-message");
	int r = work_begin(w, &list);
	if (r == 0 && list != NULL)
		run_message(w, list);
	else if (r != 0 && r != -ECANCELED)
		unreadable(w, r);
	give_back(w, kurir_wallclock() + (r == 0 ? 1000 : unreadable_pause(m, r)));
	drop_envelope(w->q, m);
	kurir_arena_free(w->arena);
	s->users--;
	work_end(w);
}

/* Takes all of the message that is ready.  False: nothing can be begun now; what was taken is
 * back, and may be due at once, when it is to expire. */
static bool dispatch_one(struct queue *q, struct entry *e)
{
	struct message *m = table_message_of(e);
	uint32_t count = 1;
	bool deferred = e->attempts > 0;
	for (uint32_t i = 0; i < m->count; i++)
		count += m->entries[i].state == ENTRY_READY;
	struct work *w = calloc(1, sizeof(*w) + count * sizeof(w->targets[0]));
	if (w == NULL) {
		scheduler_leave(&q->scheduler, e->lane, deferred);
		scheduler_at(&q->scheduler, e, kurir_wallclock() + 1000);
		return false;
	}
	*w = (struct work){ .q = q, .message = m, .lane = e->lane, .deferred = deferred };
	for (uint32_t i = 0; i < m->count; i++) {
		struct entry *x = &m->entries[i];
		if (x->state == ENTRY_READY)
			scheduler_join(&q->scheduler, x);
		else if (x != e)
			continue;
		w->targets[w->count++] = (struct target){ .entry = x, .turn = x->turn };
	}
	m->users++;
	if (kurir_group_go(q->group, "queue-message", message_fiber, w) >= 0)
		return true;
	give_back(w, kurir_wallclock() + 1000);
	work_end(w);
	return false;
}

/* A process on its way out begins nothing: what is under way ends, or is cut off and belongs to
 * the successor. */
void dispatch_run(void *arg)
{
	struct queue *q = arg;
	int r = 0;
	while (r != -ECANCELED) {
		struct entry *e;
		int64_t now = kurir_wallclock();
		scheduler_sweep(&q->scheduler, now);
		while (!kurir_draining() && (e = scheduler_take(&q->scheduler, now)) != NULL &&
		    dispatch_one(q, e))
			continue;
		int64_t span = scheduler_next(&q->scheduler) - now;
		if (span > 60000 || q->scheduler.busy >= q->scheduler.limit || kurir_draining())
			span = 60000;
		r = kurir_signal_wait(q->work, kurir_now() + (span > 1 ? span : 1));
	}
}
