/* facts.h - what the processes know of themselves, gathered: for status, counters and metrics. */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include "control.h"
#include "hook.h"

#define FACTS_TIME 2000 /* ms, for each answer */

void facts_serve(void); /* registers the endpoints by which each process is asked */

/* The answer of the supervisor, or NULL.  New reference. */
json_t *facts_supervisor(struct kurir_str command, kurir_time wait) KURIR_PARKS;
/* Its "status"; each of the "processes" has, as far as it answers, its "facts", and a worker the
 * "module" that it is for.  NULL: the supervisor does not answer.  New reference. */
json_t *facts_gather(void) KURIR_PARKS;
/* {"smtp": {"messages": 3}, ...}, of all processes together.  New reference. */
json_t *facts_counters(json_t *gathered);

/* A hook in all processes of a role. */
struct facts_hook {
	struct facts_hook *next;
	const char *role, *instance, *name; /* borrowed from what was gathered */
	uint64_t calls, errors, skipped, ticks;
	bool open; /* its breaker, in one of the processes at least */
	uint64_t verdicts[HOOK_VERDICTS], buckets[HOOK_BUCKETS];
};
/* In the order of the first process that has them; in arena. */
struct facts_hook *facts_hooks(json_t *gathered, struct kurir_arena *);

#endif
