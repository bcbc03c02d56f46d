/* maildir_io.c - the file operations of this module, in one table; and folders. */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "maildir.h"

static int io_open(const char *path, int flags, unsigned mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

static ssize_t io_write(int fd, const void *data, size_t len)
{
	ssize_t n = write(fd, data, len);

	return n < 0 ? -errno : n;
}

static int io_fsync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

static int io_close(int fd)
{
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int io_link(const char *from, const char *to)
{
	return link(from, to) < 0 ? -errno : 0;
}

static int io_rename(const char *from, const char *to)
{
	return rename(from, to) < 0 ? -errno : 0;
}

static int io_unlink(const char *path)
{
	return unlink(path) < 0 ? -errno : 0;
}

static int io_mkdir(const char *path, unsigned mode)
{
	return mkdir(path, mode) < 0 ? -errno : 0;
}

static int io_next(DIR *d, struct dirent **ret)
{
	errno = 0;
	*ret = readdir(d);
	return *ret ? 1 : -errno;
}

/* Before Linux 5.8 syncfs(2) keeps errors to itself. */
static bool reports_errors(void)
{
	static atomic_int known; /* 1: yes, 2: no */
	unsigned major = 0, minor = 0;
	struct utsname name;

	if (known == 0)
		known = uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
			(major > 5 || (major == 5 && minor >= 8))
		    ? 1
		    : 2;
	return known == 1;
}

static int io_sync_all(int fd)
{
	if (!reports_errors())
		return -ENOSYS;
	return syncfs(fd) < 0 ? -errno : 0;
}

struct maildir_io maildir_io = { io_open, io_write, io_fsync, io_close, io_link, io_rename,
	io_unlink, io_mkdir, io_next, io_sync_all };

int maildir_write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = maildir_io.write(fd, data, len);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int maildir_fsync_dir(const char *path)
{
	int fd = maildir_io.open(path, O_RDONLY | O_DIRECTORY, 0), r;

	if (fd < 0)
		return fd;
	r = maildir_io.fsync(fd);
	maildir_io.close(fd);
	return r;
}

/* One level, durable in its parent, also when an earlier try did not get so far. */
static int make_level(char *path)
{
	char *slash = strrchr(path, '/');
	int r = maildir_io.mkdir(path, 0770);

	if (r < 0 && r != -EEXIST)
		return r;
	*slash = '\0';
	r = maildir_fsync_dir(path);
	*slash = '/';
	return r;
}

int maildir_make(const char *root, const char *path)
{
	/* tmp comes last: where it is, the others are. */
	static const char *const parts[] = { "/cur", "/new", "/tmp" };
	char p[MAILDIR_PATH_MAX + 8];
	size_t skip = strlen(root), len = strlen(path);
	int r = 0;

	if (len >= MAILDIR_PATH_MAX || strncmp(path, root, skip) != 0)
		return -EINVAL;
	memcpy(p, path, len + 1);
	for (char *s = p + skip + 1; r >= 0 && (s = strchr(s, '/')) != NULL; s++) {
		*s = '\0';
		r = make_level(p);
		*s = '/';
	}
	if (r >= 0)
		r = make_level(p);
	for (size_t i = 0; r >= 0 && i < 3; i++) {
		memcpy(p + len, parts[i], 5);
		r = make_level(p);
	}
	return r;
}
