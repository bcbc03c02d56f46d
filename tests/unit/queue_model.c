/* queue_model.c - see queue_model.h. */
#include "queue_model.h"

#include <stdarg.h>

#define MOMENT	  2000
#define LAST_TURN ((int64_t)3 * 3600000) /* after its lifetime: the longest pause, and a half */

struct model *model;

void model_fault(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	if (model->fault[0] == '\0')
		vsnprintf(model->fault, sizeof(model->fault), format, ap);
	va_end(ap);
	_exit(1);
}

static const char *fates_text(unsigned fates)
{
	static const char *const names[] = { "absent", "queued", "held", "delivered", "bounced",
		"cancelled", "elsewhere" };
	static char text[100];
	size_t n = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < 7; i++)
		if (fates & 1u << i)
			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%s%s", n > 0 ? " or " : "", names[i]);
	return text;
}

unsigned model_add_recipient(unsigned message, unsigned domain, unsigned fates)
{
	unsigned n = model->recipient_count++;
	model->recipients[n] = (struct recipient){ .message = (uint16_t)message,
		.domain = (uint8_t)domain,
		.fates = fates,
		.before = fates,
		.since = kurir_wallclock() };
	return n;
}

/* What time does to it. */
static unsigned aged(const struct recipient *r, unsigned fates)
{
	int64_t now = kurir_wallclock();
	int64_t end = model->messages[r->message].arrived + world.options.lifetime;
	if ((fates & QUEUED) == 0)
		return fates;
	if (now >= end - MOMENT || r->expiring)
		fates |= BOUNCED;
	if (now >= (r->since > end ? r->since : end) + LAST_TURN)
		fates &= ~(unsigned)QUEUED;
	return fates;
}

unsigned model_possible(const struct recipient *r)
{
	bool fresh = kurir_wallclock() - r->since <= MOMENT;
	return aged(r, r->fates | (fresh ? r->before : 0));
}

void model_set(struct recipient *r, unsigned fates, bool durable)
{
	r->before = r->durable ? r->fates : model_possible(r);
	r->fates = fates;
	r->since = kurir_wallclock();
	r->durable = durable;
}

void model_crash(void)
{
	model->crashes++;
	for (unsigned i = 0; i < model->recipient_count; i++) {
		struct recipient *r = &model->recipients[i];
		if (!r->durable && model->now - r->since <= MOMENT)
			r->fates |= r->before;
		r->asked = r->perhaps = 0;
	}
}

struct kurir_str model_body(unsigned message)
{
	static char text[65536];
	size_t length = model->messages[message].length;
	size_t n = (size_t)snprintf(text, sizeof(text), "Subject: %u\r\n\r\n", message);
	while (n < length)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u.%zu %0*u\r\n", message, n,
		    (int)(message % 50), message * 7 + (unsigned)n);
	return (struct kurir_str){ text, length };
}

static enum kurir_fate answer_notice(unsigned message)
{
	if (message >= model->message_count || !model->notices)
		model_fault("a notification to s%u, who wants none", message);
	model->messages[message].notices++;
	return KURIR_FATE_DELIVERED;
}

/* What was asked while it was tried: to cancel goes before to hold, and that before to expire. */
static unsigned deferred(const struct recipient *r)
{
	unsigned fates = model->wrong ? BOUNCED : QUEUED | r->perhaps;
	if (r->asked & CANCELLED)
		fates = CANCELLED;
	else if (r->asked & HELD)
		fates = HELD;
	else if (r->asked & BOUNCED)
		fates = BOUNCED;
	return aged(r, fates);
}

enum kurir_fate model_answer(struct kurir_str address, unsigned attempt, bool *site)
{
	char kind;
	unsigned n, domain = 0;
	(void)attempt;
	if (sscanf(address.ptr, "%c%u@d%u.", &kind, &n, &domain) < 2)
		model_fault("an unknown recipient is tried: %.*s", KURIR_ARG(address));
	if (kind == 's')
		return answer_notice(n);
	struct recipient *r = &model->recipients[n];
	if (n >= model->recipient_count || domain != r->domain)
		model_fault("an unknown recipient is tried: %.*s", KURIR_ARG(address));
	if ((model_possible(r) & QUEUED) == 0)
		model_fault("r%u is tried, but is %s", n, fates_text(model_possible(r)));
	struct kurir_str body = model_body(r->message);
	if (world.last_length != body.len || memcmp(world.last_body, body.ptr, body.len) != 0)
		model_fault("r%u gets other bytes than were sent", n);
	r->tried++;
	r->expiring = false;
	enum weather w = model->weather[r->domain];
	if (model->talks)
		printf("# %lld: r%u is tried: %s\n", (long long)kurir_wallclock(), n,
		    w == GOOD	    ? "delivered"
			: w == BAD  ? "failed"
			: w == LATE ? "deferred"
				    : "the site is down");
	*site = w == DOWN;
	model_set(r, w == GOOD ? DELIVERED : w == BAD ? BOUNCED : deferred(r), false);
	r->asked = r->perhaps = 0;
	return w == GOOD ? KURIR_FATE_DELIVERED
	    : w == BAD	 ? KURIR_FATE_FAILED
			 : KURIR_FATE_DEFERRED;
}

/* Of one total: what it is at least and at most. */
struct bounds {
	uint64_t least, most;
};

static void within(const char *what, uint64_t n, struct bounds b)
{
	if (n < b.least || n > b.most)
		model_fault("%llu are %s, not %llu to %llu", (unsigned long long)n, what,
		    (unsigned long long)b.least, (unsigned long long)b.most);
}

static struct bounds count(unsigned fates)
{
	struct bounds b = { 0, 0 };
	for (unsigned i = 0; i < model->recipient_count; i++) {
		unsigned p = model_possible(&model->recipients[i]);
		b.least += (p & ~fates) == 0;
		b.most += (p & fates) != 0;
	}
	return b;
}

/* Notifications are messages, too: one for each failure at most.  What failed before a crash may
 * have another fate after it, and its sender has heard of it. */
static uint64_t notices_most(uint64_t failed, uint64_t all)
{
	return !model->notices ? 0 : model->lives == 1 ? failed : all * model->lives;
}

void model_check(const struct queue *q)
{
	const struct totals *t = &q->totals;
	struct bounds accepted = count(OPEN | DELIVERED | BOUNCED | CANCELLED);
	struct bounds delivered = count(DELIVERED), queued = count(OPEN);
	if (t->accepted != t->delivered + t->bounced + t->cancelled + q->entry_count)
		model_fault("the ledger: %llu are not %llu + %llu + %llu + %llu",
		    (unsigned long long)t->accepted, (unsigned long long)t->delivered,
		    (unsigned long long)t->bounced, (unsigned long long)t->cancelled,
		    (unsigned long long)q->entry_count);
	uint64_t notices = notices_most(count(BOUNCED).most, model->recipient_count);
	accepted.most += notices;
	delivered.most += notices;
	queued.most += notices;
	within("accepted", t->accepted, accepted);
	within("delivered", t->delivered, delivered);
	within("bounced", t->bounced, count(BOUNCED));
	within("cancelled", t->cancelled, count(CANCELLED));
	within("queued", q->entry_count, queued);
}

void model_check_end(void)
{
	unsigned failed[MESSAGES_MAX] = { 0 }, perhaps[MESSAGES_MAX] = { 0 };
	unsigned all[MESSAGES_MAX] = { 0 };
	for (unsigned i = 0; i < model->recipient_count; i++) {
		const struct recipient *r = &model->recipients[i];
		unsigned p = model_possible(r);
		if ((p & ~(unsigned)OPEN) == 0)
			model_fault("r%u was taken, and is lost", i);
		failed[r->message] += p == BOUNCED;
		perhaps[r->message] += (p & BOUNCED) != 0;
		all[r->message]++;
	}
	for (unsigned i = 0; model->notices && i < model->message_count; i++) {
		unsigned n = model->messages[i].notices;
		if (failed[i] > 0 && n == 0)
			model_fault("nobody told s%u that %u failed", i, failed[i]);
		if (n > notices_most(perhaps[i], all[i]))
			model_fault("s%u was told %u times that %u failed", i, n, perhaps[i]);
	}
}
