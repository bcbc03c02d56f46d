/* fate.c - what becomes of recipients when it is known how their attempt ended.
 *
 * A fate is written to the state log after the world was changed (delivered, notification
 * committed): a crash between repeats, never loses. */
#include "dispatch.h"

#include <errno.h>

#define PAUSE_NOTICE ((int64_t)60 * 1000) /* the bounce cannot be written */

static struct kurir_str fate_number(struct kurir_arena *a, uint64_t n)
{
	return kurir_format(a, "%llu", (unsigned long long)n);
}

/* What no peer said has no reply: the code and the status that fit what becomes of it. */
static uint32_t fate_code(const struct kurir_result *x)
{
	return x->code != 0		      ? x->code
	    : x->fate == KURIR_FATE_DELIVERED ? 250
	    : x->fate == KURIR_FATE_FAILED    ? 550
					      : 450;
}

static struct kurir_str fate_xyz(const struct kurir_result *x)
{
	return x->xyz.len > 0		      ? x->xyz
	    : x->fate == KURIR_FATE_DELIVERED ? KURIR_STR("2.0.0")
	    : x->fate == KURIR_FATE_FAILED    ? KURIR_STR("5.0.0")
					      : KURIR_STR("4.0.0");
}

void dispatch_tell(struct work *w, const struct target *t, const char *event,
    const struct kurir_result *x, int64_t next)
{
	int64_t now = kurir_wallclock();
	struct kurir_str age =
	    fate_number(kurir_scratch(), (uint64_t)(now - w->envelope.arrived));
	bool waits = next > now;
	const struct kurir_field fields[] = { { "id", w->envelope.id },
		{ "to", t->recipient->address },
		{ "code", fate_number(kurir_scratch(), fate_code(x)) }, { "xyz", fate_xyz(x) },
		{ "remote", x->remote }, { "text", x->text }, { "age-ms", age },
		{ "next-ms", fate_number(kurir_scratch(), waits ? (uint64_t)(next - now) : 0) } };
	kurir_emit(w->q->self, KURIR_INFO, event, fields,
	    sizeof(fields) / sizeof(*fields) - (waits ? 0 : 1));
}

void dispatch_settle(struct work *w, struct target *t, enum entry_state fate)
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
	e->flags &= (uint8_t) ~(ENTRY_TRYING | ENTRY_ENDING);
	if (e->flags & ENTRY_CANCEL) {
		table_decide(q, m, e, ENTRY_CANCELLED);
		kurir_count(q->self, QUEUE_CANCELLED, 1);
	} else if (e->flags & ENTRY_HOLD) {
		scheduler_remove(&q->scheduler, e);
		e->flags &= (uint8_t)~ENTRY_HOLD;
		e->state = ENTRY_HELD;
	} else {
		if (e->flags & ENTRY_EXPIRE)
			scheduler_ready(&q->scheduler, e);
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
	t->entry->reason = scheduler_reason(t->result.xyz);
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

/* Deferred, or failed and the sender cannot be told now. */
static void conclude_later(struct work *w, struct target *t, bool told)
{
	struct queue *q = w->q;
	int64_t now = kurir_wallclock(), end = w->envelope.arrived + q->conf->lifetime;
	int64_t due = now + PAUSE_NOTICE;
	if (t->result.fate == KURIR_FATE_DEFERRED) {
		due = scheduler_retry(&q->scheduler, t->entry->attempts, now);
		if (due > end && now < end)
			due = end; /* the last one */
		if (t->notice == KURIR_NOTICE_DELAYED && told)
			t->entry->flags |= ENTRY_WARNED;
		kurir_count(q->self, QUEUE_DEFERRED, 1);
		q->deferrals++;
		dispatch_tell(w, t, "deferred", &t->result, due);
	}
	put_off(w, t, due);
}

void dispatch_conclude(struct work *w, struct target *first)
{
	struct queue *q = w->q;
	for (struct target *t = first; t != NULL; t = t->next)
		judge(w, t);
	int told = notify(w, first);
	if (told < 0 && told != -ECANCELED)
		kurir_log(
		    q->self, KURIR_ERROR, told, "cannot write a notification, trying again");
	for (struct target *t = first; t != NULL; t = t->next) {
		struct kurir_result *x = &t->result;
		bool failed = x->fate == KURIR_FATE_FAILED;
		if (!dispatch_ours(t))
			continue;
		if (x->fate == KURIR_FATE_DELIVERED) {
			dispatch_tell(w, t, "delivered", x, 0);
			dispatch_settle(w, t, ENTRY_DELIVERED);
		} else if (failed && (told == 0 || t->notice == 0)) {
			dispatch_tell(w, t, "bounced", x, 0);
			dispatch_settle(w, t, ENTRY_BOUNCED);
		} else if (!failed || told != -ECANCELED) {
			conclude_later(w, t, told == 0);
		} /* else we are being ended: who comes next begins where the log ends */
	}
	dispatch_wake(q);
}

void dispatch_all_results(struct target *first, enum kurir_fate fate, struct kurir_str xyz,
    struct kurir_str text, bool site)
{
	for (struct target *t = first; t != NULL; t = t->next)
		t->result =
		    (struct kurir_result){ .fate = fate, .xyz = xyz, .text = text, .site = site };
}
