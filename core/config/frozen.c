/* frozen.c - memory that is filled once and then made read-only: a stray write to
 * the configuration is a fault on the spot, not a riddle later. */
#include "check.h"
#include "option.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK ((size_t)64 << 10)

struct frozen_chunk {
	struct frozen_chunk *next;
	size_t size, used;
};
struct frozen {
	struct frozen_chunk *chunks;
};

static struct frozen_chunk *chunk_new(size_t need)
{
	size_t size = (need + sizeof(struct frozen_chunk) + CHUNK - 1) & ~(CHUNK - 1);
	struct frozen_chunk *c =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		check_no_memory();
	c->size = size;
	c->used = (sizeof(*c) + 15) & ~(size_t)15;
	return c;
}

struct frozen *frozen_new(void)
{
	struct frozen *f = calloc(1, sizeof(*f));

	if (!f)
		check_no_memory();
	return f;
}

void *frozen_alloc(struct frozen *f, size_t size)
{
	struct frozen_chunk *c = f->chunks;
	size_t need = (size + 15) & ~(size_t)15;
	void *ret;

	if (!c || c->size - c->used < need) {
		c = chunk_new(need + 16);
		c->next = f->chunks;
		f->chunks = c;
	}
	ret = (char *)c + c->used;
	c->used += need;
	return ret;
}

struct kurir_str frozen_copy(struct frozen *f, struct kurir_str s)
{
	char *bytes = frozen_alloc(f, s.len + 1);

	if (s.len)
		memcpy(bytes, s.ptr, s.len);
	return (struct kurir_str){ bytes, s.len };
}

void frozen_seal(struct frozen *f)
{
	for (struct frozen_chunk *c = f->chunks, *after; c; c = after) {
		after = c->next;
		if (mprotect(c, c->size, PROT_READ) < 0)
			check_no_memory();
	}
}

void frozen_free(struct frozen *f)
{
	struct frozen_chunk *after;

	for (struct frozen_chunk *c = f ? f->chunks : NULL; c; c = after) {
		after = c->next;
		munmap(c, c->size);
	}
	free(f);
}
