/* scheduler.c - a heap by time, lanes in turn, and destinations that are left in peace.
 *
 * Fresh recipients go before deferred ones; within each, lanes (sender and domain) take turns,
 * so that a flood of one does not delay the others. */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#define WAKE	      2 /* of those that wait, when a place becomes free */
#define TROUBLE_FIRST ((int64_t)30 * 1000)
#define TROUBLE_MAX   ((int64_t)30 * 60 * 1000)

static void list_init(struct entry_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void list_add(struct entry_list *l, struct entry *e)
{
	e->next = NULL;
	e->link = l->last;
	*l->last = e;
	l->last = &e->next;
}

static void list_remove(struct entry_list *l, struct entry *e)
{
	*e->link = e->next;
	if (e->next != NULL)
		e->next->link = e->link;
	else
		l->last = e->link;
	e->next = NULL;
	e->link = NULL;
}

static void heap_put(struct scheduler *s, uint32_t at, struct entry *e)
{
	s->heap[at] = e;
	e->heap = at;
}

static void heap_up(struct scheduler *s, uint32_t at, struct entry *e)
{
	while (at > 1 && s->heap[at / 2]->due > e->due) {
		heap_put(s, at, s->heap[at / 2]);
		at /= 2;
	}
	heap_put(s, at, e);
}

static void heap_down(struct scheduler *s, uint32_t at, struct entry *e)
{
	for (;;) {
		uint32_t child = at * 2;
		if (child > s->heap_count)
			break;
		if (child < s->heap_count && s->heap[child + 1]->due < s->heap[child]->due)
			child++;
		if (s->heap[child]->due >= e->due)
			break;
		heap_put(s, at, s->heap[child]);
		at = child;
	}
	heap_put(s, at, e);
}

static void heap_add(struct scheduler *s, struct entry *e)
{
	if (s->heap_count + 1 >= s->heap_room) {
		uint32_t room = s->heap_room == 0 ? 1024 : s->heap_room * 2;
		struct entry **p = realloc(s->heap, room * sizeof(*p));
		if (p == NULL)
			abort(); /* what we size cannot fail; the files survive it */
		s->heap = p;
		s->heap_room = room;
	}
	heap_up(s, ++s->heap_count, e);
}

static void heap_remove(struct scheduler *s, struct entry *e)
{
	uint32_t at = e->heap;
	if (at == 0)
		return;
	e->heap = 0;
	struct entry *last = s->heap[s->heap_count--];
	if (last == e)
		return;
	if (at > 1 && s->heap[at / 2]->due > last->due)
		heap_up(s, at, last);
	else
		heap_down(s, at, last);
}

void scheduler_init(
    struct scheduler *s, const kurir_time *retry, unsigned count, unsigned destination_limit)
{
	memset(s, 0, sizeof(*s));
	s->retry = retry;
	s->retry_count = count;
	s->destination_limit = (uint16_t)destination_limit;
	s->random = (uint64_t)kurir_wallclock() * 2654435761u | 1;
	for (unsigned c = 0; c < 2; c++)
		for (unsigned i = 0; i < SCHEDULER_LANES; i++)
			list_init(&s->lanes[c][i]);
}

void scheduler_fini(struct scheduler *s)
{
	for (size_t i = 0; i < sizeof(s->hash) / sizeof(s->hash[0]); i++)
		while (s->hash[i] != NULL) {
			struct destination *d = s->hash[i];
			s->hash[i] = d->hash_next;
			free(d);
		}
	free(s->heap);
	s->heap = NULL;
	s->heap_count = s->heap_room = 0;
}

void scheduler_remove(struct scheduler *s, struct entry *e)
{
	unsigned class = e->attempts > 0, lane = e->lane % SCHEDULER_LANES;
	struct destination *d = e->destination;
	switch (e->state) {
	case ENTRY_READY:
		list_remove(&s->lanes[class][lane], e);
		s->ready--;
		if (s->lanes[class][lane].first == NULL)
			s->lanes_used[class] &= ~((uint64_t)1 << lane);
		break;
	case ENTRY_WAITING:
		list_remove(&d->waiting[class], e);
		d->waiting_count--;
		e->destination = NULL;
		break;
	case ENTRY_BLOCKED:
		list_remove(&d->blocked, e);
		d->blocked_count--;
		e->destination = NULL;
		break;
	default:
		break;
	}
	heap_remove(s, e);
	e->state = ENTRY_NEW;
}

void scheduler_at(struct scheduler *s, struct entry *e, int64_t due)
{
	scheduler_remove(s, e);
	e->due = due;
	e->state = ENTRY_TIMED;
	heap_add(s, e);
}

void scheduler_ready(struct scheduler *s, struct entry *e)
{
	unsigned class = e->attempts > 0, lane = e->lane % SCHEDULER_LANES;
	scheduler_remove(s, e);
	e->state = ENTRY_READY;
	list_add(&s->lanes[class][lane], e);
	s->lanes_used[class] |= (uint64_t)1 << lane;
	s->ready++;
}

struct entry *scheduler_take(struct scheduler *s, int64_t now)
{
	while (s->heap_count > 0 && s->heap[1]->due <= now)
		scheduler_ready(s, s->heap[1]);
	for (unsigned class = 0; class < 2; class ++) {
		uint64_t used = s->lanes_used[class];
		if (used == 0)
			continue;
		unsigned at = s->lane_at[class];
		uint64_t turned = at == 0 ? used : used >> at | used << (SCHEDULER_LANES - at);
		unsigned lane = (at + (unsigned)__builtin_ctzll(turned)) % SCHEDULER_LANES;
		struct entry *e = s->lanes[class][lane].first;
		s->lane_at[class] = (lane + 1) % SCHEDULER_LANES;
		scheduler_remove(s, e);
		e->state = ENTRY_BUSY;
		return e;
	}
	return NULL;
}

int64_t scheduler_next(const struct scheduler *s)
{
	if (s->ready > 0)
		return 0;
	return s->heap_count > 0 ? s->heap[1]->due : INT64_MAX;
}

static uint64_t scheduler_random(struct scheduler *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

int64_t scheduler_retry(struct scheduler *s, unsigned attempts, int64_t now)
{
	unsigned i = attempts > 0 ? attempts - 1 : 0;
	if (i >= s->retry_count)
		i = s->retry_count - 1;
	int64_t span = s->retry[i];
	int64_t jitter = span / 8 > 0 ? (int64_t)(scheduler_random(s) % (uint64_t)(span / 8)) : 0;
	return now + span + jitter;
}

struct destination *scheduler_destination(struct scheduler *s, struct kurir_str name)
{
	uint64_t hash = kurir_str_hash(name);
	struct destination **slot = &s->hash[hash % (sizeof(s->hash) / sizeof(s->hash[0]))];
	if (name.len > 1024)
		name.len = 1024;
	for (struct destination *d = *slot; d != NULL; d = d->hash_next)
		if (d->hash == hash && d->name_length == name.len &&
		    memcmp(d->name, name.ptr, name.len) == 0)
			return d;
	struct destination *d = calloc(1, sizeof(*d) + name.len + 1);
	if (d == NULL)
		abort();
	list_init(&d->waiting[0]);
	list_init(&d->waiting[1]);
	list_init(&d->blocked);
	d->hash = hash;
	d->limit = s->destination_limit;
	d->name_length = (uint16_t)name.len;
	memcpy(d->name, name.ptr, name.len);
	d->hash_next = *slot;
	*slot = d;
	s->destination_count++;
	return d;
}

/* Forgets a destination that nobody refers to and that has no trouble to remember. */
void scheduler_drop_unused(struct scheduler *s, struct destination *d)
{
	struct destination **slot = &s->hash[d->hash % (sizeof(s->hash) / sizeof(s->hash[0]))];
	if (d->active > 0 || d->waiting_count > 0 || d->blocked_count > 0 || d->troubles > 0)
		return;
	while (*slot != NULL && *slot != d)
		slot = &(*slot)->hash_next;
	if (*slot == NULL)
		return;
	*slot = d->hash_next;
	s->destination_count--;
	free(d);
}

enum scheduler_answer scheduler_ask(
    struct scheduler *s, struct destination *d, int64_t now, bool urgent)
{
	(void)s;
	if (d->troubles > 0 && !urgent) {
		if (now < d->blocked_until)
			return SCHEDULER_BLOCKED;
		if (d->active > 0)
			return SCHEDULER_WAIT; /* one tries how it is; the others see */
	}
	if (d->active >= d->limit)
		return SCHEDULER_WAIT;
	d->active++;
	return SCHEDULER_GO;
}

void scheduler_wait(struct scheduler *s, struct destination *d, struct entry *e)
{
	scheduler_remove(s, e);
	e->destination = d;
	e->state = ENTRY_WAITING;
	list_add(&d->waiting[e->attempts > 0], e);
	d->waiting_count++;
}

void scheduler_block(struct scheduler *s, struct destination *d, struct entry *e, int64_t due)
{
	scheduler_remove(s, e);
	e->destination = d;
	e->due = due;
	e->state = ENTRY_BLOCKED;
	list_add(&d->blocked, e);
	d->blocked_count++;
	heap_add(s, e);
}

static void wake_waiting(struct scheduler *s, struct destination *d, unsigned count)
{
	for (unsigned class = 0; class < 2; class ++)
		while (count > 0 && d->waiting[class].first != NULL) {
			scheduler_ready(s, d->waiting[class].first);
			count--;
		}
}

void scheduler_done(
    struct scheduler *s, struct destination *d, int64_t now, bool trouble, bool success)
{
	d->active--;
	if (trouble) {
		int64_t span = TROUBLE_FIRST << (d->troubles < 10 ? d->troubles : 10);
		if (span > TROUBLE_MAX)
			span = TROUBLE_MAX;
		if (now >= d->blocked_until) {
			d->blocked_until = now + span;
			if (d->troubles < UINT16_MAX)
				d->troubles++;
		}
		for (unsigned class = 0; class < 2; class ++)
			while (d->waiting[class].first != NULL) {
				struct entry *e = d->waiting[class].first;
				scheduler_block(s, d, e,
				    d->blocked_until + (int64_t)(scheduler_random(s) % 1000));
			}
		return;
	}
	if (success && d->troubles > 0) {
		d->troubles = 0;
		d->blocked_until = 0;
		while (d->blocked.first != NULL) /* it is back: all at once may come, in turn */
			scheduler_wait(s, d, d->blocked.first);
	}
	/* One comes for the place that is free now, and one more in case the first was taken away
	 * meanwhile; all that fit when nobody would call the next. */
	if (d->troubles == 0) {
		unsigned places = d->active < d->limit ? d->limit - d->active : 0u;
		wake_waiting(s, d, d->active > 0 && places > WAKE ? WAKE : places);
	} else if (d->active == 0) {
		wake_waiting(s, d, 1);
	}
}
