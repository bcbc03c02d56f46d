/* spool_io.c - the file operations of the spool: thin, complete (EINTR, short counts),
 * replaceable. */
#include "spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int io_open(int dir, const char *name, int flags, mode_t mode)
{
	int fd;
	do
		fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int io_close(int fd)
{
	return close(fd) == 0 ? 0 : -errno;
}

static ssize_t io_pread(int fd, void *p, size_t n, uint64_t at)
{
	ssize_t got;
	do
		got = pread(fd, p, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t io_pwritev(int fd, const struct iovec *v, int count, uint64_t at)
{
	ssize_t put;
	do
		put = pwritev(fd, v, count, (off_t)at);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static int io_datasync(int fd)
{
	int r;
	do
		r = fdatasync(fd);
	while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : -errno;
}

static int io_sync(int fd)
{
	int r;
	do
		r = fsync(fd);
	while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : -errno;
}

static int io_truncate(int fd, uint64_t length)
{
	int r;
	do
		r = ftruncate(fd, (off_t)length);
	while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : -errno;
}

static int io_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0) == 0 ? 0 : -errno;
}

static int io_rename(int dir, const char *from, const char *to)
{
	return renameat(dir, from, dir, to) == 0 ? 0 : -errno;
}

static int io_next(DIR *d, const char **ret_name)
{
	errno = 0;
	struct dirent *e = readdir(d);
	if (e == NULL)
		return -errno;
	*ret_name = e->d_name;
	return 1;
}

const struct spool_io spool_io_real = {
	.open = io_open,
	.close = io_close,
	.pread = io_pread,
	.pwritev = io_pwritev,
	.datasync = io_datasync,
	.sync = io_sync,
	.truncate = io_truncate,
	.unlink = io_unlink,
	.rename = io_rename,
	.next = io_next,
};
const struct spool_io *spool_io = &spool_io_real;

int spool_read_full(int fd, void *p, size_t n, uint64_t at)
{
	char *to = p;
	while (n > 0) {
		ssize_t got = spool_io->pread(fd, to, n, at);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return -ENODATA;
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int spool_writev_full(int fd, struct iovec *v, int count, uint64_t at)
{
	while (count > 0) {
		int now = count < IOV_MAX ? count : IOV_MAX;
		ssize_t put = spool_io->pwritev(fd, v, now, at);
		if (put < 0)
			return (int)put;
		at += (uint64_t)put;
		size_t done = (size_t)put;
		while (count > 0 && done >= v->iov_len) {
			done -= v->iov_len;
			v++;
			count--;
		}
		if (count > 0 && put == 0)
			return -EIO; /* nothing moved: do not spin */
		if (count > 0) {
			v->iov_base = (char *)v->iov_base + done;
			v->iov_len -= done;
		}
	}
	return 0;
}

int spool_write_full(int fd, const void *p, size_t n, uint64_t at)
{
	struct iovec v = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	return spool_writev_full(fd, &v, 1, at);
}
