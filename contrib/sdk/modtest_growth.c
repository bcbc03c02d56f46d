/* modtest_growth.c - what a server holds after each round of the same dialogue.
 *
 * Caches are full after a few rounds.  What is more after each of the last ones was lost by
 * somebody: fibers, descriptors, memory. */
#include "modtest.h"

#include "fiber.h"
#include "scenario/runner.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

#define LAST 5 /* rounds that are compared */

enum { FIBERS, DESCRIPTORS, MEMORY, KINDS };
static const char *const names[KINDS] = { "fibers", "descriptors", "bytes of memory" };
static size_t held[MODTEST_ROUNDS + 1][KINDS];
static unsigned rounds;

/* There in a build with AddressSanitizer, which does not count for mallinfo2(). */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t memory(void)
{
	struct mallinfo2 m;

	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* What is ours and grows: the log, and the messages. */
void modtest_measure(unsigned round)
{
	struct kurir_self *self;
	const struct spool_ops *spool = kurir_service_find("scenario", "spool", &self);

	if (spool != NULL)
		spool->forget(self);
	kurir_buf_clear(&run.log);
	held[round][FIBERS] = fiber_census().running;
	held[round][DESCRIPTORS] = descriptors();
	held[round][MEMORY] = memory();
	rounds = round;
}

unsigned modtest_growth(void)
{
	unsigned found = 0;

	if (rounds < LAST)
		return 0;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		size_t first = held[rounds - LAST + 1][kind], last = held[rounds][kind];
		bool each = true;

		for (unsigned r = rounds - LAST + 2; r <= rounds; r++)
			each = each && held[r][kind] > held[r - 1][kind];
		if (!each)
			continue;
		printf("# each time this is played, %zu %s more are held\n",
		    (last - first) / (LAST - 1), names[kind]);
		found++;
	}
	return found;
}
