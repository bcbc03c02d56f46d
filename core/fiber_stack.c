/* fiber_stack.c - stacks with guard pages, cached; the switch.
 *
 *   base                                             top          end
 *   | guard | . . . untouched . . . | frames ------> | owner's struct |
 *
 * Two mappings a stack (the guard is one of its own) meet vm.max_map_count at about 32,000
 * stacks; where the kernel knows MADV_GUARD_INSTALL (6.13) stacks come in slabs of one
 * mapping.  Boost.Context switches in a few nanoseconds; ucontext, the fallback, makes two
 * system calls. */
#include "fiber_stack.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "sanitize.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifdef SANITIZE_ASAN
#define STACK_SIZE (256u << 10) /* red zones make frames larger */
#else
#define STACK_SIZE (64u << 10)
#endif
#define STACK_GUARD 4096u
#define STACK_SLAB  32u /* stacks in a mapping, with MADV_GUARD_INSTALL */
#define STACK_HOT   64u /* free stacks that keep their pages */
#define STACK_TINTS 8u	/* neighbours do not meet in the same lines of the cache */

/* A free stack's link is in its own top bytes. */
struct free_stack {
	struct free_stack *next;
};
static struct free_stack *hot, *cold; /* with pages and without */
static unsigned hot_count, mapped;
static enum { GUARD_UNKNOWN, GUARD_MADVISE, GUARD_MPROTECT } guard_kind;

#define FREE_LINK(base) ((struct free_stack *)((base) + STACK_SIZE - sizeof(struct free_stack)))
#define FREE_BASE(link) ((char *)(link) - (STACK_SIZE - sizeof(struct free_stack)))

unsigned fiber_stack_count(void)
{
	return mapped;
}

static char *map_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void put(struct free_stack **list, char *base)
{
	struct free_stack *f = FREE_LINK(base);
	f->next = *list;
	*list = f;
}

static char *take(struct free_stack **list)
{
	struct free_stack *f = *list;
	SANITIZE_UNPOISON(f, sizeof(*f));
	*list = f->next;
	return FREE_BASE(f);
}

static bool map_guarded_slab(void)
{
	const size_t step = STACK_SIZE + STACK_GUARD;
	char *p = map_pages(step * STACK_SLAB);
	if (!p)
		return false;
	for (size_t i = 0; i < STACK_SLAB; i++)
		if (madvise(p + i * step, STACK_GUARD, MADV_GUARD_INSTALL) < 0) {
			munmap(p, step * STACK_SLAB);
			return false;
		}
	for (size_t i = STACK_SLAB; i-- > 0;)
		put(&cold, p + i * step + STACK_GUARD);
	mapped += STACK_SLAB;
	return true;
}

static bool map_one(void)
{
	char *p = map_pages(STACK_SIZE + STACK_GUARD);
	if (!p)
		return false;
	if (mprotect(p, STACK_GUARD, PROT_NONE) < 0) {
		munmap(p, STACK_SIZE + STACK_GUARD);
		return false;
	}
	put(&cold, p + STACK_GUARD);
	mapped++;
	return true;
}

static bool map_more(void)
{
	if (guard_kind == GUARD_UNKNOWN) {
		guard_kind = map_guarded_slab() ? GUARD_MADVISE : GUARD_MPROTECT;
		if (guard_kind == GUARD_MADVISE)
			return true;
	}
	return guard_kind == GUARD_MADVISE ? map_guarded_slab() : map_one();
}

void *fiber_stack_new(struct fiber_stack *s, size_t keep)
{
	static unsigned tint;
	if (!hot && !cold && !map_more())
		return NULL;
	if (hot)
		hot_count--;
	*s = (struct fiber_stack){ .base = take(hot ? &hot : &cold) };
	keep += tint++ % STACK_TINTS * 128;
	s->top = (char *)((uintptr_t)(s->base + STACK_SIZE - keep) & ~(uintptr_t)63);
	SANITIZE_UNPOISON(s->base, STACK_SIZE);
	s->id = VALGRIND_STACK_REGISTER(s->base, s->base + STACK_SIZE);
#ifdef SANITIZE_ASAN
	__lsan_register_root_region(s->base, STACK_SIZE);
#endif
	return s->top;
}

static void unmap(char *base)
{
	SANITIZE_UNPOISON(base, STACK_SIZE);
	munmap(base - STACK_GUARD, STACK_SIZE + STACK_GUARD);
	mapped--;
}

/* Beyond the hot ones single stacks are unmapped; those in slabs keep their address only. */
void fiber_stack_free(struct fiber_stack *s)
{
#ifdef SANITIZE_ASAN
	__lsan_unregister_root_region(s->base, STACK_SIZE);
#endif
	VALGRIND_STACK_DEREGISTER(s->id);
	SANITIZE_UNPOISON(s->base, STACK_SIZE);
#ifndef HAVE_BOOST_CONTEXT
	free(s->context);
#endif
	if (hot_count < STACK_HOT) {
		put(&hot, s->base);
		hot_count++;
	} else if (guard_kind == GUARD_MPROTECT) {
		unmap(s->base);
		return;
	} else {
		(void)madvise(s->base, STACK_SIZE, MADV_DONTNEED);
		put(&cold, s->base);
	}
	SANITIZE_POISON(s->base, STACK_SIZE - sizeof(struct free_stack));
}

void fiber_stack_fini(void)
{
	if (guard_kind != GUARD_MPROTECT)
		return;
	for (; hot; hot_count--)
		unmap(take(&hot));
	while (cold)
		unmap(take(&cold));
}

/* ASan: the loop's stack is known after the first switch has come from it. */
static const void *loop_bottom;
static size_t loop_size;

static void switch_begin(void **fake, const void *bottom, size_t size)
{
#ifdef SANITIZE_ASAN
	__sanitizer_start_switch_fiber(fake, bottom, size);
#else
	(void)fake, (void)bottom, (void)size;
#endif
}

static void switch_end(void *fake, const void **bottom, size_t *size)
{
#ifdef SANITIZE_ASAN
	__sanitizer_finish_switch_fiber(fake, bottom, size);
#else
	(void)fake, (void)bottom, (void)size;
#endif
}

#ifdef HAVE_BOOST_CONTEXT

/* The two symbols of libboost_context.a, declared by hand: its headers are C++. */
struct transfer {
	void *context, *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t size, void (*fn)(struct transfer));

static void *loop_context;

static void stack_main(struct transfer t)
{
	struct fiber_stack *s = t.data;
	loop_context = t.context;
	switch_end(NULL, &loop_bottom, &loop_size);
	s->fn(s->arg);
	s->ended = true;
	switch_begin(NULL, loop_bottom, loop_size);
	jump_fcontext(loop_context, NULL);
	check_failed("an ended fiber was entered", __FILE__, __LINE__);
}

void fiber_stack_start(struct fiber_stack *s, void (*fn)(void *), void *arg)
{
	s->fn = fn;
	s->arg = arg;
	s->context = make_fcontext(s->top, (size_t)(s->top - s->base), stack_main);
}

bool fiber_stack_enter(struct fiber_stack *s)
{
	void *fake = NULL;
	switch_begin(&fake, s->base, STACK_SIZE);
	struct transfer t = jump_fcontext(s->context, s);
	switch_end(fake, NULL, NULL);
	s->context = t.context;
	return s->ended;
}

void fiber_stack_leave(struct fiber_stack *s)
{
	switch_begin(&s->fake, loop_bottom, loop_size);
	struct transfer t = jump_fcontext(loop_context, NULL);
	switch_end(s->fake, &loop_bottom, &loop_size);
	loop_context = t.context;
}

static char *stack_pointer(struct fiber_stack *s)
{
	return s->context;
}

#else

static ucontext_t loop_ucontext;
static struct fiber_stack *entered;

static void stack_main(void)
{
	struct fiber_stack *s = entered;
	switch_end(NULL, &loop_bottom, &loop_size);
	s->fn(s->arg);
	s->ended = true;
	switch_begin(NULL, loop_bottom, loop_size);
	setcontext(&loop_ucontext);
}

void fiber_stack_start(struct fiber_stack *s, void (*fn)(void *), void *arg)
{
	s->fn = fn;
	s->arg = arg;
	s->context = calloc(1, sizeof(*s->context));
	if (!s->context)
		check_no_memory();
	kurir_assert(getcontext(s->context) == 0);
	s->context->uc_stack.ss_sp = s->base;
	s->context->uc_stack.ss_size = (size_t)(s->top - s->base);
	makecontext(s->context, stack_main, 0);
}

bool fiber_stack_enter(struct fiber_stack *s)
{
	void *fake = NULL;
	switch_begin(&fake, s->base, STACK_SIZE);
	entered = s;
	kurir_assert(swapcontext(&loop_ucontext, s->context) == 0);
	switch_end(fake, NULL, NULL);
	return s->ended;
}

void fiber_stack_leave(struct fiber_stack *s)
{
	switch_begin(&s->fake, loop_bottom, loop_size);
	kurir_assert(swapcontext(s->context, &loop_ucontext) == 0);
	switch_end(s->fake, &loop_bottom, &loop_size);
}

static char *stack_pointer(struct fiber_stack *s)
{
	(void)s;
	return NULL; /* not to be had portably: nothing is trimmed */
}

#endif

void fiber_stack_trim(struct fiber_stack *s)
{
	char *sp = stack_pointer(s);
	if (!sp)
		return;
	/* The ABI's red zone of 128 bytes is below the pointer. */
	char *end = (char *)((uintptr_t)(sp - 256) & ~(uintptr_t)(STACK_GUARD - 1));
	if (end > s->base)
		(void)madvise(s->base, (size_t)(end - s->base), MADV_DONTNEED);
}
