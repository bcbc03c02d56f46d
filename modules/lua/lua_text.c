/* lua_text.c - the functions of Lua's library that go deep into the stack, made to stay within
 * bounds: a session's stack is small.  Patterns may have few special characters, and functions of
 * the script are called from within others only to a small depth. */
#include "lua_hook.h"

#include <lualib.h>
#include <string.h>

#define SPECIAL_MAX 64
#define NESTED_MAX  4

/* Each of them costs the matcher a level. */
static void check_pattern(lua_State *l, int at)
{
	size_t n, special = 0;
	const char *p = luaL_checklstring(l, at, &n);

	for (size_t i = 0; i < n; i++)
		special += strchr("*+-?()%", p[i]) != NULL && p[i] != '\0';
	if (special > SPECIAL_MAX)
		luaL_argerror(l, at, "the pattern has more than 64 special characters");
}

/* The library's function, with what we were given. */
static int through(lua_State *l)
{
	int n = lua_gettop(l);

	lua_pushvalue(l, lua_upvalueindex(1));
	lua_insert(l, 1);
	lua_call(l, n, LUA_MULTRET);
	return lua_gettop(l);
}

static int calls_back(lua_State *l)
{
	struct lua_call *c = lua_call_of(l);
	int n;

	if (++c->nested > NESTED_MAX)
		return luaL_error(l, "functions within functions within functions");
	n = through(l);
	c->nested--;
	return n;
}

static int matching(lua_State *l)
{
	if (!lua_toboolean(l, 4)) /* string.find(text, words, 1, true) has no pattern */
		check_pattern(l, 2);
	return through(l);
}

static int gsub(lua_State *l)
{
	check_pattern(l, 2);
	return lua_isfunction(l, 3) ? calls_back(l) : through(l);
}

static void wrap(lua_State *l, const char *library, const char *name, lua_CFunction with)
{
	lua_getglobal(l, library);
	lua_getfield(l, -1, name);
	lua_pushcclosure(l, with, 1);
	lua_setfield(l, -2, name);
	lua_pop(l, 1);
}

void lua_text_open(lua_State *l)
{
	wrap(l, LUA_STRLIBNAME, "find", matching);
	wrap(l, LUA_STRLIBNAME, "match", matching);
	wrap(l, LUA_STRLIBNAME, "gmatch", matching);
	wrap(l, LUA_STRLIBNAME, "gsub", gsub);
	wrap(l, LUA_TABLIBNAME, "sort", calls_back);
	lua_getglobal(l, LUA_STRLIBNAME);
	lua_pushnil(l);
	lua_setfield(l, -2, "dump");
	lua_pop(l, 1);
}
