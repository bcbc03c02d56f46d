/* imap_set.c - sequence sets.
 *
 *   sequence-set = (seq-number / seq-range) *("," sequence-set)     ; RFC 9051 section 9
 *   seq-range    = seq-number ":" seq-number
 *   seq-number   = nz-number / "*"
 *   sequence-set =/ seq-last-command                                ; "$", RFC 9051 */

#include <errno.h>
#include <stdlib.h>

#include "imap.h"

#define RANGES_MAX 10000

static int number(struct kurir_str *s, uint32_t largest, uint32_t *ret, bool *star)
{
	uint64_t v = 0;
	size_t n = 0;

	if (s->len > 0 && s->ptr[0] == '*') {
		*s = kurir_str_part(*s, 1, s->len);
		*ret = largest;
		*star = true;
		return 0;
	}
	while (n < s->len && n < 11 && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		n++;
	if (kurir_str_number(kurir_str_part(*s, 0, n), UINT32_MAX, &v) < 0 || v == 0)
		return -EBADMSG;
	*s = kurir_str_part(*s, n, s->len);
	*ret = (uint32_t)v;
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct kurir_uid_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts, and joins what touches. */
static size_t normalize(struct kurir_uid_range *r, size_t count)
{
	size_t n = 0;

	qsort(r, count, sizeof(*r), by_first);
	for (size_t i = 1; i < count; i++) {
		if (r[i].first <= r[n].last || r[i].first - r[n].last == 1) {
			if (r[i].last > r[n].last)
				r[n].last = r[i].last;
		} else {
			r[++n] = r[i];
		}
	}
	return count ? n + 1 : 0;
}

int imap_set_parse(
    struct kurir_str s, uint32_t largest, struct kurir_arena *arena, struct imap_set *ret)
{
	struct kurir_uid_range *ranges;
	size_t count = 0, room = 1;

	for (size_t i = 0; i < s.len; i++)
		room += s.ptr[i] == ',';
	if (room > RANGES_MAX)
		return -EBADMSG;
	ranges = kurir_alloc(arena, room * sizeof(*ranges));
	do {
		struct kurir_uid_range *r = &ranges[count++];
		bool star = false;

		if (number(&s, largest, &r->first, &star) < 0)
			return -EBADMSG;
		r->last = r->first;
		if (s.len > 0 && s.ptr[0] == ':') {
			s = kurir_str_part(s, 1, s.len);
			if (number(&s, largest, &r->last, &star) < 0)
				return -EBADMSG;
		}
		if (r->first > r->last) {
			uint32_t first = r->first;

			r->first = r->last;
			r->last = first;
		}
		if (star && largest == 0) /* the last of none */
			count--;
		if (s.len == 0)
			break;
		if (s.ptr[0] != ',')
			return -EBADMSG;
		s = kurir_str_part(s, 1, s.len);
	} while (true);
	*ret = (struct imap_set){ normalize(ranges, count), ranges };
	return 0;
}

void imap_set_add(struct kurir_uid_range *ranges, size_t *count, uint32_t number)
{
	if (*count > 0 && ranges[*count - 1].last + 1 == number)
		ranges[*count - 1].last = number;
	else
		ranges[(*count)++] = (struct kurir_uid_range){ number, number };
}

/* A range of sequence numbers, as ranges of UIDs behind those that are there; how many then. */
static size_t add_numbers(const struct imap *s, const struct kurir_uid_range *numbers,
    struct kurir_uid_range *uids, size_t count)
{
	size_t i = numbers->first - 1, last = numbers->last;

	if (last > s->box.count)
		last = s->box.count;
	while (i < last) {
		struct kurir_uid_range r = imap_box_run(&s->box, i, last - i);

		if (count > 0 && uids[count - 1].last + 1 == r.first)
			uids[count - 1].last = r.last;
		else
			uids[count++] = r;
		i += (size_t)(r.last - r.first) + 1;
	}
	return count;
}

/* Sequence numbers become the UIDs they stand for; neighbours in the snapshot join. */
static int to_uids(
    const struct imap *s, const struct imap_set *set, bool strict, struct kurir_uid_set *ret)
{
	struct kurir_uid_set all = imap_box_all(&s->box);
	size_t total = all.count + set->count, count = 0;
	struct kurir_uid_range *uids = kurir_alloc(kurir_scratch(), total * sizeof(*uids) + 1);

	if (strict && set->count > 0 && set->ranges[set->count - 1].last > s->box.count)
		return -EBADMSG;
	for (size_t i = 0; i < set->count && set->ranges[i].first <= s->box.count; i++)
		count = add_numbers(s, &set->ranges[i], uids, count);
	*ret = (struct kurir_uid_set){ count, uids };
	return 0;
}

static int take(struct imap_args *a, uint32_t largest, struct imap_set *ret)
{
	size_t n = 0;
	int r;

	while (n < a->rest.len && a->rest.ptr[n] != ' ' && a->rest.ptr[n] != ')')
		n++;
	r = imap_set_parse(kurir_str_part(a->rest, 0, n), largest, kurir_scratch(), ret);
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
	return r;
}

int imap_set_uids(struct imap *s, struct imap_args *a, struct kurir_uid_set *ret)
{
	uint32_t largest = s->box.count ? imap_box_uid(&s->box, s->box.count - 1) : 0;
	struct imap_set set;

	if (imap_take(a, '$')) {
		*ret = s->saved;
		return 0;
	}
	if (take(a, largest, &set) < 0)
		return -EBADMSG;
	*ret = (struct kurir_uid_set){ set.count, set.ranges };
	return 0;
}

int imap_set_numbers(struct imap *s, struct imap_args *a, bool strict, struct kurir_uid_set *ret)
{
	struct imap_set set;

	if (imap_take(a, '$')) {
		*ret = s->saved;
		return 0;
	}
	if (take(a, (uint32_t)s->box.count, &set) < 0)
		return -EBADMSG;
	return to_uids(s, &set, strict, ret);
}

int imap_set_arg(struct imap *s, struct imap_args *a, struct kurir_uid_set *ret)
{
	return s->by_uid ? imap_set_uids(s, a, ret) : imap_set_numbers(s, a, true, ret);
}

void imap_saved_clear(struct imap *s)
{
	kurir_arena_free(s->saved_arena);
	s->saved_arena = NULL;
	s->saved = (struct kurir_uid_set){ 0, NULL };
}
