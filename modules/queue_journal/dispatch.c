/* dispatch.c - due recipients: route, transport, fate.  One fiber a message, one more a
 * destination.
 *
 * Nothing here decides when; that is the scheduler's.  A fate is written to the state log
 * after the world was changed (delivered, bounce committed): a crash between repeats, never
 * loses. */
#include "dispatch.h"

#include "spool_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_AT_ONCE 20
#define PAUSE_BROKEN   ((int64_t)5 * 60 * 1000) /* the record cannot be read */
#define PAUSE_NOTICE   ((int64_t)60 * 1000)	/* the bounce cannot be written */

void dispatch_wake(struct queue *q)
{
	kurir_signal_raise(q->work);
}

static struct kurir_str number(struct kurir_arena *a, uint64_t n)
{
	return kurir_format(a, "%llu", (unsigned long long)n);
}

void dispatch_tell(
    struct work *w, const struct target *t, const char *event, const struct kurir_result *x)
{
	struct kurir_str seconds =
	    number(kurir_scratch(), (uint64_t)(kurir_wallclock() - w->envelope.arrived));
	KURIR_EMIT(w->q->self, KURIR_INFO, event, { "id", w->envelope.id },
	    { "to", t->recipient->address }, { "code", number(kurir_scratch(), x->code) },
	    { "xyz", x->xyz }, { "remote", x->remote }, { "text", x->text },
	    { "age-ms", seconds });
}

static void settle(struct work *w, struct target *t, enum entry_state fate)
{
	struct queue *q = w->q;
	if (!table_decide(q, w->message, t->entry, fate))
		return;
	if (fate == ENTRY_DELIVERED)
		kurir_count(q->self, QUEUE_DELIVERED, 1);
	else if (fate == ENTRY_BOUNCED)
		kurir_count(q->self, QUEUE_BOUNCED, 1);
	else if (fate == ENTRY_CANCELLED)
		kurir_count(q->self, QUEUE_CANCELLED, 1);
	state_entry(q, w->message, t->entry);
	if (w->message->undecided == 0)
		state_bury(q, w->message);
}

/* What an administrator asked for while the attempt ran, else what the entry was given. */
void dispatch_finish_entry(struct queue *q, struct message *m, struct entry *e)
{
	if (entry_decided(e))
		return;
	if (e->flags & ENTRY_CANCEL) {
		table_decide(q, m, e, ENTRY_CANCELLED);
		kurir_count(q->self, QUEUE_CANCELLED, 1);
	} else if (e->flags & ENTRY_HOLD) {
		scheduler_remove(&q->scheduler, e);
		e->flags &= (uint8_t)~ENTRY_HOLD;
		e->state = ENTRY_HELD;
	} else {
		return;
	}
	state_entry(q, m, e);
	if (m->undecided == 0)
		state_bury(q, m);
}

static void put_off(struct work *w, struct target *t, int64_t due)
{
	struct queue *q = w->q;
	struct destination *d = t->result.site ? t->destination : NULL;
	if (d != NULL && d->troubles > 0)
		scheduler_block(&q->scheduler, d, t->entry, due);
	else
		scheduler_at(&q->scheduler, t->entry, due);
	state_entry(q, w->message, t->entry);
	dispatch_finish_entry(q, w->message, t->entry);
}

/* Whether the sender is to hear of it. */
static bool wants(const struct work *w, const struct target *t, enum kurir_notice n)
{
	uint32_t notify = t->recipient->notify;
	if (w->envelope.sender.len == 0 || (notify & KURIR_NOTIFY_NEVER) != 0)
		return false;
	switch (n) {
	case KURIR_NOTICE_FAILED:
		return notify == KURIR_NOTIFY_UNSET || (notify & KURIR_NOTIFY_FAILURE) != 0;
	case KURIR_NOTICE_DELAYED:
		return notify == KURIR_NOTIFY_UNSET || (notify & KURIR_NOTIFY_DELAY) != 0;
	default:
		return (notify & KURIR_NOTIFY_SUCCESS) != 0;
	}
}

/* Turns the transport's words into what is to be done; t->notice says whether somebody hears of
 * it. */
static void judge(struct work *w, struct target *t)
{
	const struct queue_conf *conf = w->q->conf;
	int64_t now = kurir_wallclock(), end = w->envelope.arrived + conf->lifetime;
	struct kurir_result *x = &t->result;
	t->notice = 0;
	if (x->fate == KURIR_FATE_DELIVERED) {
		bool local = t->local;
		if ((local || !x->relayed_dsn) && wants(w, t, KURIR_NOTICE_DELIVERED))
			t->notice = local ? KURIR_NOTICE_DELIVERED : KURIR_NOTICE_RELAYED;
		return;
	}
	if (x->fate == KURIR_FATE_DEFERRED && now >= end) {
		x->fate = KURIR_FATE_FAILED;
		x->text = kurir_format(w->arena, "given up after %llu hours: %.*s",
		    (unsigned long long)(conf->lifetime / 3600000), KURIR_ARG(x->text));
		x->xyz = KURIR_STR("5.4.7");
	}
	if (x->fate == KURIR_FATE_FAILED) {
		if (wants(w, t, KURIR_NOTICE_FAILED))
			t->notice = KURIR_NOTICE_FAILED;
		return;
	}
	if (conf->delay_warning > 0 && now - w->envelope.arrived >= conf->delay_warning &&
	    (t->entry->flags & ENTRY_WARNED) == 0 && wants(w, t, KURIR_NOTICE_DELAYED))
		t->notice = KURIR_NOTICE_DELAYED;
}

/* 0 when all who wanted to hear will. */
KURIR_PARKS static int notify(struct work *w, struct target *first)
{
	size_t count = 0, at = 0;
	for (struct target *t = first; t != NULL; t = t->next)
		count += t->notice != 0;
	if (count == 0)
		return 0;
	struct kurir_bounce_rcpt *r = kurir_alloc(w->arena, count * sizeof(*r));
	for (struct target *t = first; t != NULL; t = t->next)
		if (t->notice != 0)
			r[at++] = (struct kurir_bounce_rcpt){
				.recipient = *t->recipient,
				.notice = t->notice,
				.result = t->result,
				.last_attempt = kurir_wallclock(),
				.retry_until = t->notice == KURIR_NOTICE_DELAYED
				    ? w->envelope.arrived + w->q->conf->lifetime
				    : 0,
			};
	struct kurir_self *owner;
	const struct kurir_bounce_ops *ops = kurir_service_find("bounce", NULL, &owner);
	if (ops == NULL)
		return 0; /* none configured: fates are logged, nobody is told */
	return ops->notify(owner, w->ref, &w->envelope, r, count, kurir_now() + 120000);
}

/* Gives each recipient of the list what its result says. */
KURIR_PARKS static void conclude(struct work *w, struct target *first)
{
	struct queue *q = w->q;
	for (struct target *t = first; t != NULL; t = t->next)
		judge(w, t);
	int told = notify(w, first);
	if (told < 0)
		kurir_log(
		    q->self, KURIR_ERROR, told, "cannot write a notification, trying again");
	int64_t now = kurir_wallclock(), end = w->envelope.arrived + q->conf->lifetime;
	for (struct target *t = first; t != NULL; t = t->next) {
		struct kurir_result *x = &t->result;
		if (entry_decided(t->entry))
			continue;
		if (x->fate == KURIR_FATE_DELIVERED) {
			dispatch_tell(w, t, "delivered", x);
			settle(w, t, ENTRY_DELIVERED);
			continue;
		}
		if (x->fate == KURIR_FATE_FAILED && told == 0) {
			dispatch_tell(w, t, "bounced", x);
			settle(w, t, ENTRY_BOUNCED);
			continue;
		}
		int64_t due = now + PAUSE_NOTICE;
		if (x->fate == KURIR_FATE_DEFERRED) {
			due = scheduler_retry(&q->scheduler, t->entry->attempts, now);
			if (due > end && now < end)
				due = end; /* the last one */
			if (t->notice == KURIR_NOTICE_DELAYED && told == 0)
				t->entry->flags |= ENTRY_WARNED;
			kurir_count(q->self, QUEUE_DEFERRED, 1);
			dispatch_tell(w, t, "deferred", x);
		}
		put_off(w, t, due);
	}
	dispatch_wake(q);
}

static void all_results(struct target *first, enum kurir_fate fate, struct kurir_str xyz,
    struct kurir_str text, bool site)
{
	for (struct target *t = first; t != NULL; t = t->next)
		t->result =
		    (struct kurir_result){ .fate = fate, .xyz = xyz, .text = text, .site = site };
}

static int pack_job(struct work *w, struct target *first, size_t count, struct kurir_buf *b)
{
	struct kurir_recipient *list = kurir_alloc(w->arena, count * sizeof(*list));
	size_t n = 0;
	for (struct target *t = first; t != NULL; t = t->next)
		list[n++] = *t->recipient;
	struct kurir_job j = {
		.ref = w->ref,
		.envelope = w->envelope,
		.destination = first->route.destination,
		.parameters = first->route.parameters,
		.attempt = first->entry->attempts,
	};
	j.envelope.recipients = list;
	j.envelope.count = count;
	return kurir_put_job(b, &j);
}

/* Calls the transport; every target has a result after. */
KURIR_PARKS static void call_transport(struct work *w, struct target *first, size_t count)
{
	struct kurir_str transport = first->route.transport;
	struct kurir_str endpoint =
	    kurir_format(w->arena, "transport.%.*s", KURIR_ARG(transport));
	struct kurir_buf b = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_str reply = { 0 };
	int r = pack_job(w, first, count, &b);
	if (r == 0) {
		struct kurir_request call = { .endpoint = endpoint.ptr, .fd = -1 };
		call.key = kurir_str_hash(first->route.destination);
		call.body = kurir_buf_str(&b);
		r = kurir_call(
		    w->q->self, &call, kurir_now() + w->q->conf->job_deadline, w->arena, &reply);
	}
	kurir_buf_free(&b);
	if (r >= 0) {
		struct kurir_result *x = kurir_alloc(w->arena, count * sizeof(*x));
		struct kurir_reader reader = KURIR_READER(reply);
		r = kurir_get_results(&reader, w->arena, x, count);
		for (struct target *t = first; r == 0 && t != NULL; t = t->next)
			t->result = *x++;
	}
	if (r < 0)
		all_results(first, KURIR_FATE_DEFERRED, KURIR_STR("4.3.0"),
		    kurir_format(w->arena, "transport %.*s: %s", KURIR_ARG(transport),
			r == -ENOENT ? "not configured" : strerror(-r)),
		    false);
}

/* One destination's recipients of one message. */
KURIR_PARKS static void run_job(struct work *w, struct target *first)
{
	struct queue *q = w->q;
	struct destination *d = scheduler_destination(&q->scheduler, first->route.destination);
	bool urgent = false;
	size_t count = 0;
	for (struct target *t = first; t != NULL; t = t->next) {
		urgent |= (t->entry->flags & ENTRY_URGENT) != 0;
		t->destination = d;
		count++;
	}
	enum scheduler_answer a = scheduler_ask(&q->scheduler, d, kurir_wallclock(), urgent);
	if (a != SCHEDULER_GO) {
		int64_t due = d->blocked_until, end = w->envelope.arrived + q->conf->lifetime;
		for (struct target *t = first; t != NULL; t = t->next) {
			if (a == SCHEDULER_BLOCKED && kurir_wallclock() >= end)
				break;
			if (a == SCHEDULER_WAIT)
				scheduler_wait(&q->scheduler, d, t->entry);
			else
				scheduler_block(
				    &q->scheduler, d, t->entry, due < end ? due : end);
			dispatch_finish_entry(q, w->message, t->entry);
		}
		if (a == SCHEDULER_WAIT || kurir_wallclock() < end)
			return;
		all_results(first, KURIR_FATE_DEFERRED, KURIR_STR("4.4.1"),
		    KURIR_STR("the destination did not answer"), false);
		conclude(w, first);
		return;
	}
	for (struct target *t = first; t != NULL; t = t->next) {
		if (t->entry->attempts < UINT16_MAX)
			t->entry->attempts++;
		t->entry->flags &= (uint8_t)~ENTRY_URGENT;
		KURIR_EMIT(q->self, KURIR_INFO, "attempt", { "id", w->envelope.id },
		    { "to", t->recipient->address }, { "transport", first->route.transport },
		    { "destination", first->route.destination },
		    { "attempt", number(kurir_scratch(), t->entry->attempts) });
	}
	kurir_count(q->self, QUEUE_JOBS, 1);
	call_transport(w, first, count);
	bool trouble = true, success = false;
	for (struct target *t = first; t != NULL; t = t->next) {
		trouble &= t->result.fate == KURIR_FATE_DEFERRED && t->result.site;
		success |= t->result.fate != KURIR_FATE_DEFERRED || !t->result.site;
	}
	scheduler_done(&q->scheduler, d, kurir_wallclock(), trouble, success);
	d->active++; /* keeps it until its recipients have been put where they belong */
	conclude(w, first);
	d->active--;
	scheduler_drop_unused(&q->scheduler, d);
	dispatch_wake(q);
}

struct job {
	struct work *work;
	struct target *first;
};

KURIR_PARKS static void job_fiber(void *arg)
{
	struct job *j = arg;
	run_job(j->work, j->first);
}

/* Recipients with one route are one job, up to so many. */
static struct target *take_group(struct work *w, struct target **list)
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

KURIR_PARKS static void run_jobs(struct work *w, struct target *list)
{
	while (list != NULL) {
		struct target *first = take_group(w, &list);
		if (list == NULL) {
			run_job(w, first);
			return;
		}
		struct kurir_group *g = kurir_group_begin(w->q->self);
		for (unsigned n = 0; first != NULL && n < GROUPS_AT_ONCE; n++) {
			struct job *j = kurir_alloc(w->arena, sizeof(*j));
			*j = (struct job){ .work = w, .first = first };
			if (kurir_group_go(g, "queue-job", job_fiber, j) < 0)
				run_job(w, first);
			first =
			    list != NULL && n + 1 < GROUPS_AT_ONCE ? take_group(w, &list) : NULL;
		}
		kurir_group_wait(g, KURIR_FOREVER);
		kurir_group_end(g);
	}
}

static const struct kurir_recipient no_recipient;

/* Routes every busy recipient; those that have one remain in the list. */
KURIR_PARKS static struct target *route_all(struct work *w, struct target *list)
{
	struct target *go = NULL, **last = &go;
	while (list != NULL) {
		struct target *t = list;
		list = t->next;
		t->next = NULL;
		int r = route_target(w, t);
		if (r > 0) {
			*last = t;
			last = &t->next;
		} else if (r == 0) {
			settle(w, t, ENTRY_EXPANDED);
		} else {
			if (t->entry->attempts < UINT16_MAX)
				t->entry->attempts++;
			conclude(w, t);
		}
	}
	return go;
}

/* Puts recipients that nothing was done for back in the line. */
static void give_back(struct queue *q, struct message *m, int64_t due)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].state == ENTRY_BUSY) {
			scheduler_at(&q->scheduler, &m->entries[i], due);
			dispatch_finish_entry(q, m, &m->entries[i]);
		}
}

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
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].state != ENTRY_BUSY)
			continue;
		struct target *t = kurir_alloc(w->arena, sizeof(*t));
		t->entry = &m->entries[i];
		t->recipient = i < w->envelope.count ? &w->envelope.recipients[i] : &no_recipient;
		*last = t;
		last = &t->next;
	}
	*ret = list;
	return 0;
}

/* The record rotted, or the disk does not give it: tried as long as any message is. */
static void unreadable(struct queue *q, struct message *m, int err)
{
	bool over = kurir_wallclock() >= m->arrived + q->conf->lifetime;
	kurir_log(q->self, KURIR_ERROR, err, "cannot read a message of segment %016llx%s",
	    (unsigned long long)m->segment->id, over ? ", given up" : ", trying again");
	if (!over || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		return;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].state == ENTRY_BUSY)
			queue_orphan(q, m, &m->entries[i], err);
}

/* Who only waits for a turn will need it again, soon. */
static void drop_envelope(struct queue *q, struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].state == ENTRY_READY || m->entries[i].state == ENTRY_WAITING)
			return;
	q->fresh_bytes -= m->envelope_length;
	m->envelope_length = 0;
	free(m->envelope);
	m->envelope = NULL;
}

KURIR_PARKS static void message_fiber(void *arg)
{
	struct work *w = arg;
	struct queue *q = w->q;
	struct message *m = w->message;
	struct segment *s = m->segment; /* where the body is, even if the message moves on */
	struct target *list = NULL;
	s->users++;
	w->arena = kurir_arena_new("queue-message");
	int r = work_begin(w, &list);
	if (r == 0) {
		list = route_all(w, list);
		run_jobs(w, list);
	} else if (r != -ECANCELED) {
		unreadable(q, m, r);
	}
	give_back(q, m, kurir_wallclock() + (r == 0 ? 1000 : PAUSE_BROKEN));
	kurir_arena_free(w->arena);
	drop_envelope(q, m);
	s->users--;
	m->users--;
	q->dispatching--;
	free(w);
	dispatch_wake(q);
}

static void dispatch_one(struct queue *q, struct entry *e)
{
	struct message *m = table_message_of(e);
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].state == ENTRY_READY) {
			scheduler_remove(&q->scheduler, &m->entries[i]);
			m->entries[i].state = ENTRY_BUSY;
		}
	struct work *w = calloc(1, sizeof(*w));
	int r = w == NULL ? -ENOMEM : 0;
	if (r == 0) {
		*w = (struct work){ .q = q, .message = m };
		m->users++;
		q->dispatching++;
		r = kurir_group_go(q->group, "queue-message", message_fiber, w);
		if (r < 0) {
			m->users--;
			q->dispatching--;
			free(w);
		}
	}
	if (r < 0)
		give_back(q, m, kurir_wallclock() + 1000);
}

void dispatch_run(void *arg)
{
	struct queue *q = arg;
	int r = 0;
	while (r != -ECANCELED) {
		struct entry *e;
		int64_t now = kurir_wallclock();
		while (q->dispatching < (unsigned)q->conf->concurrency &&
		    (e = scheduler_take(&q->scheduler, now)) != NULL)
			dispatch_one(q, e);
		int64_t next = scheduler_next(&q->scheduler);
		int64_t span = next - now;
		if (q->dispatching >= (unsigned)q->conf->concurrency || span > 60000)
			span = 60000;
		r = kurir_signal_wait(q->work, kurir_now() + (span > 1 ? span : 1));
	}
}
