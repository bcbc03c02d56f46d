/* attempt.c - recipients of one message at one destination: may it be bothered now, and what
 * does the transport say. */
#include "dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
		.attempt = first->entry->attempts + (w->message->arrived < w->q->began),
	};
	j.envelope.recipients = list;
	j.envelope.count = count;
	return kurir_put_job(b, &j);
}

/* Calls the transport.  0: every target has a result after; 1: the transport itself failed, and
 * they have, too; -ECANCELED: nothing is known. */
KURIR_PARKS static int call_transport(struct work *w, struct target *first, size_t count)
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
	if (r >= 0 || r == -ECANCELED)
		return r < 0 ? r : 0;
	dispatch_all_results(first, KURIR_FATE_DEFERRED, KURIR_STR("4.3.0"),
	    kurir_format(w->arena, "transport %.*s: %s", KURIR_ARG(transport),
		r == -ENOENT ? "not configured" : strerror(-r)),
	    false);
	return 1;
}

/* The destination has enough to do, or is in trouble: they wait there. */
KURIR_PARKS static void stand_in_line(struct work *w, struct target *first, struct destination *d)
{
	if (kurir_wallclock() < w->envelope.arrived + w->q->conf->lifetime) {
		for (struct target *t = first; t != NULL; t = t->next)
			scheduler_wait(&w->q->scheduler, d, t->entry);
		return;
	}
	dispatch_all_results(first, KURIR_FATE_DEFERRED, KURIR_STR("4.4.1"),
	    KURIR_STR("the destination did not answer"), false);
	dispatch_conclude(w, first);
}

static void begin_attempt(struct work *w, struct target *first)
{
	for (struct target *t = first; t != NULL; t = t->next) {
		struct kurir_mark mark = kurir_mark(w->arena);
		if (t->entry->attempts < UINT16_MAX)
			t->entry->attempts++;
		t->entry->flags &= (uint8_t)~ENTRY_URGENT;
		t->entry->flags |= ENTRY_TRYING;
		KURIR_EMIT(w->q->self, KURIR_INFO, "attempt", { "id", w->envelope.id },
		    { "to", t->recipient->address }, { "transport", first->route.transport },
		    { "destination", first->route.destination },
		    { "attempt", kurir_format(w->arena, "%u", t->entry->attempts) });
		kurir_rewind(w->arena, mark);
	}
	kurir_count(w->q->self, QUEUE_JOBS, 1);
}

/* One destination's recipients of one message. */
void dispatch_attempt(struct work *w, struct target *list)
{
	struct queue *q = w->q;
	struct target *first = dispatch_keep_ours(list);
	if (first == NULL)
		return; /* somebody took them while their route was asked for */
	struct destination *d = scheduler_destination(&q->scheduler, first->route.destination);
	bool urgent = false;
	size_t count = 0;
	for (struct target *t = first; t != NULL; t = t->next) {
		urgent |= (t->entry->flags & ENTRY_URGENT) != 0;
		t->destination = d;
		count++;
	}
	d->users++; /* it stays until its recipients have been put where they belong */
	if (scheduler_ask(&q->scheduler, d, kurir_wallclock(), urgent) != SCHEDULER_GO) {
		stand_in_line(w, first, d);
	} else {
		begin_attempt(w, first);
		int r = call_transport(w, first, count);
		bool trouble = r == 0, success = false;
		for (struct target *t = first; r == 0 && t != NULL; t = t->next) {
			trouble &= t->result.fate == KURIR_FATE_DEFERRED && t->result.site;
			success |= t->result.fate != KURIR_FATE_DEFERRED || !t->result.site;
		}
		if (trouble)
			scheduler_trouble(d,
			    kurir_format(w->arena, "%.*s: %.*s", KURIR_ARG(first->result.remote),
				KURIR_ARG(first->result.text)));
		scheduler_done(&q->scheduler, d, kurir_wallclock(), trouble, success);
		if (r >=
		    0) /* else we are being ended: who comes next begins where the log ends */
			dispatch_conclude(w, first);
	}
	d->users--;
	scheduler_drop_unused(&q->scheduler, d);
	dispatch_wake(q);
}
