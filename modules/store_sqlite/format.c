/* format.c - the file "format" in the root: what is there, so that nobody looks for an account in
 * the wrong shard.
 *
 *   format = "kurir store_sqlite" SP version SP "shards" SP number LF
 *
 * It is made once, whole and durable, before the first shard.  The version is of what is in the
 * root; each database says its own (schema.h). */
#include "schema.h"
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128

static int write_once(int root, const char *line)
{
	char name[64];
	size_t n = strlen(line);
	(void)snprintf(name, sizeof(name), "format.%ld", (long)getpid());
	int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	ssize_t done = write(fd, line, n);
	int r = done < 0 ? -errno : (size_t)done < n ? -ENOSPC : fsync(fd) < 0 ? -errno : 0;
	close(fd);
	if (r == 0 && linkat(root, name, root, "format", 0) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlinkat(root, name, 0);
	return r == 0 && fsync(root) < 0 ? -errno : r;
}

static int read_line(int root, char ret[LINE_MAX_BYTES])
{
	int fd = openat(root, "format", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, ret, LINE_MAX_BYTES - 1);
	int r = n < 0 ? -errno : 0;
	close(fd);
	ret[n > 0 ? n : 0] = '\0';
	return r;
}

int format_check(struct kurir_self *self)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	char want[LINE_MAX_BYTES], have[LINE_MAX_BYTES];
	(void)snprintf(want, sizeof(want), "kurir store_sqlite %d shards %lld\n", SCHEMA_ROOT,
	    (long long)conf->shards);
	int root = open(conf->root.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	if (root < 0)
		return kurir_log(
		    self, KURIR_ERROR, -errno, "cannot open %.*s", KURIR_ARG(conf->root));
	r = read_line(root, have);
	if (r == -ENOENT)
		r = write_once(root, want);
	if (r == 0)
		r = read_line(root, have);
	close(root);
	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot tell the format of %.*s",
		    KURIR_ARG(conf->root));
	if (strcmp(have, want) == 0)
		return 0;
	have[strcspn(have, "\n")] = '\0';
	return kurir_log(self, KURIR_ERROR, -EINVAL,
	    "%.*s has \"%s\", not as many shards or another version than this server would make",
	    KURIR_ARG(conf->root), have);
}
