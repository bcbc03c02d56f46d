/* history_find.c - the lines of a story: first those in which stands what was asked; they lead to
 * ids of messages and connections; then all lines of those.  The newest segments come first, and
 * it ends when there is enough.  Runs in a helper thread. */
#include "history_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDS_MAX	   64u /* messages, and connections, of one story */
#define LINE_MAX_  262144u
#define LINE_GUESS 1024u

struct ids {
	struct kurir_str of[IDS_MAX];
	size_t count;
};

struct part { /* a segment */
	uint64_t number;
	int fd;
	struct history_index index;
};

struct find {
	struct history_search *s;
	struct ids ids, conns;
	uint32_t *places; /* room for those of a part */
	size_t part_from; /* where those of this part begin in s->places */
	size_t most;
	char *line;
};

static bool known(const struct ids *list, struct kurir_str s)
{
	for (size_t i = 0; i < list->count; i++)
		if (kurir_str_equal(list->of[i], s))
			return true;
	return false;
}

static void learn(struct find *f, struct ids *list, struct kurir_str s)
{
	if (s.len > 0 && list->count < IDS_MAX && !known(list, s))
		list->of[list->count++] = kurir_copy(f->s->arena, s);
}

/* The line at that place, in f->line; empty: there is none. */
static struct kurir_str read_line(struct find *f, const struct part *p, uint64_t offset)
{
	size_t want = LINE_GUESS;

	while (want <= LINE_MAX_) {
		ssize_t n = pread(p->fd, f->line, want, (off_t)offset);
		const char *end = n > 0 ? memchr(f->line, '\n', (size_t)n) : NULL;

		if (end != NULL)
			return (struct kurir_str){ f->line, (size_t)(end - f->line) };
		if (n < (ssize_t)want)
			break;
		want *= 4;
	}
	return KURIR_STR("");
}

struct match {
	struct kurir_str what;
	bool found;
};

static bool match_key(void *arg, struct kurir_str key)
{
	struct match *m = arg;

	m->found = m->found ||
	    (key.len == m->what.len && strncasecmp(key.ptr, m->what.ptr, key.len) == 0);
	return !m->found;
}

static bool has_key(struct kurir_str line, struct kurir_str what)
{
	struct match m = { what, false };

	history_keys(line, match_key, &m);
	return m.found;
}

static bool in_time(const struct history_search *s, struct kurir_str line)
{
	int64_t t = history_time(line);

	return t >= s->since && t <= s->until;
}

static void keep(struct find *f, const struct part *p, uint64_t offset, struct kurir_str line)
{
	struct history_search *s = f->s;

	for (size_t i = f->part_from; i < s->count; i++)
		if (s->places[i].offset == offset)
			return;
	if (s->count == f->most)
		s->more = true;
	else
		s->places[s->count++] =
		    (struct history_place){ p->number, offset, kurir_copy(s->arena, line) };
}

static struct kurir_str id_of(struct kurir_str line)
{
	return history_member(line, KURIR_STR("id"));
}

static struct kurir_str conn_of(struct kurir_str line)
{
	return history_member(line, KURIR_STR("conn"));
}

/* Those in which it stands. */
static void seek(struct find *f, const struct part *p)
{
	struct kurir_str what = f->s->what;
	size_t n =
	    history_index_find(&p->index, history_hash(what), f->places, HISTORY_EVENTS_MAX);

	while (n > 0) {
		struct kurir_str line = read_line(f, p, f->places[--n]), id = id_of(line);

		if (!in_time(f->s, line) || !has_key(line, what))
			continue;
		keep(f, p, f->places[n], line);
		learn(f, &f->ids, id);
		/* What a connection did for others is no part of an address's story. */
		if (id.len > 0 || kurir_str_equal(conn_of(line), what))
			learn(f, &f->conns, conn_of(line));
	}
}

/* All of those ids and connections. */
static void gather(struct find *f, const struct part *p)
{
	const struct ids *lists[] = { &f->ids, &f->conns };

	for (unsigned k = 0; k < 2; k++)
		for (size_t i = 0; i < lists[k]->count; i++) {
			size_t n = history_index_find(&p->index, history_hash(lists[k]->of[i]),
			    f->places, HISTORY_EVENTS_MAX);

			while (n > 0) {
				struct kurir_str line = read_line(f, p, f->places[--n]);
				struct kurir_str id = id_of(line);

				if (in_time(f->s, line) &&
				    (id.len > 0 ? known(&f->ids, id)
						: known(&f->conns, conn_of(line))))
					keep(f, p, f->places[n], line);
			}
		}
}

/* Everything that happened then, the newest first. */
static void list_all(struct find *f, const struct part *p)
{
	size_t size = p->index.text, end, at;
	char *text = malloc(size + 1);
	struct kurir_str line;

	if (text == NULL || pread(p->fd, text, size, 0) != (ssize_t)size) {
		free(text);
		return;
	}
	for (end = size; end > 0 && !f->s->more; end = at) {
		for (at = end - 1; at > 0 && text[at - 1] != '\n'; at--)
			;
		line = (struct kurir_str){ text + at, end - at - 1 };
		if (in_time(f->s, line))
			keep(f, p, at, line);
	}
	free(text);
}

static bool overlaps(const struct history_search *s, const struct history_index *ix)
{
	return ix->count > 0 && ix->last >= s->since && ix->first <= s->until;
}

typedef void part_fn(struct find *, const struct part *);

/* The newest first, as long as there is room. */
static void each_part(struct find *f, struct part *parts, size_t n, part_fn *fn)
{
	for (size_t i = n; i-- > 0 && !f->s->more;) {
		struct part *p = &parts[i];
		bool made = p->index.owned != NULL;
		char name[HISTORY_NAME];

		history_name(name, "events", p->number);
		p->fd = openat(f->s->folder, name, O_RDONLY | O_CLOEXEC);
		if (p->fd < 0)
			continue;
		if (made || history_index_open(f->s->folder, p->number, p->fd, &p->index) == 0) {
			f->part_from = f->s->count;
			if (overlaps(f->s, &p->index))
				fn(f, p);
			/* What had to be made is used again. */
			if (p->index.owned == NULL)
				history_index_close(&p->index);
		}
		(void)close(p->fd);
	}
}

static int compare(const void *a, const void *b)
{
	const struct history_place *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* In order, each once, and no more than the newest. */
static void tidy(struct history_search *s)
{
	size_t n = 0;

	qsort(s->places, s->count, sizeof(*s->places), compare);
	for (size_t i = 0; i < s->count; i++)
		if (n == 0 || compare(&s->places[n - 1], &s->places[i]) != 0)
			s->places[n++] = s->places[i];
	s->count = n;
	if (n > HISTORY_EVENTS_MAX) {
		s->more = true;
		s->places += n - HISTORY_EVENTS_MAX;
		s->count = HISTORY_EVENTS_MAX;
	}
}

int history_search(void *arg)
{
	struct history_search *s = arg;
	struct find *f = kurir_alloc(s->arena, sizeof(*f));
	uint64_t *list;
	size_t n = history_segments(s->folder, &list);
	struct part *parts = kurir_alloc(s->arena, (n + 1) * sizeof(*parts));

	f->s = s;
	f->places = kurir_alloc(s->arena, HISTORY_EVENTS_MAX * sizeof(*f->places));
	f->line = kurir_alloc(s->arena, LINE_MAX_ + 1);
	s->places = kurir_alloc(s->arena, 2 * HISTORY_EVENTS_MAX * sizeof(*s->places));
	for (size_t i = 0; i < n; i++)
		parts[i] = (struct part){ .number = list[i], .index = { .fd = -1 } };
	free(list);
	f->most = HISTORY_EVENTS_MAX;
	each_part(f, parts, n, s->what.len > 0 ? seek : list_all);
	if (s->what.len > 0 && !s->more) {
		f->most = 2 * HISTORY_EVENTS_MAX;
		each_part(f, parts, n, gather);
	}
	for (size_t i = 0; i < n; i++)
		history_index_close(&parts[i].index);
	tidy(s);
	return 0;
}
