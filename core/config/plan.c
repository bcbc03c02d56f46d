/* plan.c - from a configuration to a plan, and from a plan to instances. */
#include "plan_private.h"

#include "chain.h"
#include "instance_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Where relative paths start: the folder the file is in, by its true name. */
struct kurir_str plan_folder(struct kurir_arena *arena, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *folder = slash
	    ? kurir_copy(arena, (struct kurir_str){ file, (size_t)(slash - file) + 1 }).ptr
	    : ".";
	char *real = realpath(folder, NULL);
	struct kurir_str ret;

	ret = kurir_copy(arena, kurir_str_of(real ? real : folder));
	free(real);
	return ret;
}

static struct plan *finish(struct planner *p, bool secrets)
{
	struct kurir_str error;
	struct plan *plan;
	char *text;

	text = plan_write(p, secrets);
	if (plan_read(kurir_str_of(text), p->arena, &plan, &error) < 0) {
		report_line(p->report, "the plan cannot be read again: %.*s", KURIR_ARG(error));
		plan = NULL;
	}
	free(text);
	return plan;
}

struct plan *plan_make(const char *file, bool secrets, struct report *report)
{
	struct planner p = { .arena = kurir_arena_new("planner"), .report = report };
	struct plan *plan = NULL;
	const char *base = strrchr(file, '/');

	p.rd = (struct option_reader){ .report = report,
		.memory = frozen_new(),
		.arena = p.arena,
		.folder = plan_folder(p.arena, file) };
	p.file =
	    kurir_format(p.arena, "%.*s/%s", KURIR_ARG(p.rd.folder), base ? base + 1 : file).ptr;
	p.warnings = json_array();
	p.top = json_load(p.arena, file, report);
	if (p.top && !report->broken && p.top->type != VALUE_OBJECT)
		report_at(report, p.top, "a configuration is an object, this is %s",
		    value_type_name(p.top->type));
	else if (p.top && !report->broken) {
		conf_read(&p.rd, p.top, &p.conf);
		plan_modules(&p);
		plan_isolate(&p);
		plan_check(&p);
		plan_host(&p);
		if (report->errors == 0)
			plan = finish(&p, secrets);
	}
	json_decref(p.warnings);
	frozen_free(p.rd.memory);
	kurir_arena_free(p.arena);
	return plan;
}

/* What stands in the pipelines of the edge for an instance that runs in a worker: nothing of the
 * module is loaded here. */
static int apply_proxy(struct plan *plan, const struct plan_instance *it)
{
	struct module *m = frozen_alloc(plan->memory, sizeof(*m));
	struct kurir_self *self;

	m->m = (struct kurir_module){ .size = sizeof(m->m),
		.name = frozen_copy(plan->memory, it->module).ptr,
		.conn_size = sizeof(struct chain_far_conn),
		.tx_size = sizeof(struct chain_far_tx) };
	m->caps = it->caps;
	self = instance_new(m, frozen_copy(plan->memory, it->name).ptr, NULL);
	self->on_error = (enum instance_on_error)it->conf.on_error;
	self->deadline = it->conf.deadline;
	self->worker = it->worker;
	self->points = it->points;
	return 0;
}

static int apply_one(struct plan *plan, const struct plan_instance *it, struct option_reader *rd,
    struct kurir_arena *arena, struct kurir_str *ret_error)
{
	struct module *m, *granted;
	struct kurir_self *self;
	const char *name;
	void *conf;
	int r;

	name = kurir_copy(plan->arena, it->module).ptr;
	r = modload_open(
	    arena, kurir_str_of(name), kurir_copy(plan->arena, it->file).ptr, &m, ret_error);
	if (r < 0)
		return r;
	conf = frozen_alloc(plan->memory, m->m.conf_size + 1);
	option_fill(rd, m->m.options, it->options, conf);
	/* What is withheld is withheld from this instance. */
	granted = frozen_alloc(plan->memory, sizeof(*granted));
	memcpy(granted, m, sizeof(*granted));
	granted->caps = it->caps;
	if (it->points != 0) /* its roles are where its hooks are called */
		granted->m.roles |= KURIR_ROLE_WORKER;
	self = instance_new(granted, frozen_copy(plan->memory, it->name).ptr, conf);
	self->on_error = (enum instance_on_error)it->conf.on_error;
	self->deadline = it->conf.deadline;
	self->required = it->conf.required;
	self->points = it->points;
	return 0;
}

/* Pipelines without what is optional and missing. */
static void apply_pipelines(const struct conf *c)
{
	struct kurir_str names[PIPELINE_MAX];
	size_t n, lost;

	for (size_t i = 0; i < c->pipelines.count; i++) {
		const struct kurir_pair *pair = &c->pipelines.items[i];

		n = 0;
		for (size_t j = 0; j < pair->values.count && n < PIPELINE_MAX; j++)
			if (instance_find(pair->values.items[j]))
				names[n++] = pair->values.items[j];
		chain_add(pair->key, names, n, &lost);
	}
}

int plan_apply(
    struct plan *plan, uint32_t roles, struct kurir_arena *arena, struct kurir_str *ret_error)
{
	struct report report = REPORT();
	struct option_reader rd = { .report = &report,
		.memory = plan->memory,
		.arena = plan->arena,
		.folder = KURIR_STR("/"),
		.resolved = true };
	struct conf *conf = frozen_alloc(plan->memory, sizeof(*conf));
	int r = 0;

	memcpy(conf, &plan->conf, sizeof(*conf));
	conf_now = conf;
	for (size_t i = 0; i < plan->instance_count && r == 0; i++) {
		const struct plan_instance *it = &plan->instances[i];

		if (it->worker != 0 && roles == KURIR_ROLE_EDGE)
			r = apply_proxy(plan, it);
		else if (it->roles & roles)
			r = apply_one(plan, it, &rd, arena, ret_error);
	}
	if (r == 0 && report.errors) {
		*ret_error = kurir_copy(arena, kurir_buf_str(&report.text));
		r = -EINVAL;
	}
	kurir_buf_free(&report.text);
	if (r < 0)
		return r;
	if (roles & KURIR_ROLE_EDGE)
		apply_pipelines(conf);
	instance_freeze(plan->memory);
	return 0;
}
