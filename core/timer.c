/* timer.c - the timers of the loop: a 4-ary heap of pointers, equal times in the order set. */
#include "timer.h"

#include <stdlib.h>

#include "check.h"

static struct loop_timer **heap; /* places start at 1 */
static size_t count, room;
static uint64_t order;

static size_t parent_of(size_t i)
{
	return (i + 2) / 4;
}

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static void put(size_t i, struct loop_timer *t)
{
	heap[i] = t;
	t->place = i;
}

static void sift_up(size_t i, struct loop_timer *t)
{
	while (i > 1 && before(t, heap[parent_of(i)])) {
		put(i, heap[parent_of(i)]);
		i = parent_of(i);
	}
	put(i, t);
}

static void sift_down(size_t i, struct loop_timer *t)
{
	for (;;) {
		size_t first = 4 * i - 2, last = first + 3, least = i;
		const struct loop_timer *best = t;
		for (size_t c = first; c <= last && c <= count; c++)
			if (before(heap[c], best)) {
				best = heap[c];
				least = c;
			}
		if (least == i)
			break;
		put(i, heap[least]);
		i = least;
	}
	put(i, t);
}

void loop_timer_clear(struct loop_timer *t)
{
	size_t i = t->place;
	if (!i)
		return;
	kurir_assert(i <= count && heap[i] == t);
	t->place = 0;
	struct loop_timer *last = heap[count--];
	if (last == t)
		return;
	if (i > 1 && before(last, heap[parent_of(i)]))
		sift_up(i, last);
	else
		sift_down(i, last);
}

void loop_timer_set(struct loop_timer *t, kurir_time when, void (*fire)(struct loop_timer *))
{
	loop_timer_clear(t);
	if (count + 1 >= room) {
		room = room ? room * 2 : 64;
		heap = realloc(heap, room * sizeof(*heap)); /* NOLINT: checked below */
		if (!heap)
			check_no_memory();
	}
	t->when = when;
	t->fire = fire;
	t->order = ++order;
	count++;
	sift_up(count, t);
}

kurir_time timer_next(void)
{
	return count ? heap[1]->when : KURIR_FOREVER;
}

unsigned timer_fire(kurir_time now)
{
	unsigned n = 0;
	uint64_t newest = order;
	/* A timer that is set again for now waits for the next round. */
	while (count && heap[1]->when <= now && heap[1]->order <= newest) {
		struct loop_timer *t = heap[1];
		loop_timer_clear(t);
		t->fire(t);
		n++;
	}
	return n;
}

void timer_fini(void)
{
	while (count)
		loop_timer_clear(heap[count]);
	free(heap);
	heap = NULL;
	room = 0;
}
