/* option.c - reads values into the structs of their owners.  Every mistake is
 * reported where it stands; reading goes on. */
#include "option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX ((size_t)64 << 10)

static const struct {
	unsigned type;
	size_t size;
	const char *name;
} types[] = {
	{ KURIR_BOOL, sizeof(bool), "true or false" },
	{ KURIR_INT, sizeof(int64_t), "whole number" },
	{ KURIR_SIZE, sizeof(uint64_t), "size" },
	{ KURIR_SPAN, sizeof(kurir_time), "time" },
	{ KURIR_TEXT, sizeof(struct kurir_str), "text" },
	{ KURIR_CHOICE, sizeof(int), "choice" },
	{ KURIR_TEXTS, sizeof(struct kurir_texts), "texts" },
	{ KURIR_MAP, sizeof(struct kurir_map), "map" },
	{ KURIR_PATH, sizeof(struct kurir_str), "path" },
	{ KURIR_SECRET, sizeof(struct kurir_str), "secret" },
	{ OPTION_USER, sizeof(struct kurir_str), "user" },
};

const char *option_type_name(enum kurir_type type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == (unsigned)type)
			return types[i].name;
	return "?";
}

size_t option_size_of(enum kurir_type type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == (unsigned)type)
			return types[i].size;
	return 0;
}

static bool expect(
    struct option_reader *rd, const struct json *v, enum value_type type, const char *wanted)
{
	if (v->type == type)
		return true;
	report_at(rd->report, v, "%s is expected here, this is %s", wanted, json_kind(v));
	return false;
}

/* min and max apply to what is measured in bytes or milliseconds as well. */
static bool in_bounds(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, int64_t n)
{
	struct kurir_str low, high;

	if ((o->min == 0 && o->max == 0) || (n >= o->min && n <= o->max))
		return true;
	if (o->min == o->max) {
		report_at(rd->report, v, "%lld is not possible, only %lld", (long long)n,
		    (long long)o->min);
		return false;
	}
	if (o->type == KURIR_SPAN) {
		low = option_show_span(rd->arena, o->min);
		high = option_show_span(rd->arena, o->max);
	} else if (o->type == KURIR_SIZE) {
		low = option_show_size(rd->arena, (uint64_t)o->min);
		high = option_show_size(rd->arena, (uint64_t)o->max);
	} else {
		low = kurir_format(rd->arena, "%lld", (long long)o->min);
		high = kurir_format(rd->arena, "%lld", (long long)o->max);
	}
	report_at(rd->report, v, "%.*s is out of bounds: from %.*s to %.*s",
	    v->text.len > 40 ? 40 : (int)v->text.len, v->text.ptr, KURIR_ARG(low),
	    KURIR_ARG(high));
	return false;
}

/* max applies to the bytes of a text. */
static bool in_length(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v)
{
	if (o->max == 0 || v->text.len <= (size_t)o->max)
		return true;
	report_at(rd->report, v, "this text is too long: at most %lld bytes", (long long)o->max);
	return false;
}

static void read_int(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, void *to)
{
	if (expect(rd, v, VALUE_INT, "a whole number") && in_bounds(rd, o, v, v->number))
		*(int64_t *)to = v->number;
}

static void read_span(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, void *to)
{
	kurir_time span;
	int r;

	if (v->type == VALUE_INT && v->number != 0) {
		report_at(rd->report, v,
		    "a time needs a unit: \"%lldms\", \"%llds\", \"%lldm\", h, d or w",
		    (long long)v->number, (long long)v->number, (long long)v->number);
		return;
	}
	if (v->type != VALUE_INT && !expect(rd, v, VALUE_TEXT, "a time such as \"5m\""))
		return;
	r = option_span(v->text, &span);
	if (r == -ERANGE)
		report_at(rd->report, v, "this time is too long");
	else if (r < 0)
		report_at(rd->report, v,
		    "a time is a number and ms, s, m, h, d or w, as in \"5m\" or \"1h30m\"");
	else if (in_bounds(rd, o, v, span))
		*(kurir_time *)to = span;
}

static void read_size(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, void *to)
{
	uint64_t size;
	int r;

	if (v->type != VALUE_INT && !expect(rd, v, VALUE_TEXT, "a size such as \"20M\""))
		return;
	r = option_size(v->text, &size);
	if (r == -ERANGE)
		report_at(rd->report, v, "this size is too large");
	else if (r < 0)
		report_at(rd->report, v,
		    "a size is a number of bytes, or with K, M, G or T as in \"20M\"");
	else if (in_bounds(rd, o, v, (int64_t)size))
		*(uint64_t *)to = size;
}

static void read_choice(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, void *to)
{
	struct kurir_str hint, all = KURIR_STR("");
	int count = 0;

	for (; o->choices[count]; count++) {
		if (v->type == VALUE_TEXT &&
		    kurir_str_equal(v->text, kurir_str_of(o->choices[count]))) {
			*(int *)to = count;
			return;
		}
		all = kurir_format(rd->arena, "%.*s%s\"%s\"", KURIR_ARG(all), count ? ", " : "",
		    o->choices[count]);
	}
	if (v->type != VALUE_TEXT) {
		report_at(rd->report, v, "one of %.*s is expected here, this is %s",
		    KURIR_ARG(all), json_kind(v));
		return;
	}
	hint = option_hint(rd->arena, v->text, o->choices, (size_t)count);
	report_at(rd->report, v, "\"%.*s\" is not one of %.*s%.*s",
	    v->text.len > 40 ? 40 : (int)v->text.len, v->text.ptr, KURIR_ARG(all),
	    KURIR_ARG(hint));
}

static bool read_texts(struct option_reader *rd, const struct json *v, struct kurir_texts *ret)
{
	struct kurir_str *items;
	size_t n = 0;

	if (v->type == VALUE_TEXT) {
		items = frozen_alloc(rd->memory, sizeof(*items));
		items[n++] = frozen_copy(rd->memory, v->text);
		*ret = (struct kurir_texts){ n, items };
		return true;
	}
	if (!expect(rd, v, VALUE_ARRAY, "a text or an array of texts"))
		return false;
	items = frozen_alloc(rd->memory, (v->count + 1) * sizeof(*items));
	for (const struct json *c = v->first; c; c = c->next)
		if (expect(rd, c, VALUE_TEXT, "a text"))
			items[n++] = frozen_copy(rd->memory, c->text);
	*ret = (struct kurir_texts){ n, items };
	return true;
}

static void read_map(struct option_reader *rd, const struct json *v, struct kurir_map *ret)
{
	struct kurir_pair *items;
	size_t n = 0;

	if (!expect(rd, v, VALUE_OBJECT, "an object of texts"))
		return;
	items = frozen_alloc(rd->memory, (v->count + 1) * sizeof(*items));
	for (const struct json *c = v->first; c; c = c->next) {
		if (!read_texts(rd, c, &items[n].values))
			continue;
		items[n].key = frozen_copy(rd->memory, c->key);
		n++;
	}
	*ret = (struct kurir_map){ n, items };
}

struct kurir_str option_absolute(struct option_reader *rd, struct kurir_str path)
{
	if (path.len == 0 || path.ptr[0] == '/')
		return frozen_copy(rd->memory, path);
	if (kurir_str_starts(path, KURIR_STR("./")))
		path = kurir_str_part(path, 2, path.len);
	return frozen_copy(rd->memory,
	    kurir_format(rd->arena, "%.*s/%.*s", KURIR_ARG(rd->folder), KURIR_ARG(path)));
}

/* A secret's bytes must survive the plan, which is JSON. */
static void take_secret(
    struct option_reader *rd, const struct json *v, struct kurir_str text, struct kurir_str *ret)
{
	json_t *probe = memchr(text.ptr, 0, text.len) ? NULL : json_stringn(text.ptr, text.len);

	if (probe)
		*ret = frozen_copy(rd->memory, text);
	else
		report_at(rd->report, v, "this secret is not UTF-8 text");
	json_decref(probe);
}

static void secret_file(struct option_reader *rd, const struct json *v, struct kurir_str *ret)
{
	const char *path = option_absolute(rd, v->text).ptr;
	struct kurir_str text;
	unsigned mode;
	int r = json_slurp(rd->arena, path, SECRET_MAX, &text, &mode);

	if (r < 0) {
		report_at(rd->report, v, "cannot read %s: %s", path, json_slurp_why(r));
	} else if (mode & 07) {
		report_at(rd->report, v,
		    "%s is a secret that everyone may read or change: chmod o= %s", path, path);
	} else {
		if (text.len && text.ptr[text.len - 1] == '\n')
			text.len--;
		if (text.len && text.ptr[text.len - 1] == '\r')
			text.len--;
		take_secret(rd, v, text, ret);
	}
}

/* {"file": path} or {"env": name}; as it is in a file that only its owner and group may read. */
static void read_secret(struct option_reader *rd, const struct json *v, struct kurir_str *ret)
{
	const struct json *c = v->type == VALUE_OBJECT && v->count == 1 ? v->first : NULL;
	struct kurir_str ignored;
	const char *text;
	unsigned mode = 0;

	if (v->type == VALUE_TEXT) {
		if (!rd->resolved && v->text.len &&
		    (json_slurp(rd->arena, v->file, JSON_FILE_MAX, &ignored, &mode) < 0 ||
			(mode & 07)))
			report_at(rd->report, v,
			    "a secret stands in a file that everyone may read: "
			    "chmod o= %s, or write {\"file\": ...}",
			    v->file);
		else
			*ret = frozen_copy(rd->memory, v->text);
	} else if (c && kurir_str_equal(c->key, KURIR_STR("file"))) {
		if (expect(rd, c, VALUE_TEXT, "the path of a file"))
			secret_file(rd, c, ret);
	} else if (c && kurir_str_equal(c->key, KURIR_STR("env"))) {
		if (!expect(rd, c, VALUE_TEXT, "the name of an environment variable"))
			return;
		text = getenv(c->text.ptr);
		if (text)
			take_secret(rd, c, kurir_str_of(text), ret);
		else
			report_at(
			    rd->report, c, "the environment has no %.*s", KURIR_ARG(c->text));
	} else {
		report_at(
		    rd->report, v, "a secret is {\"file\": \"path\"} or {\"env\": \"NAME\"}");
	}
}

void option_value(
    struct option_reader *rd, const struct kurir_option *o, const struct json *v, void *conf)
{
	void *to = (char *)conf + o->offset;

	switch ((unsigned)o->type) {
	case KURIR_BOOL:
		if (expect(rd, v, VALUE_BOOL, "true or false"))
			*(bool *)to = v->truth;
		break;
	case KURIR_INT:
		read_int(rd, o, v, to);
		break;
	case KURIR_SIZE:
		read_size(rd, o, v, to);
		break;
	case KURIR_SPAN:
		read_span(rd, o, v, to);
		break;
	case KURIR_TEXT:
		if (expect(rd, v, VALUE_TEXT, "a text") && in_length(rd, o, v))
			*(struct kurir_str *)to = frozen_copy(rd->memory, v->text);
		break;
	case KURIR_CHOICE:
		read_choice(rd, o, v, to);
		break;
	case KURIR_TEXTS:
		read_texts(rd, v, to);
		break;
	case KURIR_MAP:
		read_map(rd, v, to);
		break;
	case KURIR_PATH:
		if (expect(rd, v, VALUE_TEXT, "a path"))
			*(struct kurir_str *)to = option_absolute(rd, v->text);
		break;
	case KURIR_SECRET:
		read_secret(rd, v, to);
		break;
	case OPTION_USER:
		if (v->type == VALUE_INT && v->number >= 0 && v->number < UINT32_MAX)
			*(struct kurir_str *)to = frozen_copy(rd->memory, v->text);
		else if (expect(rd, v, VALUE_TEXT, "the name or number of a user"))
			*(struct kurir_str *)to = frozen_copy(rd->memory, v->text);
		break;
	default:
		report_at(rd->report, v,
		    "the option \"%s\" has a type this version does not know", o->name);
	}
}

/* Texts that are empty are never NULL. */
static void set_empty(const struct kurir_option *o, void *conf)
{
	void *to = (char *)conf + o->offset;

	switch ((unsigned)o->type) {
	case KURIR_TEXT:
	case KURIR_PATH:
	case KURIR_SECRET:
	case OPTION_USER:
		*(struct kurir_str *)to = KURIR_STR("");
	}
}

/* A preset is what an administrator would write, without the quotes. */
static void read_preset(
    struct option_reader *rd, const struct kurir_option *o, const struct json *object, void *conf)
{
	struct json v = { .type = VALUE_TEXT,
		.text = kurir_str_of(o->preset),
		.key = kurir_str_of(o->name),
		.file = object ? object->file : "preset",
		.line = object ? object->line : 0,
		.column = object ? object->column : 0,
		.parent = (struct json *)object };
	bool bare = o->type == KURIR_BOOL || o->type == KURIR_INT || o->type == KURIR_MAP ||
	    o->preset[0] == '[';
	struct json *parsed;

	if (o->preset[0] == '\0')
		return;
	if (bare && o->type != KURIR_TEXT && o->type != KURIR_PATH && o->type != KURIR_CHOICE) {
		parsed = json_parse(rd->arena, "preset", v.text, rd->report);
		if (!parsed)
			return;
		v.type = parsed->type;
		v.truth = parsed->truth;
		v.number = parsed->number;
		v.first = parsed->first;
		v.last = parsed->last;
		v.count = parsed->count;
	}
	option_value(rd, o, &v, conf);
}

void option_fill(struct option_reader *rd, const struct kurir_option *options,
    const struct json *object, void *conf)
{
	for (const struct kurir_option *o = options; o && o->name; o++) {
		const struct json *v = json_get(object, o->name);

		set_empty(o, conf);
		/* What is wrong leaves the preset: later checks see something sensible. */
		if (o->preset)
			read_preset(rd, o, object, conf);
		if (v)
			option_value(rd, o, v, conf);
		else if (!o->preset && object)
			report_at(rd->report, object, "\"%s\" is missing: %s", o->name,
			    o->help ? o->help : "it is required");
	}
}

void option_unknown(struct option_reader *rd, const struct kurir_option *const *tables,
    size_t count, const char *const *names, const struct json *object)
{
	const char *known[256];
	size_t n = 0, i;
	struct kurir_str hint;

	if (rd->resolved) /* a plan of a newer version, in the middle of an upgrade */
		return;
	for (i = 0; i < count; i++)
		for (const struct kurir_option *o = tables[i]; o && o->name && n < 256; o++)
			known[n++] = o->name;
	for (; names && *names && n < 256; names++)
		known[n++] = *names;
	for (const struct json *c = object->first; c; c = c->next) {
		for (i = 0; i < n; i++)
			if (kurir_str_equal(c->key, kurir_str_of(known[i])))
				break;
		if (i < n)
			continue;
		hint = option_hint(rd->arena, c->key, known, n);
		report_key(rd->report, c, "there is no option \"%.*s\"%.*s",
		    c->key.len > 60 ? 60 : (int)c->key.len, c->key.ptr, KURIR_ARG(hint));
	}
}
