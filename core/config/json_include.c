/* json_include.c - files, and files that name files.
 *
 * {"include": "more.json"} stands for the members of the object in more.json; a pattern
 * ("conf.d/x-*.json") stands for all files it matches, sorted by name, none being fine. */
#include "json_private.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The files being read, the innermost first. */
struct json_include {
	struct json_include *outer;
	const char *path;
	dev_t dev;
	ino_t ino;
	struct json_totals {
		size_t bytes, files;
	} * totals;
};

int json_slurp_fd(
    struct kurir_arena *arena, int fd, size_t max, struct kurir_str *ret, struct stat *st)
{
	char *bytes;
	size_t len = 0, room;
	ssize_t n;

	if (fstat(fd, st) < 0)
		return -errno;
	if (S_ISDIR(st->st_mode))
		return -EISDIR;
	if (!S_ISREG(st->st_mode))
		return -ENOTSUP;
	if ((uint64_t)st->st_size > max)
		return -EFBIG;
	room = (size_t)st->st_size;
	bytes = kurir_alloc(arena, room + 1);
	while (len < room) {
		n = pread(fd, bytes + len, room - len, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = (struct kurir_str){ bytes, len };
	return 0;
}

static int slurp(struct kurir_arena *arena, const char *path, size_t max, struct kurir_str *ret,
    struct stat *st)
{
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	r = json_slurp_fd(arena, fd, max, ret, st);
	close(fd);
	return r;
}

const char *json_slurp_why(int r)
{
	return r == -ENOTSUP ? "it is not a file" : strerror(-r);
}

int json_slurp(struct kurir_arena *arena, const char *path, size_t max, struct kurir_str *ret,
    unsigned *ret_mode)
{
	struct stat st;
	int r = slurp(arena, path, max, ret, &st);

	if (r == 0 && ret_mode)
		*ret_mode = st.st_mode & 07777;
	return r;
}

/* Reads one file; where is the "include" that names it, or NULL for the first. */
static struct json *load(struct kurir_arena *arena, const char *path, const struct json *where,
    struct json *parent, unsigned depth, struct json_include *outer, struct json_totals *totals,
    struct report *report)
{
	struct json_include me = { .outer = outer, .path = path, .totals = totals };
	struct json_parser p = {
		.arena = arena, .report = report, .file = path, .depth = depth, .include = &me
	};
	struct kurir_str text;
	struct stat st;
	int r;

	r = slurp(arena, path, JSON_FILE_MAX, &text, &st);
	if (r == -EFBIG)
		report_at(report, where, "%s is larger than %u bytes", path, JSON_FILE_MAX);
	else if (r < 0 && outer == NULL)
		report_line(
		    report, "cannot read %s: %s (another: -c FILE)", path, json_slurp_why(r));
	else if (r < 0)
		report_at(report, where, "cannot read %s: %s", path, json_slurp_why(r));
	if (r < 0) {
		report->broken = true;
		return NULL;
	}
	for (const struct json_include *i = outer; i; i = i->outer) {
		if (i->dev == st.st_dev && i->ino == st.st_ino) {
			report_at(report, where, "%s would include itself", path);
			report->broken = true;
			return NULL;
		}
	}
	totals->bytes += text.len;
	if (++totals->files > JSON_FILES_MAX || totals->bytes > JSON_TOTAL_MAX) {
		report_at(report, where, "too much is included: at most %u files and %u bytes",
		    JSON_FILES_MAX, JSON_TOTAL_MAX);
		report->broken = true;
		return NULL;
	}
	me.dev = st.st_dev;
	me.ino = st.st_ino;
	return json_parse_with(&p, text, parent);
}

static void include_file(
    struct json_parser *p, struct json *object, const struct json *name, const char *path)
{
	const char *copy = kurir_copy(p->arena, kurir_str_of(path)).ptr;
	struct json *top, *c, *after;

	top = load(p->arena, copy, name, object, p->depth - 1, p->include, p->include->totals,
	    p->report);
	if (!top)
		return;
	if (top->type != VALUE_OBJECT) {
		report_at(p->report, top, "a file that is included must be an object, this is %s",
		    value_type_name(top->type));
		return;
	}
	for (c = top->first; c; c = after) {
		after = c->next;
		json_append(object, c);
	}
}

static void include_name(struct json_parser *p, struct json *object, const struct json *name)
{
	const char *slash = strrchr(p->file, '/');
	struct kurir_str folder =
	    slash ? (struct kurir_str){ p->file, (size_t)(slash - p->file) + 1 } : KURIR_STR("");
	const char *path;
	glob_t found;
	int r;

	if (name->type != VALUE_TEXT || name->text.len == 0) {
		report_at(
		    p->report, name, "\"include\" takes the name of a file or an array of names");
		return;
	}
	if (name->text.ptr[0] == '/')
		folder.len = 0;
	path = kurir_format(p->arena, "%.*s%.*s", KURIR_ARG(folder), KURIR_ARG(name->text)).ptr;
	if (!strpbrk(name->text.ptr, "*?[")) {
		include_file(p, object, name, path);
		return;
	}
	r = glob(path, GLOB_ERR, NULL, &found);
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
		include_file(p, object, name, found.gl_pathv[i]);
	if (r == 0)
		globfree(&found);
	else if (r != GLOB_NOMATCH)
		report_at(p->report, name, "cannot look for %s", path);
}

void json_include(struct json_parser *p, struct json *object, const struct json *v)
{
	if (v->type != VALUE_ARRAY) {
		include_name(p, object, v);
		return;
	}
	for (const struct json *c = v->first; c; c = c->next)
		include_name(p, object, c);
}

struct json *json_load(struct kurir_arena *arena, const char *path, struct report *report)
{
	struct json_totals totals = { 0 };
	struct json start = { .file = path, .line = 1, .column = 1 };
	const char *copy = kurir_copy(arena, kurir_str_of(path)).ptr;

	return load(arena, copy, &start, NULL, 0, NULL, &totals, report);
}
