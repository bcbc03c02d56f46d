/* maildir_file.c - messages into the Maildir, many with few flushes.
 *
 * The order of the protocol: everything of every message is written in tmp and its writeback begun;
 * each file is flushed (the first flush commits the journal, the others find it done); each is
 * linked into new or cur; each folder is flushed once.  Only then is the result 0.  A crash in
 * between leaves files in tmp, or messages that are delivered again under the same name.
 * Runs in a helper thread: plain C, nothing of Kurir. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "maildir.h"

#define CHUNK 32768

/* Copies the message without the CR of its CRLFs; counts the octets in wire form. */
static int copy_body(struct maildir_file *f, int out, char *in, char *to)
{
	uint64_t at = 0;
	bool cr = false;

	f->wire_size = f->length;
	for (size_t i = 0; i < f->head_len; i++)
		f->wire_size += f->head[i] == '\n' ? 2 : 1;
	while (at < f->length) {
		size_t want = f->length - at < CHUNK ? (size_t)(f->length - at) : CHUNK, n = 0;
		ssize_t got = pread(f->fd, in, want, (off_t)(f->offset + at));
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		for (ssize_t i = 0; i < got; i++) {
			if (cr && in[i] != '\n')
				to[n++] = '\r';
			cr = in[i] == '\r';
			if (!cr)
				to[n++] = in[i];
		}
		r = maildir_write_all(out, to, n);
		if (r < 0)
			return r;
		at += (uint64_t)got;
	}
	return cr ? maildir_write_all(out, "\r", 1) : 0;
}

/* tmp/NAME, written and its writeback begun.  Returns the descriptor or -errno. */
static int write_tmp(const char *root, struct maildir_file *f, char *in, char *to)
{
	char path[MAILDIR_PATH_MAX + 300];
	int fd, r;

	snprintf(path, sizeof(path), "%s/tmp/%s", f->mailbox, f->name);
	fd = maildir_io.open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0660);
	if (fd == -ENOENT) {
		r = maildir_make(root, f->account);
		if (r >= 0 && strcmp(f->account, f->mailbox) != 0)
			r = maildir_make(root, f->mailbox);
		fd = r < 0 ? r
			   : maildir_io.open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0660);
	}
	if (fd < 0)
		return fd;
	r = maildir_write_all(fd, f->head, f->head_len);
	if (r >= 0)
		r = copy_body(f, fd, in, to);
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
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
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
static int publish(struct maildir_file *f, int fd)
{
	char from[MAILDIR_PATH_MAX + 300], to[MAILDIR_PATH_MAX + 300];
	char base[MAILDIR_NAME_MAX + 1];
	struct stat st;
	int n, r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	n = snprintf(base, sizeof(base), "%s,S=%lld,W=%llu", f->name, (long long)st.st_size,
	    (unsigned long long)f->wire_size);
	if (n < 0 || (size_t)n >= sizeof(base))
		return -ENAMETOOLONG;
	memcpy(f->made, base, sizeof(base));
	snprintf(from, sizeof(from), "%s/tmp/%s", f->mailbox, f->name);
	if (f->to_cur)
		r = maildir_name_make((struct kurir_str){ base, (size_t)n }, f->flags, f->made);
	snprintf(to, sizeof(to), "%s/%s/%s", f->mailbox, f->to_cur ? "cur" : "new", f->made);
	if (r >= 0 && f->may_be_there && is_there(f))
		r = maildir_io.unlink(from);
	else if (r >= 0)
		r = maildir_io.rename(from, to);
	if (r < 0)
		unlink(from);
	return r;
}

static bool same_folder(const struct maildir_file *a, const struct maildir_file *b)
{
	return a->to_cur == b->to_cur && strcmp(a->mailbox, b->mailbox) == 0;
}

/* One flush a folder, its result for every message in it. */
static void flush_folders(struct maildir_file **files, size_t count)
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
		r = maildir_fsync_dir(path);
		for (size_t j = i; r < 0 && j < count; j++)
			if (files[j]->result == 0 && same_folder(files[i], files[j]))
				files[j]->result = r;
	}
}

void maildir_files_write(const char *root, struct maildir_file **files, size_t count)
{
	int *fds = calloc(count, sizeof(*fds));
	char *in = malloc(CHUNK), *to = malloc(CHUNK + 1);

	for (size_t i = 0; i < count; i++) {
		int r = fds && in && to ? write_tmp(root, files[i], in, to) : -ENOMEM;

		files[i]->result = r < 0 ? r : 0;
		if (r >= 0)
			fds[i] = r;
	}
	for (size_t i = 0; i < count; i++)
		if (files[i]->result == 0)
			files[i]->result = maildir_io.fsync(fds[i]);
	for (size_t i = 0; i < count; i++) {
		int r;

		if (!fds || fds[i] == 0)
			continue;
		if (files[i]->result == 0)
			files[i]->result = publish(files[i], fds[i]);
		r = maildir_io.close(fds[i]);
		if (files[i]->result == 0)
			files[i]->result = r;
	}
	flush_folders(files, count);
	free(fds);
	free(in);
	free(to);
}
