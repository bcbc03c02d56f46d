/* chain.c - pipelines.  Compiled once to flat arrays, run for every command; an empty point
 * costs one compare.  A hook has the time its instance's "deadline" gives it: then whatever
 * it waits for returns -ETIMEDOUT, again and again, until it returns. */
#include "chain.h"

#include "breaker.h"
#include "conf.h"
#include "count.h"
#include "fiber.h"
#include "hook.h"
#include "loop.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUDGE 20 /* milliseconds between two reminders to a hook that is late */

const char *const chain_point_names[CHAIN_POINTS + 1] = { "connect", "helo", "auth", "mail",
	"rcpt", "data", "filter", "message", "done", "closed", NULL };

chain_far_fn *chain_far;

static struct kurir_arena *memory;
static struct chain *chains;
static const struct chain empty;

const char *kurir_verdict_name(int v)
{
	static const char *const names[] = { "next", "accept", "reject", "defer", "discard",
		"hangup" };

	if (v < 0)
		return "error";
	return (size_t)v < sizeof(names) / sizeof(names[0]) ? names[v] : "invalid";
}

/* The hook of a point, NULL when there is none or the module's table is too old to have it. */
static void (*function_of(const struct kurir_self *self, enum chain_point point))(void)
{
	static const size_t offsets[CHAIN_POINTS] = { offsetof(struct kurir_smtp_hooks, connect),
		offsetof(struct kurir_smtp_hooks, helo), offsetof(struct kurir_smtp_hooks, auth),
		offsetof(struct kurir_smtp_hooks, mail), offsetof(struct kurir_smtp_hooks, rcpt),
		offsetof(struct kurir_smtp_hooks, data),
		offsetof(struct kurir_smtp_hooks, filter),
		offsetof(struct kurir_smtp_hooks, message),
		offsetof(struct kurir_smtp_hooks, done),
		offsetof(struct kurir_smtp_hooks, closed) };
	const struct kurir_smtp_hooks *h = self->module->m.smtp;
	void (*fn)(void) = NULL;

	if (h == NULL || h->size < offsets[point] + sizeof(fn))
		return NULL;
	if (point == CHAIN_FILTER && (self->module->caps & KURIR_CAP_BODY) == 0)
		return NULL;
	memcpy(&fn, (const char *)h + offsets[point], sizeof(fn));
	return fn;
}

uint32_t chain_points_of(const struct kurir_smtp_hooks *h)
{
	const struct module m = { .m = { .smtp = h }, .caps = KURIR_CAP_BODY };
	const struct kurir_self self = { .module = &m };
	uint32_t points = 0;

	for (unsigned point = 0; point < CHAIN_POINTS; point++)
		if (function_of(&self, (enum chain_point)point) != NULL)
			points |= 1u << point;
	return points;
}

static uint64_t *counter(const struct kurir_self *self, enum chain_point point, const char *what)
{
	char name[48];

	(void)snprintf(name, sizeof(name), "%s-%s", chain_point_names[point], what);
	return count_new_one(self->name, name);
}

static void link_point(
    struct chain *c, enum chain_point point, struct kurir_self *const *selves, size_t n)
{
	struct chain_link *l;
	size_t i;

	c->links[point] = l = kurir_alloc(memory, (n + 1) * sizeof(*l));
	for (i = 0; i < n; i++) {
		/* closed runs in reverse */
		struct kurir_self *self = selves[point == CHAIN_CLOSED ? n - 1 - i : i];
		void (*fn)(void) = function_of(self, point);

		if (fn == NULL && (self->worker == 0 || (self->points & 1u << point) == 0))
			continue;
		l->fn = fn;
		l->self = self;
		l->calls = counter(self, point, "calls");
		l->errors = counter(self, point, "errors");
		l->hook = hook_of(self, point);
		l->breaker = breaker_of(self);
		l++;
	}
	c->count[point] = (size_t)(l - c->links[point]);
}

int chain_add(
    struct kurir_str name, const struct kurir_str *instances, size_t n, size_t *ret_missing)
{
	struct kurir_self **selves;
	struct chain *c;
	size_t i;
	int point;

	if (memory == NULL)
		memory = kurir_arena_new("chains");
	selves = kurir_alloc(memory, (n + 1) * sizeof(struct kurir_self *));
	for (i = 0; i < n; i++) {
		selves[i] = instance_find(instances[i]);
		if (selves[i] == NULL) {
			*ret_missing = i;
			return -ENOENT;
		}
	}
	c = kurir_alloc(memory, sizeof(*c));
	c->name = kurir_copy(memory, name);
	for (point = 0; point < CHAIN_POINTS; point++)
		link_point(c, (enum chain_point)point, selves, n);
	c->next = chains;
	chains = c;
	return 0;
}

/* A pipeline of the configuration, compiled when it is first asked for.  An optional
 * instance that could not be loaded is left out: the planner has said so. */
static const struct chain *compile(struct kurir_str name)
{
	struct kurir_str present[64];
	size_t i, j, n = 0, missing;

	for (i = 0; conf_now != NULL && i < conf_now->pipelines.count; i++) {
		const struct kurir_pair *p = &conf_now->pipelines.items[i];

		if (!kurir_str_equal(p->key, name))
			continue;
		for (j = 0; j < p->values.count && n < 64; j++)
			if (instance_find(p->values.items[j]) != NULL)
				present[n++] = p->values.items[j];
		if (chain_add(name, present, n, &missing) == 0)
			return chains;
	}
	return &empty;
}

const struct chain *chain_find(struct kurir_str name)
{
	const struct chain *c;

	if (name.len == 0)
		return &empty;
	for (c = chains; c != NULL; c = c->next)
		if (kurir_str_equal(c->name, name))
			return c;
	return compile(name);
}

/* The hook's time is up: from now on nothing it waits for lasts. */
struct watch {
	struct loop_timer timer;
	struct fiber *fiber;
	bool late;
};

static void late(struct loop_timer *t)
{
	struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, timer));

	w->late = true;
	fiber_wake(w->fiber, -ETIMEDOUT);
	loop_timer_set(t, kurir_now() + NUDGE, late);
}

KURIR_PARKS static int call_point(
    const struct chain_link *l, enum chain_point point, struct chain_call *c)
{
	struct kurir_stream *body = NULL;
	int r;

	if (l->self->worker != 0)
		return chain_far != NULL ? chain_far(l->self, point, c) : -ENOSYS;
	switch (point) {
	case CHAIN_CONNECT:
		return ((int (*)(struct kurir_self *, struct kurir_conn *))l->fn)(
		    l->self, c->conn);
	case CHAIN_HELO:
	case CHAIN_AUTH:
		return ((int (*)(struct kurir_self *, struct kurir_conn *,
		    struct kurir_str))l->fn)(l->self, c->conn, c->text);
	case CHAIN_MAIL:
		return ((int (*)(struct kurir_self *, struct kurir_tx *, struct kurir_str))l->fn)(
		    l->self, c->tx, c->text);
	case CHAIN_RCPT:
		return ((int (*)(struct kurir_self *, struct kurir_tx *,
		    struct kurir_rcpt *))l->fn)(l->self, c->tx, c->rcpt);
	case CHAIN_DATA:
		return ((int (*)(struct kurir_self *, struct kurir_tx *))l->fn)(l->self, c->tx);
	case CHAIN_FILTER:
		return ((int (*)(struct kurir_self *, struct kurir_tx *,
		    struct kurir_stream **))l->fn)(l->self, c->tx, c->stream);
	case CHAIN_MESSAGE:
		r = c->open(c, &body);
		if (r < 0)
			return r;
		r = ((int (*)(struct kurir_self *, struct kurir_tx *,
		    struct kurir_stream *))l->fn)(l->self, c->tx, body);
		kurir_close(body);
		return r;
	case CHAIN_DONE:
		((void (*)(struct kurir_self *, struct kurir_tx *, int))l->fn)(
		    l->self, c->tx, c->verdict);
		return 0;
	case CHAIN_CLOSED:
		((void (*)(struct kurir_self *, struct kurir_conn *))l->fn)(l->self, c->conn);
		return 0;
	case CHAIN_POINTS:
		break;
	}
	return -EINVAL;
}

/* What a module may say at a point; anything else is a fault of the module. */
static bool may_say(enum chain_point point, int verdict)
{
	if (verdict == KURIR_DISCARD)
		return point == CHAIN_MAIL || point == CHAIN_RCPT || point == CHAIN_MESSAGE;
	return verdict >= KURIR_NEXT && verdict <= KURIR_HANGUP;
}

/* The hook itself, with its deadline. */
KURIR_PARKS static int call_timed(
    const struct chain_link *l, enum chain_point point, struct chain_call *c)
{
	struct watch w = { .fiber = fiber_self() };
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	int r;

	if (l->self->deadline > 0 && w.fiber != NULL)
		loop_timer_set(&w.timer, kurir_now() + l->self->deadline, late);
	if (c->current != NULL)
		*c->current = l->self;
	r = call_point(l, point, c);
	if (w.late && r >= 0)
		r = -ETIMEDOUT; /* what it decided on half of the facts does not count */
	if (c->current != NULL)
		*c->current = NULL;
	if (w.timer.place != 0)
		loop_timer_clear(&w.timer);
	kurir_rewind(kurir_scratch(), mark);
	return r;
}

static int judge(const struct chain_link *l, enum chain_point point, int r)
{
	if (r < 0 || may_say(point, r))
		return r;
	return kurir_log(
	    l->self, KURIR_WARN, -EINVAL, "answered %d at %s", r, chain_point_names[point]);
}

/* In a simulation nothing is counted, but everything is told. */
KURIR_PARKS static int call_traced(
    const struct chain_link *l, enum chain_point point, struct chain_call *c)
{
	struct trace_before before;
	uint64_t start;
	int r = BREAKER_OPEN;

	if (point >= CHAIN_DONE)
		return call_timed(l, point, c);
	trace_before(c->trace, c, &before);
	start = hook_clock();
	if (!breaker_is_open(l->breaker))
		r = judge(l, point, call_timed(l, point, c));
	trace_after(c->trace, l->self, c, &before, r, hook_nanos((double)(hook_clock() - start)));
	return r;
}

/* The end of one hook is the beginning of the next one: the clock is read once for each. */
KURIR_PARKS static int call_hook(
    const struct chain_link *l, enum chain_point point, struct chain_call *c)
{
	uint64_t start = c->clock > 0 ? c->clock : hook_clock();
	int r;

	if (l->self->failed)
		return KURIR_NEXT;
	if (c->trace != NULL)
		return call_traced(l, point, c);
	if (point < CHAIN_DONE && !breaker_allows(l->breaker)) {
		l->hook->skipped++;
		return BREAKER_OPEN;
	}
	r = call_timed(l, point, c);
	if (point < CHAIN_DONE && (r != -ECANCELED || !fiber_canceled()))
		breaker_note(l->breaker, r < 0);
	r = judge(l, point, r);
	(*l->calls)++;
	if (r < 0)
		(*l->errors)++;
	c->clock = hook_clock();
	hook_note(l->hook, r, c->clock - start);
	return r;
}

int chain_decide(const struct chain *chain, enum chain_point point, struct chain_call *c,
    struct kurir_self **ret_who)
{
	size_t i;
	int r;

	for (i = 0; i < chain->count[point]; i++) {
		const struct chain_link *l = &chain->links[point][i];

		r = call_hook(l, point, c);
		*ret_who = l->self;
		if (r == -ECANCELED && fiber_canceled())
			return KURIR_HANGUP;
		if (r < 0 && r != BREAKER_OPEN)
			(void)kurir_log(l->self, KURIR_WARN, r, "could not decide at %s",
			    chain_point_names[point]);
		c->failed = r < 0 ? r : 0;
		if (r < 0)
			r = l->self->on_error == ON_ERROR_NEXT	   ? KURIR_NEXT
			    : l->self->on_error == ON_ERROR_REJECT ? KURIR_REJECT
								   : KURIR_DEFER;
		if (r != KURIR_NEXT)
			return r;
	}
	*ret_who = NULL;
	return KURIR_NEXT;
}

int chain_filter(const struct chain *chain, struct chain_call *c)
{
	size_t i;
	int r;

	for (i = 0; i < chain->count[CHAIN_FILTER]; i++) {
		const struct chain_link *l = &chain->links[CHAIN_FILTER][i];
		struct kurir_stream *before = *c->stream;

		if (c->under_count == CHAIN_FILTERS_MAX)
			return kurir_log(l->self, KURIR_ERROR, -E2BIG, "too many filters");
		r = call_hook(l, CHAIN_FILTER, c);
		if (*c->stream != before)
			c->under[c->under_count++] = before;
		if (r < 0 && l->self->on_error == ON_ERROR_NEXT)
			(void)kurir_log(l->self, KURIR_WARN, r, "could not filter, passing on");
		else if (r < 0)
			return kurir_log(l->self, KURIR_WARN, r, "could not filter");
	}
	return 0;
}

int chain_one(const struct chain *chain, enum chain_point point, struct chain_call *c)
{
	return chain->count[point] > 0 ? call_hook(&chain->links[point][0], point, c)
				       : KURIR_NEXT;
}

void chain_observe(const struct chain *chain, enum chain_point point, struct chain_call *c)
{
	size_t i;

	for (i = 0; i < chain->count[point]; i++)
		(void)call_hook(&chain->links[point][i], point, c);
}
