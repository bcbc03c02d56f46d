/* policy_parse.c - what a policy server says.  No I/O.
 *
 *   action = "DUNNO" / "OK" / 1*DIGIT / ("REJECT" / "DEFER" / "DEFER_IF_PERMIT" /
 *            "DEFER_IF_REJECT" / "4" 2DIGIT / "5" 2DIGIT) [ SP [ xyz SP ] text ] /
 *            "DISCARD" [ SP text ] / "HOLD" [ SP text ] / "PREPEND" SP field-name ":" value /
 *            ("WARN" / "INFO") [ SP text ]                    case does not matter
 *   xyz    = ("4" / "5") "." 1*3DIGIT "." 1*3DIGIT          RFC 3463 */
#include "policy.h"

#include <errno.h>
#include <string.h>

static bool is_xyz(struct kurir_str s)
{
	unsigned dots = 0, digits = 0;

	if (s.len < 5 || s.len > 9 || (s.ptr[0] != '4' && s.ptr[0] != '5'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.') {
			if (digits == 0 || digits > 3)
				return false;
			dots++;
			digits = 0;
		} else if (s.ptr[i] < '0' || s.ptr[i] > '9') {
			return false;
		} else {
			digits++;
		}
	}
	return dots == 2 && digits > 0 && digits <= 3 && s.ptr[1] == '.';
}

/* Words of a refusal, which may begin with an enhanced code. */
static void words(struct kurir_str s, struct policy_answer *a)
{
	ssize_t space = kurir_str_find(s, ' ');
	struct kurir_str first = kurir_str_part(s, 0, space < 0 ? s.len : (size_t)space);

	if (is_xyz(first)) {
		memcpy(a->xyz, first.ptr, first.len);
		a->xyz[first.len] = '\0';
		s = kurir_str_trim(kurir_str_part(s, first.len, s.len));
	}
	a->text = s;
}

static int field(struct kurir_str s, struct policy_answer *a)
{
	ssize_t colon = kurir_str_find(s, ':');

	if (colon <= 0)
		return -EBADMSG;
	a->name = kurir_str_part(s, 0, (size_t)colon);
	a->text = kurir_str_trim(kurir_str_part(s, (size_t)colon + 1, s.len));
	for (size_t i = 0; i < a->name.len; i++)
		if (a->name.ptr[i] <= ' ' || a->name.ptr[i] > '~')
			return -EBADMSG;
	return 0;
}

static const struct {
	struct kurir_str word;
	enum policy_action action;
} actions[] = {
	{ { "DUNNO", 5 }, POLICY_NOTHING },
	{ { "OK", 2 }, POLICY_OK },
	{ { "REJECT", 6 }, POLICY_REJECT },
	{ { "DEFER", 5 }, POLICY_DEFER },
	{ { "DEFER_IF_PERMIT", 15 }, POLICY_DEFER },
	{ { "DEFER_IF_REJECT", 15 }, POLICY_NOTHING }, /* what is refused need not be deferred */
	{ { "DISCARD", 7 }, POLICY_DISCARD },
	{ { "HOLD", 4 }, POLICY_HOLD },
	{ { "PREPEND", 7 }, POLICY_PREPEND },
	{ { "WARN", 4 }, POLICY_WARN },
	{ { "INFO", 4 }, POLICY_WARN },
};

int policy_parse(struct kurir_str s, struct policy_answer *ret)
{
	ssize_t space;
	struct kurir_str word, rest;
	struct policy_answer a;
	uint64_t code;

	s = kurir_str_trim(s);
	space = kurir_str_find(s, ' ');
	word = kurir_str_part(s, 0, space < 0 ? s.len : (size_t)space);
	rest = kurir_str_trim(kurir_str_part(s, word.len, s.len));
	memset(&a, 0, sizeof(a));
	a.action = POLICY_UNKNOWN;
	a.text = a.name = KURIR_STR("");
	if (word.len == 0)
		return -EBADMSG;
	if (kurir_str_number(word, UINT32_MAX, &code) == 0) {
		/* As Postfix has it: other numbers are permits. */
		a.action = word.len != 3 || code < 400 || code > 599 ? POLICY_OK
		    : code < 500				     ? POLICY_DEFER
								     : POLICY_REJECT;
		a.code = a.action == POLICY_OK ? 0 : (int)code;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (kurir_str_equal_nocase(word, actions[i].word))
			a.action = actions[i].action;
	if (a.action == POLICY_PREPEND && field(rest, &a) < 0)
		return -EBADMSG;
	if (a.action == POLICY_REJECT || a.action == POLICY_DEFER)
		words(rest, &a);
	else if (a.action != POLICY_PREPEND)
		a.text = rest;
	/* A code of the other class would contradict. */
	if (a.xyz[0] != '\0' && a.xyz[0] != (a.action == POLICY_REJECT ? '5' : '4'))
		a.xyz[0] = '\0';
	*ret = a;
	return a.action == POLICY_UNKNOWN ? -EBADMSG : 0;
}
