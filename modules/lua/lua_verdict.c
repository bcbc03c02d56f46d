/* lua_verdict.c - what a function of the script returns.
 *
 *   verdict = nil / "next" / "accept" / "reject" / "defer" / "discard" / "hangup"
 *           / code [ SP xyz ] [ SP text ]          "550 5.7.1 Not today"
 *   code    = ( "4" / "5" ) 2DIGIT
 *   xyz     = ( "4" / "5" ) "." 1*3DIGIT "." 1*3DIGIT */
#include "lua_hook.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of an enhanced status code, or 0. */
static size_t xyz_of(struct kurir_str t, char class)
{
	size_t i = 1;

	if (t.len < 5 || t.ptr[0] != class)
		return 0;
	for (unsigned dots = 0; dots < 2; dots++) {
		size_t from = i + 1;

		if (i >= t.len || t.ptr[i] != '.')
			return 0;
		for (i = from; i < t.len && i < from + 3 && is_digit(t.ptr[i]); i++)
			;
		if (i == from)
			return 0;
	}
	return i == t.len || t.ptr[i] == ' ' ? i : 0;
}

static const char *reply(struct kurir_str t, struct kurir_arena *arena, struct lua_call *c)
{
	size_t n;

	if (t.len < 3 || (t.ptr[0] != '4' && t.ptr[0] != '5') || !is_digit(t.ptr[1]) ||
	    !is_digit(t.ptr[2]) || (t.len > 3 && t.ptr[3] != ' '))
		return "it returns a text that is no verdict";
	c->verdict = t.ptr[0] == '5' ? KURIR_REJECT : KURIR_DEFER;
	c->code = (t.ptr[0] - '0') * 100 + (t.ptr[1] - '0') * 10 + t.ptr[2] - '0';
	t = kurir_str_part(t, 4, t.len);
	n = xyz_of(t, c->code >= 500 ? '5' : '4');
	c->xyz = kurir_copy(arena, kurir_str_part(t, 0, n));
	c->text = kurir_copy(arena, kurir_str_trim(kurir_str_part(t, n, t.len)));
	return NULL;
}

const char *lua_verdict_read(lua_State *l, struct kurir_arena *arena, struct lua_call *c)
{
	static const struct {
		const char *name;
		int verdict;
	} known[] = { { "next", KURIR_NEXT }, { "accept", KURIR_ACCEPT },
		{ "reject", KURIR_REJECT }, { "defer", KURIR_DEFER },
		{ "discard", KURIR_DISCARD }, { "hangup", KURIR_HANGUP } };
	struct kurir_str t;

	c->verdict = KURIR_NEXT;
	if (lua_isnil(l, -1))
		return NULL;
	if (lua_type(l, -1) != LUA_TSTRING)
		return "it returns neither nil nor a text";
	t.ptr = lua_tolstring(l, -1, &t.len);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (kurir_str_equal(t, kurir_str_of(known[i].name))) {
			c->verdict = known[i].verdict;
			return NULL;
		}
	return reply(t, arena, c);
}
