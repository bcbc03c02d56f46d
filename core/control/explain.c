/* explain.c - the story of a message, a connection or an address, told from the history.
 * First the lines that have what was asked as a value; they lead to the ids of messages and
 * connections; then all lines of those. */
#include "history_private.h"
#include "quote.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDS_MAX	   64 /* messages and connections of one story */
#define EVENTS_MAX 2000

struct story {
	struct kurir_arena *arena;
	struct kurir_str ids[IDS_MAX], conns[IDS_MAX];
	size_t id_count, conn_count;
	struct kurir_str needle; /* what was asked, as it stands in a line: with quotes */
	json_t *events;
};

static bool known(const struct kurir_str *list, size_t n, const char *s)
{
	for (size_t i = 0; s != NULL && i < n; i++)
		if (kurir_str_equal(list[i], kurir_str_of(s)))
			return true;
	return false;
}

static void learn(struct story *t, struct kurir_str *list, size_t *n, const char *s)
{
	if (s == NULL || *s == 0 || known(list, *n, s))
		return;
	if (*n == IDS_MAX) { /* the newest count */
		memmove(list, list + 1, sizeof(*list) * (IDS_MAX - 1));
		(*n)--;
	}
	list[(*n)++] = kurir_copy(t->arena, kurir_str_of(s));
}

static const char *member(const json_t *v, const char *name)
{
	return json_string_value(json_object_get(v, name));
}

static bool has(struct kurir_str line, struct kurir_str s)
{
	return memmem(line.ptr, line.len, s.ptr, s.len) != NULL;
}

static void story_seek(struct story *t, struct kurir_str line)
{
	json_t *v;

	if (!has(line, t->needle) || (v = json_loadb(line.ptr, line.len, 0, NULL)) == NULL)
		return;
	learn(t, t->ids, &t->id_count, member(v, "id"));
	if (member(v, "id") != NULL || has(t->needle, KURIR_STR(".")) == false)
		learn(t, t->conns, &t->conn_count, member(v, "conn"));
	json_decref(v);
}

static bool likely(const struct story *t, struct kurir_str line)
{
	for (size_t i = 0; i < t->id_count; i++)
		if (has(line, t->ids[i]))
			return true;
	for (size_t i = 0; i < t->conn_count; i++)
		if (has(line, t->conns[i]))
			return true;
	return has(line, t->needle);
}

static void story_take(struct story *t, struct kurir_str line)
{
	const char *id, *conn;
	json_t *v;

	if (json_array_size(t->events) >= EVENTS_MAX || !likely(t, line) ||
	    (v = json_loadb(line.ptr, line.len, 0, NULL)) == NULL)
		return;
	id = member(v, "id");
	conn = member(v, "conn");
	if (known(t->ids, t->id_count, id) || has(line, t->needle) ||
	    ((id == NULL || *id == 0) && known(t->conns, t->conn_count, conn)))
		json_array_append(t->events, v);
	json_decref(v);
}

static void each_line(
    struct story *t, const char *text, size_t n, void (*fn)(struct story *, struct kurir_str))
{
	while (n > 0) {
		const char *end = memchr(text, '\n', n);
		size_t len = end != NULL ? (size_t)(end - text) : n;

		fn(t, (struct kurir_str){ text, len });
		len += end != NULL;
		text += len;
		n -= len;
	}
}

/* Oldest first. */
static void each_file(struct story *t, void (*fn)(struct story *, struct kurir_str))
{
	for (unsigned i = HISTORY_FILES; i-- > 0;) {
		char name[24];
		struct stat st;
		void *map;
		int fd;

		(void)snprintf(name, sizeof(name), i > 0 ? "events.%u" : "events", i);
		fd = openat(history.folder, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_size > 0) {
			map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
			if (map != MAP_FAILED) {
				each_line(t, map, (size_t)st.st_size, fn);
				(void)munmap(map, (size_t)st.st_size);
			}
		}
		(void)close(fd);
	}
}

/* "2026-11-23 04:20:05.123 rcpt       id=... to=..." */
static void tell(const json_t *v, struct kurir_buf *text)
{
	int64_t ms = (int64_t)json_integer_value(json_object_get(v, "time"));
	time_t seconds = (time_t)(ms / 1000);
	const char *name;
	json_t *value;
	struct tm tm;
	char at[32];

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S", &tm);
	(void)kurir_buf_printf(text, "%s.%03dZ %-9s", at, (int)(ms % 1000), member(v, "event"));
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
	{
		const char *s = json_string_value(value);

		if (s == NULL || *s == 0 || strcmp(name, "event") == 0 ||
		    strcmp(name, "role") == 0)
			continue;
		if (strpbrk(s, " \"\\=") != NULL) {
			(void)kurir_buf_printf(text, " %s=", name);
			quote_json(text, kurir_str_of(s));
		} else {
			(void)kurir_buf_printf(text, " %s=%s", name, s);
		}
	}
	(void)kurir_buf_add(text, KURIR_STR("\n"));
}

int history_explain(struct kurir_str what, struct kurir_buf *text, json_t **ret_events)
{
	struct story t = { .arena = kurir_arena_new("explain"), .events = json_array() };
	struct kurir_buf needle = KURIR_BUF(4096);
	size_t i;
	json_t *v;

	while (what.len > 1 && what.ptr[0] == '<' && what.ptr[what.len - 1] == '>')
		what = kurir_str_part(what, 1, what.len - 2);
	quote_json(&needle, what);
	t.needle = kurir_buf_str(&needle);
	history_flush();
	each_file(&t, story_seek);
	each_file(&t, story_take);
	json_array_foreach(t.events, i, v) tell(v, text);
	kurir_buf_free(&needle);
	kurir_arena_free(t.arena);
	if (json_array_size(t.events) == 0) {
		json_decref(t.events);
		return -ENOENT;
	}
	*ret_events = t.events;
	return 0;
}
