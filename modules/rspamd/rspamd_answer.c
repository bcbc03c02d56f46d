/* rspamd_answer.c - what Rspamd answers to /checkv2.
 *
 *   answer  = { "action": name, "score": number, "required_score": number, ["subject": text],
 *               ["messages": { "smtp_message": text }],
 *               ["milter": { ["add_headers": { name: headers }], ["remove_headers": { name: n } ] }] }
 *   headers = text / { "value": text } / [ *headers ]
 *
 * What else is in it is for others. */
#include "rspamd.h"

#include <jansson.h>
#include <string.h>

#define DEPTH_MAX  12
#define FIELDS_MAX 100

static struct kurir_str text_of(struct kurir_arena *arena, const json_t *v)
{
	if (!json_is_string(v))
		return KURIR_STR("");
	return kurir_copy(
	    arena, (struct kurir_str){ json_string_value(v), json_string_length(v) });
}

static bool read_action(const char *name, enum rspamd_action *ret)
{
	static const struct {
		const char *name;
		enum rspamd_action action;
	} known[] = { { "no action", RSPAMD_PASS }, { "accept", RSPAMD_PASS },
		/* Its own module for that says "soft reject" when somebody has to wait. */
		{ "greylist", RSPAMD_PASS }, { "add header", RSPAMD_MARK },
		{ "rewrite subject", RSPAMD_SUBJECT }, { "soft reject", RSPAMD_LATER },
		{ "reject", RSPAMD_REJECT }, { "discard", RSPAMD_DISCARD },
		{ "quarantine", RSPAMD_HOLD } };

	for (size_t i = 0; name != NULL && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0) {
			*ret = known[i].action;
			return true;
		}
	return false;
}

struct fields {
	struct kurir_str names[FIELDS_MAX], values[FIELDS_MAX];
	size_t count;
};

static void add_field(
    struct fields *f, struct kurir_arena *arena, const char *name, const json_t *value)
{
	if (json_is_object(value))
		value = json_object_get(value, "value");
	if (!json_is_string(value) || f->count == FIELDS_MAX)
		return;
	f->names[f->count] = kurir_copy(arena, kurir_str_of(name));
	f->values[f->count++] = text_of(arena, value);
}

static void read_fields(
    struct kurir_arena *arena, const json_t *milter, struct rspamd_answer *ret)
{
	struct fields *f = kurir_alloc(arena, sizeof(*f));
	struct kurir_str *removed = kurir_alloc(arena, FIELDS_MAX * sizeof(*removed));
	json_t *value, *one;
	const char *name;
	size_t i, n = 0;

	json_object_foreach(json_object_get(milter, "add_headers"), name, value)
	{
		if (!json_is_array(value))
			add_field(f, arena, name, value);
		json_array_foreach(value, i, one) add_field(f, arena, name, one);
	}
	json_object_foreach(json_object_get(milter, "remove_headers"), name,
	    value) if (n < FIELDS_MAX) removed[n++] = kurir_copy(arena, kurir_str_of(name));
	ret->names = (struct kurir_texts){ .count = f->count, .items = f->names };
	ret->values = (struct kurir_texts){ .count = f->count, .items = f->values };
	ret->removed = (struct kurir_texts){ .count = n, .items = removed };
}

const char *rspamd_answer_read(
    struct kurir_arena *arena, struct kurir_str json, struct rspamd_answer *ret)
{
	json_t *top = kurir_json_is_flat(json, DEPTH_MAX)
	    ? json_loadb(json.ptr, json.len, JSON_DISABLE_EOF_CHECK, NULL)
	    : NULL;
	const json_t *action = json_object_get(top, "action");

	*ret = (struct rspamd_answer){ .name = text_of(arena, action) };
	ret->score = json_number_value(json_object_get(top, "score"));
	ret->required = json_number_value(json_object_get(top, "required_score"));
	ret->subject = text_of(arena, json_object_get(top, "subject"));
	ret->text =
	    text_of(arena, json_object_get(json_object_get(top, "messages"), "smtp_message"));
	read_fields(arena, json_object_get(top, "milter"), ret);
	if (!read_action(json_string_value(action), &ret->action)) {
		bool object = json_is_object(top);

		json_decref(top);
		return object ? "it has no action that is known" : "it is no JSON object";
	}
	json_decref(top);
	return NULL;
}
