/* breaker.c - see breaker.h. */
#include "breaker.h"

#include "count.h"
#include "instance.h"

#include <errno.h>
#include <stddef.h>

#define FAILURES  5 /* in a row */
#define SPAN	  1000
#define SPAN_MOST 60000

struct breaker {
	struct breaker *next;
	struct kurir_self *self;
	unsigned failures;	/* in a row */
	kurir_time span, until; /* span 0: closed */
	uint64_t *opened, *skipped;
};
static struct breaker *breakers;
static struct kurir_arena *memory;

struct breaker *breaker_of(struct kurir_self *self)
{
	struct breaker *b = breakers;

	while (b != NULL && b->self != self)
		b = b->next;
	if (b != NULL)
		return b;
	if (memory == NULL)
		memory = kurir_arena_new("breakers");
	b = kurir_alloc(memory, sizeof(*b));
	b->self = self;
	b->opened = count_new_one(self->name, "breaker-opened");
	b->skipped = count_new_one(self->name, "breaker-skipped");
	b->next = breakers;
	return breakers = b;
}

/* While it is open, one call in a span is the one that tries. */
bool breaker_allows(struct breaker *b)
{
	if (b->span == 0)
		return true;
	if (kurir_now() < b->until) {
		(*b->skipped)++;
		return false;
	}
	b->until = kurir_now() + b->span;
	return true;
}

bool breaker_is_open(const struct breaker *b)
{
	return b->span > 0;
}

void breaker_note(struct breaker *b, bool failed)
{
	if (!failed) {
		if (b->span > 0)
			(void)kurir_log(b->self, KURIR_NOTICE, 0, "answers again");
		b->failures = 0;
		b->span = 0;
		return;
	}
	if (++b->failures < FAILURES)
		return;
	if (b->span == 0)
		(*b->opened)++;
	b->span = b->span == 0 ? SPAN : b->span * 2 < SPAN_MOST ? b->span * 2 : SPAN_MOST;
	b->until = kurir_now() + b->span;
	(void)kurir_log(b->self, KURIR_WARN, 0,
	    "failed %u times in a row: it is not asked for %lld s, \"on-error\" decides",
	    b->failures, (long long)(b->span / 1000));
}
