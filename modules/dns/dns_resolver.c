/* dns_resolver.c - libunbound on our loop, through its event interface: no thread, one cache.
 * libunbound wants a deep stack and reads files when it begins, so every call into it happens on
 * the loop's own stack (kurir_watch); fibers leave a question and wait for its signal.  Equal
 * questions that are under way share one. */
#include "dns_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unbound-event.h>
#include <unbound.h>

#include "dns_event.h"

#define BUCKETS 256

struct dns_question {
	struct dns_question *next;    /* in its bucket */
	struct dns_question *pending; /* not yet given to libunbound */
	struct dns_resolver *resolver;
	struct kurir_arena *arena; /* of the question itself, too */
	struct kurir_signal *answered;
	struct kurir_str name;
	enum kurir_dns_type type;
	struct dns_raw raw;
	unsigned refs; /* fibers that wait, and libunbound */
	bool done;
};

struct dns_resolver {
	struct kurir_self *self;
	struct ub_ctx *ctx;
	struct dns_event_base *base;
	struct kurir_watch *kick;
	struct kurir_signal *turned; /* the kick has run */
	struct dns_question *buckets[BUCKETS];
	struct dns_question *pending;
	size_t questions;
	bool begun, ending, ended;
	int error;
	struct kurir_str what; /* went wrong at the beginning */
};

static struct dns_question **place(
    struct dns_resolver *d, struct kurir_str name, enum kurir_dns_type type)
{
	struct dns_question **q = &d->buckets[(kurir_str_hash(name) + (unsigned)type) % BUCKETS];

	while (*q != NULL && !((*q)->type == type && kurir_str_equal((*q)->name, name)))
		q = &(*q)->next;
	return q;
}

static void question_release(struct dns_question *q)
{
	if (--q->refs == 0)
		kurir_arena_free(q->arena);
}

static void question_forget(struct dns_question *q)
{
	struct dns_question **at = place(q->resolver, q->name, q->type);

	if (*at == q) {
		*at = q->next;
		q->resolver->questions--;
	}
}

/* Called by libunbound, now or later; why and packet are its own. */
static void question_answered(
    void *arg, int rcode, void *packet, int len, int sec, char *why, int was_ratelimited)
{
	struct dns_question *q = arg;

	(void)was_ratelimited;
	q->raw.rcode = rcode;
	q->raw.secure = sec == 2;
	q->raw.bogus = sec == 1;
	q->raw.packet = KURIR_STR("");
	q->raw.why = KURIR_STR("");
	if (packet != NULL && len > 0)
		q->raw.packet = kurir_copy(q->arena, (struct kurir_str){ packet, (size_t)len });
	if (why != NULL)
		q->raw.why = kurir_copy(q->arena, kurir_str_of(why));
	q->done = true;
	question_forget(q);
	kurir_signal_raise(q->answered);
	question_release(q);
}

static void question_begin(struct dns_resolver *d, struct dns_question *q)
{
	int id,
	    r = ub_resolve_event(d->ctx, q->name.ptr, (int)q->type, 1, q, question_answered, &id);

	if (r != 0)
		question_answered(q, 2, NULL, 0, 0, NULL, 0);
}

static int fault(struct dns_resolver *d, int ub, const char *what, struct kurir_str value)
{
	if (ub == 0)
		return 0;
	d->what = kurir_format(kurir_self_arena(d->self), "%s \"%.*s\": %s", what,
	    KURIR_ARG(value), ub_strerror(ub));
	return -EINVAL;
}

static int set(struct dns_resolver *d, const char *option, const char *value)
{
	return fault(d, ub_ctx_set_option(d->ctx, option, value), option, kurir_str_of(value));
}

/* Texts of the configuration end with a NUL only by habit: make it sure. */
static const char *cstr(struct dns_resolver *d, struct kurir_str s)
{
	return kurir_copy(kurir_self_arena(d->self), s).ptr;
}

static int configure_zones(struct dns_resolver *d, const struct dns_conf *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->forwarders.count; i++)
		r = fault(d, ub_ctx_set_fwd(d->ctx, cstr(d, c->forwarders.items[i])), "forwarder",
		    c->forwarders.items[i]);
	for (size_t i = 0; r == 0 && i < c->stubs.count; i++)
		for (size_t k = 0; r == 0 && k < c->stubs.items[i].values.count; k++)
			r = fault(d,
			    ub_ctx_set_stub(d->ctx, cstr(d, c->stubs.items[i].key),
				cstr(d, c->stubs.items[i].values.items[k]), 0),
			    "stub zone", c->stubs.items[i].key);
	for (size_t i = 0; r == 0 && i < c->anchors.count; i++)
		r = fault(d, ub_ctx_add_ta(d->ctx, cstr(d, c->anchors.items[i])), "trust anchor",
		    c->anchors.items[i]);
	if (r == 0 && c->anchor_file.len > 0)
		r = fault(d, ub_ctx_add_ta_file(d->ctx, cstr(d, c->anchor_file)),
		    "trust-anchor-file", c->anchor_file);
	if (r == 0 && c->root_hints.len > 0)
		r = set(d, "root-hints:", cstr(d, c->root_hints));
	for (size_t i = 0; r == 0 && i < c->insecure.count; i++)
		r = set(d, "domain-insecure:", cstr(d, c->insecure.items[i]));
	return r;
}

/* The zones that libunbound would answer by itself with "no such name" (RFC 6303, 6761). */
static void open_local_zones(struct dns_resolver *d)
{
	static const char *const zones[] = { "test.", "home.arpa.", "127.in-addr.arpa." };

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		(void)ub_ctx_zone_remove(d->ctx, zones[i]);
}

static int resolver_configure(struct dns_resolver *d)
{
	const struct dns_conf *c = kurir_conf(d->self);
	struct kurir_arena *arena = kurir_self_arena(d->self);
	const char *half = kurir_format(arena, "%llu", (unsigned long long)c->cache / 2).ptr;
	int r = set(d, "do-not-query-localhost:", "no");

	if (r == 0)
		r = set(d, "msg-cache-size:", half);
	if (r == 0)
		r = set(d, "rrset-cache-size:", half);
	if (r == 0)
		r = set(d, "use-syslog:", "no");
	if (r == 0)
		r = set(d, "logfile:", "");
	if (r == 0 && !c->local_zones)
		r = set(d, "unblock-lan-zones:", "yes");
	if (r == 0 && !c->local_zones)
		r = set(d, "insecure-lan-zones:", "yes");
	if (r == 0)
		r = configure_zones(d, c);
	if (r < 0)
		return r;
	(void)ub_ctx_debugout(d->ctx, NULL);
	/* The first call that needs the configuration reads the files, before the sandbox is
	 * closed.
	 * */
	r = fault(d, ub_ctx_zone_add(d->ctx, "kurir-self.invalid.", "static"), "cannot begin",
	    KURIR_STR("libunbound"));
	if (r == 0 && !c->local_zones)
		open_local_zones(d);
	return r;
}

static void resolver_begin(struct dns_resolver *d)
{
	d->begun = true;
	d->ctx = ub_ctx_create_ub_event(dns_event_base_ub(d->base));
	d->error = d->ctx == NULL ? -ENOMEM : resolver_configure(d);
}

static void resolver_end(struct dns_resolver *d)
{
	d->ended = true;
	if (d->ctx != NULL)
		ub_ctx_delete(d->ctx);
	d->ctx = NULL;
}

/* On the loop's stack: whatever was left to be done. */
static void resolver_turn(void *arg, short events)
{
	struct dns_resolver *d = arg;

	(void)events;
	if (!d->begun)
		resolver_begin(d);
	while (d->ctx != NULL && d->pending != NULL) {
		struct dns_question *q = d->pending;

		d->pending = q->pending;
		question_begin(d, q);
	}
	if (d->ending && !d->ended)
		resolver_end(d);
	kurir_signal_raise(d->turned);
}

KURIR_PARKS int dns_resolver_start(struct kurir_self *self, struct dns_resolver **ret)
{
	struct kurir_arena *arena = kurir_self_arena(self);
	struct dns_resolver *d = kurir_alloc(arena, sizeof(*d));
	int r;

	d->self = self;
	d->what = KURIR_STR("libunbound could not be made");
	d->base = dns_event_base_new(self);
	d->turned = kurir_signal_new(arena);
	r = kurir_watch_new(self, -1, resolver_turn, d, &d->kick);
	if (r == 0)
		r = kurir_watch_set(d->kick, 0, kurir_now());
	while (r == 0 && !d->begun)
		r = kurir_signal_wait(d->turned, KURIR_FOREVER);
	if (r < 0)
		return r;
	if (d->error < 0) {
		r = kurir_log(self, KURIR_ERROR, d->error, "%.*s", KURIR_ARG(d->what));
		dns_resolver_stop(d);
		return r;
	}
	*ret = d;
	return 0;
}

KURIR_PARKS void dns_resolver_stop(struct dns_resolver *d)
{
	d->ending = true;
	(void)kurir_watch_set(d->kick, 0, kurir_now());
	while (!d->ended && kurir_signal_wait(d->turned, KURIR_FOREVER) >= 0)
		;
	if (!d->ended)
		resolver_end(d);
	kurir_watch_free(d->kick);
	/* libunbound calls nobody back after its end; its share of each question is given back
	 * here.
	 * */
	for (size_t i = 0; i < BUCKETS; i++)
		while (d->buckets[i] != NULL) {
			struct dns_question *q = d->buckets[i];

			d->buckets[i] = q->next;
			question_release(q);
		}
}

static struct dns_question *question_new(
    struct dns_resolver *d, struct kurir_str name, enum kurir_dns_type type)
{
	struct kurir_arena *arena = kurir_arena_new("question");
	struct dns_question *q = kurir_alloc(arena, sizeof(*q));

	q->arena = arena;
	q->resolver = d;
	q->answered = kurir_signal_new(arena);
	q->name = kurir_copy(arena, name);
	q->type = type;
	q->refs = 1;
	q->next = NULL;
	*place(d, q->name, type) = q;
	d->questions++;
	q->pending = d->pending;
	d->pending = q;
	return q;
}

KURIR_PARKS int dns_resolver_ask(struct dns_resolver *d, struct kurir_str name,
    enum kurir_dns_type type, kurir_time until, struct kurir_arena *arena, struct dns_raw *ret)
{
	const struct dns_conf *c = kurir_conf(d->self);
	struct dns_question *q = *place(d, name, type);
	int r = 0;

	if (d->ending)
		return -ECANCELED;
	if (q != NULL) {
		kurir_count(d->self, DNS_MERGED, 1);
	} else {
		if (d->questions >= (size_t)c->questions) {
			kurir_count(d->self, DNS_BUSY, 1);
			return -EAGAIN;
		}
		q = question_new(d, name, type);
		r = kurir_watch_set(d->kick, 0, kurir_now());
	}
	q->refs++;
	while (r >= 0 && !q->done)
		r = kurir_signal_wait(q->answered, until);
	if (q->done) {
		*ret = q->raw;
		ret->packet = kurir_copy(arena, q->raw.packet);
		ret->why = kurir_copy(arena, q->raw.why);
		r = 0;
	}
	question_release(q);
	return r;
}
