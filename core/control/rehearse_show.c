/* rehearse_show.c - the tree of a simulation:
 *
 *   rcpt siti@satu.example
 *     rcpt     greylist         next        1.2 ms
 *     rcpt     accounts         reject      0.1 ms
 *              not asked: limits
 *     => 550 5.1.1 no such mailbox, decided by accounts
 *
 * Peers' words are in it: what is no text is made harmless at the end. */
#include "rehearse.h"
#include "story.h"

#include <string.h>

static const char *member(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

static void put_time(struct kurir_buf *b, double us)
{
	const char *unit = us < 1000 ? "us" : us < 1000000 ? "ms" : "s";
	double v = us < 1000 ? us : us < 1000000 ? us / 1000 : us / 1000000;

	(void)kurir_buf_printf(b, "%8.1f %s", v, unit);
}

static void put_hook(struct kurir_buf *b, const json_t *point, const json_t *hook)
{
	json_t *change;
	size_t i;

	(void)kurir_buf_printf(b, "  %-8s %-24s %-8s", member(point, "hook"),
	    member(hook, "instance"), member(hook, "verdict"));
	put_time(b, json_real_value(json_object_get(hook, "us")));
	if (*member(hook, "error"))
		(void)kurir_buf_printf(b, "  %s: \"on-error\" says %s", member(hook, "error"),
		    member(hook, "on-error"));
	(void)kurir_buf_add(b, KURIR_STR("\n"));
	json_array_foreach(json_object_get(hook, "changes"), i, change)(void)
	    kurir_buf_printf(b, "           it %s\n", json_string_value(change));
}

static void put_point(struct kurir_buf *b, const json_t *point)
{
	json_t *left = json_object_get(point, "not-asked"), *v;
	size_t i;

	json_array_foreach(json_object_get(point, "asked"), i, v) put_hook(b, point, v);
	json_array_foreach(left, i, v)(void) kurir_buf_printf(
	    b, "%s%s", i == 0 ? "           not asked any more: " : ", ", json_string_value(v));
	if (i > 0)
		(void)kurir_buf_add(b, KURIR_STR("\n"));
}

static void put_reply(struct kurir_buf *b, const json_t *reply)
{
	json_t *point;
	size_t i;

	(void)kurir_buf_printf(b, "%s%s%s\n", member(reply, "at"),
	    *member(reply, "about") ? " " : "", member(reply, "about"));
	json_array_foreach(json_object_get(reply, "points"), i, point) put_point(b, point);
	(void)kurir_buf_printf(b, "  => %d %s",
	    (int)json_integer_value(json_object_get(reply, "code")), member(reply, "text"));
	if (*member(reply, "by"))
		(void)kurir_buf_printf(b, "  (decided by %s)", member(reply, "by"));
	(void)kurir_buf_add(b, KURIR_STR("\n"));
}

static void put_list(struct kurir_buf *b, const char *title, const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)(void)
	    kurir_buf_printf(b, "%s%s", i == 0 ? title : ", ", json_string_value(v));
	if (i > 0)
		(void)kurir_buf_add(b, KURIR_STR("\n"));
}

static void put_route(struct kurir_buf *b, const json_t *route)
{
	const char *kind = member(route, "kind");

	(void)kurir_buf_printf(b, "route %s\n", member(route, "address"));
	if (*member(route, "why"))
		(void)kurir_buf_printf(b, "  %s\n", member(route, "why"));
	put_list(b, "  hosts: ", json_object_get(route, "names"));
	put_list(b, "  addresses: ", json_object_get(route, "addresses"));
	if (strcmp(kind, "to") == 0)
		(void)kurir_buf_printf(
		    b, "  => %s to %s", member(route, "transport"), member(route, "destination"));
	else if (strcmp(kind, "expand") == 0)
		put_list(b, "  => stands for ", json_object_get(route, "expands"));
	else
		(void)kurir_buf_printf(b, "  => %s: %s %s",
		    strcmp(kind, "later") == 0 ? "would be tried later" : "would be returned",
		    member(route, "xyz"), member(route, "text"));
	if (strcmp(kind, "expand") != 0)
		(void)kurir_buf_printf(b, "%s%s%s\n", *member(route, "by") ? "  (by " : "",
		    member(route, "by"), *member(route, "by") ? ")" : "");
}

void rehearse_show(const json_t *data, struct kurir_buf *b)
{
	json_t *v;
	size_t i;

	(void)kurir_buf_printf(b, "%s from %s, listener %s, pipeline %s\n",
	    member(data, "protocol"), member(data, "peer"), member(data, "listener"),
	    *member(data, "pipeline") ? member(data, "pipeline") : "(none)");
	json_array_foreach(json_object_get(data, "replies"), i, v) put_reply(b, v);
	json_array_foreach(json_object_get(data, "routes"), i, v) put_route(b, v);
	if (*member(data, "broken"))
		(void)kurir_buf_printf(b, "it ended early: %s\n", member(data, "broken"));
	if (!json_is_true(json_object_get(data, "kept")))
		(void)kurir_buf_add(b, KURIR_STR("nothing would be queued\n"));
	story_clean(b, 0, "\n");
}
