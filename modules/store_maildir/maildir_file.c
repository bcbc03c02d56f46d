/* maildir_file.c - messages into the Maildir, many with few flushes.
 *
 * The order of the protocol: everything of every message is written in tmp and its writeback
 * begun; each file is flushed (the first flush commits the journal, the others find it done);
 * each is linked into new or cur; each folder is flushed once. Only then is the result 0. A
 * crash in between leaves files in tmp, or messages that are delivered again under the same
 * name.
 *
 * Flushing the whole file system does the same for all of them at once. That is cheaper when
 * there are many, and dearer when others have much to write: the clock decides (struct costs).
 * Runs in a helper thread: plain C, nothing of Kurir. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "maildir.h"

#define CHUNK	   32768
#define FLUSH_MANY 8		      /* files from which on one flush may be for all */
#define FLUSH_EACH ((int64_t)2000000) /* nanoseconds: the first guess for one file */

static int put(struct maildir_file *f, int out, const char *p, size_t n)
{
	f->size += n;
	return maildir_write_all(out, p, n);
}

/* The head, to be written together with the first piece. */
static size_t begin_message(struct maildir_file *f, char *to)
{
	f->size = 0;
	f->wire_size = f->length;
	for (size_t i = 0; i < f->head_len; i++)
		f->wire_size += f->head[i] == '\n' ? 2 : 1;
	if (f->head_len > 0)
		memcpy(to, f->head, f->head_len);
	return f->head_len;
}

/* Copies the head, and the message without the CR of its CRLFs; counts the octets in wire form,
 * which are those that maildir_open_wire() will give: a bare LF gets its CR there. CR CR LF
 * stays as it is, as without one CR it would come back as CRLF. */
static int copy_message(struct maildir_file *f, int out, char *in, char *to)
{
	uint64_t at = 0;
	unsigned crs = 0; /* at the end of what was read; the last one is held back */
	size_t n = begin_message(f, to);

	while (at < f->length) {
		size_t want = f->length - at < CHUNK ? (size_t)(f->length - at) : CHUNK;
		ssize_t got = pread(f->fd, in, want, (off_t)(f->offset + at));
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		for (ssize_t i = 0; i < got; i++) {
			if (crs > 1 || (crs == 1 && in[i] != '\n'))
				to[n++] = '\r';
			if (crs == 0 && in[i] == '\n')
				f->wire_size++;
			crs = in[i] != '\r' ? 0 : crs < 2 ? crs + 1 : 2;
			if (crs == 0)
				to[n++] = in[i];
		}
		r = put(f, out, to, n);
		if (r < 0)
			return r;
		n = 0;
		at += (uint64_t)got;
	}
	if (crs > 0)
		to[n++] = '\r';
	return n > 0 ? put(f, out, to, n) : 0;
}

#define PATH_SIZE (MAILDIR_PATH_MAX + 300)

static void tmp_path(const struct maildir_file *f, char path[PATH_SIZE])
{
	if (f->twin == 0)
		snprintf(path, PATH_SIZE, "%s/tmp/%s", f->mailbox, f->name);
	else
		snprintf(path, PATH_SIZE, "%s/tmp/%s.%u", f->mailbox, f->name, f->twin);
}

/* A file in tmp that is ours alone, as its lock says: two aliases bring one message twice at the
 * same time, under the same name.  One without a lock was left by a crash. */
static int open_tmp(struct maildir_file *f, char path[PATH_SIZE])
{
	struct stat st, there;
	int fd;

	for (f->twin = 0;; f->twin++) {
		tmp_path(f, path);
		fd = maildir_io.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0660);
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
			close(fd);
			continue;
		}
		if (fstat(fd, &st) == 0 && st.st_size == 0)
			return fd;
		/* Unless the twin was just made a message. */
		if (stat(path, &there) == 0 && there.st_ino == st.st_ino && ftruncate(fd, 0) == 0)
			return fd;
		close(fd);
	}
}

/* tmp/NAME, written and its writeback begun.  Returns the descriptor or -errno. */
static int write_tmp(const char *root, struct maildir_file *f, char *in, char *to)
{
	char path[PATH_SIZE];
	int fd, r;

	fd = open_tmp(f, path);
	if (fd == -ENOENT) {
		r = maildir_make(root, f->account);
		if (r >= 0 && strcmp(f->account, f->mailbox) != 0)
			r = maildir_make(root, f->mailbox);
		fd = r < 0 ? r : open_tmp(f, path);
	}
	if (fd < 0)
		return fd;
	r = copy_message(f, fd, in, to);
	if (r >= 0 && f->date != 0) {
		struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
			{ .tv_sec = f->date / 1000, .tv_nsec = f->date % 1000 * 1000000 } };

		futimens(fd, t);
	}
	if (r < 0) {
		maildir_io.close(fd);
		unlink(path);
		return r;
	}
	return fd;
}

/* Whether an earlier delivery of the same message lies in cur, perhaps with flags. */
static bool is_there(const struct maildir_file *f)
{
	char path[MAILDIR_PATH_MAX + 8];
	size_t len = strlen(f->made);
	struct dirent *e;
	bool there = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/cur", f->mailbox);
	d = opendir(path);
	if (!d)
		return false;
	while (!there && (e = readdir(d)) != NULL)
		there = strncmp(e->d_name, f->made, len) == 0 &&
		    (e->d_name[len] == ':' || e->d_name[len] == '\0');
	closedir(d);
	return there;
}

/* tmp/NAME becomes new/NAME,S=,W= or cur/NAME,S=,W=:2,FLAGS. */
static int publish(struct maildir_file *f)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	char base[MAILDIR_NAME_MAX + 1];
	int n, r = 0;

	n = snprintf(base, sizeof(base), "%s,S=%llu,W=%llu", f->name, (unsigned long long)f->size,
	    (unsigned long long)f->wire_size);
	if (n < 0 || (size_t)n >= sizeof(base))
		return -ENAMETOOLONG;
	memcpy(f->made, base, sizeof(base));
	tmp_path(f, from);
	if (f->to_cur)
		r = maildir_name_make(
		    (struct kurir_str){ base, (size_t)n }, f->flags, KURIR_STR(""), f->made);
	snprintf(to, sizeof(to), "%s/%s/%s", f->mailbox, f->to_cur ? "cur" : "new", f->made);
	if (r >= 0 && f->may_be_there && is_there(f))
		r = maildir_io.unlink(from);
	else if (r >= 0)
		r = maildir_io.rename(from, to);
	if (r < 0)
		unlink(from);
	return r;
}

static void drop_tmp(const struct maildir_file *f)
{
	char path[PATH_SIZE];

	tmp_path(f, path);
	unlink(path);
}

static bool same_folder(const struct maildir_file *a, const struct maildir_file *b)
{
	return a->to_cur == b->to_cur && strcmp(a->mailbox, b->mailbox) == 0;
}

/* How a batch becomes durable.  The root's descriptor is opened before anything is written, as
 * that is where the kernel starts to count errors for it. */
struct flush {
	int root;	/* -1: each file and folder for itself */
	int64_t device; /* of root; what is elsewhere is flushed for itself */
};

/* Nanoseconds that a flush took, new ones as much as all before.  What was too dear is forgotten
 * bit by bit, so it is tried again. */
static struct {
	_Atomic int64_t all, each;
} costs = { 0, FLUSH_EACH };

static void cost_learn(_Atomic int64_t *cost, int64_t took)
{
	*cost = (*cost + took) / 2;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void flush_begin(struct flush *fl, const char *root, size_t count)
{
	struct stat st;

	*fl = (struct flush){ .root = -1 };
	if (count < FLUSH_MANY)
		return;
	if (costs.all > costs.each * (int64_t)count) {
		costs.all -= costs.all / 8;
		return;
	}
	fl->root = maildir_io.open(root, O_RDONLY | O_DIRECTORY, 0);
	if (fl->root >= 0 && fstat(fl->root, &st) == 0) {
		fl->device = (int64_t)st.st_dev;
		return;
	}
	if (fl->root >= 0)
		maildir_io.close(fl->root);
	fl->root = -1;
}

/* 1: everything on the root's device is durable; 0: each must be flushed for itself; -errno. */
static int flush_all(struct flush *fl)
{
	int64_t began = now_ns();
	int r;

	if (fl->root < 0)
		return 0;
	r = maildir_io.sync_all(fl->root);
	cost_learn(&costs.all, now_ns() - began);
	if (r != -ENOSYS)
		return r < 0 ? r : 1;
	maildir_io.close(fl->root);
	fl->root = -1;
	return 0;
}

/* After flush_all() gave done: whether what lies there needs no flush of its own. */
static bool flush_covers(const struct flush *fl, int done, int dir, const char *path)
{
	struct stat st;

	return done == 1 && fstatat(dir, path, &st, AT_EMPTY_PATH) == 0 &&
	    (int64_t)st.st_dev == fl->device;
}

static void flush_files(
    const struct flush *fl, int done, struct maildir_file **files, const int *fds, size_t count)
{
	int64_t began = now_ns();

	for (size_t i = 0; i < count; i++) {
		if (files[i]->result != 0)
			continue;
		if (done < 0)
			files[i]->result = done;
		else if (!flush_covers(fl, done, fds[i], ""))
			files[i]->result = maildir_io.fsync(fds[i]);
	}
	if (done == 0 && count >= FLUSH_MANY)
		cost_learn(&costs.each, (now_ns() - began) / (int64_t)count);
}

static int flush_folder(const struct flush *fl, int done, const char *path)
{
	if (done < 0)
		return done;
	return flush_covers(fl, done, AT_FDCWD, path) ? 0 : maildir_fsync_dir(path);
}

/* One flush a folder, its result for every message in it. */
static void flush_folders(
    const struct flush *fl, int done, struct maildir_file **files, size_t count)
{
	char path[MAILDIR_PATH_MAX + 8];

	for (size_t i = 0; i < count; i++) {
		bool first = true;
		int r;

		for (size_t j = 0; j < i && first; j++)
			first = !same_folder(files[i], files[j]);
		if (!first)
			continue;
		snprintf(path, sizeof(path), "%s/%s", files[i]->mailbox,
		    files[i]->to_cur ? "cur" : "new");
		r = flush_folder(fl, done, path);
		for (size_t j = i; r < 0 && j < count; j++)
			if (files[j]->result == 0 && same_folder(files[i], files[j]))
				files[j]->result = r;
	}
}

/* When each is flushed for itself its writeback begins while the next one is written, so that the
 * first flush finds the blocks of all and the journal is committed once. */
static int write_all(
    const char *root, const struct flush *fl, struct maildir_file **files, int *fds, size_t count)
{
	size_t head = 0;
	char *in, *to;
	int r;

	for (size_t i = 0; i < count; i++)
		head = files[i]->head_len > head ? files[i]->head_len : head;
	in = malloc(CHUNK);
	to = malloc(head + CHUNK + 1);
	r = in && to ? 0 : -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		int fd = r < 0 ? r : write_tmp(root, files[i], in, to);

		fds[i] = fd;
		files[i]->result = fd < 0 ? fd : 0;
		if (fd >= 0 && fl->root < 0)
			sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	free(in);
	free(to);
	return r;
}

void maildir_files_write(const char *root, struct maildir_file **files, size_t count)
{
	int *fds = malloc(count * sizeof(*fds));
	struct flush fl;

	if (!fds) {
		for (size_t i = 0; i < count; i++)
			files[i]->result = -ENOMEM;
		return;
	}
	flush_begin(&fl, root, count);
	if (write_all(root, &fl, files, fds, count) == 0)
		flush_files(&fl, flush_all(&fl), files, fds, count);
	for (size_t i = 0; i < count; i++) {
		int r;

		if (fds[i] < 0)
			continue;
		if (files[i]->result == 0)
			files[i]->result = publish(files[i]);
		else
			drop_tmp(files[i]);
		r = maildir_io.close(fds[i]);
		if (files[i]->result == 0)
			files[i]->result = r;
	}
	flush_folders(&fl, flush_all(&fl), files, count);
	if (fl.root >= 0)
		maildir_io.close(fl.root);
	free(fds);
}
