/* scheduler.c - a heap by time, lanes in turn, and destinations that are left in peace.
 *
 * Fresh recipients go before deferred ones, but for one turn in sixteen; within each, lanes (who
 * sends) take turns.  A lane may have as many messages under way as places are free: a flood
 * takes half of them, two floods two thirds, and there is always room for one more. */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#define WAKE	      2 /* of those that wait, when a place becomes free */
#define TROUBLE_FIRST ((int64_t)30 * 1000)
#define TROUBLE_MAX   ((int64_t)30 * 60 * 1000)
#define RIPEN_MAX     1000 /* that become due at once: a round of the loop is short */
#define DEFERRED_TURN 16
#define SWEEP	      1000
#define BURST	      1000 /* ms of credit that can be saved */
#define ERROR_MAX     200  /* bytes kept of what a destination said */

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
	s->limit = UINT16_MAX;
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
			free(d->error);
			free(d);
		}
	free(s->heap);
	s->heap = NULL;
	s->heap_count = s->heap_room = 0;
}

void scheduler_remove(struct scheduler *s, struct entry *e)
{
	unsigned class = e->attempts > 0, lane = e->lane;
	struct destination *d = e->destination;
	switch (e->state) {
	case ENTRY_READY:
		list_remove(&s->lanes[class][lane], e);
		s->ready--;
		if (s->lanes[class][lane].first == NULL)
			s->lanes_used[class][lane / 64] &= ~((uint64_t)1 << lane % 64);
		break;
	case ENTRY_WAITING:
		list_remove(&d->waiting[class], e);
		d->waiting_count--;
		s->waiting--;
		e->destination = NULL;
		break;
	case ENTRY_BLOCKED:
		list_remove(&d->blocked, e);
		d->blocked_count--;
		s->waiting--;
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
	unsigned class = e->attempts > 0, lane = e->lane;
	scheduler_remove(s, e);
	e->state = ENTRY_READY;
	list_add(&s->lanes[class][lane], e);
	s->lanes_used[class][lane / 64] |= (uint64_t)1 << lane % 64;
	s->ready++;
}

static int64_t end_of(const struct scheduler *s, const struct entry *e)
{
	return s->end != NULL ? s->end(e, s->arg) : INT64_MAX;
}

/* What is due becomes ready, unless its destination says later. */
static void ripen(struct scheduler *s, int64_t now)
{
	for (unsigned n = 0; n < RIPEN_MAX && s->heap_count > 0 && s->heap[1]->due <= now; n++) {
		struct entry *e = s->heap[1];
		struct destination *d = e->destination;
		if (d != NULL && d->troubles > 0 && (now < d->blocked_until || d->active > 0) &&
		    now < end_of(s, e))
			scheduler_wait(s, d, e);
		else
			scheduler_ready(s, e);
	}
}

/* The first lane from at on that is not empty and has not more than its share; -1. */
static int next_lane(const struct scheduler *s, unsigned class, unsigned at)
{
	uint32_t room = s->limit - s->busy;
	for (unsigned n = 0; n < SCHEDULER_LANES;) {
		unsigned lane = (at + n) % SCHEDULER_LANES;
		uint64_t rest = s->lanes_used[class][lane / 64] >> lane % 64;
		if (rest == 0) {
			n += 64 - lane % 64;
			continue;
		}
		unsigned skip = (unsigned)__builtin_ctzll(rest);
		n += skip;
		lane += skip;
		if (n < SCHEDULER_LANES && s->lane_busy[lane] < room)
			return (int)lane;
		n++;
	}
	return -1;
}

static struct entry *take_of(struct scheduler *s, unsigned class)
{
	if (class > 0 && s->busy_deferred >= s->limit - s->busy)
		return NULL;
	int lane = next_lane(s, class, s->lane_at[class]);
	if (lane < 0)
		return NULL;
	struct entry *e = s->lanes[class][lane].first;
	s->lane_at[class] = ((unsigned)lane + 1) % SCHEDULER_LANES;
	s->lane_busy[lane]++;
	s->busy++;
	s->busy_deferred += class;
	s->turn++;
	scheduler_join(s, e);
	return e;
}

struct entry *scheduler_take(struct scheduler *s, int64_t now)
{
	ripen(s, now);
	if (s->busy >= s->limit)
		return NULL;
	unsigned first = s->turn % DEFERRED_TURN == DEFERRED_TURN - 1;
	struct entry *e = take_of(s, first);
	return e != NULL ? e : take_of(s, 1 - first);
}

void scheduler_join(struct scheduler *s, struct entry *e)
{
	scheduler_remove(s, e);
	e->state = ENTRY_BUSY;
	e->turn++;
}

void scheduler_leave(struct scheduler *s, uint8_t lane, bool deferred)
{
	s->lane_busy[lane]--;
	s->busy--;
	s->busy_deferred -= deferred;
}

int64_t scheduler_next(const struct scheduler *s)
{
	int64_t next = s->heap_count > 0 ? s->heap[1]->due : INT64_MAX;
	if (s->waiting > 0 && s->swept + SWEEP < next)
		next = s->swept + SWEEP;
	return next;
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
	d->rate = s->destination_rate;
	d->credit = 60000;
	d->name_length = (uint16_t)name.len;
	memcpy(d->name, name.ptr, name.len);
	if (s->configure != NULL)
		s->configure(d, s->arg);
	d->hash_next = *slot;
	*slot = d;
	s->destination_count++;
	return d;
}

/* Forgets a destination that nobody refers to and that has no trouble to remember. */
void scheduler_drop_unused(struct scheduler *s, struct destination *d)
{
	struct destination **slot = &s->hash[d->hash % (sizeof(s->hash) / sizeof(s->hash[0]))];
	if (d->active > 0 || d->users > 0 || d->waiting_count > 0 || d->blocked_count > 0 ||
	    d->troubles > 0 || d->rate > 0)
		return;
	while (*slot != NULL && *slot != d)
		slot = &(*slot)->hash_next;
	if (*slot == NULL)
		return;
	*slot = d->hash_next;
	s->destination_count--;
	free(d->error);
	free(d);
}

static uint32_t credit_cost(const struct destination *d)
{
	return d->rate > 0 ? 60000u / d->rate : 0;
}

/* How many jobs the rate allows now. */
static uint32_t credit_jobs(struct destination *d, int64_t now)
{
	uint32_t cost = credit_cost(d), most = cost > BURST ? cost : BURST;
	if (cost == 0)
		return UINT32_MAX;
	int64_t more = now > d->credit_at ? now - d->credit_at : 0;
	d->credit_at = now;
	d->credit = more > most || d->credit + more > most ? most : d->credit + (uint32_t)more;
	return d->credit / cost;
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
	if (d->active >= d->limit || credit_jobs(d, now) == 0)
		return SCHEDULER_WAIT;
	d->credit -= credit_cost(d);
	d->active++;
	return SCHEDULER_GO;
}

void scheduler_wait(struct scheduler *s, struct destination *d, struct entry *e)
{
	scheduler_remove(s, e);
	e->destination = d;
	e->due = end_of(s, e);
	e->state = ENTRY_WAITING;
	list_add(&d->waiting[e->attempts > 0], e);
	d->waiting_count++;
	s->waiting++;
	heap_add(s, e);
}

void scheduler_block(struct scheduler *s, struct destination *d, struct entry *e, int64_t due)
{
	scheduler_remove(s, e);
	e->destination = d;
	e->due = due;
	e->state = ENTRY_BLOCKED;
	list_add(&d->blocked, e);
	d->blocked_count++;
	s->waiting++;
	heap_add(s, e);
}

/* As many as may go now: in trouble one at a time; else also those that it failed before, as it
 * is back. */
static void wake(struct scheduler *s, struct destination *d, int64_t now, uint32_t may)
{
	uint32_t count = d->active < d->limit ? d->limit - d->active : 0, paid;
	struct entry *e;
	if (d->troubles > 0)
		count = d->active == 0 && now >= d->blocked_until;
	paid = credit_jobs(d, now);
	may = may < paid ? may : paid;
	for (count = count < may ? count : may; count > 0; count--) {
		if ((e = d->waiting[0].first) == NULL && (e = d->waiting[1].first) == NULL &&
		    (d->troubles > 0 || (e = d->blocked.first) == NULL))
			return;
		scheduler_ready(s, e);
	}
}

void scheduler_trouble(struct destination *d, struct kurir_str error)
{
	free(d->error);
	d->error = error.len > 0
	    ? strndup(error.ptr, error.len < ERROR_MAX ? error.len : ERROR_MAX)
	    : NULL;
}

void scheduler_done(
    struct scheduler *s, struct destination *d, int64_t now, bool trouble, bool success)
{
	d->active--;
	if (trouble && now >= d->blocked_until) {
		int64_t span = TROUBLE_FIRST << (d->troubles < 10 ? d->troubles : 10);
		d->blocked_until = now + (span < TROUBLE_MAX ? span : TROUBLE_MAX);
		if (d->troubles < UINT16_MAX)
			d->troubles++;
	}
	if (success) {
		scheduler_trouble(d, KURIR_STR(""));
		d->troubles = 0;
		d->blocked_until = 0;
	}
	/* One comes for the place that is free now, and one more in case the first was taken away
	 * meanwhile; all that fit when nobody would call the next. */
	wake(s, d, now, d->active > 0 ? WAKE : UINT32_MAX);
}

void scheduler_sweep(struct scheduler *s, int64_t now)
{
	if (now >= s->swept && now < s->swept + SWEEP)
		return;
	s->swept = now;
	for (size_t i = 0; i < sizeof(s->hash) / sizeof(s->hash[0]); i++)
		for (struct destination *d = s->hash[i], *next; d != NULL; d = next) {
			next = d->hash_next;
			if (d->waiting_count + d->blocked_count > 0) {
				if (d->active == 0 || d->rate > 0)
					wake(s, d, now, UINT32_MAX);
			} else if (d->active == 0 && d->users == 0 && now >= d->blocked_until &&
			    credit_jobs(d, now) > 0) {
				d->troubles = d->rate = 0; /* nothing to remember */
				scheduler_drop_unused(s, d);
			}
		}
}

/* xyz = ( "4" / "5" ) "." 1DIGIT "." 1*3DIGIT */
uint16_t scheduler_reason(struct kurir_str xyz)
{
	uint64_t detail;
	if (xyz.len < 5 || xyz.ptr[1] != '.' || xyz.ptr[3] != '.' || xyz.ptr[2] < '0' ||
	    xyz.ptr[2] > '7' || (xyz.ptr[0] != '4' && xyz.ptr[0] != '5') ||
	    kurir_str_number(kurir_str_part(xyz, 4, 3), 999, &detail) < 0 || xyz.len > 7)
		return 0;
	return (uint16_t)(1u << 15 | (xyz.ptr[0] == '5') << 13 |
	    (unsigned)(xyz.ptr[2] - '0') << 10 | (unsigned)detail);
}
