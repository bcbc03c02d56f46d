/* metrics.c - see metrics.h.
 *
 *   exposition = *( family )
 *   family     = "# HELP " name SP text LF "# TYPE " name SP type LF *( sample )
 *   sample     = name [ "{" label *( "," label ) "}" ] SP value LF
 *   label      = name "=" DQUOTE *( any / "\\" / "\" DQUOTE / "\n" ) DQUOTE
 *
 * All samples of a family stand together: they are gathered in order of families first. */
#include "metrics.h"

#include "facts.h"
#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FRESH	1000 /* ms */
#define LONGEST 4096

/* Of the histograms of hooks, in seconds. */
static const double bounds[] = { 1e-6, 1e-5, 1e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1,
	0.25, 0.5, 1, 2.5, 5, 10, 30 };
#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

static const char *member(json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

static json_int_t number(json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
}

static void family(struct kurir_buf *b, const char *name, const char *type, const char *help)
{
	(void)kurir_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label, with the comma before it unless it is the first. */
static void label(struct kurir_buf *b, const char *name, const char *value)
{
	char before = b->len > 0 ? b->ptr[b->len - 1] : '\0';

	(void)kurir_buf_printf(b, "%s%s=\"", before == '{' ? "" : ",", name);
	for (; *value; value++) {
		if (*value == '\n')
			(void)kurir_buf_add(b, KURIR_STR("\\n"));
		else if (*value == '\\' || *value == '"')
			(void)kurir_buf_printf(b, "\\%c", *value);
		else
			(void)kurir_buf_add(b, (struct kurir_str){ value, 1 });
	}
	(void)kurir_buf_add(b, KURIR_STR("\""));
}

static void value(struct kurir_buf *b, double v)
{
	(void)kurir_buf_printf(b, "} %.15g\n", v);
}

static void whole(struct kurir_buf *b, uint64_t v)
{
	(void)kurir_buf_printf(b, "} %" PRIu64 "\n", v);
}

/* What the supervisor and the processes say of themselves. */
static void put_processes(struct kurir_buf *b, json_t *top)
{
	static const struct {
		const char *name, *type, *member, *help;
		bool fact;
		double unit;
	} of[] = {
		{ "kurir_process_up_seconds", "gauge", "up", "Since when a process runs.", false,
		    1000 },
		{ "kurir_process_restarts_total", "counter", "restarts",
		    "How often a process was started again.", false, 1 },
		{ "kurir_process_connections", "gauge", "connections", "Connections of clients.",
		    true, 1 },
		{ "kurir_process_fibers", "gauge", "fibers", "Fibers that run or wait.", true,
		    1 },
		{ "kurir_process_calls_in", "gauge", "calls-in",
		    "Calls of other processes that are being answered.", true, 1 },
		{ "kurir_process_calls_out", "gauge", "calls-out",
		    "Calls to other processes that wait for an answer.", true, 1 },
	};
	json_int_t newest = number(top, "generation");
	json_t *p;
	size_t k;

	family(b, "kurir_info", "gauge", "The version of the server.");
	(void)kurir_buf_add(b, KURIR_STR("kurir_info{"));
	label(b, "version", PACKAGE_VERSION);
	whole(b, 1);
	family(b, "kurir_up_seconds", "gauge", "Since when the server runs.");
	(void)kurir_buf_printf(b, "kurir_up_seconds %.3f\n", (double)number(top, "up") / 1000);
	family(b, "kurir_generation", "gauge", "How often the configuration was read.");
	(void)kurir_buf_printf(b, "kurir_generation %lld\n", (long long)newest);
	for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		family(b, of[i].name, of[i].type, of[i].help);
		json_array_foreach(json_object_get(top, "processes"), k, p)
		{
			json_t *from = of[i].fact ? json_object_get(p, "facts") : p;

			if (number(p, "generation") != newest || from == NULL)
				continue;
			(void)kurir_buf_printf(b, "%s{", of[i].name);
			label(b, "role", member(p, "role"));
			(void)kurir_buf_printf(
			    b, ",index=\"%lld\"", (long long)number(p, "index"));
			if (*member(p, "module"))
				label(b, "module", member(p, "module"));
			value(b, (double)number(from, of[i].member) / of[i].unit);
		}
	}
}

/* The queue says how it is when its destinations are asked for, as "kurirctl top" does. */
KURIR_PARKS static void put_queue(struct kurir_buf *b)
{
	static const char *const states[] = { "ready", "waiting", "timed", "other", NULL };
	static const char *const fates[] = { "accepted", "delivered", "deferred", "bounced",
		"cancelled", NULL };
	struct kurir_request q = { .endpoint = "ctl.queue",
		.fd = -1,
		.body = KURIR_STR("{\"args\":[\"destinations\"]}") };
	struct kurir_str answer;
	json_t *v, *queue;

	if (kurir_call(NULL, &q, kurir_now() + FACTS_TIME, kurir_scratch(), &answer) < 0)
		return;
	v = control_json(answer);
	queue = json_object_get(json_object_get(v, "data"), "queue");
	if (queue != NULL) {
		family(b, "kurir_queue_messages", "gauge", "Messages in the queue.");
		(void)kurir_buf_printf(
		    b, "kurir_queue_messages %lld\n", (long long)number(queue, "messages"));
		family(b, "kurir_queue_recipients", "gauge",
		    "Recipients in the queue: ready, waiting in line for their destination, "
		    "timed for later, other (active or held).");
		for (unsigned i = 0; states[i] != NULL; i++)
			(void)kurir_buf_printf(b, "kurir_queue_recipients{state=\"%s\"} %lld\n",
			    states[i], (long long)number(queue, states[i]));
		family(b, "kurir_queue_fates_total", "counter",
		    "Recipients that were accepted, and what came of them.");
		for (unsigned i = 0; fates[i] != NULL; i++)
			(void)kurir_buf_printf(b, "kurir_queue_fates_total{fate=\"%s\"} %lld\n",
			    fates[i], (long long)number(queue, fates[i]));
	}
	json_decref(v);
}

static void put_hook_name(
    struct kurir_buf *b, const char *family_name, const struct facts_hook *h)
{
	(void)kurir_buf_printf(b, "%s{", family_name);
	label(b, "role", h->role);
	label(b, "instance", h->instance);
	label(b, "hook", h->name);
}

static void put_histogram(struct kurir_buf *b, const struct facts_hook *h)
{
	uint64_t sum = 0;
	unsigned at = 0;

	for (unsigned i = 0; i < BOUNDS; i++) {
		while (at < HOOK_BUCKETS && hook_nanos(hook_bucket_end(at)) <= bounds[i] * 1e9)
			sum += h->buckets[at++];
		put_hook_name(b, "kurir_hook_seconds_bucket", h);
		(void)kurir_buf_printf(b, ",le=\"%g\"", bounds[i]);
		whole(b, sum);
	}
	put_hook_name(b, "kurir_hook_seconds_bucket", h);
	(void)kurir_buf_add(b, KURIR_STR(",le=\"+Inf\""));
	whole(b, h->calls);
	put_hook_name(b, "kurir_hook_seconds_sum", h);
	value(b, hook_nanos((double)h->ticks) / 1e9);
	put_hook_name(b, "kurir_hook_seconds_count", h);
	whole(b, h->calls);
}

static void put_hook_verdicts(struct kurir_buf *b, const struct facts_hook *h)
{
	for (int v = 0; v < HOOK_VERDICTS; v++) {
		if (h->verdicts[v] == 0 && v > KURIR_DEFER)
			continue;
		put_hook_name(b, "kurir_hook_verdicts_total", h);
		label(b, "verdict", kurir_verdict_name(v));
		whole(b, h->verdicts[v]);
	}
}

static void put_hook_quantiles(struct kurir_buf *b, const struct facts_hook *h)
{
	static const double parts[] = { 0.5, 0.99 };

	for (unsigned i = 0; i < 2 && h->calls > 0; i++) {
		put_hook_name(b, "kurir_hook_quantile_seconds", h);
		(void)kurir_buf_printf(b, ",quantile=\"%g\"", parts[i]);
		value(b, hook_nanos(hook_quantile(h->buckets, parts[i])) / 1e9);
	}
}

static void put_hooks(struct kurir_buf *b, json_t *top)
{
	const struct facts_hook *all = facts_hooks(top, kurir_scratch()), *h;

	family(b, "kurir_hook_errors_total", "counter", "Calls of a hook that could not decide.");
	for (h = all; h != NULL; h = h->next) {
		put_hook_name(b, "kurir_hook_errors_total", h);
		whole(b, h->errors);
	}
	family(b, "kurir_hook_skipped_total", "counter",
	    "Calls of a hook that were not made, as it had failed again and again.");
	for (h = all; h != NULL; h = h->next) {
		put_hook_name(b, "kurir_hook_skipped_total", h);
		whole(b, h->skipped);
	}
	family(b, "kurir_hook_open", "gauge",
	    "1 while a hook's breaker is open: it is not asked, \"on-error\" decides.");
	for (h = all; h != NULL; h = h->next) {
		put_hook_name(b, "kurir_hook_open", h);
		whole(b, h->open);
	}
	family(b, "kurir_hook_verdicts_total", "counter", "What a hook said.");
	for (h = all; h != NULL; h = h->next)
		put_hook_verdicts(b, h);
	family(b, "kurir_hook_quantile_seconds", "gauge",
	    "How long half of the calls of a hook took at most, and 99 of 100, since its start.");
	for (h = all; h != NULL; h = h->next)
		put_hook_quantiles(b, h);
	family(b, "kurir_hook_seconds", "histogram", "How long the calls of a hook took.");
	for (h = all; h != NULL; h = h->next)
		put_histogram(b, h);
}

/* "rcpt-calls", "rcpt-errors": the hooks' own families have them. */
static bool is_hook_counter(const char *name)
{
	for (unsigned i = 0; i < CHAIN_POINTS; i++) {
		size_t n = strlen(chain_point_names[i]);

		if (strncmp(name, chain_point_names[i], n) == 0 &&
		    (strcmp(name + n, "-calls") == 0 || strcmp(name + n, "-errors") == 0))
			return true;
	}
	return false;
}

/* "kurir_module_smtp_bad_lines_total" of "smtp/mx" and "bad-lines". */
static const char *counter_family(const char *instance, const char *counter)
{
	size_t module = strcspn(instance, "/");
	struct kurir_str s = kurir_format(
	    kurir_scratch(), "kurir_module_%.*s_%s_total", (int)module, instance, counter);
	char *name = (char *)(uintptr_t)s.ptr;

	for (size_t i = 0; i < s.len; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9')))
			name[i] = '_';
	return name;
}

/* What the modules count.  Instances of one module share its families. */
static void put_counters(struct kurir_buf *b, json_t *top)
{
	json_t *sum = facts_counters(top), *families = json_object(), *c, *v, *list;
	const char *instance, *name;
	size_t i;

	json_object_foreach(sum, instance, c) json_object_foreach(c, name, v)
	{
		const char *f = counter_family(instance, name);

		if (is_hook_counter(name))
			continue;
		if (json_object_get(families, f) == NULL)
			json_object_set_new(families, f, json_array());
		json_array_append_new(json_object_get(families, f),
		    json_pack("{s:s,s:s,s:O}", "instance", instance, "name", name, "value", v));
	}
	json_object_foreach(families, name, list)
	{
		const char *first = member(json_array_get(list, 0), "instance");

		family(b, name, "counter",
		    kurir_format(kurir_scratch(), "Counter \"%s\" of the module %.*s.",
			member(json_array_get(list, 0), "name"), (int)strcspn(first, "/"), first)
			.ptr);
		json_array_foreach(list, i, v)
		{
			(void)kurir_buf_printf(b, "%s{", name);
			label(b, "instance", member(v, "instance"));
			whole(b, (uint64_t)number(v, "value"));
		}
	}
	json_decref(families);
	json_decref(sum);
}

static void put_history(struct kurir_buf *b)
{
	struct history_figures f;

	history_figures(&f);
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} of[] = {
		{ "kurir_history_events_total", "counter", "Events that came.", f.events },
		{ "kurir_history_lost_total", "counter",
		    "Pieces of the history that could not be written.", f.lost },
		{ "kurir_history_bytes", "gauge", "What the history takes on the disk.",
		    f.bytes },
		{ "kurir_history_segments", "gauge", "Segments of the history.", f.segments },
	};

	for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		family(b, of[i].name, of[i].type, of[i].help);
		(void)kurir_buf_printf(b, "%s %" PRIu64 "\n", of[i].name, of[i].value);
	}
}

KURIR_PARKS static int gather(struct kurir_buf *b)
{
	json_t *top = facts_gather();

	if (top == NULL)
		return -EAGAIN;
	put_processes(b, top);
	put_queue(b);
	put_history(b);
	put_hooks(b, top);
	put_counters(b, top);
	json_decref(top);
	/* What did not fit was left out: no line is that long. */
	return b->len + LONGEST < b->limit ? 0 : -EMSGSIZE;
}

KURIR_PARKS int metrics_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	static struct kurir_buf last = { .limit = KURIR_CALL_MAX };
	static kurir_time made;
	static bool busy;
	struct kurir_buf fresh = { .limit = KURIR_CALL_MAX };
	int r = 0;

	(void)in;
	if (!busy && (last.len == 0 || kurir_now() >= made + FRESH)) {
		busy = true;
		r = gather(&fresh);
		busy = false;
		if (r == 0) {
			kurir_buf_free(&last);
			last = fresh;
			made = kurir_now();
		} else {
			kurir_buf_free(&fresh);
		}
	}
	return r < 0 ? r : last.len == 0 ? -EAGAIN : kurir_buf_add(reply, kurir_buf_str(&last));
}
