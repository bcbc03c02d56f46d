/* dnsbl_rules.c - what the answers of a list are worth.  No I/O.
 *
 *   rule  = [ codes "=" ] score
 *   codes = octet "." octet "." octet "." octet
 *   octet = "*" / number / number "-" number / "&" number         number: 0-255
 *   score = [ "-" ] 1*DIGIT
 *
 * RFC 5782 2.1: an address in 127.0.0.0/8 says that it is listed, and by which, why. */
#include "dnsbl.h"

#include <errno.h>
#include <string.h>

static int octet_parse(struct kurir_str s, struct dnsbl_octet *ret)
{
	ssize_t dash = kurir_str_find(s, '-');
	struct dnsbl_octet o = { 0, 255, 0 };
	uint64_t low, high;

	if (kurir_str_equal(s, KURIR_STR("*"))) {
		*ret = o;
		return 0;
	}
	if (kurir_str_starts(s, KURIR_STR("&"))) {
		if (kurir_str_number(kurir_str_part(s, 1, s.len), 255, &high) < 0 || high == 0)
			return -EINVAL;
		o.mask = (unsigned char)high;
		*ret = o;
		return 0;
	}
	if (kurir_str_number(kurir_str_part(s, 0, dash < 0 ? s.len : (size_t)dash), 255, &low) <
	    0)
		return -EINVAL;
	high = low;
	if (dash >= 0 &&
	    kurir_str_number(kurir_str_part(s, (size_t)dash + 1, s.len), 255, &high) < 0)
		return -EINVAL;
	o.low = (unsigned char)low;
	o.high = (unsigned char)high;
	*ret = o;
	return low <= high ? 0 : -EINVAL;
}

static int codes_parse(struct kurir_str s, struct dnsbl_octet *ret)
{
	for (size_t i = 0; i < 4; i++) {
		ssize_t dot = kurir_str_find(s, '.');
		size_t n = dot < 0 ? s.len : (size_t)dot;

		if ((dot < 0) != (i == 3) || octet_parse(kurir_str_part(s, 0, n), &ret[i]) < 0)
			return -EINVAL;
		s = kurir_str_part(s, n + 1, s.len);
	}
	return 0;
}

int dnsbl_rule_parse(struct kurir_str s, struct dnsbl_rule *ret, const char **why)
{
	ssize_t equals = kurir_str_find_last(s, '=');
	struct kurir_str score = kurir_str_part(s, (size_t)(equals + 1), s.len);
	bool minus = kurir_str_starts(score, KURIR_STR("-"));
	struct dnsbl_rule r;
	uint64_t n;

	memset(&r, 0, sizeof(r));
	if (codes_parse(
		equals < 0 ? KURIR_STR("127.*.*.*") : kurir_str_part(s, 0, (size_t)equals),
		r.octets) < 0) {
		*why = "has no codes such as 127.0.0.2-11 or 127.0.*.&4 before \"=\"";
		return -EINVAL;
	}
	if (kurir_str_number(kurir_str_part(score, minus, score.len), DNSBL_SCORE_MAX, &n) < 0) {
		*why = "has no score from -1000 to 1000";
		return -EINVAL;
	}
	r.score = minus ? -(int)n : (int)n;
	*ret = r;
	return 0;
}

/* A name that, with the reversed address of an IPv6 host before it, can be asked for. */
static bool good_zone(struct kurir_str zone)
{
	size_t i;

	for (i = 0; i < zone.len; i++)
		if (zone.ptr[i] <= ' ' || zone.ptr[i] > '~' || zone.ptr[i] == '/')
			return false;
	return zone.len > 0 && zone.len <= 180;
}

int dnsbl_lists_parse(struct kurir_arena *arena, struct kurir_map map, struct dnsbl_list **ret,
    struct kurir_str *error)
{
	struct dnsbl_list *lists = kurir_alloc(arena, (map.count + 1) * sizeof(*lists));
	const char *why;

	for (size_t i = 0; i < map.count; i++) {
		const struct kurir_pair *p = &map.items[i];
		struct dnsbl_list *l = &lists[i];

		l->zone = p->key;
		if (!good_zone(p->key) || p->values.count == 0) {
			*error = kurir_format(arena,
			    "\"%.*s\" is not a list: write its domain, and what its answers are"
			    " worth",
			    KURIR_ARG(kurir_str_part(p->key, 0, 80)));
			return -EINVAL;
		}
		l->rules = kurir_alloc(arena, p->values.count * sizeof(*l->rules));
		for (; l->count < p->values.count; l->count++)
			if (dnsbl_rule_parse(
				p->values.items[l->count], &l->rules[l->count], &why) < 0) {
				*error = kurir_format(arena, "\"%.*s\" of \"%.*s\" %s",
				    KURIR_ARG(kurir_str_part(p->values.items[l->count], 0, 80)),
				    KURIR_ARG(p->key), why);
				return -EINVAL;
			}
	}
	*ret = lists;
	return 0;
}

static bool matches(const struct dnsbl_rule *r, const struct dnsbl_octet address[4])
{
	for (size_t i = 0; i < 4; i++) {
		const struct dnsbl_octet *o = &r->octets[i];
		unsigned char is = address[i].low;

		if (o->mask != 0 ? (is & o->mask) == 0 : is < o->low || is > o->high)
			return false;
	}
	return true;
}

enum dnsbl_answer dnsbl_score(
    const struct dnsbl_list *l, struct kurir_str address, bool *matched, int *score)
{
	struct dnsbl_octet a[4];

	if (codes_parse(address, a) < 0 || a[0].low != 127 || a[0].high != 127)
		return DNSBL_STRANGE;
	if (a[1].low == 255 && a[2].low == 255)
		return DNSBL_REFUSED;
	for (size_t i = 0; i < l->count; i++)
		if (!matched[i] && matches(&l->rules[i], a)) {
			matched[i] = true;
			*score += l->rules[i].score;
		}
	return DNSBL_LISTED;
}
