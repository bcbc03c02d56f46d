/* story.c - an event of the history as a line for people:
 *
 *   07:16:49.689 delivered id=d20t to=hyd@satu.example 250 2.1.5: delivered, after 6 ms [queue]
 *
 * What is empty, zero or told by something else in the line is left out. */
#include "quote.h"
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Not as name=value: they have a place of their own. */
static const char *const placed[] = { "time", "event", "role", "module", "verdict", "code", "xyz",
	"text", "why", "age-ms", "next-ms", NULL };

static const char *member(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s != NULL ? s : "";
}

static bool is_placed(const char *name)
{
	for (unsigned i = 0; placed[i] != NULL; i++)
		if (strcmp(placed[i], name) == 0)
			return true;
	return false;
}

static void put_value(struct kurir_buf *b, const char *s)
{
	if (strpbrk(s, " \"\\=") != NULL)
		quote_json(b, kurir_str_of(s));
	else
		(void)kurir_buf_add(b, kurir_str_of(s));
}

void story_span(struct kurir_buf *b, uint64_t ms)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };

	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ms >= units[i].ms) {
			uint64_t tenths = ms * 10 / units[i].ms;

			(void)kurir_buf_printf(b, "%llu.%llu %s",
			    (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10),
			    units[i].name);
			return;
		}
	(void)kurir_buf_printf(b, "%llu ms", (unsigned long long)ms);
}

static void put_span(struct kurir_buf *b, const json_t *v, const char *name, const char *words)
{
	uint64_t ms;

	if (kurir_str_number(kurir_str_of(member(v, name)), INT64_MAX, &ms) < 0)
		return;
	(void)kurir_buf_add(b, kurir_str_of(words));
	story_span(b, ms);
}

/* The end of the line: reply, sentence and its reason, age, what comes next, who said so. */
static void put_outcome(struct kurir_buf *b, const json_t *v)
{
	const char *code = member(v, "code"), *xyz = member(v, "xyz"), *text = member(v, "text");
	const char *module = member(v, "module"), *why = member(v, "why");

	if (*code != 0 && strcmp(code, "0") != 0)
		(void)kurir_buf_printf(b, " %s%s%s", code, *xyz != 0 ? " " : "", xyz);
	if (*text != 0 || *why != 0)
		(void)kurir_buf_printf(b, ": %s", *text != 0 ? text : why);
	if (*text != 0 && *why != 0)
		(void)kurir_buf_printf(b, " (%s)", why);
	put_span(b, v, "age-ms", ", after ");
	put_span(b, v, "next-ms", ", next attempt in ");
	if (*module != 0 && strcmp(module, "kurird") != 0)
		(void)kurir_buf_printf(b, " [%s]", module);
}

void story_day(struct kurir_buf *b, const json_t *event)
{
	time_t seconds = (time_t)(json_integer_value(json_object_get(event, "time")) / 1000);
	struct tm tm = { 0 };
	char day[32];

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%d, UTC\n", &tm);
	(void)kurir_buf_add(b, kurir_str_of(day));
}

void story_clean(struct kurir_buf *b, size_t from, const char *but)
{
	for (size_t i = from; i < b->len; i++) {
		unsigned char c = (unsigned char)b->ptr[i];
		bool c1 = c == 0xc2 && (unsigned char)b->ptr[i + 1] < 0xa0; /* in UTF-8 */

		if ((c < ' ' && strchr(but, c) == NULL) || c == 0x7f || c1)
			b->ptr[i] = '?';
		if (c1)
			b->ptr[++i] = '?';
	}
}

/* What peers have said stays on its line. */
void story_line(struct kurir_buf *b, const json_t *v)
{
	size_t start = b->len;
	int64_t ms = (int64_t)json_integer_value(json_object_get(v, "time"));
	time_t seconds = (time_t)(ms / 1000);
	const char *name;
	struct tm tm = { 0 };
	json_t *value;
	char at[16];

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(at, sizeof(at), "%H:%M:%S", &tm);
	(void)kurir_buf_printf(b, "%s.%03d %-9s", at, (int)(ms % 1000), member(v, "event"));
	if (*member(v, "verdict") != 0)
		(void)kurir_buf_printf(b, " %s", member(v, "verdict"));
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
	{
		const char *s = json_string_value(value);

		if (s == NULL || *s == 0 || is_placed(name))
			continue;
		(void)kurir_buf_printf(b, " %s=", name);
		put_value(b, s);
	}
	put_outcome(b, v);
	story_clean(b, start, "");
	(void)kurir_buf_add(b, KURIR_STR("\n"));
}
