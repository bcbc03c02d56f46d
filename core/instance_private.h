/* instance_private.h - how a plan becomes instances. */
#ifndef CORE_INSTANCE_PRIVATE_H
#define CORE_INSTANCE_PRIVATE_H

#include "instance.h"

struct frozen;

/* The last of instance_list; name and conf are borrowed for good. */
struct kurir_self *instance_new(const struct module *, const char *name, void *conf);
/* The memory that becomes read-only when all have started. */
void instance_freeze(struct frozen *);
void instance_reset(void); /* forgets all: tests */

#endif
