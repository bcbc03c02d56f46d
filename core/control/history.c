/* history.c - the event history: a ring of the last lines for those who follow, and segments on
 * the disk.  Losing it costs the story, never the mail. */
#include "history.h"
#include "event.h"
#include "history_private.h"
#include "loop.h"
#include "quote.h"
#include "role.h"
#include "simulate.h"

#include <dirent.h>
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
#define CARE_EVERY 600000

static struct history {
	int folder, fd;
	uint64_t number, size;	  /* of the segment that is written */
	uint64_t bytes, segments; /* of all */
	uint64_t events, lost;	  /* lost: pieces that could not be written */
} history = { .folder = -1, .fd = -1 };

static char *ring[RING];
static uint64_t newest; /* lines that ever came */
static struct kurir_arena *ring_arena;
static struct kurir_signal *ring_more, *ring_turned;
static struct kurir_group *care_group;
static struct kurir_buf waiting = { .limit = 4 * WRITE_SIZE };
static struct loop_timer write_timer;
static bool complained;

static void trouble(const char *what, int err)
{
	if (!complained)
		(void)kurir_log(NULL, KURIR_WARN, err,
		    "cannot %s the event history, going on without it", what);
	complained = true;
}

static void put_member(struct kurir_buf *b, struct kurir_str name, struct kurir_str value)
{
	(void)kurir_buf_add(b, KURIR_STR(","));
	quote_json(b, name);
	(void)kurir_buf_add(b, KURIR_STR(":"));
	quote_json(b, value);
}

void history_name(char name[HISTORY_NAME], const char *what, uint64_t number)
{
	(void)snprintf(name, HISTORY_NAME, "%s.%08llu", what, (unsigned long long)number);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

size_t history_segments(int folder, uint64_t **ret)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	size_t n = 0, room = 0;
	uint64_t *list = NULL, number;

	if (d == NULL && fd >= 0)
		(void)close(fd);
	while (d != NULL && (e = readdir(d)) != NULL) {
		struct kurir_str name = kurir_str_of(e->d_name);

		if (!kurir_str_starts(name, KURIR_STR("events.")) || name.len < 15 ||
		    kurir_str_number(kurir_str_part(name, 7, name.len), UINT32_MAX, &number) < 0)
			continue;
		if (n == room) {
			uint64_t *more = reallocarray(list, room = room * 2 + 64, sizeof(*more));

			if (more == NULL)
				break;
			list = more;
		}
		list[n++] = number;
	}
	if (d != NULL)
		(void)closedir(d);
	if (n > 0)
		qsort(list, n, sizeof(*list), compare);
	*ret = list;
	return n;
}

/* Indexes and bounds, whenever a segment is full, and from time to time. */
KURIR_PARKS static void history_look_after(void *arg)
{
	const struct conf *c = &role_plan()->conf;
	int r = 0;

	(void)arg;
	while (r != -ECANCELED) {
		struct history_care care = { .folder = history.folder,
			.below = history.number,
			.size = c->history_size,
			.age = c->history_age };

		r = kurir_offload(history_care, &care, KURIR_FOREVER);
		if (r < 0 && r != -ECANCELED)
			trouble("index", r);
		history.bytes = care.bytes;
		history.segments = care.segments;
		if (r != -ECANCELED && history.number == care.below)
			r = kurir_signal_wait(ring_turned, kurir_now() + CARE_EVERY);
	}
}

/* The newest one is gone on with, unless it is full. */
static void history_begin_segment(void)
{
	char name[HISTORY_NAME];
	struct stat st;

	history_name(name, "events", history.number);
	history.fd =
	    openat(history.folder, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	history.size = history.fd >= 0 && fstat(history.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Half a line is taken back. */
static void history_put(struct kurir_str s)
{
	ssize_t n = write(history.fd, s.ptr, s.len);

	if (n == (ssize_t)s.len) {
		complained = false;
		history.size += s.len;
		return;
	}
	trouble("write", n < 0 ? -errno : -ENOSPC);
	history.lost++;
	if (n > 0)
		(void)!ftruncate(history.fd, (off_t)history.size);
}

static void history_write(void)
{
	struct kurir_str s = kurir_buf_str(&waiting);

	if (history.folder >= 0 && s.len > 0) {
		if (history.fd >= 0 && history.size > HISTORY_SEGMENT) {
			(void)close(history.fd);
			history.fd = -1;
			history.number++;
			kurir_signal_raise(ring_turned);
		}
		if (history.fd < 0)
			history_begin_segment();
		if (history.fd >= 0) {
			history_put(s);
		} else {
			trouble("open", -errno);
			history.lost++;
		}
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
	put_member(b, KURIR_STR("event"), e->name);
	put_member(b, KURIR_STR("role"), e->role);
	put_member(b, KURIR_STR("module"), e->instance);
	if (e->session.len > 0)
		put_member(b, KURIR_STR("conn"), e->session);
	for (size_t i = 0; i < e->count; i++)
		put_member(b, e->fields[i].name, e->fields[i].value);
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
	history.events++;
	if (ring_more != NULL)
		kurir_signal_raise(ring_more);
	if (history.folder < 0)
		return;
	if (waiting.len == 0)
		loop_timer_set(&write_timer, kurir_now() + WRITE_WAIT, history_timed);
	(void)kurir_buf_add(&waiting, kurir_buf_str(&line));
	(void)kurir_buf_add(&waiting, KURIR_STR("\n"));
	if (waiting.len > WRITE_SIZE)
		history_write();
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
	uint64_t *list;
	size_t n;

	ring_arena = kurir_arena_new("history");
	ring_more = kurir_signal_new(ring_arena);
	ring_turned = kurir_signal_new(ring_arena);
	if (role_plan()->conf.history_size == 0)
		return;
	path = kurir_format(ring_arena, "%.*s/history", KURIR_ARG(role_plan()->conf.state));
	history.folder = open(path.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (history.folder < 0) {
		trouble("open", -errno);
		return;
	}
	n = history_segments(history.folder, &list);
	history.number = n > 0 ? list[n - 1] : 1;
	free(list);
	care_group = kurir_group_begin(NULL);
	if (kurir_group_go(care_group, "history", history_look_after, NULL) < 0)
		trouble("look after", -EAGAIN);
}

void history_flush(void)
{
	history_write();
}

int history_folder(void)
{
	return history.folder;
}

void history_figures(struct history_figures *ret)
{
	*ret = (struct history_figures){ history.events, history.lost, history.bytes,
		history.segments };
}

KURIR_PARKS void history_close(void)
{
	history_write();
	loop_timer_clear(&write_timer);
	if (care_group != NULL)
		kurir_group_end(care_group);
	care_group = NULL;
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
	ring_more = ring_turned = NULL;
}
