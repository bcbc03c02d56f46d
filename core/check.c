/* check.c - the end of a process that found itself to be wrong.
 * Writes with dprintf only: nothing here may allocate, park or log. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fiber.h"

void check_failed(const char *what, const char *file, int line)
{
	struct kurir_str label = fiber_label();
	dprintf(STDERR_FILENO,
	    "kurird[%d]: bug at %s:%d: not true: %s (fiber %s, session %.*s)\n", (int)getpid(),
	    file, line, what, fiber_name(), KURIR_ARG(label));
	abort();
}

void check_no_memory(void)
{
	dprintf(STDERR_FILENO, "kurird[%d]: out of memory\n", (int)getpid());
	abort();
}
