/* maildir_sync.c - brings the uid list up to what the folders have.
 *
 * Only the store role runs this, one mailbox at a time without a park in between.  Order matters:
 * a UID is durable in the list before anybody is told of it, and a file that moved under us is
 * looked for again before its message is called gone. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir.h"

struct found {
	struct kurir_str file;
	struct maildir_name name;
	bool listed;
};
struct findings {
	struct kurir_arena *arena;
	struct found *all;
	size_t count, room;
};

static int by_base(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return kurir_str_compare(x->name.base, y->name.base);
}

/* What can stand in the list's lines. */
static bool can_be_listed(const char *file)
{
	if (file[0] == '.')
		return false;
	for (; *file; file++)
		if ((unsigned char)*file < 32)
			return false;
	return true;
}

/* The files of a folder; dot files are not messages. */
static int read_folder(const char *path, struct findings *f)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int r;

	if (!d)
		return -errno;
	while ((r = maildir_io.next(d, &e)) > 0) {
		if (!can_be_listed(e->d_name))
			continue;
		if (f->count == f->room) {
			size_t room = f->room ? f->room * 2 : 64;
			struct found *more = kurir_alloc(f->arena, room * sizeof(*more));

			if (f->count > 0)
				memcpy(more, f->all, f->count * sizeof(*more));
			f->all = more;
			f->room = room;
		}
		f->all[f->count] =
		    (struct found){ .file = kurir_copy(f->arena, kurir_str_of(e->d_name)) };
		maildir_name_parse(f->all[f->count].file, &f->all[f->count].name);
		f->count++;
	}
	closedir(d);
	return r; /* who cannot see all of them does not know what is gone */
}

/* new/x becomes cur/x:2, - what "seen by a mail program" means in Maildir. */
static int take_new(const char *mailbox, struct findings *fresh)
{
	char from[MAILDIR_PATH_MAX + 300], to[MAILDIR_PATH_MAX + 300], file[MAILDIR_NAME_MAX + 1];
	int r;

	for (size_t i = 0; i < fresh->count; i++) {
		struct found *f = &fresh->all[i];

		r = maildir_name_make(f->name.base, f->name.flags, f->name.info, file);
		if (r < 0)
			continue; /* a name we cannot carry stays where it is */
		snprintf(from, sizeof(from), "%s/new/%s", mailbox, f->file.ptr);
		snprintf(to, sizeof(to), "%s/cur/%s", mailbox, file);
		r = maildir_io.rename(from, to);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

/* Size in wire form and date of a message that the list does not know yet. */
static void measure(const char *mailbox, const struct found *f, struct maildir_entry *e)
{
	char path[MAILDIR_PATH_MAX + 300];
	struct kurir_body body;
	struct stat st;

	e->size = f->name.wire_size;
	e->date = f->name.date;
	snprintf(path, sizeof(path), "%s/cur/%s", mailbox, f->file.ptr);
	if (stat(path, &st) == 0)
		e->date = (int64_t)st.st_mtime * 1000;
	if (e->size > 0 || maildir_open_wire(path, &body) < 0)
		return;
	e->size = body.length;
	close(body.fd);
}

/* By name, each message once: it is found twice when it was renamed while we read, or when some
 * program made a second file of that name, which then stays unseen. */
static void sort_out(struct findings *f)
{
	size_t n = 0;

	if (f->count > 1)
		qsort(f->all, f->count, sizeof(*f->all), by_base);
	for (size_t i = 0; i < f->count; i++)
		if (n == 0 || by_base(&f->all[n - 1], &f->all[i]) != 0)
			f->all[n++] = f->all[i];
	f->count = n;
}

static struct found *find(const struct findings *f, struct kurir_str file)
{
	struct found key;

	maildir_name_parse(file, &key.name);
	return f->count ? bsearch(&key, f->all, f->count, sizeof(key), by_base) : NULL;
}

/* Reads cur; once more when a message seems gone, as readdir(3) may miss what is renamed
 * meanwhile. */
static int read_cur(const char *folder, const struct maildir_list *list, struct findings *cur)
{
	int r = read_folder(folder, cur);

	sort_out(cur);
	for (size_t i = 0; r >= 0 && i < list->count; i++)
		if (!find(cur, list->entries[i].file)) {
			r = read_folder(folder, cur);
			sort_out(cur);
			break;
		}
	return r;
}

/* Known messages: flags that others changed, names that changed, files that went away. */
static bool compare(struct maildir_list *list, struct findings *cur)
{
	bool changed = false;

	for (size_t i = 0; i < list->count; i++) {
		struct maildir_entry *e = &list->entries[i];
		struct found *f = find(cur, e->file);

		if (!f) {
			e->gone = changed = true;
			list->modseq++;
			continue;
		}
		f->listed = true;
		if (kurir_str_equal(f->file, e->file))
			continue;
		e->file = f->file;
		changed = true;
		if (e->flags != f->name.flags) {
			e->flags = f->name.flags;
			e->modseq = ++list->modseq;
		}
	}
	return changed;
}

static int by_date(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->name.date != y->name.date)
		return x->name.date < y->name.date ? -1 : 1;
	return kurir_str_compare(x->name.base, y->name.base);
}

/* Gives UIDs to what is not listed, oldest first. */
static bool admit(const char *mailbox, struct maildir_list *list, struct findings *cur)
{
	size_t n = 0;

	for (size_t i = 0; i < cur->count; i++)
		if (!cur->all[i].listed)
			cur->all[n++] = cur->all[i];
	if (n > 1)
		qsort(cur->all, n, sizeof(*cur->all), by_date);
	for (size_t i = 0; i < n && list->next < UINT32_MAX; i++) {
		struct maildir_entry *e = maildir_list_add(list);

		*e = (struct maildir_entry){ .uid = list->next++,
			.flags = cur->all[i].name.flags,
			.modseq = ++list->modseq,
			.file = cur->all[i].file };
		measure(mailbox, &cur->all[i], e);
	}
	return n > 0;
}

int maildir_sync(const struct maildir_conf *conf, const char *account_path,
    const char *mailbox_path, struct kurir_arena *arena, struct maildir_list *ret,
    bool *ret_changed)
{
	struct findings fresh = { .arena = arena }, cur = { .arena = arena };
	char folder[MAILDIR_PATH_MAX + 8];
	bool changed = false;
	int r = maildir_list_read(arena, mailbox_path, conf->list_max, ret);

	if (r == -ENOENT || r == -EBADMSG) {
		*ret =
		    (struct maildir_list){ .arena = arena, .next = 1, .recent = 1, .modseq = 1 };
		r = maildir_new_validity(account_path, &ret->validity);
		changed = true;
	}
	snprintf(folder, sizeof(folder), "%s/new", mailbox_path);
	if (r >= 0)
		r = read_folder(folder, &fresh);
	if (r >= 0)
		r = take_new(mailbox_path, &fresh);
	snprintf(folder, sizeof(folder), "%s/cur", mailbox_path);
	if (r >= 0)
		r = read_cur(folder, ret, &cur);
	if (r < 0)
		return r;
	changed |= compare(ret, &cur);
	changed |= admit(mailbox_path, ret, &cur);
	*ret_changed = changed;
	return changed ? maildir_list_write(ret, mailbox_path) : 0;
}
