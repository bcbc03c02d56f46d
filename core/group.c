/* group.c - fibers that cannot outlive their scope.
 * Groups form a tree below those of the instances and of the process.  Ending one cancels its
 * fibers and all that are below it, and waits for them, deaf to the own cancellation: a fiber
 * that is one of them ends the groups it has begun.  What nobody ended goes with it then. */
#include <kurir/module.h>

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "fiber.h"
#include "instance.h"
#include "loop.h"

#define GROUP_MAGIC 0x4b475231u

struct kurir_group {
	uint32_t magic;
	bool ending;
	struct kurir_self *self;
	struct kurir_group *parent, *prev, *next, *children;
	struct fiber_link *fibers;
	struct fiber_waiters waiters; /* for the last fiber, or the last child while ending */
};

static struct kurir_group root = { .magic = GROUP_MAGIC };

struct kurir_group *fiber_group_root(void)
{
	return &root;
}

struct kurir_group *kurir_group_begin(struct kurir_self *self)
{
	struct kurir_group *g = calloc(1, sizeof(*g));
	if (!g)
		check_no_memory();
	g->magic = GROUP_MAGIC;
	g->self = self;
	g->parent = self && self->group ? self->group : &root;
	g->next = g->parent->children;
	if (g->next)
		g->next->prev = g;
	g->parent->children = g;
	return g;
}

int fiber_start(
    struct kurir_group *g, const char *name, void (*fn)(void *), void *arg, struct fiber **ret)
{
	struct fiber_link *link;
	kurir_assert(g->magic == GROUP_MAGIC);
	for (const struct kurir_group *p = g; p; p = p->parent)
		if (p->ending)
			return -ECANCELED;
	struct fiber *f = fiber_new(name, fn, arg, &link);
	if (!f)
		return -EAGAIN;
	link->group = g;
	link->next = g->fibers;
	if (link->next)
		link->next->prev = link;
	g->fibers = link;
	if (ret)
		*ret = f;
	return 0;
}

int kurir_group_go(struct kurir_group *g, const char *name, void (*fn)(void *), void *arg)
{
	/* The core itself may start a fiber for a module: its endpoint's handler. */
	if (g->self && g->self->module && !(g->self->module->caps & KURIR_CAP_SPAWN))
		return -EPERM;
	return fiber_start(g, name, fn, arg, NULL);
}

void group_left(struct fiber_link *link)
{
	struct kurir_group *g = link->group;
	if (link->next)
		link->next->prev = link->prev;
	*(link->prev ? &link->prev->next : &g->fibers) = link->next;
	if (!g->fibers)
		fiber_waiters_wake(&g->waiters, 0);
}

KURIR_PARKS int kurir_group_wait(struct kurir_group *g, kurir_time until)
{
	kurir_assert(g->magic == GROUP_MAGIC);
	while (g->fibers) {
		int r = fiber_waiters_park(&g->waiters, until);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Waits for something about g to change, whatever happens to this fiber. */
KURIR_PARKS static void group_wait_shielded(struct kurir_group *g)
{
	if (!fiber_self()) {
		loop_turn(KURIR_FOREVER);
		return;
	}
	(void)fiber_waiters_park_shielded(&g->waiters);
}

static void group_unlink(struct kurir_group *g)
{
	struct kurir_group *parent = g->parent;
	if (g->next)
		g->next->prev = g->prev;
	*(g->prev ? &g->prev->next : &parent->children) = g->next;
	if (parent->ending)
		fiber_waiters_wake(&parent->waiters, 0);
}

static void group_cancel(struct kurir_group *g)
{
	for (struct fiber_link *l = g->fibers; l; l = l->next) {
		kurir_assert(l->fiber != fiber_self()); /* a fiber cannot wait for itself */
		fiber_cancel(l->fiber);
	}
	for (struct kurir_group *c = g->children; c; c = c->next)
		group_cancel(c);
}

/* g or one below it that has fibers; NULL: none has. */
static struct kurir_group *group_busy(struct kurir_group *g)
{
	struct kurir_group *busy = g->fibers ? g : NULL;
	for (struct kurir_group *c = g->children; c && !busy; c = c->next)
		busy = group_busy(c);
	return busy;
}

KURIR_PARKS void kurir_group_end(struct kurir_group *g)
{
	if (!g)
		return;
	kurir_assert(g->magic == GROUP_MAGIC && !g->ending);
	g->ending = true;
	group_cancel(g);
	for (struct kurir_group *busy; (busy = group_busy(g)) != NULL;)
		group_wait_shielded(busy);
	while (g->children) {
		struct kurir_group *c = g->children;
		if (c->ending)
			group_wait_shielded(g); /* somebody else does it */
		else
			kurir_group_end(c);
	}
	if (g == &root) {
		g->ending = false;
		return;
	}
	kurir_assert(!g->waiters.first);
	group_unlink(g);
	g->magic = 0;
	free(g);
}
