/* option_show.c - option tables the other way: as JSON, as JSON Schema, as text. */
#include "option.h"

#include <string.h>

static json_t *text(struct kurir_str s)
{
	return json_stringn(s.ptr ? s.ptr : "", s.len);
}

static json_t *texts(const struct kurir_texts *t)
{
	json_t *array = json_array();

	for (size_t i = 0; i < t->count; i++)
		json_array_append_new(array, text(t->items[i]));
	return array;
}

static json_t *map(const struct kurir_map *m)
{
	json_t *object = json_object();

	for (size_t i = 0; i < m->count; i++)
		json_object_set_new(object, m->items[i].key.ptr, texts(&m->items[i].values));
	return object;
}

static json_t *shown(struct kurir_arena *arena,
    struct kurir_str (*show)(struct kurir_arena *, kurir_time), kurir_time n)
{
	return text(show(arena, n));
}

static json_t *write_one(
    struct kurir_arena *arena, const struct kurir_option *o, const void *from)
{
	switch ((unsigned)o->type) {
	case KURIR_BOOL:
		return json_boolean(*(const bool *)from);
	case KURIR_INT:
		return json_integer(*(const int64_t *)from);
	case KURIR_SIZE:
		return text(option_show_size(arena, *(const uint64_t *)from));
	case KURIR_SPAN:
		return shown(arena, option_show_span, *(const kurir_time *)from);
	case KURIR_CHOICE:
		return json_string(o->choices[*(const int *)from]);
	case KURIR_TEXTS:
		return texts(from);
	case KURIR_MAP:
		return map(from);
	default:
		return text(*(const struct kurir_str *)from);
	}
}

json_t *option_write(const struct kurir_option *options, const void *conf, bool secrets)
{
	struct kurir_arena *arena = kurir_arena_new("option");
	json_t *object = json_object();

	for (const struct kurir_option *o = options; o && o->name; o++)
		json_object_set_new(object, o->name,
		    o->type == KURIR_SECRET && !secrets
			? json_string("(hidden)")
			: write_one(arena, o, (const char *)conf + o->offset));
	kurir_arena_free(arena);
	return object;
}

static json_t *list_of_names(const char *const *names)
{
	json_t *array = json_array();

	for (; names && *names; names++)
		json_array_append_new(array, json_string(*names));
	return array;
}

static json_t *text_or_texts(void)
{
	return json_pack("{s:[{s:s},{s:s,s:{s:s}}]}", "anyOf", "type", "string", "type", "array",
	    "items", "type", "string");
}

static json_t *schema_of(const struct kurir_option *o)
{
	json_t *s;

	switch ((unsigned)o->type) {
	case KURIR_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case KURIR_INT:
		s = json_pack("{s:s}", "type", "integer");
		if (o->min || o->max) {
			json_object_set_new(s, "minimum", json_integer(o->min));
			json_object_set_new(s, "maximum", json_integer(o->max));
		}
		return s;
	case KURIR_TEXT:
		s = json_pack("{s:s}", "type", "string");
		if (o->max)
			json_object_set_new(s, "maxLength", json_integer(o->max));
		return s;
	case KURIR_SIZE:
		return json_pack("{s:[{s:s,s:i},{s:s,s:s}]}", "anyOf", "type", "integer",
		    "minimum", 0, "type", "string", "pattern", "^[0-9]+[KMGT]?$");
	case KURIR_SPAN:
		return json_pack("{s:[{s:i},{s:s,s:s}]}", "anyOf", "const", 0, "type", "string",
		    "pattern", "^(0|([0-9]+(ms|s|m|h|d|w))+)$");
	case KURIR_CHOICE:
		return json_pack("{s:o}", "enum", list_of_names(o->choices));
	case KURIR_TEXTS:
		return text_or_texts();
	case KURIR_MAP:
		return json_pack(
		    "{s:s,s:o}", "type", "object", "additionalProperties", text_or_texts());
	case KURIR_SECRET:
		return json_pack("{s:[{s:s},{s:s,s:{s:{s:s},s:{s:s}},s:b,s:i,s:i}]}", "anyOf",
		    "type", "string", "type", "object", "properties", "file", "type", "string",
		    "env", "type", "string", "additionalProperties", 0, "minProperties", 1,
		    "maxProperties", 1);
	case OPTION_USER:
		return json_pack("{s:[{s:s},{s:s,s:i}]}", "anyOf", "type", "string", "type",
		    "integer", "minimum", 0);
	default:
		return json_pack("{s:s}", "type", "string");
	}
}

json_t *option_schema(const struct kurir_option *options)
{
	json_t *properties = json_object(), *required = json_array(), *one;

	json_object_set_new(properties, "include", text_or_texts());
	for (const struct kurir_option *o = options; o && o->name; o++) {
		one = schema_of(o);
		if (o->help)
			json_object_set_new(one, "description", json_string(o->help));
		if (o->preset && o->preset[0] && o->type != KURIR_SECRET)
			json_object_set_new(one, "default",
			    o->type == KURIR_BOOL || o->type == KURIR_INT ||
				    o->preset[0] == '[' || o->preset[0] == '{'
				? json_loads(o->preset, JSON_DECODE_ANY, NULL)
				: json_string(o->preset));
		json_object_set_new(properties, o->name, one);
		if (!o->preset)
			json_array_append_new(required, json_string(o->name));
	}
	return json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", properties,
	    "required", required, "additionalProperties", 0);
}

void option_describe(struct kurir_buf *out, const struct kurir_option *o)
{
	struct kurir_arena *arena = kurir_arena_new("describe");

	kurir_buf_printf(out, "  %-20s %s", o->name, option_type_name(o->type));
	for (int i = 0; o->type == KURIR_CHOICE && o->choices[i]; i++)
		kurir_buf_printf(out, "%s%s", i ? " | " : ": ", o->choices[i]);
	if (!o->preset)
		kurir_buf_add(out, KURIR_STR(", required"));
	else if (o->preset[0] == '\0')
		kurir_buf_add(out, KURIR_STR(", preset: empty"));
	else
		kurir_buf_printf(out, ", preset: %s", o->preset);
	if (o->type == KURIR_INT && (o->min || o->max))
		kurir_buf_printf(out, ", %lld to %lld", (long long)o->min, (long long)o->max);
	if (o->type == KURIR_SPAN && (o->min || o->max)) {
		kurir_buf_printf(out, ", %.*s to ", KURIR_ARG(option_show_span(arena, o->min)));
		kurir_buf_printf(out, "%.*s", KURIR_ARG(option_show_span(arena, o->max)));
	}
	if (o->type == KURIR_SIZE && (o->min || o->max)) {
		kurir_buf_printf(
		    out, ", %.*s to ", KURIR_ARG(option_show_size(arena, (uint64_t)o->min)));
		kurir_buf_printf(
		    out, "%.*s", KURIR_ARG(option_show_size(arena, (uint64_t)o->max)));
	}
	kurir_buf_printf(out, "\n      %s\n", o->help ? o->help : "");
	kurir_arena_free(arena);
}
