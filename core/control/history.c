/* history.c - the event history: a ring of the last lines for those who follow, and files that
 * are turned over when they are full.  Losing it costs the story, never the mail. */
#include "history.h"
#include "event.h"
#include "history_private.h"
#include "loop.h"
#include "quote.h"
#include "role.h"
#include "simulate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING	   4096u
#define WRITE_SIZE 65536u
#define WRITE_WAIT 200 /* ms */

struct history history = { .fd = -1 };

static char *ring[RING];
static uint64_t newest; /* lines that ever came */
static struct kurir_arena *ring_arena;
static struct kurir_signal *ring_more;
static struct kurir_buf waiting = { .limit = 4 * WRITE_SIZE };
static struct loop_timer write_timer;
static bool complained;

static void trouble(const char *what)
{
	if (!complained)
		(void)kurir_log(NULL, KURIR_WARN, -errno,
		    "cannot %s the event history, going on without it", what);
	complained = true;
}

static void put_member(struct kurir_buf *b, const char *name, struct kurir_str value)
{
	(void)kurir_buf_printf(b, ",\"%s\":", name);
	quote_json(b, value);
}

static void history_turn(void)
{
	char from[24], to[24];

	(void)close(history.fd);
	history.fd = -1;
	for (unsigned i = HISTORY_FILES; i-- > 0;) {
		(void)snprintf(from, sizeof(from), i > 0 ? "events.%u" : "events", i);
		(void)snprintf(to, sizeof(to), "events.%u", i + 1);
		if (i + 1 == HISTORY_FILES)
			(void)unlinkat(history.folder, from, 0);
		else
			(void)renameat(history.folder, from, history.folder, to);
	}
}

static void history_write(void)
{
	struct kurir_str s = kurir_buf_str(&waiting);

	if (history.folder >= 0 && s.len > 0) {
		if (history.fd >= 0 && history.size > HISTORY_FILE_MAX)
			history_turn();
		if (history.fd < 0) {
			struct stat st;

			history.fd = openat(history.folder, "events",
			    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
			history.size = history.fd >= 0 && fstat(history.fd, &st) == 0
			    ? (uint64_t)st.st_size
			    : 0;
		}
		if (history.fd < 0)
			trouble("open");
		else if (write(history.fd, s.ptr, s.len) != (ssize_t)s.len)
			trouble("write");
		else
			complained = false;
		history.size += s.len;
	}
	kurir_buf_clear(&waiting);
}

static void history_timed(struct loop_timer *t)
{
	(void)t;
	history_write();
}

/* One event as a line, without its end. */
void history_line(const struct event *e, struct kurir_buf *b)
{
	(void)kurir_buf_printf(b, "{\"time\":%lld", (long long)e->time);
	put_member(b, "event", e->name);
	put_member(b, "role", e->role);
	put_member(b, "module", e->instance);
	if (e->session.len > 0)
		put_member(b, "conn", e->session);
	for (size_t i = 0; i < e->count; i++) {
		(void)kurir_buf_add(b, KURIR_STR(","));
		quote_json(b, e->fields[i].name);
		(void)kurir_buf_add(b, KURIR_STR(":"));
		quote_json(b, e->fields[i].value);
	}
	(void)kurir_buf_add(b, KURIR_STR("}"));
}

void history_event(const struct kurir_incoming *in)
{
	static struct kurir_buf line = { .limit = 262144 };
	char **place = &ring[newest % RING];
	struct event e;

	if (event_unpack(in->body, &e) < 0 ||
	    kurir_str_starts(e.session, KURIR_STR(SIMULATE_LABEL)))
		return;
	kurir_buf_clear(&line);
	history_line(&e, &line);
	free(*place);
	*place = strndup(line.ptr, line.len);
	newest++;
	if (waiting.len == 0)
		loop_timer_set(&write_timer, kurir_now() + WRITE_WAIT, history_timed);
	(void)kurir_buf_add(&waiting, kurir_buf_str(&line));
	(void)kurir_buf_add(&waiting, KURIR_STR("\n"));
	if (waiting.len > WRITE_SIZE)
		history_write();
	if (ring_more != NULL)
		kurir_signal_raise(ring_more);
}

uint64_t history_newest(void)
{
	return newest;
}

bool history_next(uint64_t *at, struct kurir_arena *arena, struct kurir_str *ret_line)
{
	if (newest > RING && *at < newest - RING)
		*at = newest - RING;
	while (*at < newest) {
		const char *line = ring[(*at)++ % RING];

		if (line == NULL)
			continue;
		*ret_line = kurir_copy(arena, kurir_str_of(line));
		return true;
	}
	return false;
}

KURIR_PARKS int history_wait(uint64_t at, kurir_time until)
{
	if (at < newest)
		return 0;
	return kurir_signal_wait(ring_more, until);
}

void history_open(void)
{
	struct kurir_str path;

	ring_arena = kurir_arena_new("history");
	ring_more = kurir_signal_new(ring_arena);
	path = kurir_format(ring_arena, "%.*s/history", KURIR_ARG(role_plan()->conf.state));
	history.folder = open(path.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (history.folder < 0)
		trouble("open");
}

void history_flush(void)
{
	history_write();
}

void history_close(void)
{
	history_write();
	loop_timer_clear(&write_timer);
	if (history.fd >= 0)
		(void)close(history.fd);
	if (history.folder >= 0)
		(void)close(history.folder);
	history.fd = history.folder = -1;
	for (unsigned i = 0; i < RING; i++) {
		free(ring[i]);
		ring[i] = NULL;
	}
	kurir_buf_free(&waiting);
	kurir_arena_free(ring_arena);
	ring_arena = NULL;
	ring_more = NULL;
}
