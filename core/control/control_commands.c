/* control_commands.c - the core's own commands: status, modules, reload, stop, explain. */
#include "channel.h"
#include "call.h"
#include "conn.h"
#include "control.h"
#include "count.h"
#include "fiber.h"
#include "history.h"
#include "instance.h"
#include "role.h"
#include "story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIME    2000
#define RELOAD_TIME 85000

static int reply_json(struct kurir_buf *reply, json_t *v)
{
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
	int r = text != NULL ? kurir_buf_add(reply, kurir_str_of(text)) : -ENOMEM;

	free(text);
	json_decref(v);
	return r;
}

/* {"text": ..., "data": ...}; takes data. */
static int reply_both(struct kurir_buf *reply, struct kurir_buf *text, json_t *data)
{
	struct kurir_str s = kurir_buf_str(text);
	int r = reply_json(reply, json_pack("{s:s%,s:o}", "text", s.ptr, s.len, "data", data));

	kurir_buf_free(text);
	return r;
}

static int reply_error(struct kurir_buf *reply, const char *sentence)
{
	return reply_json(reply, json_pack("{s:s}", "error", sentence));
}

/* "peek": what one process knows of itself, for status and counters. */
static int peek_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct fiber_census c = fiber_census();
	int r;

	(void)in;
	r = kurir_buf_printf(reply,
	    "{\"connections\": %u, \"fibers\": %u, \"fibers-peak\": %u, "
	    "\"calls-in\": %u, \"calls-out\": %u, \"counters\": ",
	    conn_count(), c.running, c.peak, call_busy(), call_waiting());
	if (r >= 0)
		r = count_json(reply);
	return r < 0 ? r : kurir_buf_printf(reply, "}");
}

/* The same question for every role: an endpoint each. */
static const char *const peek_names[CONF_ROLES] = { "peek.edge", "peek.queue", "peek.resolver",
	"peek.relay", "peek.store", "peek.access", "peek.auth", "peek.control", "peek.worker" };

KURIR_PARKS static json_t *peek(unsigned bit, unsigned index)
{
	struct kurir_str answer;
	struct kurir_request q = {
		.endpoint = peek_names[bit], .key = index, .fd = -1, .body = KURIR_STR("")
	};

	if (kurir_call(NULL, &q, kurir_now() + ASK_TIME, kurir_scratch(), &answer) < 0)
		return NULL;
	return control_json(answer);
}

KURIR_PARKS static json_t *ask_supervisor(struct kurir_str command, kurir_time wait)
{
	struct kurir_str answer;

	if (role_command(command, kurir_now() + wait, kurir_scratch(), &answer) < 0)
		return NULL;
	return control_json(answer);
}

static const char *member(json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

static json_int_t number(json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
}

/* What the process itself says of p, an entry of the supervisor's list; NULL: nothing. */
KURIR_PARKS static json_t *peek_entry(json_t *p)
{
	uint32_t bit = conf_role_bit(kurir_str_of(member(p, "role")));

	return peek(bit != 0 ? (unsigned)__builtin_ctz(bit) : 7, (unsigned)number(p, "index"));
}

static const char *span(json_int_t ms)
{
	struct kurir_buf b = KURIR_BUF(64);
	const char *ret;

	story_span(&b, (uint64_t)ms);
	ret = kurir_copy(kurir_scratch(), kurir_buf_str(&b)).ptr;
	kurir_buf_free(&b);
	return ret;
}

static void put_process(struct kurir_buf *text, json_t *p, json_t *facts)
{
	(void)kurir_buf_printf(text, "%-8s %3lld %8lld  %-8s %9s %10lld %8lld", member(p, "role"),
	    (long long)number(p, "index"), (long long)number(p, "pid"), member(p, "state"),
	    span(number(p, "up")), (long long)number(p, "generation"),
	    (long long)number(p, "restarts"));
	if (facts != NULL)
		(void)kurir_buf_printf(
		    text, " %11lld\n", (long long)number(facts, "connections"));
	else
		(void)kurir_buf_printf(text, " %11s\n", "?");
}

KURIR_PARKS static int status_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *top = ask_supervisor(KURIR_STR("status"), ASK_TIME), *p;
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 2);
	json_int_t newest = number(top, "generation");
	size_t i;

	(void)in;
	if (top == NULL)
		return reply_error(reply, "the supervisor does not answer");
	(void)kurir_buf_printf(&text, "kurird %lld, up %s\n\n",
	    (long long)number(top, "supervisor"), span(number(top, "up")));
	(void)kurir_buf_add(&text,
	    KURIR_STR(
		"process           pid  state           up generation restarts connections\n"));
	json_array_foreach(json_object_get(top, "processes"), i, p)
	{
		json_t *facts = number(p, "generation") == newest ? peek_entry(p) : NULL;

		put_process(&text, p, facts);
		if (facts != NULL)
			json_object_set_new(p, "facts", facts);
	}
	return reply_both(reply, &text, top);
}

KURIR_PARKS static int counters_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *top = ask_supervisor(KURIR_STR("status"), ASK_TIME), *sum = json_object(), *p, *c,
	       *v;
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX);
	const char *owner, *name;
	size_t i;

	(void)in;
	json_array_foreach(json_object_get(top, "processes"), i, p)
	{
		json_t *facts = peek_entry(p);

		json_object_foreach(json_object_get(facts, "counters"), owner, c)
		{
			json_t *to = json_object_get(sum, owner);

			if (to == NULL)
				json_object_set_new(sum, owner, to = json_object());
			json_object_foreach(c, name, v) json_object_set_new(
			    to, name, json_integer(json_integer_value(v) + number(to, name)));
		}
		json_decref(facts);
	}
	json_object_foreach(sum, owner, c) json_object_foreach(c, name, v)(void) kurir_buf_printf(
	    &text, "%s.%s %lld\n", owner, name, (long long)json_integer_value(v));
	json_decref(top);
	return reply_both(reply, &text, sum);
}

/* "edge,queue", at least that wide unless it is the last. */
static void put_names(struct kurir_buf *b, json_t *list, int width)
{
	struct kurir_buf line = KURIR_BUF(512);
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)(void)
	    kurir_buf_printf(&line, "%s%s", i > 0 ? "," : "", json_string_value(v));
	(void)kurir_buf_printf(b, " %-*s", width, line.len > 0 ? line.ptr : "-");
	kurir_buf_free(&line);
}

KURIR_PARKS static int modules_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *top = ask_supervisor(KURIR_STR("modules"), ASK_TIME), *list, *m;
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 2);
	size_t i;

	(void)in;
	list = json_incref(json_object_get(top, "modules"));
	json_decref(top);
	if (list == NULL)
		return reply_error(reply, "the supervisor does not answer");
	(void)kurir_buf_printf(&text, "%-24s %-28s %s\n", "instance", "roles", "capabilities");
	json_array_foreach(list, i, m)
	{
		bool loaded = json_is_true(json_object_get(m, "loaded"));

		(void)kurir_buf_printf(&text, "%-24s", member(m, "name"));
		put_names(&text, json_object_get(m, "roles"), 28);
		put_names(&text, json_object_get(m, "capabilities"), 0);
		(void)kurir_buf_printf(&text, "%s\n", loaded ? "" : " could not be loaded");
	}
	return reply_both(reply, &text, list);
}

KURIR_PARKS static int pass_on(struct kurir_str command, kurir_time wait, struct kurir_buf *reply)
{
	json_t *v = ask_supervisor(command, wait);

	if (v == NULL)
		return reply_error(reply, "the supervisor does not answer");
	return reply_json(reply, v);
}

KURIR_PARKS static int reload_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	return pass_on(KURIR_STR("reload"), RELOAD_TIME, reply);
}

KURIR_PARKS static int stop_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	return pass_on(KURIR_STR("stop"), ASK_TIME, reply);
}

KURIR_PARKS static int explain_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *q = control_json(in->body);
	const char *what = json_string_value(json_array_get(json_object_get(q, "args"), 0));
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 2);
	json_t *events = NULL;
	int r = -EINVAL;

	if (what != NULL && *what != 0)
		r = history_explain(kurir_str_of(what), &text, &events);
	if (r == -EINVAL)
		r = reply_error(
		    reply, "explain needs the id of a message or a connection, or an address");
	else if (r < 0 && r != -ENOENT)
		r = reply_error(reply, strerror(-r));
	else if (r == -ENOENT)
		r = reply_error(
		    reply, "nothing is known about that: it never came here, or too long ago");
	else
		r = reply_both(reply, &text, events);
	json_decref(q);
	return r;
}

void control_serve(void)
{
	for (unsigned i = 0; i < CONF_ROLES; i++)
		channel_serve(peek_names[i], 1u << i, peek_called, NULL);
	channel_serve("ctl.status", KURIR_ROLE_CONTROL, status_called, NULL);
	channel_serve("ctl.counters", KURIR_ROLE_CONTROL, counters_called, NULL);
	channel_serve("ctl.modules", KURIR_ROLE_CONTROL, modules_called, NULL);
	channel_serve("ctl.reload", KURIR_ROLE_CONTROL, reload_called, NULL);
	channel_serve("ctl.stop", KURIR_ROLE_CONTROL, stop_called, NULL);
	channel_serve("ctl.explain", KURIR_ROLE_CONTROL, explain_called, NULL);
	channel_serve("event", KURIR_ROLE_CONTROL, NULL, history_event);
}
