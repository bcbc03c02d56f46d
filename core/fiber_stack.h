/* fiber_stack.h - one stack each, and the switch between them and the loop's. */
#ifndef CORE_FIBER_STACK_H
#define CORE_FIBER_STACK_H

#include <stdbool.h>
#include <stddef.h>

#ifndef HAVE_BOOST_CONTEXT
#include <ucontext.h>
#endif

struct fiber_stack {
	char *base;  /* lowest usable byte, above the guard */
	char *top;   /* below what the owner asked to keep */
	void *fake;  /* ASan's fake frames while it is left */
	unsigned id; /* valgrind's */
	bool ended;  /* its function has returned */
	void (*fn)(void *);
	void *arg;
#ifdef HAVE_BOOST_CONTEXT
	void *context;
#else
	ucontext_t *context;
#endif
};

/* A stack with keep bytes at its top for the owner, which are returned; NULL when the system
 * has no more. */
void *fiber_stack_new(struct fiber_stack *, size_t keep);
void fiber_stack_start(struct fiber_stack *, void (*fn)(void *), void *arg);
/* From the loop's stack; comes back when it is left: true when its function has returned. */
bool fiber_stack_enter(struct fiber_stack *);
/* From the fiber's stack to the loop's. */
void fiber_stack_leave(struct fiber_stack *);
void fiber_stack_free(struct fiber_stack *);
/* Gives the pages below its stack pointer back to the system. */
void fiber_stack_trim(struct fiber_stack *);
unsigned fiber_stack_count(void); /* mapped, with the cached ones */
void fiber_stack_fini(void);

#endif
