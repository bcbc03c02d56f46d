/* option_unit.c - times and sizes with units, and names that are alike.
 *
 *	span = "0" / 1*( 1*DIGIT unit )		unit = "ms" / "s" / "m" / "h" / "d" / "w"
 *	size = 1*DIGIT [ "K" / "M" / "G" / "T" ]	(powers of 1024) */
#include "option.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "w", 604800000 },
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};
#define UNITS (sizeof(units) / sizeof(units[0]))

/* Cuts the digits off the front of *s. */
static int take_number(struct kurir_str *s, uint64_t max, uint64_t *ret)
{
	size_t n = 0;
	int r;

	while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		n++;
	if (n == 0)
		return -EINVAL;
	r = kurir_str_number(kurir_str_part(*s, 0, n), max, ret);
	*s = kurir_str_part(*s, n, s->len);
	return r;
}

static int64_t take_unit(struct kurir_str *s)
{
	size_t n = 0;

	while (n < s->len && (s->ptr[n] < '0' || s->ptr[n] > '9'))
		n++;
	for (size_t i = 0; i < UNITS; i++) {
		if (kurir_str_equal(kurir_str_part(*s, 0, n), kurir_str_of(units[i].name))) {
			*s = kurir_str_part(*s, n, s->len);
			return units[i].ms;
		}
	}
	return 0;
}

int option_span(struct kurir_str s, kurir_time *ret)
{
	uint64_t n;
	int64_t unit, sum = 0;
	int r;

	if (kurir_str_equal(s, KURIR_STR("0"))) {
		*ret = 0;
		return 0;
	}
	if (s.len == 0)
		return -EINVAL;
	while (s.len) {
		r = take_number(&s, INT64_MAX, &n);
		if (r < 0)
			return r;
		unit = take_unit(&s);
		if (unit == 0)
			return -EINVAL;
		if (n > (uint64_t)(INT64_MAX - sum) / (uint64_t)unit)
			return -ERANGE;
		sum += (int64_t)n * unit;
	}
	*ret = sum;
	return 0;
}

int option_size(struct kurir_str s, uint64_t *ret)
{
	static const char letters[] = "KMGT";
	const char *letter;
	uint64_t n;
	int r;

	r = take_number(&s, INT64_MAX, &n);
	if (r < 0)
		return r;
	if (s.len) {
		letter = memchr(letters, s.ptr[0], 4);
		if (s.len != 1 || !letter)
			return -EINVAL;
		for (long i = letter - letters; i >= 0; i--) {
			if (n > (uint64_t)INT64_MAX / 1024)
				return -ERANGE;
			n *= 1024;
		}
	}
	*ret = n;
	return 0;
}

struct kurir_str option_show_span(struct kurir_arena *arena, kurir_time span)
{
	if (span == 0)
		return KURIR_STR("0");
	for (size_t i = 0; i < UNITS; i++)
		if (span % units[i].ms == 0)
			return kurir_format(
			    arena, "%lld%s", (long long)(span / units[i].ms), units[i].name);
	return KURIR_STR("0");
}

struct kurir_str option_show_size(struct kurir_arena *arena, uint64_t size)
{
	static const char *const letters[] = { "", "K", "M", "G", "T" };
	unsigned i = 0;

	while (size && size % 1024 == 0 && i < 4) {
		size /= 1024;
		i++;
	}
	return kurir_format(arena, "%llu%s", (unsigned long long)size, letters[i]);
}

#define LONGEST 64

/* Edit distance with exchanged neighbours; case does not count, and '_' is '-'. */
static unsigned distance(struct kurir_str a, struct kurir_str b)
{
	unsigned rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *now = rows[2], *turn;

	for (unsigned j = 0; j <= b.len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			unsigned change = last[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
			unsigned least = change;

			if (last[j] + 1 < least)
				least = last[j] + 1;
			if (now[j - 1] + 1 < least)
				least = now[j - 1] + 1;
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
			    a.ptr[i - 2] == b.ptr[j - 1] && before[j - 2] + 1 < least)
				least = before[j - 2] + 1;
			now[j] = least;
		}
		turn = before, before = last, last = now, now = turn;
	}
	return last[b.len];
}

static struct kurir_str plain(struct kurir_str s, char *to)
{
	size_t n = s.len > LONGEST ? LONGEST : s.len;

	for (size_t i = 0; i < n; i++) {
		char c = s.ptr[i];

		to[i] = c == '_' || c == ' ' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return (struct kurir_str){ to, n };
}

const char *option_nearest(struct kurir_str name, const char *const *candidates, size_t count)
{
	char a[LONGEST], b[LONGEST];
	struct kurir_str want = plain(name, a), have;
	unsigned least = (unsigned)want.len / 3 + 2, d; /* at least so far is not near */
	const char *best = NULL;

	for (size_t i = 0; i < count; i++) {
		have = plain(kurir_str_of(candidates[i]), b);
		d = distance(want, have);
		/* What was cut short or has more words is near, too. */
		if (d >= least && want.len > 3 && have.len > 3 &&
		    (kurir_str_starts(have, want) || kurir_str_starts(want, have)))
			d = least - 1;
		if (d < least && d < want.len) {
			least = d;
			best = candidates[i];
		}
	}
	return best;
}

struct kurir_str option_hint(
    struct kurir_arena *arena, struct kurir_str name, const char *const *candidates, size_t count)
{
	const char *near = option_nearest(name, candidates, count);

	return near ? kurir_format(arena, " (did you mean \"%s\"?)", near) : KURIR_STR("");
}
