/* http_answer.c - what a service answers.
 *
 *   answer = { ["verdict": "next" / "accept" / "reject" / "defer" / "discard" / "hangup"],
 *              ["code": 400-599, "xyz": "5.7.1", "text": words],     with reject and defer
 *              ["headers": [ [name, value]... ]],                    up to data
 *              ["sender": address], ["add": [address...]], ["drop": [address...]],
 *              ["hold": why] }                                       from mail on
 *
 * A member that is not known is refused, so that a misspelt one is noticed. */
#include "http.h"

#include <errno.h>
#include <string.h>

#define LIST_MAX  1000
#define DEPTH_MAX 4

static struct kurir_str text_of(struct kurir_arena *arena, const json_t *v)
{
	return kurir_copy(
	    arena, (struct kurir_str){ json_string_value(v), json_string_length(v) });
}

/* False: it is no list of texts. */
static bool texts(struct kurir_arena *arena, const json_t *v, struct kurir_texts *ret)
{
	size_t i, n = json_array_size(v);
	struct kurir_str *items = kurir_alloc(arena, (n + 1) * sizeof(*items));
	json_t *one;

	if (!json_is_array(v) || n > LIST_MAX)
		return false;
	json_array_foreach(v, i, one)
	{
		if (!json_is_string(one))
			return false;
		items[i] = text_of(arena, one);
	}
	*ret = (struct kurir_texts){ .count = n, .items = items };
	return true;
}

static bool headers(struct kurir_arena *arena, const json_t *v, struct http_decision *ret)
{
	size_t i, n = json_array_size(v);
	struct kurir_str *names = kurir_alloc(arena, (n + 1) * sizeof(*names));
	struct kurir_str *values = kurir_alloc(arena, (n + 1) * sizeof(*values));
	json_t *pair;

	if (!json_is_array(v) || n > LIST_MAX)
		return false;
	json_array_foreach(v, i, pair)
	{
		if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)) ||
		    !json_is_string(json_array_get(pair, 1)))
			return false;
		names[i] = text_of(arena, json_array_get(pair, 0));
		values[i] = text_of(arena, json_array_get(pair, 1));
	}
	ret->names = (struct kurir_texts){ .count = n, .items = names };
	ret->values = (struct kurir_texts){ .count = n, .items = values };
	return true;
}

static bool verdict(const json_t *v, int *ret)
{
	static const struct {
		const char *name;
		int verdict;
	} known[] = { { "next", KURIR_NEXT }, { "accept", KURIR_ACCEPT },
		{ "reject", KURIR_REJECT }, { "defer", KURIR_DEFER },
		{ "discard", KURIR_DISCARD }, { "hangup", KURIR_HANGUP } };

	for (size_t i = 0; json_is_string(v) && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(json_string_value(v), known[i].name) == 0) {
			*ret = known[i].verdict;
			return true;
		}
	return false;
}

/* False: it has not the type it should have. */
static bool member(
    struct kurir_arena *arena, const char *name, const json_t *v, struct http_decision *ret)
{
	if (strcmp(name, "verdict") == 0)
		return verdict(v, &ret->verdict);
	if (strcmp(name, "headers") == 0)
		return headers(arena, v, ret);
	if (strcmp(name, "add") == 0)
		return texts(arena, v, &ret->add);
	if (strcmp(name, "drop") == 0)
		return texts(arena, v, &ret->drop);
	if (strcmp(name, "code") == 0) {
		json_int_t code = json_integer_value(v);

		ret->code = code >= 400 && code <= 599 ? (int)code : 0;
		return ret->code != 0;
	}
	struct kurir_str *to = strcmp(name, "xyz") == 0 ? &ret->xyz
	    : strcmp(name, "text") == 0			? &ret->text
	    : strcmp(name, "hold") == 0			? &ret->hold
	    : strcmp(name, "sender") == 0		? &ret->sender
							: NULL;
	ret->has_sender |= to == &ret->sender;
	if (to == NULL || !json_is_string(v))
		return false;
	*to = text_of(arena, v);
	return true;
}

/* What cannot be done at that point. */
static const char *out_of_place(const struct http_decision *d, enum http_at at)
{
	bool later = d->verdict == KURIR_DEFER;

	if (d->verdict == KURIR_DISCARD && at != AT_MAIL && at != AT_RCPT && at != AT_MESSAGE)
		return "nothing can be discarded at that point";
	if (d->code != 0 && d->verdict != KURIR_REJECT && !later)
		return "a code goes with reject and defer only";
	if (d->code != 0 && (d->code < 500) != later)
		return "the code is not of that verdict";
	if (d->names.count > 0 && (at < AT_MAIL || at > AT_DATA))
		return "fields can be added from mail to data";
	if (at < AT_MAIL &&
	    (d->add.count > 0 || d->drop.count > 0 || d->has_sender || d->hold.len > 0))
		return "there is no transaction yet";
	return NULL;
}

const char *http_answer_read(
    struct kurir_arena *arena, struct kurir_str json, enum http_at at, struct http_decision *ret)
{
	json_t *top = kurir_json_is_flat(json, DEPTH_MAX)
	    ? json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL)
	    : NULL;
	const char *name, *wrong = NULL;
	json_t *v;

	memset(ret, 0, sizeof(*ret));
	ret->verdict = KURIR_NEXT;
	ret->xyz = ret->text = ret->hold = ret->sender = KURIR_STR("");
	if (!json_is_object(top)) {
		json_decref(top);
		return "it is no JSON object";
	}
	json_object_foreach(top, name, v) if (!member(arena, name, v, ret))
	{
		wrong =
		    kurir_format(arena, "\"%.40s\" is not known, or not of its type", name).ptr;
		break;
	}
	json_decref(top);
	return wrong != NULL ? wrong : out_of_place(ret, at);
}
