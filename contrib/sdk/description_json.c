/* description_json.c - a module's description for programs. */
#include "description.h"

#include "chain.h"
#include "conf.h"
#include "option.h"
#include "quote.h"

#include <stdlib.h>

/* A file's texts may be anything: what is no UTF-8 is taken for Latin-1. */
static json_t *text(const char *s)
{
	struct kurir_buf b = KURIR_BUF(8u << 20);
	json_t *v;

	if (s == NULL)
		return json_null();
	v = json_string(s);
	if (v != NULL)
		return v;
	quote_json(&b, kurir_str_of(s));
	v = json_loads(b.ptr, JSON_DECODE_ANY, NULL);
	kurir_buf_free(&b);
	return v != NULL ? v : json_null();
}

static json_t *texts(const char *const *list)
{
	json_t *array = json_array();

	for (; list != NULL && *list != NULL; list++)
		json_array_append_new(array, text(*list));
	return array;
}

static json_t *bits(uint32_t mask, const char *const *names)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < 32 && names[i] != NULL; i++)
		if ((mask & 1u << i) != 0)
			json_array_append_new(array, json_string(names[i]));
	return array;
}

/* As in the table; "preset" is missing where the administrator has to say it. */
static json_t *option(const struct kurir_option *o)
{
	json_t *v = json_pack("{s:o,s:s,s:o}", "name", text(o->name), "type",
	    option_type_name(o->type), "help", text(o->help));

	if (o->preset != NULL)
		json_object_set_new(v, "preset", text(o->preset));
	if (o->choices != NULL)
		json_object_set_new(v, "choices", texts(o->choices));
	if (o->min != 0 || o->max != 0) {
		json_object_set_new(v, "min", json_integer(o->min));
		json_object_set_new(v, "max", json_integer(o->max));
	}
	return v;
}

static json_t *functions(const struct kurir_module *m)
{
	const char *has[5];
	size_t n = 0;

	if (m->check != NULL)
		has[n++] = "check";
	if (m->inspect != NULL)
		has[n++] = "inspect";
	if (m->start != NULL)
		has[n++] = "start";
	if (m->stop != NULL)
		has[n++] = "stop";
	has[n] = NULL;
	return texts(has);
}

json_t *description_json(const struct kurir_module *m, const char *file)
{
	json_t *options = json_array(), *services = json_array(), *paths = json_array();

	for (const struct kurir_option *o = m->options; o != NULL && o->name != NULL; o++)
		json_array_append_new(options, option(o));
	for (const struct kurir_service *s = m->services; s != NULL && s->kind != NULL; s++)
		json_array_append_new(services,
		    json_pack("{s:o,s:o,s:o}", "kind", text(s->kind), "name", text(s->name),
			"roles", bits(s->roles, conf_role_names)));
	for (const struct kurir_path *p = m->paths;
	     p != NULL && (p->option != NULL || p->state != NULL); p++)
		json_array_append_new(paths,
		    json_pack("{s:o,s:o,s:o,s:o}", "option", text(p->option), "state",
			text(p->state), "read", bits(p->read, conf_role_names), "write",
			bits(p->write, conf_role_names)));
	return json_pack("{s:o,s:o,s:o,s:o,s:[i,i],s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name",
	    text(m->name), "version", text(m->version), "summary", text(m->summary), "file",
	    text(file), "abi", (int)m->abi_major, (int)m->abi_minor, "roles",
	    bits(m->roles, conf_role_names), "capabilities", bits(m->caps, conf_cap_names),
	    "hooks", bits(chain_points_of(m->smtp), chain_point_names), "functions", functions(m),
	    "services", services, "needs", texts(m->needs), "counters", texts(m->counters),
	    "options", options, "paths", paths);
}
