/* breaker.h - who fails again and again is not asked for a while.
 *
 * After some failures in a row an instance is left alone for a second, then one call tries it
 * again; when that fails, too, for twice as long, up to a minute.  Meanwhile its "on-error" decides
 * at once, and nobody waits for its deadline. */
#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H

#include <kurir/module.h>

/* What a hook's result is while nobody asks it. */
#define BREAKER_OPEN (-EHOSTDOWN)

struct breaker;
/* The one of that instance, made when it is first asked for; lives as long as the process. */
struct breaker *breaker_of(struct kurir_self *);
bool breaker_allows(struct breaker *);
void breaker_note(struct breaker *, bool failed);
bool breaker_is_open(const struct breaker *);

#endif
