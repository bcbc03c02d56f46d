/* schema.c - JSON Schema (draft 7) of the core and every installed module, for editors:
 * --schema. */
#include "describe.h"

#include <string.h>

static json_t *property(json_t *object, const char *name)
{
	return json_object_get(json_object_get(object, "properties"), name);
}

/* A group's own object; one that is not required may be left out. */
static json_t *group(const struct conf_group *g)
{
	json_t *s = option_schema(g->options);

	if (g->shape == CONF_LIST)
		s = json_pack("{s:s,s:o}", "type", "array", "items", s);
	else if (g->shape == CONF_NAMED)
		s = json_pack("{s:s,s:{s:o},s:o}", "type", "object", "properties", "include",
		    json_object(), "additionalProperties", s);
	json_object_set_new(s, "description", json_string(g->help));
	return s;
}

/* "smtp" or "smtp/any": the module's options and those of every block. */
static json_t *block(const struct module *m)
{
	json_t *s = option_schema(m->m.options), *common = option_schema(conf_module_options);

	json_object_update(
	    json_object_get(s, "properties"), json_object_get(common, "properties"));
	json_decref(common);
	if (m->m.summary)
		json_object_set_new(s, "description", json_string(m->m.summary));
	return s;
}

json_t *schema_make(const struct module *const *modules, size_t count)
{
	json_t *top = NULL, *patterns = json_object(), *list;
	struct kurir_arena *arena = kurir_arena_new("schema");

	for (const struct conf_group *g = conf_groups; g->name; g++) {
		json_t *s = group(g), *parent;

		if (!top) {
			top = s;
			continue;
		}
		parent = g->parent[0] ? property(top, g->parent) : top;
		json_object_set_new(json_object_get(parent, "properties"), g->name, s);
	}
	for (size_t i = 0; i < count; i++)
		json_object_set_new(patterns,
		    kurir_format(arena, "^%s(/[A-Za-z0-9_.-]+)?$", modules[i]->m.name).ptr,
		    block(modules[i]));
	list = json_pack("{s:s,s:{s:o},s:o,s:b,s:s}", "type", "object", "properties", "include",
	    json_object(), "patternProperties", patterns, "additionalProperties", 0,
	    "description", "Modules, in the order in which they are asked.");
	json_object_set_new(json_object_get(top, "properties"), "modules", list);
	json_object_set_new(
	    top, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
	json_object_set_new(top, "title", json_string("Kurir"));
	kurir_arena_free(arena);
	return top;
}
