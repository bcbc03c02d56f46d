/* signal.c - something fibers wait for: raised, it wakes all who wait, and is forgotten. */
#include <kurir/module.h>

#include <errno.h>

#include "check.h"
#include "fiber.h"

#define SIGNAL_MAGIC 0x4b534731u

struct kurir_signal {
	uint32_t magic;
	struct fiber_waiters waiters;
};

/* Who still waits when the arena goes is told so, and must not look at it again. */
static void signal_end(void *arg)
{
	struct kurir_signal *s = arg;
	s->magic = 0;
	fiber_waiters_wake(&s->waiters, -ECANCELED);
}

struct kurir_signal *kurir_signal_new(struct kurir_arena *a)
{
	struct kurir_signal *s = kurir_alloc(a, sizeof(*s));
	s->magic = SIGNAL_MAGIC;
	kurir_at_end(a, signal_end, s);
	return s;
}

KURIR_PARKS int kurir_signal_wait(struct kurir_signal *s, kurir_time until)
{
	kurir_assert(s->magic == SIGNAL_MAGIC);
	return fiber_waiters_park(&s->waiters, until);
}

void kurir_signal_raise(struct kurir_signal *s)
{
	kurir_assert(s->magic == SIGNAL_MAGIC);
	fiber_waiters_wake(&s->waiters, 0);
}
