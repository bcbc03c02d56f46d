/* hook.c - see hook.h. */
#include "hook.h"

#include "breaker.h"

#include <errno.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define LEAST  6u	/* log2 of the first bucket's end */
#define ENOUGH 50000000 /* ns, to find out how fast the clock is */

static struct kurir_arena *memory;
static struct hook *hooks, **last = &hooks;
static bool counts_cycles; /* the time-stamp counter never changes its speed */
static uint64_t first_ticks, first_nanos;

static uint64_t nanos(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t hook_clock(void)
{
#if defined(__x86_64__)
	if (counts_cycles)
		return __rdtsc();
#endif
	return nanos();
}

void hook_clock_begin(void)
{
	if (first_nanos > 0)
		return;
#if defined(__x86_64__)
	unsigned a, b, c, d;

	counts_cycles = __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 1u << 8) != 0;
#endif
	first_ticks = hook_clock();
	first_nanos = nanos();
}

double hook_nanos(double ticks)
{
	static double rate; /* ns of a tick */
	uint64_t span;

	if (!counts_cycles)
		return ticks;
	if (rate > 0)
		return ticks * rate;
	span = nanos() - first_nanos;
	if (span < ENOUGH)
		return ticks * (double)span / (double)(hook_clock() - first_ticks + 1);
	rate = (double)span / (double)(hook_clock() - first_ticks);
	return ticks * rate;
}

struct hook *hook_of(struct kurir_self *self, enum chain_point point)
{
	struct hook *h;

	for (h = hooks; h != NULL; h = h->next)
		if (h->self == self && h->point == point)
			return h;
	if (memory == NULL)
		memory = kurir_arena_new("hooks");
	hook_clock_begin();
	h = kurir_alloc(memory, sizeof(*h));
	h->self = self;
	h->point = point;
	*last = h;
	last = &h->next;
	return h;
}

unsigned hook_bucket(uint64_t ticks)
{
	unsigned log, i;

	if (ticks < 1u << LEAST)
		return 0;
	log = 63u - (unsigned)__builtin_clzll(ticks);
	i = (log - LEAST) * 4 + (unsigned)(ticks >> (log - 2) & 3) + 1;
	return i < HOOK_BUCKETS ? i : HOOK_BUCKETS - 1;
}

double hook_bucket_end(unsigned i)
{
	return (double)((uint64_t)(4 + i % 4) << (LEAST - 2 + i / 4));
}

void hook_note(struct hook *h, int verdict, uint64_t ticks)
{
	if ((int64_t)ticks < 0) /* two processors that do not agree */
		ticks = 0;
	h->ticks += ticks;
	h->buckets[hook_bucket(ticks)]++;
	if (verdict >= 0 && verdict < HOOK_VERDICTS)
		h->verdicts[verdict]++;
}

double hook_quantile(const uint64_t buckets[HOOK_BUCKETS], double part)
{
	uint64_t all = 0, seen = 0;
	unsigned i = 0;

	for (unsigned k = 0; k < HOOK_BUCKETS; k++)
		all += buckets[k];
	if (all == 0)
		return 0;
	while (i < HOOK_BUCKETS - 1 && (double)(seen += buckets[i]) < part * (double)all)
		i++;
	return hook_bucket_end(i);
}

static int list(struct kurir_buf *b, const uint64_t *of, unsigned n)
{
	int r = kurir_buf_add(b, KURIR_STR("["));

	for (unsigned i = 0; i < n; i++)
		r |= kurir_buf_printf(b, "%s%llu", i > 0 ? "," : "", (unsigned long long)of[i]);
	return r | kurir_buf_add(b, KURIR_STR("]"));
}

int hook_json(struct kurir_buf *b)
{
	int r = kurir_buf_add(b, KURIR_STR("["));

	for (const struct hook *h = hooks; h != NULL; h = h->next) {
		uint64_t calls = 0, settled = 0;
		const char *comma = "";

		for (unsigned i = 0; i < HOOK_BUCKETS; i++)
			calls += h->buckets[i];
		for (unsigned i = 0; i < HOOK_VERDICTS; i++)
			settled += h->verdicts[i];
		r |= kurir_buf_printf(b,
		    "%s{\"instance\":\"%s\",\"hook\":\"%s\",\"calls\":%llu,\"errors\":%llu,"
		    "\"skipped\":%llu,\"open\":%s,\"ticks\":%llu,\"verdicts\":",
		    h != hooks ? "," : "", h->self->name, chain_point_names[h->point],
		    (unsigned long long)calls, (unsigned long long)(calls - settled),
		    (unsigned long long)h->skipped,
		    breaker_is_open(breaker_of(h->self)) ? "true" : "false",
		    (unsigned long long)h->ticks);
		r |= list(b, h->verdicts, HOOK_VERDICTS);
		r |= kurir_buf_add(b, KURIR_STR(",\"buckets\":["));
		for (unsigned i = 0; i < HOOK_BUCKETS; i++)
			if (h->buckets[i] > 0) {
				r |= kurir_buf_printf(b, "%s[%u,%llu]", comma, i,
				    (unsigned long long)h->buckets[i]);
				comma = ",";
			}
		r |= kurir_buf_add(b, KURIR_STR("]}"));
	}
	r |= kurir_buf_add(b, KURIR_STR("]"));
	return r != 0 ? -EMSGSIZE : 0;
}
