/* lua_objects.c - what the script sees of Kurir.
 *
 *	conn.id peer port listener protocol account encrypted tls
 *	tx.id sender helo trusted recipients conn; tx:header(name, value) tx:hold(why)
 *	tx:set_sender(address) tx:add(address) tx:drop(address)
 *	mail.size; mail:head() mail:header(name) mail:read(bytes)
 *	log(text) time() lookup(name, type)
 *
 * An object has nothing in it: it stands for that of the hook that asks. */
#include "lua_hook.h"

#include <errno.h>
#include <kurir/session.h>
#include <kurir/stream.h>
#include <string.h>

#define LOOKUP_TIME 10000 /* ms */

static void push(lua_State *l, struct kurir_str s)
{
	lua_pushlstring(l, s.ptr, s.len);
}

static struct kurir_str text_at(lua_State *l, int at)
{
	struct kurir_str s;

	s.ptr = luaL_checklstring(l, at, &s.len);
	return s;
}

/* For functions that can fail: true, or an error of the script. */
static int done(lua_State *l, const char *what, int r)
{
	if (r < 0)
		return luaL_error(l, "%s: %s", what, strerrordesc_np(-r));
	lua_pushboolean(l, 1);
	return 1;
}

/* ---- conn ---- */

static int conn_get(lua_State *l)
{
	struct kurir_conn *c = lua_session_of(l)->conn;
	const char *name = luaL_checkstring(l, 2);

	if (strcmp(name, "peer") == 0)
		push(l, kurir_conn_peer(c));
	else if (strcmp(name, "port") == 0)
		lua_pushinteger(l, kurir_conn_peer_port(c));
	else if (strcmp(name, "id") == 0)
		push(l, kurir_conn_id(c));
	else if (strcmp(name, "listener") == 0)
		push(l, kurir_conn_listener(c));
	else if (strcmp(name, "protocol") == 0)
		push(l, kurir_conn_protocol(c));
	else if (strcmp(name, "account") == 0)
		push(l, kurir_conn_account(c));
	else if (strcmp(name, "encrypted") == 0)
		lua_pushboolean(l, kurir_conn_encrypted(c));
	else if (strcmp(name, "tls") == 0)
		push(l, kurir_tls_summary(kurir_conn_stream(c)));
	else
		return luaL_error(l, "a connection has no \"%s\"", name);
	return 1;
}

/* ---- tx ---- */

static struct kurir_tx *tx_of(lua_State *l)
{
	struct kurir_tx *tx = lua_session_of(l)->tx;

	if (tx == NULL)
		luaL_error(l, "there is no transaction yet");
	return tx;
}

static void push_recipients(lua_State *l, struct kurir_tx *tx)
{
	size_t n = kurir_tx_rcpt_count(tx);

	lua_createtable(l, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		push(l, kurir_rcpt_address(kurir_tx_rcpt_at(tx, i)));
		lua_rawseti(l, -2, (lua_Integer)i + 1);
	}
}

static int tx_get(lua_State *l)
{
	struct kurir_tx *tx = tx_of(l);
	const char *name = luaL_checkstring(l, 2);

	if (strcmp(name, "sender") == 0)
		push(l, kurir_tx_sender(tx));
	else if (strcmp(name, "id") == 0)
		push(l, kurir_tx_id(tx));
	else if (strcmp(name, "helo") == 0)
		push(l, kurir_tx_helo(tx));
	else if (strcmp(name, "trusted") == 0)
		lua_pushboolean(l, kurir_tx_trusted(tx));
	else if (strcmp(name, "conn") == 0)
		lua_objects_push(l, "conn");
	else if (strcmp(name, "recipients") == 0)
		push_recipients(l, tx);
	else
		return luaL_error(l, "a transaction has no \"%s\"", name);
	return 1;
}

static int tx_header(lua_State *l)
{
	return done(l, "header", kurir_header_add(tx_of(l), text_at(l, 2), text_at(l, 3)));
}

static int tx_hold(lua_State *l)
{
	return done(l, "hold", kurir_tx_hold(tx_of(l), text_at(l, 2)));
}

static int tx_set_sender(lua_State *l)
{
	return done(l, "set_sender", kurir_tx_set_sender(tx_of(l), text_at(l, 2)));
}

static int tx_add(lua_State *l)
{
	return done(l, "add", kurir_rcpt_add(tx_of(l), text_at(l, 2)));
}

/* False: there is no such recipient. */
static int tx_drop(lua_State *l)
{
	struct kurir_tx *tx = tx_of(l);
	struct kurir_str address = text_at(l, 2);

	for (size_t i = 0; i < kurir_tx_rcpt_count(tx); i++) {
		struct kurir_rcpt *r = kurir_tx_rcpt_at(tx, i);

		if (kurir_str_equal_nocase(kurir_rcpt_address(r), address))
			return done(l, "drop", kurir_rcpt_drop(tx, r));
	}
	lua_pushboolean(l, 0);
	return 1;
}

static const luaL_Reg tx_methods[] = { { "header", tx_header }, { "hold", tx_hold },
	{ "set_sender", tx_set_sender }, { "add", tx_add }, { "drop", tx_drop }, { NULL, NULL } };

/* ---- mail ---- */

static int mail_get(lua_State *l)
{
	const struct lua_call *c = lua_session_of(l);
	const char *name = luaL_checkstring(l, 2);

	if (c->body == NULL || strcmp(name, "size") != 0)
		return luaL_error(l, "a message has no \"%s\" here", name);
	lua_pushinteger(l, (lua_Integer)kurir_tx_size(c->tx));
	return 1;
}

/* ---- functions ---- */

static int say(lua_State *l)
{
	struct kurir_str text = text_at(l, 1);

	(void)kurir_log(lua_session_of(l)->self, KURIR_INFO, 0, "%.*s", KURIR_ARG(text));
	return 0;
}

static int now(lua_State *l)
{
	lua_pushinteger(l, kurir_wallclock() / 1000);
	return 1;
}

static int type_of(lua_State *l)
{
	static const char *const names[] = { "A", "AAAA", "MX", "PTR", "TXT", NULL };
	static const int types[] = { KURIR_DNS_A, KURIR_DNS_AAAA, KURIR_DNS_MX, KURIR_DNS_PTR,
		KURIR_DNS_TXT };

	return types[luaL_checkoption(l, 2, "A", names)];
}

/* A list; or nil and "nodata", "nxdomain" or "failed".  With PTR an address is asked for by its name
 * in the tree of addresses. */
KURIR_PARKS static int lookup(lua_State *l)
{
	static const char *const why[] = { [KURIR_DNS_NODATA] = "nodata",
		[KURIR_DNS_NXDOMAIN] = "nxdomain",
		[KURIR_DNS_SERVFAIL] = "failed",
		[KURIR_DNS_BOGUS] = "failed" };
	struct kurir_arena *arena = kurir_scratch();
	struct lua_call *c = lua_session_of(l);
	struct kurir_str name = text_at(l, 1);
	enum kurir_dns_type type = (enum kurir_dns_type)type_of(l);
	struct kurir_self *owner = NULL;
	const struct kurir_dns_ops *dns = kurir_service_find("dns", NULL, &owner);
	struct kurir_dns_answer a;
	int r = dns != NULL ? 0 : -ENOTSUP;

	if (r == 0 && type == KURIR_DNS_PTR)
		(void)kurir_dns_reverse(arena, name, &name);
	if (r == 0)
		r = dns->lookup(owner, name, type, kurir_now() + LOOKUP_TIME, arena, &a);
	if (r < 0)
		return luaL_error(l, "lookup: %s", strerrordesc_np(-r));
	(void)c;
	if (a.status != KURIR_DNS_FOUND) {
		lua_pushnil(l);
		lua_pushstring(l, why[a.status]);
		return 2;
	}
	lua_createtable(l, (int)a.count, 0);
	for (size_t i = 0; i < a.count; i++) {
		push(l, a.records[i].text);
		lua_rawseti(l, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* ---- how they are made ---- */

/* A method, or else a field. */
static int get(lua_State *l)
{
	lua_pushvalue(l, 2);
	if (lua_rawget(l, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	lua_pop(l, 1);
	return lua_tocfunction(l, lua_upvalueindex(2))(l);
}

static int set(lua_State *l)
{
	return luaL_error(l, "nothing can be set here");
}

static void object(lua_State *l, const char *name, const luaL_Reg *methods, lua_CFunction field)
{
	lua_newuserdatauv(l, 0, 0);
	lua_newtable(l); /* its metatable */
	lua_newtable(l);
	if (methods != NULL)
		luaL_setfuncs(l, methods, 0);
	lua_pushcfunction(l, field);
	lua_pushcclosure(l, get, 2);
	lua_setfield(l, -2, "__index");
	lua_pushcfunction(l, set);
	lua_setfield(l, -2, "__newindex");
	lua_pushboolean(l, 0);
	lua_setfield(l, -2, "__metatable");
	lua_setmetatable(l, -2);
	lua_setfield(l, LUA_REGISTRYINDEX, name);
}

void lua_objects_push(lua_State *l, const char *name)
{
	lua_getfield(l, LUA_REGISTRYINDEX, name);
}

void lua_objects_open(lua_State *l)
{
	object(l, "conn", NULL, conn_get);
	object(l, "tx", tx_methods, tx_get);
	object(l, "mail", lua_mail_methods, mail_get);
	lua_register(l, "log", say);
	lua_register(l, "time", now);
	lua_register(l, "lookup", lookup);
}
