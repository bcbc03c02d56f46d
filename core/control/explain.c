/* explain.c - the story of a message, a connection or an address, told from the history. */
#include "control.h"
#include "history_private.h"
#include "quote.h"
#include "story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECE	    200u /* events between two turns of the others */
#define QUEUE_TIME  5000
#define WAITING_MAX 50 /* recipients whose waiting is told of */
#define ASKED_MAX   5  /* messages of a story that the queue is asked about */

/* NUMBER unit: so long ago (s m h d w); or a date, YYYY-MM-DD [ ("T" / SP) HH:MM [ :SS ] ], UTC. */
int history_when(struct kurir_str text, int64_t now, int64_t *ret)
{
	static const int64_t units[] = { 1000, 60000, 3600000, 86400000, 604800000 };
	struct kurir_str s = kurir_copy(kurir_scratch(), text);
	ssize_t unit = s.len > 1 ? kurir_str_find(KURIR_STR("smhdw"), s.ptr[s.len - 1]) : -1;
	struct tm tm = { 0 };
	const char *end;
	uint64_t n;

	if (unit >= 0 && kurir_str_number(kurir_str_part(s, 0, s.len - 1), 1000000, &n) == 0) {
		*ret = now - (int64_t)n * units[unit];
		return 0;
	}
	end = strptime(s.ptr, "%Y-%m-%d", &tm);
	if (end != NULL && (*end == 'T' || *end == ' ')) {
		const char *at = end + 1;

		end = strptime(at, "%H:%M:%S", &tm);
		if (end == NULL)
			end = strptime(at, "%H:%M", &tm);
	}
	if (end == NULL || *end != '\0')
		return -EINVAL;
	*ret = (int64_t)timegm(&tm) * 1000;
	return 0;
}

static void add_waiting(json_t *message, json_t *rcpt, struct kurir_buf *text, json_t *events)
{
	json_t *v = json_pack("{s:I,s:s,s:s,s:s,s:O?,s:O?,s:O?}", "time",
	    (json_int_t)kurir_wallclock(), "event", "waiting", "role", "queue", "module", "",
	    "id", json_object_get(message, "id"), "to", json_object_get(rcpt, "address"), "text",
	    json_object_get(rcpt, "because"));

	if (v == NULL)
		return;
	story_line(text, v);
	json_array_append_new(events, v);
}

/* Who of that message or address is in the queue now, and what for: the end of its story.
 * How many. */
KURIR_PARKS static unsigned tell_waiting(
    struct kurir_str what, struct kurir_buf *text, json_t *events)
{
	json_t *args = json_pack("{s:[s,s%]}", "args", "list", what.ptr, what.len);
	char *body = args != NULL ? json_dumps(args, JSON_COMPACT) : NULL;
	struct kurir_request q = {
		.endpoint = "ctl.queue", .fd = -1, .body = kurir_str_of(body != NULL ? body : "")
	};
	json_t *answer = NULL, *message, *rcpt;
	struct kurir_str said;
	unsigned told = 0;
	size_t i, k;

	if (body != NULL &&
	    kurir_call(NULL, &q, kurir_now() + QUEUE_TIME, kurir_scratch(), &said) >= 0)
		answer = control_json(said);
	json_array_foreach(json_object_get(json_object_get(answer, "data"), "list"), i, message)
	    json_array_foreach(json_object_get(message, "recipients"), k,
		rcpt) if (told++ < WAITING_MAX) add_waiting(message, rcpt, text, events);
	if (told > WAITING_MAX)
		(void)kurir_buf_printf(text, "%u more wait in the queue\n", told - WAITING_MAX);
	json_decref(answer);
	json_decref(args);
	free(body);
	return told;
}

/* The queue knows neither a Message-ID nor a client: it is asked about their newest messages. */
KURIR_PARKS static void tell_waiting_of(json_t *events, struct kurir_buf *text)
{
	const char *ids[ASKED_MAX];
	size_t count = 0, k;

	for (size_t i = json_array_size(events); i-- > 0 && count < ASKED_MAX;) {
		const json_t *v = json_array_get(events, i);
		const char *id = json_string_value(json_object_get(v, "id"));
		const char *event = json_string_value(json_object_get(v, "event"));

		if (id == NULL || event == NULL || strcmp(event, "queued") != 0)
			continue;
		for (k = 0; k < count && strcmp(ids[k], id) != 0; k++)
			;
		if (k == count)
			ids[count++] = id;
	}
	while (count-- > 0)
		(void)tell_waiting(kurir_str_of(ids[count]), text, events);
}

/* The lines as events, and those as text. */
KURIR_PARKS static int tell(
    const struct history_search *s, struct kurir_buf *text, json_t **ret_events)
{
	json_t *list = json_array();
	int64_t day = -1;
	int r = 0;

	if (s->more)
		(void)kurir_buf_add(text, KURIR_STR("earlier events are left out\n"));
	for (size_t i = 0; i < s->count && r >= 0; i++) {
		json_t *v = json_loadb(s->places[i].line.ptr, s->places[i].line.len, 0, NULL);
		int64_t today = json_integer_value(json_object_get(v, "time")) / 86400000;

		if (v == NULL)
			continue;
		if (today != day)
			story_day(text, v);
		day = today;
		story_line(text, v);
		json_array_append_new(list, v);
		if (i % PIECE == PIECE - 1)
			r = kurir_yield();
	}
	*ret_events = list;
	return r;
}

KURIR_PARKS int history_explain(
    const struct history_question *q, struct kurir_buf *text, json_t **ret_events)
{
	struct kurir_buf what = KURIR_BUF(4096);
	struct history_search s = {
		.folder = history_folder(), .since = q->since, .until = q->until
	};
	struct kurir_str asked = q->what;
	json_t *events = NULL;
	int r;

	if (s.folder < 0)
		return -ENOSYS;
	while (asked.len > 1 && asked.ptr[0] == '<' && asked.ptr[asked.len - 1] == '>')
		asked = kurir_str_part(asked, 1, asked.len - 2);
	quote_json(&what, asked);
	history_flush();
	s.arena = kurir_arena_new("explain");
	s.what = kurir_buf_str(&what);
	s.what = kurir_str_part(s.what, 1, s.what.len > 1 ? s.what.len - 2 : 0);
	r = kurir_offload(history_search, &s, KURIR_FOREVER);
	if (r >= 0)
		r = tell(&s, text, &events);
	kurir_arena_free(s.arena);
	kurir_buf_free(&what);
	if (r >= 0 && asked.len > 0 && q->until == INT64_MAX &&
	    tell_waiting(asked, text, events) == 0)
		tell_waiting_of(events, text);
	if (r >= 0 && json_array_size(events) == 0)
		r = -ENOENT;
	if (r < 0)
		json_decref(events);
	else
		*ret_events = events;
	return r < 0 ? r : 0;
}
