/* lua_hook.h - a script of the administrator's that decides at steps of SMTP. */
#ifndef LUA_HOOK_H
#define LUA_HOOK_H

#include <kurir/dns.h>
#include <kurir/smtp.h>
#include <lauxlib.h>
#include <lua.h>

/* ---- lua_state.c: the interpreter, its bounds, and what of Lua there is in it ---- */

struct lua_thread; /* a stack of its own for a hook, as hooks wait for each other's sessions */
struct lua_host {
	lua_State *main;
	size_t memory, memory_max;
	int64_t steps_max;
	struct lua_thread *idle;
};
/* One hook that runs; found from its stack by lua_call_of(). */
struct lua_call {
	struct kurir_self
	    *self; /* NULL while the script is loaded: nothing of Kurir can be called */
	struct kurir_conn *conn;
	struct kurir_tx *tx;
	struct kurir_rcpt *rcpt;
	struct kurir_stream *body;
	struct kurir_str value;
	const char *function; /* its name in the script */
	int64_t steps;
	unsigned nested;       /* calls of the script by functions that are not of it */
	struct kurir_str head; /* of the message, once it was read; else ptr NULL */
	/* Outcome. */
	int verdict, code;
	struct kurir_str xyz, text;
};
/* 0; -ENOMEM; -EINVAL with what is wrong with the script in *ret_error.  Blocks: call it where a
 * thread may. */
int lua_host_open(struct lua_host *, struct kurir_arena *, struct kurir_str script,
    struct kurir_str name, struct kurir_str *ret_error);
void lua_host_close(struct lua_host *);
bool lua_host_has(struct lua_host *, const char *function);
/* Runs main(L) on a stack of its own: 0, or -EPROTO with the error in *ret_error, in the
 * arena. */
int lua_host_run(struct lua_host *, struct lua_call *, lua_CFunction main, struct kurir_arena *,
    struct kurir_str *ret_error) KURIR_PARKS;
struct lua_call *lua_call_of(lua_State *);
/* The same, for functions that need a session: an error of the script while it is loaded. */
struct lua_call *lua_session_of(lua_State *);

/* ---- lua_text.c: string functions and table.sort within bounds ---- */
void lua_text_open(lua_State *);

/* ---- lua_objects.c: connections, transactions, messages, and the functions of Kurir ---- */
void lua_objects_open(lua_State *);
/* Pushes "conn", "tx" or "mail": the one of whatever hook asks, so that none outlives its
 * session. */
void lua_objects_push(lua_State *, const char *name);

/* ---- lua_mail.c: the methods of a message ---- */
extern const luaL_Reg lua_mail_methods[];

/* ---- lua_verdict.c ---- */
/* What a function returned, at the top of the stack; NULL, or what is wrong with it. */
const char *lua_verdict_read(lua_State *, struct kurir_arena *, struct lua_call *);

#endif
