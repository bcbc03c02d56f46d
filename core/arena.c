/* arena.c - memory that is freed all at once.
 * Blocks are chained, the newest first; a mark is a place in that chain.  Memory is zeroed
 * when it is handed out, so a block may be reused.  Under ASan what is not handed out is
 * poisoned, with a gap behind each piece. */
#include <kurir/module.h>

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sanitize.h"

#define ARENA_MAGIC  0x4b415231u
#define ARENA_INLINE 704u  /* bytes that come with the arena itself */
#define ARENA_BLOCK  1024u /* first block; they double up to */
#define ARENA_MAX    65536u
#define ARENA_ALIGN  (alignof(max_align_t))

struct block {
	struct block *older;
	size_t room;
	alignas(max_align_t) char bytes[];
};

struct end {
	struct end *older;
	void (*fn)(void *);
	void *arg;
};

struct kurir_arena {
	uint32_t magic;
	const char *name;
	struct block *newest;
	size_t used;	   /* of newest */
	size_t next_block; /* bytes of the block after it */
	struct end *ends;
	struct block first; /* bytes follow the struct */
};

struct kurir_arena *kurir_arena_new(const char *name)
{
	struct kurir_arena *a = malloc(sizeof(*a) + ARENA_INLINE);
	if (!a)
		check_no_memory();
	*a =
	    (struct kurir_arena){ .magic = ARENA_MAGIC, .name = name, .next_block = ARENA_BLOCK };
	a->first.room = ARENA_INLINE;
	a->newest = &a->first;
	SANITIZE_POISON(a->first.bytes, ARENA_INLINE);
	return a;
}

static void arena_block_add(struct kurir_arena *a, size_t n)
{
	size_t room = a->next_block - sizeof(struct block);
	if (room < n)
		room = n;
	else if (a->next_block < ARENA_MAX)
		a->next_block *= 2;
	struct block *b = malloc(sizeof(*b) + room);
	if (!b)
		check_no_memory();
	b->older = a->newest;
	b->room = room;
	a->newest = b;
	a->used = 0;
	SANITIZE_POISON(b->bytes, room);
}

void *kurir_alloc(struct kurir_arena *a, size_t n)
{
	kurir_assert(a->magic == ARENA_MAGIC);
	kurir_assert(n <= SIZE_MAX / 4);
	size_t space = (n + SANITIZE_GAP + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (space > a->newest->room - a->used)
		arena_block_add(a, space);
	void *p = a->newest->bytes + a->used;
	a->used += space;
	SANITIZE_UNPOISON(p, n);
	return memset(p, 0, n);
}

struct kurir_mark kurir_mark(struct kurir_arena *a)
{
	kurir_assert(a->magic == ARENA_MAGIC);
	return (struct kurir_mark){ .block = a->newest, .used = a->used, .ends = a->ends };
}

void kurir_rewind(struct kurir_arena *a, struct kurir_mark m)
{
	kurir_assert(a->magic == ARENA_MAGIC);
	while (a->ends != m.ends) {
		struct end *e = a->ends;
		kurir_assert(e); /* the mark is newer than the arena's last rewind */
		a->ends = e->older;
		e->fn(e->arg);
	}
	while (a->newest != m.block) {
		struct block *b = a->newest;
		kurir_assert(b && b != &a->first);
		a->newest = b->older;
		free(b);
	}
	a->used = m.used;
	if (a->newest == &a->first)
		a->next_block = ARENA_BLOCK;
	SANITIZE_POISON(a->newest->bytes + a->used, a->newest->room - a->used);
}

void kurir_arena_clear(struct kurir_arena *a)
{
	kurir_rewind(a, (struct kurir_mark){ .block = &a->first });
}

void kurir_arena_free(struct kurir_arena *a)
{
	if (!a)
		return;
	kurir_arena_clear(a);
	a->magic = 0;
	SANITIZE_UNPOISON(a->first.bytes, ARENA_INLINE);
	free(a);
}

void kurir_at_end(struct kurir_arena *a, void (*fn)(void *), void *arg)
{
	struct end *e = kurir_alloc(a, sizeof(*e));
	*e = (struct end){ .older = a->ends, .fn = fn, .arg = arg };
	a->ends = e;
}

struct kurir_str kurir_copy(struct kurir_arena *a, struct kurir_str s)
{
	char *p = kurir_alloc(a, s.len + 1);
	if (s.len)
		memcpy(p, s.ptr, s.len);
	return (struct kurir_str){ p, s.len };
}

struct kurir_str kurir_lower(struct kurir_arena *a, struct kurir_str s)
{
	char *p = kurir_alloc(a, s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		p[i] = s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? (char)(s.ptr[i] | 0x20) : s.ptr[i];
	return (struct kurir_str){ p, s.len };
}

struct kurir_str kurir_format(struct kurir_arena *a, const char *format, ...)
{
	char small[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	kurir_assert(n >= 0);
	if ((size_t)n < sizeof(small))
		return kurir_copy(a, (struct kurir_str){ small, (size_t)n });
	char *p = kurir_alloc(a, (size_t)n + 1);
	va_start(args, format);
	(void)vsnprintf(p, (size_t)n + 1, format, args);
	va_end(args);
	return (struct kurir_str){ p, (size_t)n };
}
