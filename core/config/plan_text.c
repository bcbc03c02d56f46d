/* plan_text.c - a plan as text: written by the planner, cut for each role, read by all. */
#include "plan_private.h"
#include "chain.h"
#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *json_memory(size_t n)
{
	void *p = malloc(n);

	if (!p)
		check_no_memory();
	return p;
}

/* A plan that lacks what there was no memory for would be another plan. */
static void json_whole(void)
{
	json_set_alloc_funcs(json_memory, free);
}

static json_t *roles_write(uint32_t roles)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < CONF_ROLES; i++)
		if (roles & (1u << i))
			json_array_append_new(array, json_string(conf_role_names[i]));
	return array;
}

static uint32_t roles_read(const struct json *array)
{
	uint32_t roles = 0;

	for (const struct json *v = array && array->type == VALUE_ARRAY ? array->first : NULL; v;
	     v = v->next)
		if (v->type == VALUE_TEXT)
			roles |= conf_role_bit(v->text);
	return roles;
}

/* A worker is always told of the end of a transaction and of a connection. */
static uint32_t far_points(const struct planned *it)
{
	return (chain_points_of(it->module->m.smtp) & ~(1u << CHAIN_FILTER)) | 1u << CHAIN_DONE |
	    1u << CHAIN_CLOSED;
}

static json_t *write_instances(struct planner *p, bool secrets)
{
	json_t *array = json_array();

	for (size_t i = 0; i < p->count; i++) {
		const struct planned *it = &p->items[i];

		if (!it->module)
			continue;
		json_array_append_new(array,
		    json_pack("{s:s,s:s,s:s,s:o,s:I,s:I,s:I,s:o,s:o}", "name", it->name.ptr,
			"module", it->base.ptr, "file", it->module->path, "roles",
			roles_write(it->worker ? KURIR_ROLE_EDGE | KURIR_ROLE_WORKER
					       : it->module->m.roles),
			"caps", (json_int_t)it->caps, "worker", (json_int_t)it->worker, "points",
			(json_int_t)(it->worker ? far_points(it) : 0), "core",
			option_write(conf_module_options, &it->core, true), "options",
			option_write(it->module->m.options, it->conf, secrets)));
	}
	return array;
}

/* The first instance that provides an endpoint has it. */
static json_t *write_endpoints(struct planner *p)
{
	json_t *object = json_object();

	for (size_t i = 0; i < p->count; i++) {
		const struct planned *it = &p->items[i];

		for (const struct kurir_service *s = it->module ? it->module->m.services : NULL;
		     s && s->kind; s++)
			if (strcmp(s->kind, "endpoint") == 0 && s->name &&
			    !json_object_get(object, s->name))
				json_object_set_new(object, s->name,
				    roles_write(s->roles ? s->roles : it->module->m.roles));
	}
	return object;
}

static struct kurir_str option_text(const struct planned *it, const char *name)
{
	for (const struct kurir_option *o = it->module->m.options; o && o->name; o++)
		if (strcmp(o->name, name) == 0 &&
		    (o->type == KURIR_PATH || o->type == KURIR_TEXT))
			return *(const struct kurir_str *)((const char *)it->conf + o->offset);
	return KURIR_STR("");
}

static bool below(struct kurir_str path, struct kurir_str folder)
{
	return kurir_str_starts(path, folder) && path.len > folder.len &&
	    path.ptr[folder.len] == '/';
}

/* What a module may do in any role, an isolated one may in its worker. */
static uint32_t moved(const struct planned *it, uint32_t roles)
{
	return it->worker != 0 && roles != 0 ? KURIR_ROLE_WORKER : roles;
}

static json_t *write_paths(struct planner *p)
{
	json_t *array = json_array();

	for (size_t i = 0; i < p->count; i++) {
		const struct planned *it = &p->items[i];

		for (const struct kurir_path *f = it->module ? it->module->m.paths : NULL;
		     f && (f->option || f->state); f++) {
			struct kurir_str path = f->option
			    ? option_text(it, f->option)
			    : kurir_format(
				  p->arena, "%.*s/%s", KURIR_ARG(p->conf.state), f->state);
			bool make = !f->option || (f->write && below(path, p->conf.state));

			if (path.len)
				json_array_append_new(array,
				    json_pack("{s:o,s:o,s:o,s:b,s:I}", "path",
					json_stringn(path.ptr, path.len), "read",
					roles_write(moved(it, f->read)), "write",
					roles_write(moved(it, f->write)), "make", make, "worker",
					(json_int_t)it->worker));
		}
	}
	return array;
}

char *plan_write(struct planner *p, bool secrets)
{
	uint32_t roles = KURIR_ROLE_CONTROL | (p->conf.listener_count ? KURIR_ROLE_EDGE : 0);
	bool dials = false;
	json_t *plan;
	char *text;

	json_whole();
	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].module)
			roles |= (p->items[i].module->m.roles & KURIR_ROLE_ALL) |
			    (p->items[i].worker ? KURIR_ROLE_WORKER : 0);
	for (size_t i = 0; i < p->count; i++)
		dials |= p->items[i].module && (p->items[i].caps & KURIR_CAP_NET) &&
		    p->items[i].module->m.smtp != NULL && /* not dns, which is in all roles */
		    (p->items[i].module->m.roles &
			~(uint32_t)(KURIR_ROLE_RESOLVER | KURIR_ROLE_RELAY));
	roles |= dials ? KURIR_ROLE_RESOLVER : 0;
	plan = json_pack("{s:i,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:O}", "plan", CONF_VERSION, "file",
	    p->file, "dials", dials, "roles", roles_write(roles), "core", conf_write(&p->conf),
	    "instances", write_instances(p, secrets), "endpoints", write_endpoints(p), "paths",
	    write_paths(p), "warnings", p->warnings);
	text = json_dumps(plan, JSON_INDENT(1));
	json_decref(plan);
	if (!text)
		check_no_memory();
	return text;
}

static uint32_t number(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return v && v->type == VALUE_INT ? (uint32_t)v->number : 0;
}

static struct kurir_str member(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return v && v->type == VALUE_TEXT ? v->text : KURIR_STR("");
}

/* An array of count elements for the children of v; NULL when v is not of that type. */
static void *children(struct plan *plan, const struct json *v, enum value_type type, size_t size)
{
	return v && v->type == type ? kurir_alloc(plan->arena, (v->count + 1) * size) : NULL;
}

static void read_instances(struct plan *plan, struct option_reader *rd, const struct json *list)
{
	plan->instances = children(plan, list, VALUE_ARRAY, sizeof(*plan->instances));
	for (const struct json *v = plan->instances ? list->first : NULL; v; v = v->next) {
		struct plan_instance *it = &plan->instances[plan->instance_count++];

		it->name = member(v, "name");
		it->module = member(v, "module");
		it->file = member(v, "file");
		it->roles = roles_read(json_get(v, "roles"));
		it->caps = number(v, "caps");
		it->worker = number(v, "worker");
		it->points = number(v, "points");
		if (it->worker > plan->conf.processes[CONF_ROLES - 1])
			plan->conf.processes[CONF_ROLES - 1] = it->worker;
		it->options = json_get(v, "options");
		option_fill(rd, conf_module_options, json_get(v, "core"), &it->conf);
		if (it->name.len == 0 || it->module.len == 0 || it->file.len == 0)
			report_at(rd->report, v, "this is no instance");
	}
}

static void read_lists(struct plan *plan, const struct json *top)
{
	const struct json *list = json_get(top, "endpoints"), *v;
	struct kurir_str *items;
	size_t n = 0;

	plan->endpoints = children(plan, list, VALUE_OBJECT, sizeof(*plan->endpoints));
	for (v = plan->endpoints ? list->first : NULL; v; v = v->next)
		plan->endpoints[plan->endpoint_count++] =
		    (struct plan_endpoint){ v->key, roles_read(v) };
	list = json_get(top, "paths");
	plan->paths = children(plan, list, VALUE_ARRAY, sizeof(*plan->paths));
	for (v = plan->paths ? list->first : NULL; v; v = v->next) {
		const struct json *make = json_get(v, "make");

		plan->paths[plan->path_count++] = (struct plan_path){ member(v, "path"),
			roles_read(json_get(v, "read")), roles_read(json_get(v, "write")),
			make && make->truth, number(v, "worker") };
	}
	list = json_get(top, "warnings");
	items = children(plan, list, VALUE_ARRAY, sizeof(*items));
	for (v = items ? list->first : NULL; v; v = v->next)
		if (v->type == VALUE_TEXT)
			items[n++] = v->text;
	plan->warnings = (struct kurir_texts){ n, items };
}

/* Without the liberties of a configuration: plan_for_role() must be able to read it, too. */
static bool is_json(struct kurir_str text)
{
	json_t *probe = json_loadb(text.ptr, text.len, 0, NULL);

	json_decref(probe);
	return probe != NULL;
}

int plan_read(struct kurir_str text, struct kurir_arena *arena, struct plan **ret,
    struct kurir_str *ret_error)
{
	struct report report = REPORT();
	struct plan *plan = calloc(1, sizeof(*plan));
	struct option_reader rd = {
		.report = &report, .folder = KURIR_STR("/"), .resolved = true
	};
	const struct json *top, *core, *version;

	if (!plan)
		check_no_memory();
	plan->arena = rd.arena = kurir_arena_new("plan");
	plan->memory = rd.memory = frozen_new();
	plan->text = kurir_copy(plan->arena, text);
	if (!is_json(plan->text))
		report_line(&report, "this is not JSON");
	top = report.errors ? NULL : json_parse(plan->arena, "plan", plan->text, &report);
	core = json_get(top, "core");
	version = json_get(top, "plan");
	if (report.errors == 0 &&
	    (!core || core->type != VALUE_OBJECT || !version || version->type != VALUE_INT ||
		version->number != CONF_VERSION))
		report_line(&report,
		    "this plan was made by another version of kurird: restart the service");
	if (report.errors == 0) {
		plan->file = member(top, "file");
		plan->dials = json_get(top, "dials") != NULL && json_get(top, "dials")->truth;
		plan->roles = roles_read(json_get(top, "roles"));
		conf_read(&rd, core, &plan->conf);
		read_instances(plan, &rd, json_get(top, "instances"));
		if (plan->conf.processes[CONF_ROLES - 1] == 0)
			plan->roles &= ~(uint32_t)KURIR_ROLE_WORKER;
		read_lists(plan, top);
	}
	if (report.errors) {
		*ret_error = kurir_copy(arena, kurir_buf_str(&report.text));
		plan_free(plan);
		plan = NULL;
	}
	kurir_buf_free(&report.text);
	if (!plan)
		return -EINVAL;
	*ret = plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	frozen_free(plan->memory);
	kurir_arena_free(plan->arena);
	free(plan);
}

static bool concerns(const struct plan_instance *it, uint32_t roles, unsigned index)
{
	return (it->roles & roles) != 0 &&
	    (it->worker == 0 || roles != KURIR_ROLE_WORKER || it->worker == index + 1);
}

struct kurir_str plan_for_role(
    const struct plan *plan, struct kurir_arena *arena, uint32_t roles, unsigned index)
{
	json_t *whole, *list, *kept;
	struct kurir_str ret;
	char *text;

	json_whole();
	whole = json_loadb(plan->text.ptr, plan->text.len, 0, NULL);
	list = json_object_get(whole, "instances");
	kept = json_array();
	for (size_t i = 0; i < plan->instance_count && i < json_array_size(list); i++)
		if (concerns(&plan->instances[i], roles, index)) {
			json_array_append(kept, json_array_get(list, i));
			/* Its secrets are not the edge's. */
			if (plan->instances[i].worker != 0 && roles == KURIR_ROLE_EDGE)
				json_object_set_new(
				    json_array_get(list, i), "options", json_object());
		}
	json_object_set_new(whole, "instances", kept);
	text = json_dumps(whole, JSON_COMPACT);
	json_decref(whole);
	if (!text)
		check_no_memory();
	ret = kurir_copy(arena, kurir_str_of(text));
	free(text);
	return ret;
}
