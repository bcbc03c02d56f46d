/* imap_box.c - message numbers and UIDs, and what is known of messages.  Asks nobody. */
#include "imap_box.h"

#include <string.h>

#define WASTE_MIN 65536

void imap_box_begin(struct imap_box *b, struct kurir_str name, struct kurir_str id)
{
	*b = (struct imap_box){ .arena = kurir_arena_new("imap mailbox") };
	b->name = kurir_copy(b->arena, name);
	b->id = kurir_copy(b->arena, id);
}

void imap_box_end(struct imap_box *b)
{
	kurir_arena_free(b->arena);
	*b = (struct imap_box){ .count = 0 };
}

/* Nobody needs it any more. */
static void let_go(struct imap_box *b, size_t bytes)
{
	b->waste += bytes;
	b->kept -= bytes < b->kept ? bytes : b->kept;
}

/* Room for more than the count that it has; what it was in is waste. */
static void *grow(struct imap_box *b, void *old, size_t count, size_t room, size_t size)
{
	void *p = kurir_alloc(b->arena, room * size);

	if (count > 0)
		memcpy(p, old, count * size);
	let_go(b, count * size);
	b->kept += room * size;
	return p;
}

static struct kurir_str keep(struct imap_box *b, struct kurir_str text)
{
	if (text.len == 0)
		return KURIR_STR("");
	b->kept += text.len + 1;
	return kurir_copy(b->arena, text);
}

static void drop(struct imap_box *b, struct kurir_str text)
{
	let_go(b, text.len > 0 ? text.len + 1 : 0);
}

static struct kurir_uid_set copy_set(struct imap_box *b, const struct kurir_uid_set *set)
{
	struct kurir_uid_range *p = NULL;

	if (set->count > 0) {
		p = kurir_alloc(b->arena, set->count * sizeof(*p));
		memcpy(p, set->ranges, set->count * sizeof(*p));
		b->kept += set->count * sizeof(*p);
	}
	return (struct kurir_uid_set){ set->count, p };
}

static void set_uids(struct imap_box *b, const struct kurir_uid_set *set)
{
	size_t room = set->count + 4;

	b->uids = (struct imap_uids){ .count = set->count, .room = room };
	b->uids.ranges = kurir_alloc(b->arena, room * sizeof(*b->uids.ranges));
	b->before = kurir_alloc(b->arena, room * sizeof(*b->before));
	b->kept += room * (sizeof(*b->uids.ranges) + sizeof(*b->before));
	b->count = 0;
	for (size_t i = 0; i < set->count; i++) {
		b->uids.ranges[i] = set->ranges[i];
		b->before[i] = (uint32_t)b->count;
		b->count += (size_t)(set->ranges[i].last - set->ranges[i].first) + 1;
	}
}

void imap_box_pack(struct imap_box *b, bool keep_known)
{
	struct imap_box old = *b;
	struct kurir_uid_set uids = imap_box_all(&old);

	imap_box_begin(b, old.name, old.id);
	set_uids(b, &uids);
	b->gone = copy_set(b, &old.gone);
	b->recent = copy_set(b, &old.recent);
	if (keep_known)
		imap_box_learn(b, old.known, old.known_count);
	kurir_arena_free(old.arena);
}

void imap_box_tidy(struct imap_box *b)
{
	if (b->waste > WASTE_MIN && b->waste > b->kept)
		imap_box_pack(b, true);
}

/* The range with that UID, or the first above it. */
static size_t range_of(const struct kurir_uid_set *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (set->ranges[mid].last < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The range of uids that has that index. */
static size_t run_of(const struct imap_box *b, size_t index)
{
	size_t low = 0, high = b->uids.count;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (b->before[mid] <= index)
			low = mid;
		else
			high = mid;
	}
	return low;
}

uint32_t imap_box_uid(const struct imap_box *b, size_t index)
{
	size_t i = run_of(b, index);

	return b->uids.ranges[i].first + (uint32_t)(index - b->before[i]);
}

struct kurir_uid_range imap_box_run(const struct imap_box *b, size_t index, size_t most)
{
	size_t i = run_of(b, index);
	uint32_t first = b->uids.ranges[i].first + (uint32_t)(index - b->before[i]);
	uint32_t left = b->uids.ranges[i].last - first;

	return (struct kurir_uid_range){ first,
		first + (left < most - 1 ? left : (uint32_t)(most - 1)) };
}

size_t imap_box_index(const struct imap_box *b, uint32_t uid)
{
	struct kurir_uid_set all = imap_box_all(b);
	size_t i = range_of(&all, uid);

	if (i == all.count || uid < all.ranges[i].first)
		return b->count;
	return b->before[i] + (size_t)(uid - all.ranges[i].first);
}

size_t imap_box_next(const struct imap_box *b, const struct kurir_uid_set *set, size_t from)
{
	struct kurir_uid_set all = imap_box_all(b);
	uint32_t uid;
	size_t i, j;

	if (from >= b->count)
		return b->count;
	uid = imap_box_uid(b, from);
	i = range_of(&all, uid);
	j = range_of(set, uid);
	while (i < all.count && j < set->count) {
		const struct kurir_uid_range *x = &all.ranges[i], *y = &set->ranges[j];

		uid = uid > x->first ? uid : x->first;
		uid = uid > y->first ? uid : y->first;
		if (uid <= x->last && uid <= y->last)
			return b->before[i] + (size_t)(uid - x->first);
		/* Whole ranges of the one may lie between two of the other. */
		if (uid > x->last)
			i = range_of(&all, uid);
		else
			j = range_of(set, uid);
	}
	return b->count;
}

/* What it was, and more of the room than it needs, is waste. */
static struct kurir_uid_set combine(struct imap_box *b, const struct kurir_uid_set *x,
    const struct kurir_uid_set *y, enum imap_set_of which)
{
	b->waste += (x->count + y->count + 1) * sizeof(*x->ranges);
	return imap_uids_combine(b->arena, x, y, which);
}

static void add_uid(struct imap_box *b, uint32_t uid)
{
	struct imap_uids *u = &b->uids;

	if (u->count > 0 && u->ranges[u->count - 1].last + 1 == uid) {
		u->ranges[u->count - 1].last = uid;
	} else {
		if (u->count == u->room) {
			u->room = u->room * 2 + 4;
			u->ranges = grow(b, u->ranges, u->count, u->room, sizeof(*u->ranges));
			b->before = grow(b, b->before, u->count, u->room, sizeof(*b->before));
		}
		b->before[u->count] = (uint32_t)b->count;
		u->ranges[u->count++] = (struct kurir_uid_range){ uid, uid };
	}
	b->count++;
}

void imap_box_came(struct imap_box *b, struct kurir_uid_range range)
{
	struct kurir_uid_set set = { 1, &range };

	for (uint64_t uid = range.first; uid <= range.last; uid++)
		add_uid(b, (uint32_t)uid);
	b->recent = combine(b, &b->recent, &set, IMAP_IN_EITHER);
}

void imap_box_add(struct imap_box *b, const struct kurir_message *m)
{
	add_uid(b, m->uid);
	if (m->flags & KURIR_MESSAGE_RECENT) {
		struct kurir_uid_range one = { m->uid, m->uid };
		struct kurir_uid_set set = { 1, &one };

		b->recent = combine(b, &b->recent, &set, IMAP_IN_EITHER);
	}
	imap_box_learn(b, m, 1);
}

void imap_box_gone(struct imap_box *b, const struct kurir_uid_set *vanished)
{
	struct kurir_uid_set all = imap_box_all(b), here;

	if (vanished->count == 0)
		return;
	here = combine(b, &all, vanished, IMAP_IN_BOTH);
	b->gone = combine(b, &b->gone, &here, IMAP_IN_EITHER);
}

void imap_box_remove_gone(struct imap_box *b)
{
	struct kurir_uid_set all = imap_box_all(b), left;
	size_t n = 0;

	if (b->gone.count == 0)
		return;
	left = combine(b, &all, &b->gone, IMAP_IN_FIRST_ONLY);
	let_go(b, b->uids.room * (sizeof(*b->uids.ranges) + sizeof(*b->before)));
	set_uids(b, &left);
	b->recent = combine(b, &b->recent, &b->gone, IMAP_IN_FIRST_ONLY);
	for (size_t i = 0; i < b->known_count; i++)
		if (kurir_uid_set_has(&b->gone, b->known[i].uid)) {
			let_go(b, sizeof(*b->known));
			drop(b, b->known[i].keywords);
			drop(b, b->known[i].name);
		} else {
			b->known[n++] = b->known[i];
		}
	b->known_count = n;
	b->gone = (struct kurir_uid_set){ 0, NULL };
}

/* Where it stands in known, or would. */
static size_t known_place(const struct imap_box *b, uint32_t uid)
{
	size_t low = 0, high = b->known_count;

	if (high == b->count && high > 0) { /* all are known */
		size_t i = imap_box_index(b, uid);

		if (i < high)
			return i;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->known[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct kurir_message *imap_box_known(const struct imap_box *b, uint32_t uid)
{
	size_t i = known_place(b, uid);

	return i < b->known_count && b->known[i].uid == uid ? &b->known[i] : NULL;
}

static void text_set(struct imap_box *b, struct kurir_str *at, struct kurir_str text)
{
	if (at->len + text.len == 0 || kurir_str_equal(*at, text))
		return;
	drop(b, *at);
	*at = keep(b, text);
}

void imap_box_set_keywords(struct imap_box *b, struct kurir_message *m, struct kurir_str words)
{
	text_set(b, &m->keywords, words);
}

/* m becomes what is known in that place, which has texts of before, or empty ones. */
static void put_known(struct imap_box *b, struct kurir_message *at, const struct kurir_message *m)
{
	struct kurir_str keywords = at->keywords, name = at->name;

	*at = *m;
	at->keywords = keywords;
	at->name = name;
	text_set(b, &at->keywords, m->keywords);
	text_set(b, &at->name, m->name);
	at->flags &= ~(uint32_t)KURIR_MESSAGE_RECENT;
	if (kurir_uid_set_has(&b->recent, m->uid))
		at->flags |= KURIR_MESSAGE_RECENT;
}

/* From the back, so that nothing moves that stands in front of the first new one. */
void imap_box_learn(struct imap_box *b, const struct kurir_message *all, size_t count)
{
	size_t fresh = 0, i = b->known_count, to;

	for (size_t j = 0; j < count; j++)
		fresh += i == 0 || imap_box_known(b, all[j].uid) == NULL;
	if (fresh == 0) { /* nothing moves */
		for (size_t j = 0; j < count; j++)
			put_known(b, imap_box_known(b, all[j].uid), &all[j]);
		return;
	}
	if (b->known_count + fresh > b->known_room) {
		size_t room = b->known_count + fresh;

		room += b->known_count > 0 ? room / 2 : fresh > 1 ? 0 : 8;
		b->known = grow(b, b->known, b->known_count, room, sizeof(*b->known));
		b->known_room = room;
	}
	to = b->known_count += fresh;
	for (size_t j = count; j > 0;) {
		const struct kurir_message *m = &all[j - 1];
		struct kurir_message *at;

		if (i > 0 && b->known[i - 1].uid > m->uid) {
			b->known[--to] = b->known[--i];
			continue;
		}
		at = &b->known[--to];
		if (i > 0 && b->known[i - 1].uid == m->uid)
			*at = b->known[--i];
		else
			*at = (struct kurir_message){
				.uid = m->uid, .keywords = KURIR_STR(""), .name = KURIR_STR("")
			};
		put_known(b, at, m);
		j--;
	}
}

/* A set that is swept over: the place to which its state does not change. */
struct sweep {
	const struct kurir_uid_set *set;
	size_t i;
	bool in;
};

static uint64_t sweep_next(struct sweep *w, uint64_t at)
{
	const struct kurir_uid_range *r;

	while (w->i < w->set->count && w->set->ranges[w->i].last < at)
		w->i++;
	w->in = false;
	if (w->i == w->set->count)
		return UINT64_MAX;
	r = &w->set->ranges[w->i];
	w->in = r->first <= at;
	return w->in ? (uint64_t)r->last + 1 : r->first;
}

struct kurir_uid_set imap_uids_combine(struct kurir_arena *arena, const struct kurir_uid_set *a,
    const struct kurir_uid_set *b, enum imap_set_of which)
{
	struct kurir_uid_range *out =
	    kurir_alloc(arena, (a->count + b->count + 1) * sizeof(*out));
	struct sweep x = { .set = a }, y = { .set = b };
	size_t n = 0;

	for (uint64_t at = 0, next; at <= UINT32_MAX; at = next) {
		uint64_t end = sweep_next(&x, at);
		bool take;

		next = sweep_next(&y, at);
		next = next < end ? next : end;
		take = which == IMAP_IN_BOTH  ? x.in && y.in
		    : which == IMAP_IN_EITHER ? x.in || y.in
					      : x.in && !y.in;
		if (take && n > 0 && (uint64_t)out[n - 1].last + 1 == at)
			out[n - 1].last = (uint32_t)(next - 1);
		else if (take)
			out[n++] = (struct kurir_uid_range){ (uint32_t)at, (uint32_t)(next - 1) };
	}
	return (struct kurir_uid_set){ n, out };
}

struct kurir_uid_set imap_uids_of(
    struct kurir_arena *arena, const struct kurir_message *all, size_t count)
{
	struct kurir_uid_range *ranges;
	size_t n = 0, room = 1;

	for (size_t i = 1; i < count; i++)
		room += all[i].uid - all[i - 1].uid > 1;
	ranges = kurir_alloc(arena, room * sizeof(*ranges));
	for (size_t i = 0; i < count; i++)
		if (n > 0 && ranges[n - 1].last + 1 == all[i].uid)
			ranges[n - 1].last = all[i].uid;
		else
			ranges[n++] = (struct kurir_uid_range){ all[i].uid, all[i].uid };
	return (struct kurir_uid_set){ n, ranges };
}

void imap_box_fill(struct imap_box *b, const struct kurir_message *all, size_t count)
{
	struct kurir_uid_set uids = imap_uids_of(b->arena, all, count);
	struct imap_uids recent = { .ranges = NULL };

	b->waste += uids.count * sizeof(*uids.ranges);
	set_uids(b, &uids);
	for (size_t i = 0; i < count; i++) {
		if (!(all[i].flags & KURIR_MESSAGE_RECENT))
			continue;
		if (recent.count == recent.room) {
			recent.room = recent.room * 2 + 4;
			recent.ranges = grow(
			    b, recent.ranges, recent.count, recent.room, sizeof(*recent.ranges));
		}
		recent.count++;
		recent.ranges[recent.count - 1] =
		    (struct kurir_uid_range){ all[i].uid, all[i].uid };
		if (recent.count > 1 && recent.ranges[recent.count - 2].last + 1 == all[i].uid)
			recent.ranges[--recent.count - 1].last = all[i].uid;
	}
	b->recent = (struct kurir_uid_set){ recent.count, recent.ranges };
	imap_box_learn(b, all, count);
}

void imap_box_outline(struct imap_box *b, const struct kurir_uid_set *all, uint32_t recent)
{
	struct kurir_uid_range from = { recent, UINT32_MAX };
	struct kurir_uid_set set = { recent > 0, &from };

	set_uids(b, all);
	b->recent = combine(b, all, &set, IMAP_IN_BOTH);
}
