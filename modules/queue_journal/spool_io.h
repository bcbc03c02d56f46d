/* spool_io.h - every file operation of the spool goes through this table, so that a test can
 * make the n-th of them fail.  All return >= 0 or -errno and never set anything else; they
 * are called in helper threads too. */
#ifndef SPOOL_IO_H
#define SPOOL_IO_H

#include <dirent.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool_io {
	int (*open)(int dir, const char *name, int flags, mode_t mode); /* O_CLOEXEC is added */
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *, size_t, uint64_t at);
	ssize_t (*pwritev)(int fd, const struct iovec *, int count, uint64_t at);
	int (*datasync)(int fd);
	int (*sync)(int fd); /* folders too */
	int (*truncate)(int fd, uint64_t length);
	int (*unlink)(int dir, const char *name);
	int (*rename)(int dir, const char *from, const char *to);
	int (*next)(DIR *, const char **ret_name); /* 1; 0 after the last */
};
extern const struct spool_io *spool_io;
extern const struct spool_io spool_io_real;

/* All n bytes at once: 0; -ENODATA when the file is shorter; -errno. */
int spool_read_full(int fd, void *, size_t n, uint64_t at);
/* All of it: 0 or -errno; what was written before an error stays. */
int spool_write_full(int fd, const void *, size_t n, uint64_t at);
/* The same for vectors, which are used up. */
int spool_writev_full(int fd, struct iovec *, int count, uint64_t at);

#endif
