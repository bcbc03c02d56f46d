/* control_commands.c - the core's own commands: status, modules, reload, stop, explain. */
#include "channel.h"
#include "control.h"
#include "facts.h"
#include "history.h"
#include "metrics.h"
#include "rehearse.h"
#include "role.h"
#include "story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static const char *member(json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

static json_int_t number(json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
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

static void put_process(struct kurir_buf *text, json_t *p)
{
	json_t *facts = json_object_get(p, "facts");

	(void)kurir_buf_printf(text, "%-8s %3lld %8lld  %-8s %9s %10lld %8lld", member(p, "role"),
	    (long long)number(p, "index"), (long long)number(p, "pid"), member(p, "state"),
	    span(number(p, "up")), (long long)number(p, "generation"),
	    (long long)number(p, "restarts"));
	if (facts != NULL)
		(void)kurir_buf_printf(text, " %11lld", (long long)number(facts, "connections"));
	else
		(void)kurir_buf_printf(text, " %11s", "?");
	(void)kurir_buf_printf(
	    text, "%s%s\n", *member(p, "module") ? "  " : "", member(p, "module"));
}

static json_t *hook_data(const struct facts_hook *h)
{
	json_t *verdicts = json_object();

	for (int i = 0; i < HOOK_VERDICTS; i++)
		json_object_set_new(
		    verdicts, kurir_verdict_name(i), json_integer((json_int_t)h->verdicts[i]));
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:o,s:f,s:f}", "role", h->role, "instance",
	    h->instance, "hook", h->name, "calls", (json_int_t)h->calls, "errors",
	    (json_int_t)h->errors, "skipped", (json_int_t)h->skipped, "open", h->open, "verdicts",
	    verdicts, "p50-us", hook_nanos(hook_quantile(h->buckets, 0.5)) / 1000, "p99-us",
	    hook_nanos(hook_quantile(h->buckets, 0.99)) / 1000);
}

static const char *micros_text(double us)
{
	const char *unit = us < 1000 ? "us" : us < 1000000 ? "ms" : "s";
	double v = us < 1000 ? us : us < 1000000 ? us / 1000 : us / 1000000;

	return kurir_format(kurir_scratch(), v < 10 ? "%.2f %s" : "%.0f %s", v, unit).ptr;
}

/* What the modules' hooks were asked; those that never were are left out. */
static void put_hooks(struct kurir_buf *text, json_t *top)
{
	const struct facts_hook *h = facts_hooks(top, kurir_scratch());
	json_t *list = json_array();
	bool titled = false;

	for (; h != NULL; h = h->next) {
		uint64_t no = h->verdicts[KURIR_REJECT] + h->verdicts[KURIR_DEFER] +
		    h->verdicts[KURIR_HANGUP];

		json_array_append_new(list, hook_data(h));
		if (h->calls == 0 && h->skipped == 0)
			continue;
		if (!titled)
			(void)kurir_buf_printf(text, "\n%-33s %9s %8s %8s %9s %9s\n", "hook",
			    "calls", "refused", "errors", "p50", "p99");
		titled = true;
		(void)kurir_buf_printf(text, "%-7s %-25s %9llu %8llu %8llu %9s %9s%s\n", h->name,
		    strcmp(h->role, "worker") == 0
			? kurir_format(kurir_scratch(), "%s, within", h->instance).ptr
			: h->instance,
		    (unsigned long long)h->calls, (unsigned long long)no,
		    (unsigned long long)(h->errors + h->skipped),
		    micros_text(hook_nanos(hook_quantile(h->buckets, 0.5)) / 1000),
		    micros_text(hook_nanos(hook_quantile(h->buckets, 0.99)) / 1000),
		    h->open ? "  not asked now, as it fails" : "");
	}
	json_object_set_new(top, "hooks", list);
}

KURIR_PARKS static int status_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 2);
	json_t *top = facts_gather(), *p;
	size_t i;

	(void)in;
	if (top == NULL)
		return reply_error(reply, "the supervisor does not answer");
	(void)kurir_buf_printf(&text, "kurird %lld, up %s\n\n",
	    (long long)number(top, "supervisor"), span(number(top, "up")));
	(void)kurir_buf_add(&text,
	    KURIR_STR("process           pid  state           up generation restarts "
		      "connections\n"));
	json_array_foreach(json_object_get(top, "processes"), i, p) put_process(&text, p);
	put_hooks(&text, top);
	json_array_foreach(json_object_get(top, "processes"), i, p)(void)
	    json_object_del(json_object_get(p, "facts"), "hooks");
	return reply_both(reply, &text, top);
}

KURIR_PARKS static int counters_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX);
	json_t *top = facts_gather(), *sum = facts_counters(top), *c, *v;
	const char *owner, *name;

	(void)in;
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
	json_t *top = facts_supervisor(KURIR_STR("modules"), FACTS_TIME), *list, *m;
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
	json_t *v = facts_supervisor(command, wait);

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
	return pass_on(KURIR_STR("stop"), FACTS_TIME, reply);
}

/* NULL, or what is wrong. */
static const char *read_question(json_t *args, struct history_question *q)
{
	int64_t now = kurir_wallclock();
	const char *arg;
	json_t *v;
	size_t i;
	int r = 0;

	*q = (struct history_question){ .what = KURIR_STR(""), .until = INT64_MAX };
	json_array_foreach(args, i, v)
	{
		arg = json_string_value(v);
		if (strncmp(arg, "since=", 6) == 0)
			r |= history_when(kurir_str_of(arg + 6), now, &q->since);
		else if (strncmp(arg, "until=", 6) == 0)
			r |= history_when(kurir_str_of(arg + 6), now, &q->until);
		else if (q->what.len == 0)
			q->what = kurir_str_of(arg);
		else
			r = -EINVAL;
	}
	if (r < 0)
		return "a time is like 2h (ago), 2026-12-01 or 2026-12-01T09:30 (UTC)";
	if (q->what.len == 0 && q->since == 0 && q->until == INT64_MAX)
		return "explain needs the id of a message or a connection, an address, or a time";
	return NULL;
}

KURIR_PARKS static int explain_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *q = control_json(in->body), *args = json_object_get(q, "args"), *data = NULL;
	const char *first = json_string_value(json_array_get(args, 0)), *wrong;
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 2);
	struct history_question question;
	int r = 0;

	if (first != NULL && strcmp(first, "simulate") == 0) {
		wrong = rehearse(args, &text, &data);
	} else {
		wrong = read_question(args, &question);
		if (wrong == NULL)
			r = history_explain(&question, &text, &data);
		if (r == -ENOENT)
			wrong =
			    "nothing is known about that: it never came here, or too long ago";
		else if (r == -ENOSYS)
			wrong = "no history is kept (see \"history\" in the configuration)";
		else if (r < 0)
			wrong = strerror(-r);
	}
	if (wrong != NULL) {
		kurir_buf_free(&text);
		r = reply_error(reply, wrong);
	} else {
		r = reply_both(reply, &text, data);
	}
	json_decref(q);
	return r;
}

void control_serve(void)
{
	facts_serve();
	rehearse_serve();
	channel_serve("ctl.status", KURIR_ROLE_CONTROL, status_called, NULL);
	channel_serve("ctl.counters", KURIR_ROLE_CONTROL, counters_called, NULL);
	channel_serve("ctl.modules", KURIR_ROLE_CONTROL, modules_called, NULL);
	channel_serve("ctl.reload", KURIR_ROLE_CONTROL, reload_called, NULL);
	channel_serve("ctl.stop", KURIR_ROLE_CONTROL, stop_called, NULL);
	channel_serve("ctl.explain", KURIR_ROLE_CONTROL, explain_called, NULL);
	channel_serve("metrics", KURIR_ROLE_CONTROL, metrics_called, NULL);
	channel_serve("event", KURIR_ROLE_CONTROL, NULL, history_event);
}
