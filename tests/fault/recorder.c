/* recorder.c - a file system that passes everything on to a folder and writes down, in order,
 * what a power cut could undo: writes, truncations, changes of folders, and the barriers.
 *
 *     recorder LOG FOLDER MICROSECONDS LIE MOUNT-POINT [FUSE-OPTION...]
 *
 * FOLDER is empty at the start.  A sync takes MICROSECONDS and makes nothing durable: what it
 * promises stands in LOG, and powercut.py holds the program to it.  LIE is "none", "sync" (no
 * sync is written down), "file" or "folder" (none of that sort): with it the checker must find
 * losses.  What is written to the file ".mark" in MOUNT-POINT stands in LOG at its place.
 * FUSE does not hear of syncfs(2): shim.c sends it here as an ioctl. */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

enum kind {
	MAKE_FILE = 1, /* a: folder, b: file, at: mode, owner and group, name */
	MAKE_FOLDER,
	WRITE,	  /* a: file, at, data */
	TRUNCATE, /* a: file, at: the new length */
	RENAME,	  /* a: folder, b: file, at: the other folder, name and other name */
	LINK,	  /* a: folder, b: file, name */
	UNLINK,	  /* a: folder, name */
	BARRIER,  /* a: file or folder, 0 for all: a sync begins */
	DURABLE,  /* a: as above, at: number of the barrier: it has returned */
	MARK,	  /* data */
	CHANGE,	  /* a: file or folder, at: mode, owner and group */
};

/* Each record: this, then its name, then its data. */
struct record {
	uint32_t kind, thread;
	uint64_t a, b, at;
	uint32_t name, data;
};

static int backing, log_fd;
static long delay;
static bool lie_file, lie_folder;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static uint64_t barriers;

/* Files and folders get numbers of their own: the ones of the folder below are used again. */
#define BUCKETS 4096u
struct known {
	ino_t ino;
	uint64_t number;
	struct known *next;
};
static struct known *known[BUCKETS];
static uint64_t numbers;

static uint64_t number_of(ino_t ino, bool fresh)
{
	struct known *k = known[ino % BUCKETS];
	while (k != NULL && k->ino != ino)
		k = k->next;
	if (k == NULL) {
		k = calloc(1, sizeof(*k));
		if (k == NULL)
			abort();
		k->ino = ino;
		k->next = known[ino % BUCKETS];
		known[ino % BUCKETS] = k;
		fresh = true;
	}
	if (fresh)
		k->number = ++numbers;
	return k->number;
}

static uint64_t number_at(const char *path)
{
	struct stat st;
	if (fstatat(backing, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		abort();
	return number_of(st.st_ino, false);
}

static uint64_t number_fd(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		abort();
	return number_of(st.st_ino, false);
}

/* "/a/b" of the mounted tree as a path from the folder below. */
static const char *below(const char *path)
{
	return path[1] != '\0' ? path + 1 : ".";
}

static const char *leaf(const char *path)
{
	return strrchr(path, '/') + 1;
}

static uint64_t folder_of(const char *path)
{
	char folder[4096];
	size_t n = (size_t)(leaf(path) - path);
	if (n <= 1)
		return number_at(".");
	if (n > sizeof(folder))
		abort();
	memcpy(folder, path + 1, n - 2);
	folder[n - 2] = '\0';
	return number_at(folder);
}

static uint64_t attributes(const struct stat *st)
{
	return (st->st_mode & 07777) | (uint64_t)(st->st_uid & 0xffffff) << 16 |
	    (uint64_t)(st->st_gid & 0xffffff) << 40;
}

static void put(const void *p, size_t n)
{
	const char *from = p;
	while (n > 0) {
		ssize_t done = write(log_fd, from, n);
		if (done <= 0)
			abort();
		from += done;
		n -= (size_t)done;
	}
}

static void note(enum kind kind, uint64_t a, uint64_t b, uint64_t at, const char *name,
    const void *data, size_t length)
{
	struct record r = { .kind = kind,
		.thread = (uint32_t)fuse_get_context()->pid,
		.a = a,
		.b = b,
		.at = at,
		.name = (uint32_t)strlen(name),
		.data = (uint32_t)length };
	put(&r, sizeof(r));
	put(name, r.name);
	put(data, length);
}

static int lock_order(void)
{
	pthread_mutex_lock(&order);
	return 0;
}

static int unlock_order(int r)
{
	int error = r < 0 ? -errno : 0;
	pthread_mutex_unlock(&order);
	return error;
}

static bool is_mark(const char *path)
{
	return path != NULL && strcmp(path, "/.mark") == 0;
}

#define MARK_FD 0 /* where 0 is a descriptor, it is not one of a file below */

static int rec_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	if (is_mark(path) || (fi != NULL && fi->fh == MARK_FD)) {
		memset(st, 0, sizeof(*st));
		st->st_mode = S_IFREG | 0666;
		st->st_nlink = 1;
		return 0;
	}
	int r = fi != NULL ? fstat((int)fi->fh, st)
			   : fstatat(backing, below(path), st, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? -errno : 0;
}

static int rec_mkdir(const char *path, mode_t mode)
{
	const struct fuse_context *who = fuse_get_context();
	lock_order();
	int r = mkdirat(backing, below(path), mode);
	struct stat st;
	if (r == 0)
		r = fchownat(backing, below(path), who->uid, who->gid, 0);
	if (r == 0 && fstatat(backing, below(path), &st, 0) == 0)
		note(MAKE_FOLDER, folder_of(path), number_of(st.st_ino, true), attributes(&st),
		    leaf(path), "", 0);
	return unlock_order(r);
}

/* Sockets and pipes: a start makes them anew, so nothing is written down. */
static int rec_mknod(const char *path, mode_t mode, dev_t device)
{
	const struct fuse_context *who = fuse_get_context();
	int r = mknodat(backing, below(path), mode, device);
	if (r == 0)
		r = fchownat(backing, below(path), who->uid, who->gid, 0);
	return r < 0 ? -errno : 0;
}

static int rec_unlink(const char *path)
{
	lock_order();
	uint64_t folder = folder_of(path);
	int r = unlinkat(backing, below(path), 0);
	if (r == 0)
		note(UNLINK, folder, 0, 0, leaf(path), "", 0);
	return unlock_order(r);
}

static int rec_rmdir(const char *path)
{
	lock_order();
	uint64_t folder = folder_of(path);
	int r = unlinkat(backing, below(path), AT_REMOVEDIR);
	if (r == 0)
		note(UNLINK, folder, 0, 0, leaf(path), "", 0);
	return unlock_order(r);
}

static int rec_rename(const char *from, const char *to, unsigned flags)
{
	lock_order();
	struct stat st;
	int r = fstatat(backing, below(from), &st, AT_SYMLINK_NOFOLLOW);
	if (r == 0)
		r = renameat2(backing, below(from), backing, below(to), flags);
	if (r == 0)
		note(RENAME, folder_of(from), number_of(st.st_ino, false), folder_of(to),
		    leaf(from), leaf(to), strlen(leaf(to)));
	return unlock_order(r);
}

static int rec_link(const char *from, const char *to)
{
	lock_order();
	int r = linkat(backing, below(from), backing, below(to), 0);
	if (r == 0)
		note(LINK, folder_of(to), number_at(below(from)), 0, leaf(to), "", 0);
	return unlock_order(r);
}

static int rec_truncate(const char *path, off_t length, struct fuse_file_info *fi)
{
	lock_order();
	int fd = fi != NULL ? (int)fi->fh : openat(backing, below(path), O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : ftruncate(fd, length);
	if (r == 0)
		note(TRUNCATE, number_fd(fd), 0, (uint64_t)length, "", "", 0);
	int saved = errno;
	if (fi == NULL && fd >= 0)
		close(fd);
	errno = saved;
	return unlock_order(r);
}

/* Of a file or folder, but not of a socket. */
static int changed(const char *path, const struct fuse_file_info *fi, int r)
{
	struct stat st;
	if (r == 0)
		r = fi != NULL ? fstat((int)fi->fh, &st)
			       : fstatat(backing, below(path), &st, AT_SYMLINK_NOFOLLOW);
	if (r == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		note(CHANGE, number_of(st.st_ino, false), 0, attributes(&st), "", "", 0);
	return unlock_order(r);
}

static int rec_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	if (path == NULL && fi == NULL)
		return -ENOENT;
	lock_order();
	int r = fi != NULL ? fchmod((int)fi->fh, mode) : fchmodat(backing, below(path), mode, 0);
	return changed(path, fi, r);
}

static int rec_chown(const char *path, uid_t u, gid_t g, struct fuse_file_info *fi)
{
	if (path == NULL && fi == NULL)
		return -ENOENT;
	lock_order();
	int r = fi != NULL ? fchown((int)fi->fh, u, g)
			   : fchownat(backing, below(path), u, g, AT_SYMLINK_NOFOLLOW);
	return changed(path, fi, r);
}

static int rec_utimens(const char *path, const struct timespec t[2], struct fuse_file_info *fi)
{
	int r = fi != NULL ? futimens((int)fi->fh, t) : utimensat(backing, below(path), t, 0);
	return r < 0 ? -errno : 0;
}

static int opened(int fd, struct fuse_file_info *fi)
{
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int rec_open(const char *path, struct fuse_file_info *fi)
{
	if (is_mark(path)) {
		fi->fh = MARK_FD;
		fi->direct_io = 1;
		return 0;
	}
	/* The kernel sends O_TRUNC as a truncation of its own. */
	int flags = (fi->flags & ~(O_APPEND | O_TRUNC)) | O_CLOEXEC;
	return opened(openat(backing, below(path), flags), fi);
}

static int rec_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	const struct fuse_context *who = fuse_get_context();
	int flags = (fi->flags & ~(O_APPEND | O_TRUNC)) | O_CREAT | O_CLOEXEC;
	lock_order();
	int fd = openat(backing, below(path), flags | O_EXCL, mode);
	struct stat st;
	if (fd >= 0 && fchown(fd, who->uid, who->gid) == 0 && fstat(fd, &st) == 0)
		note(MAKE_FILE, folder_of(path), number_of(st.st_ino, true), attributes(&st),
		    leaf(path), "", 0);
	else if (errno == EEXIST && !(fi->flags & O_EXCL))
		fd = openat(backing, below(path), flags, mode);
	if (fd >= 0)
		fi->fh = (uint64_t)fd;
	return unlock_order(fd);
}

static int rec_read(const char *path, char *to, size_t n, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	ssize_t got = fi->fh == MARK_FD ? 0 : pread((int)fi->fh, to, n, at);
	return got < 0 ? -errno : (int)got;
}

static int rec_write(
    const char *path, const char *from, size_t n, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	lock_order();
	ssize_t done = (ssize_t)n;
	if (fi->fh == MARK_FD) {
		note(MARK, 0, 0, 0, "", from, n);
	} else {
		done = pwrite((int)fi->fh, from, n, at);
		if (done > 0)
			note(WRITE, number_fd((int)fi->fh), 0, (uint64_t)at, "", from,
			    (size_t)done);
	}
	int r = unlock_order(done < 0 ? -1 : 0);
	return r < 0 ? r : (int)done;
}

/* A barrier, the time that a disk takes, and the promise. */
static int barrier(uint64_t number, bool lie)
{
	struct timespec span = { .tv_sec = delay / 1000000, .tv_nsec = delay % 1000000 * 1000 };
	lock_order();
	uint64_t mine = ++barriers;
	if (!lie)
		note(BARRIER, number, 0, mine, "", "", 0);
	unlock_order(0);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
	lock_order();
	if (!lie)
		note(DURABLE, number, 0, mine, "", "", 0);
	return unlock_order(0);
}

static int rec_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	(void)data_only;
	return fi->fh == MARK_FD ? 0 : barrier(number_fd((int)fi->fh), lie_file);
}

static int rec_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	(void)data_only;
	return barrier(number_fd((int)fi->fh), lie_folder);
}

static int rec_ioctl(const char *path, unsigned command, void *arg, struct fuse_file_info *fi,
    unsigned flags, void *data)
{
	(void)path;
	(void)arg;
	(void)fi;
	(void)flags;
	(void)data;
	return command == FAULT_SYNCFS ? barrier(0, lie_file) : -ENOTTY;
}

static int rec_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	if (fi->fh != MARK_FD)
		close((int)fi->fh);
	return 0;
}

static int rec_opendir(const char *path, struct fuse_file_info *fi)
{
	return opened(openat(backing, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC), fi);
}

static int rec_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t at,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	(void)path;
	(void)at;
	(void)flags;
	int fd = openat((int)fi->fh, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (d == NULL)
		return -errno;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		struct stat st = { .st_ino = e->d_ino, .st_mode = DTTOIF(e->d_type) };
		fill(buffer, e->d_name, &st, 0, 0);
	}
	closedir(d);
	return 0;
}

static int rec_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return fstatvfs(backing, st) < 0 ? -errno : 0;
}

static void *rec_init(struct fuse_conn_info *conn, struct fuse_config *conf)
{
	(void)conn;
	conf->hard_remove = 1; /* what is unlinked and open is just that */
	conf->nullpath_ok = 1;
	conf->use_ino = 1;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = rec_init,
	.getattr = rec_getattr,
	.mkdir = rec_mkdir,
	.mknod = rec_mknod,
	.unlink = rec_unlink,
	.rmdir = rec_rmdir,
	.rename = rec_rename,
	.link = rec_link,
	.truncate = rec_truncate,
	.chmod = rec_chmod,
	.chown = rec_chown,
	.utimens = rec_utimens,
	.open = rec_open,
	.create = rec_create,
	.read = rec_read,
	.write = rec_write,
	.fsync = rec_fsync,
	.fsyncdir = rec_fsyncdir,
	.ioctl = rec_ioctl,
	.release = rec_release,
	.opendir = rec_opendir,
	.readdir = rec_readdir,
	.releasedir = rec_release,
	.statfs = rec_statfs,
};

int main(int argc, char **argv)
{
	if (argc < 6) {
		fputs("recorder LOG FOLDER MICROSECONDS LIE MOUNT-POINT [FUSE-OPTION...]\n",
		    stderr);
		return 2;
	}
	log_fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	backing = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log_fd < 0 || backing < 0) {
		perror("recorder");
		return 1;
	}
	delay = strtol(argv[3], NULL, 10);
	lie_file = strcmp(argv[4], "sync") == 0 || strcmp(argv[4], "file") == 0;
	lie_folder = strcmp(argv[4], "sync") == 0 || strcmp(argv[4], "folder") == 0;
	number_at("."); /* the root is number 1 */
	umask(0);
	argv[4] = argv[0];
	return fuse_main(argc - 4, argv + 4, &operations, NULL);
}
