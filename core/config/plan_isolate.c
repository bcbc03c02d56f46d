/* plan_isolate.c - "isolation": "process": which modules get a worker, and which cannot. */
#include "plan_private.h"

#include "chain.h"

#define WORKERS_MAX 64

/* Why the module cannot do its work from there, or NULL. */
static const char *unable(const struct planned *it)
{
	const struct kurir_module *m = &it->module->m;

	if (!m->smtp)
		return "has no hooks in the mail transaction: only those can be called in a process "
		       "of their own";
	if (m->services && m->services->kind)
		return "provides services to other modules: in a process of its own they could not "
		       "reach them";
	if (it->caps & KURIR_CAP_BODY && chain_points_of(m->smtp) & 1u << CHAIN_FILTER)
		return "changes messages while they stream by (filter): that cannot be done in a "
		       "process of its own yet; \"withhold\": \"body\" leaves that out";
	return NULL;
}

void plan_isolate(struct planner *p)
{
	uint32_t workers = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct planned *it = &p->items[i];
		const char *why;

		if (!it->module || it->core.isolation == 0)
			continue;
		why = unable(it);
		if (why)
			report_at(p->report, json_get(it->block, "isolation"), "%.*s %s",
			    KURIR_ARG(it->base), why);
		else if (workers == WORKERS_MAX)
			report_at(p->report, json_get(it->block, "isolation"),
			    "more than %d modules with a process of their own", WORKERS_MAX);
		else
			it->worker = ++workers;
	}
}
