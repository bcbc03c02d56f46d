/* count.h - counters: cells in one shared mapping of the process, named by their instance. */
#ifndef CORE_COUNT_H
#define CORE_COUNT_H

#include <kurir/module.h>

/* Cells for an owner ("smtp", "route_static/corp", "core"); names ends with NULL and stays
 * valid, like owner. */
uint64_t *count_new(const char *owner, const char *const *names);
/* One cell more; owner and name are copied. */
uint64_t *count_new_one(const char *owner, const char *name);
/* "smtp.accepted" (owner.name): 0 or -ENOENT. */
int count_get(struct kurir_str full_name, uint64_t *ret);
/* {"smtp": {"accepted": 3}, ...} */
int count_json(struct kurir_buf *);
void count_reset(void); /* forgets all: tests */

#endif
