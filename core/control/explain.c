/* explain.c - the story of a message, a connection or an address, told from the history.
 * First the lines that have what was asked as a value; they lead to the ids of messages and
 * connections; then all lines of those.  The files may have 128 MiB: others get their turn
 * after each piece. */
#include "history_private.h"
#include "quote.h"
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDS_MAX	   64 /* messages and connections of one story */
#define EVENTS_MAX 2000
#define PIECE	   ((size_t)256 << 10)

struct ids {
	struct kurir_str of[IDS_MAX];
	size_t count;
};

struct story {
	struct kurir_arena *arena;
	struct ids ids, conns;
	struct kurir_str needle; /* what was asked, as it stands in a line: with quotes */
	json_t *events;
	size_t left_out;
};

static bool known(const struct ids *list, struct kurir_str s)
{
	for (size_t i = 0; i < list->count; i++)
		if (kurir_str_equal(list->of[i], s))
			return true;
	return false;
}

static void learn(struct story *t, struct ids *list, struct kurir_str s)
{
	if (s.len == 0 || known(list, s))
		return;
	if (list->count == IDS_MAX) /* the newest count */
		memmove(list->of, list->of + 1, sizeof(list->of[0]) * --list->count);
	list->of[list->count++] = kurir_copy(t->arena, s);
}

static bool has(struct kurir_str line, struct kurir_str s)
{
	return memmem(line.ptr, line.len, s.ptr, s.len) != NULL;
}

/* The member whose name is given as it stands in a line, "\"id\":\"".  A quote within a value
 * is escaped, so it can stand nowhere else; ids have nothing to escape. */
static struct kurir_str member(struct kurir_str line, struct kurir_str name)
{
	const char *at = memmem(line.ptr, line.len, name.ptr, name.len), *end;

	if (at == NULL)
		return KURIR_STR("");
	at += name.len;
	end = memchr(at, '"', (size_t)(line.ptr + line.len - at));
	return (struct kurir_str){ at, end != NULL ? (size_t)(end - at) : 0 };
}

static struct kurir_str id_of(struct kurir_str line)
{
	return member(line, KURIR_STR("\"id\":\""));
}

static struct kurir_str conn_of(struct kurir_str line)
{
	return member(line, KURIR_STR("\"conn\":\""));
}

static void story_seek(struct story *t, struct kurir_str line)
{
	struct kurir_str id;

	if (!has(line, t->needle))
		return;
	id = id_of(line);
	learn(t, &t->ids, id);
	if (id.len > 0 || !has(t->needle, KURIR_STR(".")))
		learn(t, &t->conns, conn_of(line));
}

static void story_take(struct story *t, struct kurir_str line)
{
	struct kurir_str id = id_of(line);
	json_t *v;

	if (!(id.len > 0 ? known(&t->ids, id) : known(&t->conns, conn_of(line))) &&
	    !has(line, t->needle))
		return;
	v = json_loadb(line.ptr, line.len, 0, NULL);
	if (v == NULL)
		return;
	if (json_array_size(t->events) == EVENTS_MAX) {
		(void)json_array_remove(t->events, 0);
		t->left_out++;
	}
	json_array_append_new(t->events, v);
}

typedef void story_fn(struct story *, struct kurir_str line);

KURIR_PARKS static int each_line(struct story *t, struct kurir_str text, story_fn *fn)
{
	size_t since = 0;
	int r = 0;

	while (text.len > 0 && r >= 0) {
		ssize_t end = kurir_str_find(text, '\n');
		size_t len = end < 0 ? text.len : (size_t)end;

		fn(t, kurir_str_part(text, 0, len));
		text = kurir_str_part(text, len + 1, text.len);
		since += len + 1;
		if (since > PIECE) {
			since = 0;
			r = kurir_yield();
		}
	}
	return r;
}

/* Oldest first.  All are opened at once: a file that is turned over meanwhile is still read. */
KURIR_PARKS static int story_tell(struct story *t)
{
	static story_fn *const passes[] = { story_seek, story_take };
	struct kurir_str files[HISTORY_FILES] = { 0 };
	int r = 0;

	for (unsigned i = 0; i < HISTORY_FILES; i++) {
		char name[24];
		struct stat st;
		int fd;

		(void)snprintf(name, sizeof(name), i > 0 ? "events.%u" : "events", i);
		fd = openat(history.folder, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_size > 0) {
			void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

			if (map != MAP_FAILED)
				files[i] = (struct kurir_str){ map, (size_t)st.st_size };
		}
		(void)close(fd);
	}
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = HISTORY_FILES; i-- > 0 && r >= 0;)
			r = each_line(t, files[i], passes[pass]);
	for (unsigned i = 0; i < HISTORY_FILES; i++)
		if (files[i].len > 0)
			(void)munmap((void *)(uintptr_t)files[i].ptr, files[i].len);
	return r;
}

static void story_write(const struct story *t, struct kurir_buf *text)
{
	int64_t day = -1;
	json_t *v;
	size_t i;

	if (t->left_out > 0)
		(void)kurir_buf_printf(text, "%zu earlier events are left out\n", t->left_out);
	json_array_foreach(t->events, i, v)
	{
		int64_t today = json_integer_value(json_object_get(v, "time")) / 86400000;

		if (today != day)
			story_day(text, v);
		day = today;
		story_line(text, v);
	}
}

KURIR_PARKS int history_explain(
    struct kurir_str what, struct kurir_buf *text, json_t **ret_events)
{
	struct kurir_arena *arena = kurir_arena_new("explain");
	struct story *t = kurir_alloc(arena, sizeof(*t));
	struct kurir_buf needle = KURIR_BUF(4096);
	int r;

	while (what.len > 1 && what.ptr[0] == '<' && what.ptr[what.len - 1] == '>')
		what = kurir_str_part(what, 1, what.len - 2);
	quote_json(&needle, what);
	t->arena = arena;
	t->events = json_array();
	t->needle = kurir_buf_str(&needle);
	history_flush();
	r = story_tell(t);
	if (r >= 0 && json_array_size(t->events) == 0)
		r = -ENOENT;
	if (r >= 0) {
		story_write(t, text);
		*ret_events = t->events;
	} else {
		json_decref(t->events);
	}
	kurir_buf_free(&needle);
	kurir_arena_free(arena);
	return r;
}
