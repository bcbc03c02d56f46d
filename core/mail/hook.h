/* hook.h - what each hook of each instance was asked, what it said, and how long that took.
 *
 * Counting costs a few nanoseconds: times are ticks of the processor's clock, sorted into
 * log-linear buckets, four for each doubling.  Processes of one machine have the same clock, so
 * that buckets of several of them can be added; hook_nanos() makes a time of ticks. */
#ifndef CORE_HOOK_H
#define CORE_HOOK_H

#include "chain.h"

#define HOOK_BUCKETS  128u
#define HOOK_VERDICTS (KURIR_HANGUP + 1)

struct hook {
	struct hook *next;
	struct kurir_self *self;
	enum chain_point point;
	uint64_t skipped; /* not asked, as its breaker was open */
	uint64_t verdicts[HOOK_VERDICTS];
	uint64_t ticks; /* of all calls */
	uint64_t buckets[HOOK_BUCKETS];
};

/* One for an instance and point, in however many pipelines it stands. */
struct hook *hook_of(struct kurir_self *, enum chain_point);
void hook_note(struct hook *, int verdict, uint64_t ticks); /* verdict: also -errno */

void hook_clock_begin(void);	 /* early: hook_nanos() finds out the rate from then on */
uint64_t hook_clock(void);	 /* ticks */
double hook_nanos(double ticks); /* the rate is found out meanwhile, and then stays */
unsigned hook_bucket(uint64_t ticks);
double hook_bucket_end(unsigned i); /* ticks: more is in the next ones */
/* The time, in ticks, that so much of the calls (0 to 1) did not exceed; 0: there were none. */
double hook_quantile(const uint64_t buckets[HOOK_BUCKETS], double part);

/* All hooks of this process, an array of
 *   {"instance": "", "hook": "rcpt", "calls": 0, "errors": 0, "skipped": 0, "open": false,
 *    "verdicts": [...], "ticks": 0, "buckets": [[index, calls], ...]} */
int hook_json(struct kurir_buf *);

#endif
