/* tool_maildir.c - a Maildir++ of another server into an account.
 *
 *   dovecot-uidlist  = "3" *(SP setting) LF *(uid *(SP extension) SP ":" name LF)
 *                      ; settings: V uid-validity, N next-uid
 *                    / "1" SP uid-validity SP next-uid LF *(uid SP name LF)
 *   dovecot-keywords = *(index SP keyword LF)     ; index 0 is the letter "a" of a file's flags
 *   subscriptions    = *(name LF) / "V" TAB "2" LF LF *(name LF)   ; levels apart by TAB
 *
 * A file that the list does not know comes behind those it knows, in the order of names. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)256 << 20)
#define KEYWORDS 26

struct known {
	struct kurir_str base;
	uint32_t uid;
};
struct file {
	struct kurir_str name; /* "cur/..." */
	struct kurir_str base, flags;
	uint32_t uid; /* UINT32_MAX: not known */
};
struct folder {
	struct tool_import *im;
	struct kurir_arena *arena;
	const char *path;
	uint32_t validity, next;
	struct known *known;
	struct file *files;
	size_t known_count, known_room, count, room;
	struct kurir_str words[KEYWORDS];
};

/* All of a small file; empty when there is none. */
static struct kurir_str slurp(struct kurir_arena *arena, const char *folder, const char *name)
{
	char path[2 * TOOL_PATH];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t size = fd >= 0 && fstat(fd, &st) == 0 ? (size_t)st.st_size : 0, n = 0;
	if (size > TEXT_MAX)
		size = 0;
	char *text = kurir_alloc(arena, size + 1);
	while (n < size) {
		ssize_t got = pread(fd, text + n, size - n, (off_t)n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	return (struct kurir_str){ text, n };
}

static struct kurir_str next_part(struct kurir_str *rest, char separator)
{
	ssize_t at = kurir_str_find(*rest, separator);
	struct kurir_str s = kurir_str_part(*rest, 0, at < 0 ? rest->len : (size_t)at);
	*rest = kurir_str_part(*rest, at < 0 ? rest->len : (size_t)at + 1, rest->len);
	return s;
}

static uint32_t number(struct kurir_str s)
{
	uint64_t v;
	return kurir_str_number(s, UINT32_MAX, &v) < 0 ? 0 : (uint32_t)v;
}

static void read_head(struct folder *f, struct kurir_str line)
{
	struct kurir_str version = next_part(&line, ' ');
	if (kurir_str_equal(version, KURIR_STR("1"))) {
		f->validity = number(next_part(&line, ' '));
		f->next = number(next_part(&line, ' '));
		return;
	}
	while (line.len > 0 && kurir_str_equal(version, KURIR_STR("3"))) {
		struct kurir_str word = next_part(&line, ' ');
		if (word.len > 1 && word.ptr[0] == 'V')
			f->validity = number(kurir_str_part(word, 1, word.len));
		if (word.len > 1 && word.ptr[0] == 'N')
			f->next = number(kurir_str_part(word, 1, word.len));
	}
}

static int by_base(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	return kurir_str_compare(x->base, y->base);
}

/* The name without its flags. */
static struct kurir_str base_of(struct kurir_str name)
{
	ssize_t colon = kurir_str_find(name, ':');
	return kurir_str_part(name, 0, colon < 0 ? name.len : (size_t)colon);
}

/* What stands behind the first colon that begins a word, or all of it. */
static struct kurir_str name_of(struct kurir_str line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] == ':' && (i == 0 || line.ptr[i - 1] == ' '))
			return kurir_str_part(line, i + 1, line.len);
	return line;
}

static void read_uidlist(struct folder *f)
{
	struct kurir_str text = slurp(f->arena, f->path, "dovecot-uidlist");
	if (text.len == 0)
		return;
	read_head(f, next_part(&text, '\n'));
	while (text.len > 0) {
		struct kurir_str line = next_part(&text, '\n');
		uint32_t uid = number(next_part(&line, ' '));
		struct kurir_str name = name_of(line);
		if (uid == 0 || name.len == 0)
			continue;
		if (f->known_count == f->known_room) {
			f->known_room = f->known_room == 0 ? 64 : 2 * f->known_room;
			struct known *more = kurir_alloc(f->arena, f->known_room * sizeof(*more));
			if (f->known_count > 0)
				memcpy(more, f->known, f->known_count * sizeof(*more));
			f->known = more;
		}
		f->known[f->known_count++] = (struct known){ base_of(name), uid };
	}
	if (f->known_count > 1)
		qsort(f->known, f->known_count, sizeof(*f->known), by_base);
}

static void read_keywords(struct folder *f)
{
	struct kurir_str text = slurp(f->arena, f->path, "dovecot-keywords");
	while (text.len > 0) {
		struct kurir_str line = next_part(&text, '\n');
		uint64_t i;
		if (kurir_str_number(next_part(&line, ' '), KEYWORDS - 1, &i) == 0)
			f->words[i] = line;
	}
}

static void add_file(struct folder *f, const char *part, const char *name)
{
	struct kurir_str all = kurir_str_of(name);
	struct known want = { .base = base_of(all) };
	const struct known *found = f->known_count == 0
	    ? NULL
	    : bsearch(&want, f->known, f->known_count, sizeof(want), by_base);
	if (f->count == f->room) {
		f->room = f->room == 0 ? 64 : 2 * f->room;
		struct file *more = kurir_alloc(f->arena, f->room * sizeof(*more));
		if (f->count > 0)
			memcpy(more, f->files, f->count * sizeof(*more));
		f->files = more;
	}
	struct kurir_str path = kurir_format(f->arena, "%s/%s", part, name);
	ssize_t comma = kurir_str_find_last(path, ':');
	struct kurir_str flags = KURIR_STR("");
	if (comma > 0 &&
	    kurir_str_starts(kurir_str_part(path, (size_t)comma, 3), KURIR_STR(":2,")))
		flags = kurir_str_part(path, (size_t)comma + 3, path.len);
	f->files[f->count++] = (struct file){ .name = path,
		.base = kurir_str_part(path, 4, want.base.len),
		.flags = flags,
		.uid = found != NULL ? found->uid : UINT32_MAX };
}

static int by_uid(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return kurir_str_compare(x->base, y->base);
}

static int list_files(struct folder *f)
{
	static const char *const parts[] = { "cur", "new" };
	char path[2 * TOOL_PATH];
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->path, parts[i]);
		DIR *d = opendir(path);
		if (d == NULL && errno == ENOENT && i == 1)
			continue;
		if (d == NULL)
			return -errno;
		for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
			if (e->d_name[0] != '.')
				add_file(f, parts[i], e->d_name);
		closedir(d);
	}
	if (f->count > 1)
		qsort(f->files, f->count, sizeof(*f->files), by_uid);
	return 0;
}

static void flags_of(const struct folder *f, struct kurir_str letters, struct tool_message *m)
{
	static const char known[] = "SRFTD"; /* in the order of enum kurir_message_flag */
	struct kurir_buf words = KURIR_BUF(MODEL_KEYWORDS_MAX);
	for (size_t i = 0; i < letters.len; i++) {
		const char *at = strchr(known, letters.ptr[i]);
		unsigned index = (unsigned)(letters.ptr[i] - 'a');
		if (at != NULL)
			m->flags |= (int64_t)1 << (at - known);
		if (index >= KEYWORDS || f->words[index].len == 0)
			continue;
		if (words.len > 0)
			(void)kurir_buf_add(&words, KURIR_STR(" "));
		(void)kurir_buf_add(&words, f->words[index]);
	}
	m->keywords =
	    words.len > 0 ? kurir_copy(f->im->arena, kurir_buf_str(&words)) : KURIR_STR("");
	kurir_buf_free(&words);
}

static int import_file(struct folder *f, const struct file *file)
{
	char path[3 * TOOL_PATH];
	struct tool_message m = { .key = file->base };
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%.*s", f->path, KURIR_ARG(file->name));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool there = fd >= 0 && fstat(fd, &st) == 0;
	if (!there || !S_ISREG(st.st_mode)) {
		tool_problem(f->im->tool, "%s: %s", path, there ? "no file" : strerror(errno));
		if (fd >= 0)
			close(fd);
		f->im->tool->messages++;
		return 0;
	}
	m.date = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	m.uid = file->uid == UINT32_MAX ? 0 : file->uid;
	flags_of(f, file->flags, &m);
	int r = import_wire(fd, 0, (uint64_t)st.st_size, false, &m);
	close(fd);
	if (r < 0)
		return r;
	r = import_message(f->im, &m);
	close(m.fd);
	return r;
}

static int import_folder(struct tool_import *im, const char *path, struct kurir_str mailbox)
{
	struct folder f = { .im = im, .path = path, .arena = kurir_arena_new("maildir") };
	read_uidlist(&f);
	read_keywords(&f);
	int r = list_files(&f);
	if (r == 0)
		r = import_mailbox(im, mailbox, f.validity);
	for (size_t i = 0; r == 0 && i < f.count; i++)
		r = import_file(&f, &f.files[i]);
	if (r == 0)
		r = import_mailbox_end(im, f.next);
	kurir_arena_free(f.arena);
	return r;
}

/* ".A.B" is "A/B"; NULL: no name of a mailbox. */
static int mailbox_name(struct tool_import *im, const char *folder, struct kurir_str *ret)
{
	struct kurir_str rest = kurir_str_part(kurir_str_of(folder), 1, strlen(folder));
	struct kurir_buf b = KURIR_BUF(MODEL_NAME_MAX);
	int r = rest.len == 0 ? -EINVAL : 0;
	while (rest.len > 0 && r == 0) {
		struct kurir_str level = next_part(&rest, '.');
		if (b.len > 0)
			r = kurir_buf_add(&b, KURIR_STR("/"));
		if (r == 0)
			r = kurir_utf7_decode(&b, level);
	}
	if (r == 0 && !model_name_valid(kurir_buf_str(&b)))
		r = -EINVAL;
	if (r == 0)
		*ret = kurir_copy(im->arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

static int import_subscriptions(struct tool_import *im, const char *folder)
{
	struct kurir_str text = slurp(im->arena, folder, "subscriptions");
	bool second = kurir_str_starts(text, KURIR_STR("V\t2\n"));
	int r = text.len == 0 ? 0 : import_mailbox(im, KURIR_STR("INBOX"), 0);
	if (text.len == 0 || r < 0)
		return r;
	if (second)
		(void)next_part(&text, '\n');
	while (text.len > 0 && r == 0) {
		struct kurir_str name = kurir_copy(im->arena, next_part(&text, '\n'));
		for (size_t i = 0; i < name.len; i++)
			if (name.ptr[i] == (second ? '\t' : '.'))
				((char *)(uintptr_t)name.ptr)[i] = '/';
		if (model_name_valid(name))
			r = import_subscribe(im, name);
	}
	return r < 0 ? r : import_mailbox_end(im, 0);
}

static int import_below(struct tool_import *im, const char *folder, DIR *d)
{
	int r = 0;
	for (struct dirent *e = readdir(d); e != NULL && r == 0; e = readdir(d)) {
		char path[2 * TOOL_PATH];
		struct kurir_str mailbox;
		struct stat st;
		(void)snprintf(path, sizeof(path), "%s/%s/cur", folder, e->d_name);
		if (e->d_name[0] != '.' || e->d_name[1] == '.' || e->d_name[1] == '\0' ||
		    stat(path, &st) < 0)
			continue;
		path[strlen(path) - 4] = '\0';
		/* Whoever has the Maildir must not lead us to those of others. */
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
			tool_problem(im->tool, "%s: not a folder of this Maildir", path);
			continue;
		}
		r = mailbox_name(im, e->d_name, &mailbox);
		if (r < 0) {
			tool_problem(im->tool, "%s: this name cannot be a mailbox", path);
			r = 0;
			continue;
		}
		r = import_folder(im, path, mailbox);
	}
	return r;
}

int import_maildir(struct tool_import *im, const char *folder)
{
	DIR *d = opendir(folder);
	if (d == NULL)
		return -errno;
	int r = import_folder(im, folder, KURIR_STR("INBOX"));
	if (r == 0)
		r = import_below(im, folder, d);
	closedir(d);
	return r < 0 ? r : import_subscriptions(im, folder);
}
