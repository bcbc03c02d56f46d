/* count.c - counters.  Cells live in one shared mapping; names in a list beside it.  Adding
 * is one instruction, reading is rare. */
#include "count.h"

#include "check.h"
#include "instance.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CELLS 8192

struct entry {
	const char *owner, *name;
	struct entry *next;
	uint64_t *cell;
};

static struct kurir_arena *memory;
static struct entry *first, **last = &first;
static uint64_t *cells;
static size_t used;
static uint64_t spare; /* what does not fit counts here, together */

static uint64_t *cell_new(void)
{
	if (cells == NULL) {
		void *p = mmap(NULL, CELLS * sizeof(*cells), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			check_no_memory();
		cells = p;
	}
	return used < CELLS ? &cells[used++] : &spare;
}

static uint64_t *entry_new(const char *owner, const char *name)
{
	struct entry *e = kurir_alloc(memory, sizeof(*e));

	e->owner = owner;
	e->name = name;
	e->cell = cell_new();
	*last = e;
	last = &e->next;
	return e->cell;
}

uint64_t *count_new(const char *owner, const char *const *names)
{
	static uint64_t none;
	uint64_t *start = &none;
	size_t i;

	if (memory == NULL)
		memory = kurir_arena_new("counters");
	for (i = 0; names != NULL && names[i] != NULL; i++)
		;
	if (used + i > CELLS) /* cells of an owner lie side by side, or nowhere */
		return kurir_alloc(memory, i * sizeof(*cells));
	for (i = 0; names != NULL && names[i] != NULL; i++) {
		uint64_t *cell = entry_new(owner, names[i]);

		if (i == 0)
			start = cell;
	}
	return start;
}

uint64_t *count_new_one(const char *owner, const char *name)
{
	if (memory == NULL)
		memory = kurir_arena_new("counters");
	return entry_new(kurir_copy(memory, kurir_str_of(owner)).ptr,
	    kurir_copy(memory, kurir_str_of(name)).ptr);
}

/* All cells of that name together: an instance has one set for each chain it stands in. */
static uint64_t sum_of(const struct entry *e)
{
	uint64_t sum = 0;

	for (const struct entry *o = e; o != NULL; o = o->next)
		if (strcmp(e->owner, o->owner) == 0 && strcmp(e->name, o->name) == 0)
			sum += *o->cell;
	return sum;
}

int count_get(struct kurir_str full_name, uint64_t *ret)
{
	const struct entry *e;

	for (e = first; e != NULL; e = e->next) {
		size_t n = strlen(e->owner);

		if (full_name.len != n + 1 + strlen(e->name) || full_name.ptr[n] != '.' ||
		    memcmp(full_name.ptr, e->owner, n) != 0 ||
		    memcmp(full_name.ptr + n + 1, e->name, strlen(e->name)) != 0)
			continue;
		*ret = sum_of(e);
		return 0;
	}
	return -ENOENT;
}

/* Is there an entry of that owner, and of that name unless it is NULL, before e? */
static bool seen(const struct entry *e, const char *name)
{
	for (const struct entry *o = first; o != e; o = o->next)
		if (strcmp(e->owner, o->owner) == 0 &&
		    (name == NULL || strcmp(name, o->name) == 0))
			return true;
	return false;
}

/* Owners and names are of the configuration: [a-z0-9_/-], nothing to escape. */
int count_json(struct kurir_buf *buf)
{
	const struct entry *e, *o;
	const char *comma = "";
	int r = kurir_buf_add(buf, KURIR_STR("{"));

	for (o = first; o != NULL; o = o->next) {
		const char *inner = "";

		if (seen(o, NULL))
			continue;
		r |= kurir_buf_printf(buf, "%s\"%s\":{", comma, o->owner);
		for (e = o; e != NULL; e = e->next) {
			if (strcmp(e->owner, o->owner) != 0 || seen(e, e->name))
				continue;
			r |= kurir_buf_printf(
			    buf, "%s\"%s\":%llu", inner, e->name, (unsigned long long)sum_of(e));
			inner = ",";
		}
		r |= kurir_buf_add(buf, KURIR_STR("}"));
		comma = ",";
	}
	r |= kurir_buf_add(buf, KURIR_STR("}"));
	return r != 0 ? -EMSGSIZE : 0;
}

void count_reset(void)
{
	kurir_arena_free(memory);
	memory = NULL;
	first = NULL;
	last = &first;
	used = 0;
	if (cells != NULL)
		memset(cells, 0, CELLS * sizeof(*cells));
}

void kurir_count(struct kurir_self *self, unsigned counter, uint64_t by)
{
	if (self != NULL && self->counters != NULL && counter < self->module->counters)
		self->counters[counter] += by;
}
