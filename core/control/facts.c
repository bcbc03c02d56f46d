/* facts.c - see facts.h.  Each process is asked through an endpoint of its role, "peek.edge". */
#include "facts.h"

#include "call.h"
#include "channel.h"
#include "conf.h"
#include "conn.h"
#include "count.h"
#include "fiber.h"
#include "role.h"

#include <string.h>

static int peek_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct fiber_census c = fiber_census();
	int r;

	(void)in;
	r = kurir_buf_printf(reply,
	    "{\"connections\": %u, \"fibers\": %u, \"fibers-peak\": %u, "
	    "\"calls-in\": %u, \"calls-out\": %u, \"hooks\": ",
	    conn_count(), c.running, c.peak, call_busy(), call_waiting());
	if (r >= 0)
		r = hook_json(reply);
	if (r >= 0)
		r = kurir_buf_add(reply, KURIR_STR(", \"counters\": "));
	if (r >= 0)
		r = count_json(reply);
	return r < 0 ? r : kurir_buf_add(reply, KURIR_STR("}"));
}

static const char *const peek_names[CONF_ROLES] = { "peek.edge", "peek.queue", "peek.resolver",
	"peek.relay", "peek.store", "peek.access", "peek.auth", "peek.control", "peek.worker" };

void facts_serve(void)
{
	hook_clock_begin();
	for (unsigned i = 0; i < CONF_ROLES; i++)
		channel_serve(peek_names[i], 1u << i, peek_called, NULL);
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

/* What p, an entry of the supervisor's list, says of itself; NULL: nothing. */
KURIR_PARKS static json_t *peek(json_t *p)
{
	uint32_t bit = conf_role_bit(kurir_str_of(member(p, "role")));
	struct kurir_request q = { .endpoint =
				       peek_names[bit != 0 ? (unsigned)__builtin_ctz(bit) : 7],
		.key = (uint64_t)number(p, "index"),
		.fd = -1,
		.body = KURIR_STR("") };
	struct kurir_str answer;

	if (kurir_call(NULL, &q, kurir_now() + FACTS_TIME, kurir_scratch(), &answer) < 0)
		return NULL;
	return control_json(answer);
}

KURIR_PARKS json_t *facts_supervisor(struct kurir_str command, kurir_time wait)
{
	struct kurir_str answer;

	if (role_command(command, kurir_now() + wait, kurir_scratch(), &answer) < 0)
		return NULL;
	return control_json(answer);
}

/* The instance that has the worker of that index for itself. */
static json_t *worker_module(json_t *modules, json_int_t index)
{
	json_t *m;
	size_t i;

	json_array_foreach(modules, i,
	    m) if (number(m, "worker") == index + 1) return json_object_get(m, "name");
	return NULL;
}

KURIR_PARKS json_t *facts_gather(void)
{
	json_t *top = facts_supervisor(KURIR_STR("status"), FACTS_TIME), *said, *modules, *p;
	json_int_t newest = number(top, "generation");
	size_t i;

	if (top == NULL)
		return NULL;
	said = facts_supervisor(KURIR_STR("modules"), FACTS_TIME);
	modules = json_object_get(said, "modules");
	json_array_foreach(json_object_get(top, "processes"), i, p)
	{
		/* Who is of an older generation cannot be reached by its index. */
		json_t *facts = number(p, "generation") == newest ? peek(p) : NULL, *name = NULL;

		if (facts != NULL)
			json_object_set_new(p, "facts", facts);
		if (strcmp(member(p, "role"), "worker") == 0)
			name = worker_module(modules, number(p, "index"));
		if (name != NULL)
			json_object_set(p, "module", name);
	}
	json_decref(said);
	return top;
}

json_t *facts_counters(json_t *gathered)
{
	json_t *sum = json_object(), *p, *counters, *c, *v;
	const char *owner, *name;
	size_t i;

	json_array_foreach(json_object_get(gathered, "processes"), i, p)
	{
		counters = json_object_get(json_object_get(p, "facts"), "counters");
		json_object_foreach(counters, owner, c)
		{
			json_t *to = json_object_get(sum, owner);

			if (to == NULL)
				json_object_set_new(sum, owner, to = json_object());
			json_object_foreach(c, name, v) json_object_set_new(
			    to, name, json_integer(json_integer_value(v) + number(to, name)));
		}
	}
	return sum;
}

static struct facts_hook *find_or_add(
    struct facts_hook **list, const char *role, json_t *v, struct kurir_arena *arena)
{
	const char *instance = member(v, "instance"), *name = member(v, "hook");

	for (; *list != NULL; list = &(*list)->next)
		if (strcmp((*list)->role, role) == 0 &&
		    strcmp((*list)->instance, instance) == 0 && strcmp((*list)->name, name) == 0)
			return *list;
	*list = kurir_alloc(arena, sizeof(**list));
	(*list)->role = role;
	(*list)->instance = instance;
	(*list)->name = name;
	return *list;
}

static void add(struct facts_hook *to, json_t *v)
{
	json_t *list = json_object_get(v, "buckets"), *pair;
	size_t i;

	to->calls += (uint64_t)number(v, "calls");
	to->errors += (uint64_t)number(v, "errors");
	to->skipped += (uint64_t)number(v, "skipped");
	to->ticks += (uint64_t)number(v, "ticks");
	to->open = to->open || json_is_true(json_object_get(v, "open"));
	for (i = 0; i < HOOK_VERDICTS; i++)
		to->verdicts[i] += (uint64_t)json_integer_value(
		    json_array_get(json_object_get(v, "verdicts"), i));
	json_array_foreach(list, i, pair)
	{
		json_int_t at = json_integer_value(json_array_get(pair, 0));

		if (at >= 0 && at < (json_int_t)HOOK_BUCKETS)
			to->buckets[at] += (uint64_t)json_integer_value(json_array_get(pair, 1));
	}
}

struct facts_hook *facts_hooks(json_t *gathered, struct kurir_arena *arena)
{
	struct facts_hook *list = NULL;
	json_t *p, *v;
	size_t i, k;

	json_array_foreach(json_object_get(gathered, "processes"), i, p)
	{
		json_t *hooks = json_object_get(json_object_get(p, "facts"), "hooks");

		json_array_foreach(hooks, k, v)
		    add(find_or_add(&list, member(p, "role"), v, arena), v);
	}
	return list;
}
