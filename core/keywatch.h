/* keywatch.h - notices replaced certificates and keys. */
#ifndef CORE_KEYWATCH_H
#define CORE_KEYWATCH_H

#include <kurir/module.h>

#include <time.h>

/* What a file looks like without being read. */
struct keywatch_mark {
	struct timespec changed, created;
	ino_t inode;
	off_t size;
};
struct keywatch_mark keywatch_mark(struct kurir_str path); /* a NUL follows; all 0: not there */
bool keywatch_same(struct keywatch_mark, struct keywatch_mark);

struct generation;
/* The supervisor's watch over the pairs of a generation: from before its processes start.  A
 * pair that
 * has changed, and then stood still for a moment, is offered to its edge processes. */
void keywatch_begin(struct generation *);
void keywatch_end(struct generation *);

#endif
