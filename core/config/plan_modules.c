/* plan_modules.c - the blocks of "modules": found, loaded, their options read and checked. */
#include "plan_private.h"

#include <string.h>

static bool good_instance(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
			return false;
	}
	return s.len > 0 && s.len <= 64;
}

/* "route_static/corp" is the module route_static and one more instance of it. */
static bool split_name(struct planner *p, struct planned *it)
{
	ssize_t slash = kurir_str_find(it->name, '/');

	it->base = slash < 0 ? it->name : kurir_str_part(it->name, 0, (size_t)slash);
	if (!modload_good_name(it->base)) {
		report_key(p->report, it->block,
		    "\"%.*s\" is not the name of a module: a-z, 0-9 and _ only",
		    it->base.len > 80 ? 80 : (int)it->base.len, it->base.ptr);
		return false;
	}
	it->base = kurir_copy(p->arena, it->base);
	if (slash >= 0 &&
	    !good_instance(kurir_str_part(it->name, (size_t)slash + 1, it->name.len))) {
		report_key(p->report, it->block,
		    "what follows the slash is the instance's name: letters, digits, \".\", \"-\" and \"_\"");
		return false;
	}
	return true;
}

struct kurir_str plan_not_found(
    struct kurir_arena *arena, struct kurir_str name, const struct kurir_texts *path)
{
	struct kurir_texts all = modload_list(arena, path);
	const char **names = kurir_alloc(arena, (all.count + 1) * sizeof(*names));

	for (size_t i = 0; i < all.count; i++)
		names[i] = all.items[i].ptr;
	if (all.count == 0)
		return kurir_format(arena,
		    "there is no module \"%.*s\", nor any other, in the module path: %.*s",
		    KURIR_ARG(name), KURIR_ARG(modload_folders(arena, path)));
	return kurir_format(arena, "there is no module \"%.*s\" in the module path%.*s",
	    KURIR_ARG(name), KURIR_ARG(option_hint(arena, name, names, all.count)));
}

/* An optional module that is missing leaves the server up, and says so. */
static void missing(struct planner *p, const struct planned *it, struct kurir_str why)
{
	if (it->core.required) {
		report_key(p->report, it->block, "%.*s", KURIR_ARG(why));
		return;
	}
	json_array_append_new(p->warnings, json_stringn(why.ptr, why.len));
}

static void load(struct planner *p, struct planned *it)
{
	struct kurir_str file, error;

	file = modload_search(p->arena, it->base, &p->conf.module_path);
	if (file.len == 0) {
		missing(p, it, plan_not_found(p->arena, it->base, &p->conf.module_path));
		return;
	}
	if (modload_open(p->arena, it->base, file.ptr, &it->module, &error) < 0) {
		it->module = NULL;
		missing(p, it, error);
	}
}

/* A descriptor whose options do not fit its struct is a bug of the module, found here. */
static bool options_fit(struct planner *p, const struct planned *it)
{
	const struct kurir_module *m = &it->module->m;

	for (const struct kurir_option *o = m->options; o && o->name; o++) {
		size_t size = option_size_of(o->type);

		if (size == 0 || o->type >= (enum kurir_type)OPTION_USER ||
		    o->offset + size > m->conf_size || (o->type == KURIR_CHOICE && !o->choices)) {
			report_key(p->report, it->block,
			    "the module's own option \"%s\" does not fit its structure: "
			    "this is a mistake in the module",
			    o->name);
			return false;
		}
	}
	return true;
}

static void grant(struct planned *it)
{
	it->caps = it->module->m.caps;
	for (size_t i = 0; i < it->core.withhold.count; i++)
		for (uint32_t bit = 0; conf_cap_names[bit]; bit++)
			if (kurir_str_equal(
				it->core.withhold.items[i], kurir_str_of(conf_cap_names[bit])))
				it->caps &= ~(1u << bit);
}

static void read_block(struct planner *p, struct planned *it)
{
	const struct kurir_option *tables[2] = { conf_module_options, NULL };
	unsigned before = p->report->errors;
	struct kurir_str error = KURIR_STR("");

	conf_read_module(&p->rd, it->block, &it->core);
	load(p, it);
	if (!it->module || !options_fit(p, it))
		return;
	tables[1] = it->module->m.options;
	option_unknown(&p->rd, tables, 2, NULL, it->block);
	it->conf = frozen_alloc(p->rd.memory, it->module->m.conf_size + 1);
	option_fill(&p->rd, it->module->m.options, it->block, it->conf);
	grant(it);
	if (p->report->errors == before && it->module->m.check &&
	    it->module->m.check(it->conf, p->arena, &error) < 0)
		report_at(p->report, it->block, "%.*s",
		    KURIR_ARG(error.len ? error : KURIR_STR("the module refuses this")));
}

void plan_modules(struct planner *p)
{
	const struct json *list = json_get(p->top, "modules");

	if (!list)
		return;
	if (list->type != VALUE_OBJECT) {
		report_at(p->report, list, "an object is expected here, this is %s",
		    value_type_name(list->type));
		return;
	}
	p->items = kurir_alloc(p->arena, (list->count + 1) * sizeof(*p->items));
	for (const struct json *v = list->first; v; v = v->next) {
		struct planned *it = &p->items[p->count];

		it->block = v;
		it->name = v->key;
		if (!split_name(p, it))
			continue;
		p->count++;
		if (v->type == VALUE_OBJECT)
			read_block(p, it);
		else
			report_at(p->report, v,
			    "the options of a module are an object, this is %s",
			    value_type_name(v->type));
	}
}
