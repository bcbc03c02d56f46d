/* lua.c - decisions about mail in a script: a function for each step that matters to it. */
#include "lua_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <kurir/session.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT_MAX ((off_t)1 << 20)

enum { COUNT_CALLS, COUNT_REJECTED, COUNT_DEFERRED, COUNT_DISCARDED, COUNT_FAILED };
static const char *const counters[] = { "calls", "rejected", "deferred", "discarded", "failed",
	NULL };

struct conf {
	struct kurir_str script;
	struct kurir_map config;
	uint64_t memory;
	int64_t steps;
};

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("script", struct conf, script, NULL,
	    "The file; read when the server starts or reloads."),
	KURIR_OPT_MAP(
	    "config", struct conf, config, "", "What the script finds in its table config."),
	KURIR_OPT_RANGE("memory", KURIR_SIZE, uint64_t, struct conf, memory, "16M", 1 << 20,
	    (int64_t)1 << 32, "How much memory the script may have, in each process."),
	KURIR_OPT_RANGE("steps", KURIR_INT, int64_t, struct conf, steps, "1000000", 1000,
	    1000000000, "How many steps of the interpreter a call may take."),
	{ 0 },
};

enum step { CONNECT, HELO, AUTH, MAIL, RCPT, DATA, MESSAGE, STEPS };
static const char *const functions[] = { "connect", "helo", "auth", "mail", "rcpt", "data",
	"message" };

struct state {
	struct lua_host host;
	bool has[STEPS];
};

/* ---- the script ---- */

/* *ret to be freed. */
static int script_of(const char *path, struct kurir_str *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = 0;
	struct stat st;
	char *text = NULL;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > SCRIPT_MAX)
		r = -EFBIG;
	else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		r = -ENOMEM;
	else if ((n = pread(fd, text, (size_t)st.st_size, 0)) < 0)
		r = -errno;
	(void)close(fd);
	if (r < 0)
		free(text);
	*ret = (struct kurir_str){ r == 0 ? text : "", (size_t)n };
	return r;
}

struct opening {
	const struct conf *conf;
	struct lua_host *host;
	struct kurir_arena *arena;
	struct kurir_str error;
};

/* For kurir_offload(): the script may take its time, and the compiler much of a stack. */
static int open_host(void *arg)
{
	struct opening *o = arg;
	struct kurir_str script;
	int r = script_of(o->conf->script.ptr, &script);

	if (r < 0) {
		o->error = kurir_format(o->arena, "%.*s: %s", KURIR_ARG(o->conf->script),
		    r == -EFBIG ? "it is no file, or larger than 1 MiB" : strerrordesc_np(-r));
		return -EINVAL;
	}
	*o->host =
	    (struct lua_host){ .memory_max = o->conf->memory, .steps_max = o->conf->steps };
	r = lua_host_open(o->host, o->arena, script, o->conf->script, &o->error);
	free((void *)(uintptr_t)script.ptr);
	return r;
}

static int inspect(const void *conf, struct kurir_arena *arena, const char **ret_option,
    struct kurir_str *ret_error)
{
	struct lua_host host = { .main = NULL };
	struct opening o = { conf, &host, arena, KURIR_STR("no memory") };
	int r = open_host(&o);

	lua_host_close(&host);
	*ret_option = "script";
	*ret_error = o.error;
	return r < 0 ? -EINVAL : 0;
}

/* The option config, as a table. */
static int push_config(lua_State *l)
{
	const struct conf *c = lua_touserdata(l, 1);

	lua_newtable(l);
	for (size_t i = 0; i < c->config.count; i++) {
		const struct kurir_pair *p = &c->config.items[i];

		lua_pushlstring(l, p->key.ptr, p->key.len);
		if (p->values.count == 1) {
			lua_pushlstring(l, p->values.items[0].ptr, p->values.items[0].len);
		} else {
			lua_newtable(l);
			for (size_t k = 0; k < p->values.count; k++) {
				lua_pushlstring(
				    l, p->values.items[k].ptr, p->values.items[k].len);
				lua_rawseti(l, -2, (lua_Integer)k + 1);
			}
		}
		lua_rawset(l, -3);
	}
	lua_setglobal(l, "config");
	return 0;
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	struct state *s = kurir_state(self);
	struct opening o = { kurir_conf(self), &s->host, kurir_self_arena(self),
		KURIR_STR("no memory") };
	int r = kurir_offload(open_host, &o, KURIR_FOREVER);

	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "%.*s", KURIR_ARG(o.error));
	lua_pushcfunction(s->host.main, push_config);
	lua_pushlightuserdata(s->host.main, (void *)(uintptr_t)o.conf);
	if (lua_pcall(s->host.main, 1, 0, 0) != LUA_OK)
		return kurir_log(self, KURIR_ERROR, -ENOMEM, "no memory for config");
	for (int i = 0; i < STEPS; i++)
		s->has[i] = lua_host_has(&s->host, functions[i]);
	return 0;
}

static void stop(struct kurir_self *self)
{
	struct state *s = kurir_state(self);

	lua_host_close(&s->host);
}

/* ---- the steps ---- */

/* On the stack of the hook: the function, what it gets, and what it says. */
KURIR_PARKS static int call(lua_State *l)
{
	struct lua_call *c = lua_call_of(l);
	const char *wrong;
	int n = 1;

	lua_getglobal(l, c->function);
	lua_objects_push(l, c->tx != NULL ? "tx" : "conn");
	if (c->body != NULL) {
		lua_objects_push(l, "mail");
		n++;
	} else if (c->value.ptr != NULL) {
		lua_pushlstring(l, c->value.ptr, c->value.len);
		n++;
	}
	lua_call(l, n, 1);
	wrong = lua_verdict_read(l, kurir_scratch(), c);
	return wrong != NULL ? luaL_error(l, "%s: %s", c->function, wrong) : 0;
}

/* Nothing but what the core takes at that step. */
static int say(struct kurir_self *self, enum step at, const struct lua_call *c)
{
	bool later = c->verdict == KURIR_DEFER;

	if (c->verdict == KURIR_DISCARD) {
		if (at != MAIL && at != RCPT && at != MESSAGE)
			return kurir_log(self, KURIR_ERROR, -EINVAL,
			    "%s: nothing can be discarded there", c->function);
		kurir_count(self, COUNT_DISCARDED, 1);
	}
	if (c->verdict != KURIR_REJECT && !later)
		return c->verdict;
	kurir_count(self, later ? COUNT_DEFERRED : COUNT_REJECTED, 1);
	if (c->code != 0)
		(void)kurir_reply(c->conn, c->code, c->xyz.len > 0 ? c->xyz.ptr : NULL, "%.*s",
		    KURIR_ARG(c->text.len > 0 ? kurir_str_part(c->text, 0, 400)
					      : KURIR_STR("Refused by policy")));
	return c->verdict;
}

KURIR_PARKS static int run(struct kurir_self *self, enum step at, struct lua_call c)
{
	struct state *s = kurir_state(self);
	struct kurir_str error;
	int r;

	if (!s->has[at])
		return KURIR_NEXT;
	c.self = self;
	c.function = functions[at];
	kurir_count(self, COUNT_CALLS, 1);
	r = lua_host_run(&s->host, &c, call, kurir_scratch(), &error);
	if (r == 0)
		return say(self, at, &c);
	kurir_count(self, COUNT_FAILED, 1);
	(void)kurir_log(self, KURIR_ERROR, 0, "%.*s", KURIR_ARG(error));
	return r;
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	return run(self, CONNECT, (struct lua_call){ .conn = conn });
}

KURIR_PARKS static int at_helo(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	return run(self, HELO, (struct lua_call){ .conn = conn, .value = name });
}

KURIR_PARKS static int at_auth(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str account)
{
	return run(self, AUTH, (struct lua_call){ .conn = conn, .value = account });
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	return run(self, MAIL,
	    (struct lua_call){ .conn = kurir_tx_conn(tx), .tx = tx, .value = sender });
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	return run(self, RCPT,
	    (struct lua_call){ .conn = kurir_tx_conn(tx),
		.tx = tx,
		.rcpt = rcpt,
		.value = kurir_rcpt_address(rcpt) });
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return run(self, DATA, (struct lua_call){ .conn = kurir_tx_conn(tx), .tx = tx });
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	return run(self, MESSAGE,
	    (struct lua_call){ .conn = kurir_tx_conn(tx), .tx = tx, .body = body });
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.connect = at_connect,
	.helo = at_helo,
	.auth = at_auth,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.message = at_message };
static const struct kurir_path paths[] = { { .option = "script", .read = KURIR_ROLE_EDGE },
	{ 0 } };

KURIR_MODULE(lua, .version = "1.0", .summary = "Decisions about mail in a script",
    .roles = KURIR_ROLE_EDGE,
    .caps = KURIR_CAP_BODY | KURIR_CAP_RCPT | KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state), .options = options,
    .counters = counters, .paths = paths, .inspect = inspect, .start = start, .stop = stop,
    .smtp = &hooks);
