/* nth.c - for LD_PRELOAD: the n-th file operation below some folders fails, or all from the n-th on.
 *
 * KURIR_FAULT names a file with a struct fault_plan, which test and server share; KURIR_FAULT_UNDER the folders, with
 * ':' between them.  Reading is left alone; memory has a count of its own. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"

#define SHOWN __attribute__((visibility("default")))

static struct fault_plan *plan;
static const char *under;

__attribute__((constructor)) static void nth_start(void)
{
	const char *file = getenv("KURIR_FAULT");
	int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			  : MAP_FAILED;
	if (fd >= 0)
		close(fd);
	under = getenv("KURIR_FAULT_UNDER");
	if (p != MAP_FAILED && under != NULL)
		plan = p;
}

static int is_below(const char *path)
{
	for (const char *p = under; *p != 0;) {
		size_t n = strcspn(p, ":");
		if (strncmp(path, p, n) == 0)
			return strstr(path, plan->only) != NULL;
		p += n + (p[n] == ':');
	}
	return 0;
}

static int where_fd(int fd, const char *name)
{
	char link[40], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 2);
	if (n <= 0)
		return 0;
	path[n] = 0;
	if (name != NULL)
		memcpy(path + n, "/", 2);
	return is_below(path);
}

static int where(int dir, const char *name)
{
	return name[0] == '/' ? is_below(name) : where_fd(dir, name);
}

/* Is it this one's turn?  Then errno is set. */
static int strike(const char *what, int opens)
{
	uint64_t armed = atomic_load(&plan->armed);
	if (armed == 0 || (armed == 3 && !opens))
		return 0;
	uint64_t seen = atomic_fetch_add(&plan->seen, 1) + 1, n = atomic_load(&plan->n);
	if (seen < n || (armed == 1 && seen > n))
		return 0;
	if (atomic_fetch_add(&plan->hits, 1) == 0)
		snprintf(plan->name, sizeof(plan->name), "%s", what);
	errno = (int)atomic_load(&plan->error);
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILS(at, what, opens) \
	(plan != NULL && atomic_load(&plan->armed) != 0 && (at) && strike(what, opens))

static mode_t mode_of(int flags, va_list v)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(v, mode_t) : 0;
}

SHOWN int open(const char *path, int flags, ...)
{
	va_list v;
	va_start(v, flags);
	mode_t mode = mode_of(flags, v);
	va_end(v);
	if (FAILS(where(AT_FDCWD, path), flags & O_CREAT ? "create" : "open", 1))
		return -1;
	return REAL(open)(path, flags, mode);
}

SHOWN int openat(int dir, const char *path, int flags, ...)
{
	va_list v;
	va_start(v, flags);
	mode_t mode = mode_of(flags, v);
	va_end(v);
	if (FAILS(where(dir, path), flags & O_CREAT ? "create" : "open", 1))
		return -1;
	return REAL(openat)(dir, path, flags, mode);
}

SHOWN DIR *opendir(const char *path)
{
	return FAILS(where(AT_FDCWD, path), "opendir", 1) ? NULL : REAL(opendir)(path);
}

/* Half of what was to be written is there when the rest does not fit. */
static ssize_t half(int fd, const void *p, size_t n)
{
	int saved = errno;
	if (saved == ENOSPC && n > 1)
		(void)!REAL(write)(fd, p, n / 2);
	errno = saved;
	return -1;
}

SHOWN ssize_t write(int fd, const void *p, size_t n)
{
	return FAILS(where_fd(fd, NULL), "write", 0) ? half(fd, p, n) : REAL(write)(fd, p, n);
}

SHOWN ssize_t writev(int fd, const struct iovec *p, int n)
{
	return FAILS(where_fd(fd, NULL), "writev", 0) ? -1 : REAL(writev)(fd, p, n);
}

SHOWN ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return FAILS(where_fd(fd, NULL), "pwrite", 0) ? -1 : REAL(pwrite)(fd, p, n, at);
}

SHOWN ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	if (!FAILS(where_fd(fd, NULL), "pwritev", 0))
		return REAL(pwritev)(fd, v, n, at);
	int saved = errno;
	if (n > 0 && v[0].iov_len > 1)
		(void)!REAL(pwrite)(fd, v[0].iov_base, v[0].iov_len / 2, at);
	errno = saved;
	return -1;
}

SHOWN int fsync(int fd)
{
	return FAILS(where_fd(fd, NULL), "fsync", 0) ? -1 : REAL(fsync)(fd);
}

SHOWN int fdatasync(int fd)
{
	return FAILS(where_fd(fd, NULL), "fdatasync", 0) ? -1 : REAL(fdatasync)(fd);
}

SHOWN int syncfs(int fd)
{
	return FAILS(where_fd(fd, NULL), "syncfs", 0) ? -1 : REAL(syncfs)(fd);
}

SHOWN int ftruncate(int fd, off_t n)
{
	return FAILS(where_fd(fd, NULL), "ftruncate", 0) ? -1 : REAL(ftruncate)(fd, n);
}

SHOWN int rename(const char *a, const char *b)
{
	return FAILS(where(AT_FDCWD, b), "rename", 0) ? -1 : REAL(rename)(a, b);
}

SHOWN int renameat(int x, const char *a, int y, const char *b)
{
	return FAILS(where(y, b), "renameat", 0) ? -1 : REAL(renameat)(x, a, y, b);
}

SHOWN int link(const char *a, const char *b)
{
	return FAILS(where(AT_FDCWD, b), "link", 0) ? -1 : REAL(link)(a, b);
}

SHOWN int linkat(int x, const char *a, int y, const char *b, int flags)
{
	return FAILS(where(y, b), "linkat", 0) ? -1 : REAL(linkat)(x, a, y, b, flags);
}

SHOWN int mkdir(const char *path, mode_t mode)
{
	return FAILS(where(AT_FDCWD, path), "mkdir", 0) ? -1 : REAL(mkdir)(path, mode);
}

SHOWN int mkdirat(int dir, const char *path, mode_t mode)
{
	return FAILS(where(dir, path), "mkdirat", 0) ? -1 : REAL(mkdirat)(dir, path, mode);
}

/* A full disk still gives files back; only one that is broken does not. */
SHOWN int unlink(const char *path)
{
	return FAILS(atomic_load(&plan->error) == EIO && where(AT_FDCWD, path), "unlink", 0)
	    ? -1
	    : REAL(unlink)(path);
}

SHOWN int unlinkat(int dir, const char *path, int flags)
{
	return FAILS(atomic_load(&plan->error) == EIO && where(dir, path), "unlinkat", 0)
	    ? -1
	    : REAL(unlinkat)(dir, path, flags);
}

/* Memory. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static int starve(void)
{
	if (plan == NULL || atomic_load(&plan->memory_n) == 0)
		return 0;
	if (atomic_fetch_add(&plan->memory_seen, 1) + 1 != atomic_load(&plan->memory_n))
		return 0;
	atomic_fetch_add(&plan->memory_hits, 1);
	errno = ENOMEM;
	return 1;
}

SHOWN void *malloc(size_t n)
{
	return starve() ? NULL : __libc_malloc(n);
}

SHOWN void *calloc(size_t a, size_t b)
{
	return starve() ? NULL : __libc_calloc(a, b);
}

SHOWN void *realloc(void *p, size_t n)
{
	return starve() ? NULL : __libc_realloc(p, n);
}
