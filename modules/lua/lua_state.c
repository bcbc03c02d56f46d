/* lua_state.c - the interpreter: memory and steps are counted, and of Lua's library there is what
 * only computes.  There is no pcall: what goes wrong ends the hook, and "on-error" says what
 * then. */
#include "lua_hook.h"

#include <errno.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#define TICK 1000 /* steps between two looks */

struct lua_thread {
	struct lua_thread *next;
	lua_State *stack;
	int anchor; /* in the registry, so that it is not collected */
};

static void *allocate(void *arg, void *old, size_t old_size, size_t size)
{
	struct lua_host *h = arg;
	void *p;

	if (old == NULL)
		old_size = 0;
	if (size == 0) {
		free(old);
		h->memory -= old_size;
		return NULL;
	}
	if (size > old_size && size - old_size > h->memory_max - h->memory)
		return NULL;
	p = realloc(old, size);
	if (p != NULL)
		h->memory += size - old_size;
	return p;
}

struct lua_call *lua_call_of(lua_State *l)
{
	struct lua_call *c;

	memcpy(&c, lua_getextraspace(l), sizeof(c));
	return c;
}

struct lua_call *lua_session_of(lua_State *l)
{
	struct lua_call *c = lua_call_of(l);

	if (c->self == NULL)
		luaL_error(l, "there is no session while the script is loaded");
	return c;
}

static void bind_call(lua_State *l, struct lua_call *c)
{
	memcpy(lua_getextraspace(l), &c, sizeof(c));
}

/* Once the steps are used up every further one is an error. */
static void tick(lua_State *l, lua_Debug *unused)
{
	struct lua_call *c = lua_call_of(l);

	(void)unused;
	c->steps -= TICK;
	if (c->steps > 0)
		return;
	lua_sethook(l, tick, LUA_MASKCOUNT, 1);
	luaL_error(l, "it takes more steps than it may");
}

/* A global of base that only computes; all others go. */
static bool harmless(const char *name)
{
	static const char *const names[] = { "assert", "error", "ipairs", "next", "pairs",
		"rawequal", "rawget", "rawlen", "rawset", "select", "tonumber", "tostring",
		"type" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void open_base(lua_State *l)
{
	luaL_requiref(l, LUA_GNAME, luaopen_base, 0);
	lua_pushnil(l);
	while (lua_next(l, -2) != 0) {
		lua_pop(l, 1);
		if (lua_type(l, -1) == LUA_TSTRING && harmless(lua_tostring(l, -1)))
			continue;
		lua_pushvalue(l, -1);
		lua_pushnil(l); /* to clear a field while it is visited is allowed */
		lua_rawset(l, -4);
	}
	lua_pop(l, 1);
}

static int open_libraries(lua_State *l)
{
	open_base(l);
	luaL_requiref(l, LUA_STRLIBNAME, luaopen_string, 1);
	luaL_requiref(l, LUA_TABLIBNAME, luaopen_table, 1);
	luaL_requiref(l, LUA_MATHLIBNAME, luaopen_math, 1);
	luaL_requiref(l, LUA_UTF8LIBNAME, luaopen_utf8, 1);
	lua_settop(l, 0);
	lua_text_open(l);
	lua_objects_open(l);
	return 0;
}

/* Text only: bytecode could do anything. */
static int load(lua_State *l)
{
	const struct kurir_str *script = lua_touserdata(l, 1), *name = lua_touserdata(l, 2);
	const char *chunk = lua_pushfstring(l, "@%s", name->ptr);

	if (luaL_loadbufferx(l, script->ptr, script->len, chunk, "t") != LUA_OK)
		return lua_error(l);
	lua_call(l, 0, 0);
	return 0;
}

/* In the arena, one line. */
static struct kurir_str error_of(lua_State *l, struct kurir_arena *arena)
{
	size_t n = 0;
	const char *text =
	    lua_type(l, -1) == LUA_TSTRING ? lua_tolstring(l, -1, &n) : "an error without words";

	return n > 0 ? kurir_copy(arena, kurir_str_part((struct kurir_str){ text, n }, 0, 500))
		     : kurir_str_of(text);
}

int lua_host_open(struct lua_host *h, struct kurir_arena *arena, struct kurir_str script,
    struct kurir_str name, struct kurir_str *ret_error)
{
	struct lua_call loading = { .steps = h->steps_max };
	int r = 0;

	h->memory = 0;
	h->main = lua_newstate(allocate, h);
	if (h->main == NULL)
		return -ENOMEM;
	bind_call(h->main, &loading);
	lua_sethook(h->main, tick, LUA_MASKCOUNT, TICK);
	lua_pushcfunction(h->main, open_libraries);
	if (lua_pcall(h->main, 0, 0, 0) == LUA_OK) {
		lua_pushcfunction(h->main, load);
		lua_pushlightuserdata(h->main, &script);
		lua_pushlightuserdata(h->main, &name);
		r = lua_pcall(h->main, 2, 0, 0) == LUA_OK ? 0 : -EINVAL;
	} else {
		r = -EINVAL;
	}
	if (r == 0) {
		bind_call(h->main, NULL);
		lua_sethook(h->main, NULL, 0, 0);
		return 0;
	}
	*ret_error = error_of(h->main, arena);
	lua_host_close(h);
	return r;
}

void lua_host_close(struct lua_host *h)
{
	while (h->idle != NULL) {
		struct lua_thread *t = h->idle;

		h->idle = t->next;
		free(t);
	}
	if (h->main != NULL)
		lua_close(h->main);
	h->main = NULL;
}

bool lua_host_has(struct lua_host *h, const char *function)
{
	bool has;

	lua_pushglobaltable(h->main);
	lua_pushnil(h->main);
	for (has = false; lua_next(h->main, -2) != 0; lua_pop(h->main, 1))
		has |= lua_type(h->main, -2) == LUA_TSTRING && lua_isfunction(h->main, -1) &&
		    strcmp(lua_tostring(h->main, -2), function) == 0;
	lua_settop(h->main, 0);
	return has;
}

static int make_thread(lua_State *l)
{
	struct lua_thread *t = lua_touserdata(l, 1);

	t->stack = lua_newthread(l);
	t->anchor = luaL_ref(l, LUA_REGISTRYINDEX);
	return 0;
}

static struct lua_thread *take_thread(struct lua_host *h)
{
	struct lua_thread *t = h->idle;

	if (t != NULL) {
		h->idle = t->next;
		return t;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	lua_pushcfunction(h->main, make_thread);
	lua_pushlightuserdata(h->main, t);
	if (lua_pcall(h->main, 1, 0, 0) == LUA_OK)
		return t;
	lua_settop(h->main, 0);
	free(t);
	return NULL;
}

KURIR_PARKS int lua_host_run(struct lua_host *h, struct lua_call *c, lua_CFunction main,
    struct kurir_arena *arena, struct kurir_str *ret_error)
{
	struct lua_thread *t = take_thread(h);
	int r = 0;

	if (t == NULL) {
		*ret_error = KURIR_STR("it needs more memory than it may");
		return -EPROTO;
	}
	c->steps = h->steps_max;
	bind_call(t->stack, c);
	lua_sethook(t->stack, tick, LUA_MASKCOUNT, TICK);
	lua_pushcfunction(t->stack, main);
	if (lua_pcall(t->stack, 0, 0, 0) != LUA_OK) {
		*ret_error = error_of(t->stack, arena);
		r = -EPROTO;
	}
	lua_settop(t->stack, 0);
	bind_call(t->stack, NULL);
	t->next = h->idle;
	h->idle = t;
	return r;
}
