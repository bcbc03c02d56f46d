/* imap_set.c - sequence sets.
 *
 *   sequence-set = (seq-number / seq-range) *("," sequence-set)     ; RFC 3501 section 9
 *   seq-range    = seq-number ":" seq-number
 *   seq-number   = nz-number / "*" */

#include <errno.h>
#include <stdlib.h>

#include "imap.h"

#define RANGES_MAX 10000

static int number(struct kurir_str *s, uint32_t largest, uint32_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	if (s->len > 0 && s->ptr[0] == '*') {
		*s = kurir_str_part(*s, 1, s->len);
		*ret = largest;
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

		if (number(&s, largest, &r->first) < 0)
			return -EBADMSG;
		r->last = r->first;
		if (s.len > 0 && s.ptr[0] == ':') {
			s = kurir_str_part(s, 1, s.len);
			if (number(&s, largest, &r->last) < 0)
				return -EBADMSG;
		}
		if (r->first > r->last) {
			uint32_t first = r->first;

			r->first = r->last;
			r->last = first;
		}
		if (s.len == 0)
			break;
		if (s.ptr[0] != ',')
			return -EBADMSG;
		s = kurir_str_part(s, 1, s.len);
	} while (true);
	*ret = (struct imap_set){ normalize(ranges, count), ranges };
	return 0;
}

size_t imap_index_of(const struct imap *s, uint32_t uid)
{
	size_t low = 0, high = s->view.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->messages[mid].uid == uid)
			return mid;
		if (s->messages[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return s->view.count;
}

/* Sequence numbers become the UIDs they stand for; neighbours in the snapshot join. */
static int to_uids(const struct imap *s, const struct imap_set *set, struct kurir_uid_set *ret)
{
	size_t n = 0, total = 0, count = 0;
	struct kurir_uid_range *uids;

	for (size_t i = 0; i < set->count; i++) {
		if (set->ranges[i].first == 0 || set->ranges[i].last > s->view.count)
			return -EBADMSG;
		total += set->ranges[i].last - set->ranges[i].first + 1;
	}
	uids = kurir_alloc(kurir_scratch(), (total + 1) * sizeof(*uids));
	for (size_t i = 0; i < set->count; i++)
		for (n = set->ranges[i].first; n <= set->ranges[i].last; n++) {
			uint32_t uid = s->messages[n - 1].uid;

			if (count > 0 && uids[count - 1].last + 1 == uid)
				uids[count - 1].last = uid;
			else
				uids[count++] = (struct kurir_uid_range){ uid, uid };
		}
	*ret = (struct kurir_uid_set){ count, uids };
	return 0;
}

int imap_set_arg(struct imap *s, struct imap_args *a, struct kurir_uid_set *ret)
{
	uint32_t largest = (uint32_t)s->view.count;
	struct imap_set set;
	size_t n = 0;

	while (n < a->rest.len && a->rest.ptr[n] != ' ')
		n++;
	if (s->by_uid)
		largest = s->view.count ? s->messages[s->view.count - 1].uid : 0;
	if (imap_set_parse(kurir_str_part(a->rest, 0, n), largest, kurir_scratch(), &set) < 0)
		return -EBADMSG;
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
	if (!s->by_uid)
		return to_uids(s, &set, ret);
	*ret = (struct kurir_uid_set){ set.count, set.ranges };
	return 0;
}
