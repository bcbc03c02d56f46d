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
#include <sys/file.h>
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

/* Says which shard is not of this server's format, and what to do. */
static int check_shards(struct kurir_self *self)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	char path[SHARD_PATH + 16], folder[SHARD_PATH];
	static struct db db;
	for (unsigned i = 0; i < (unsigned)conf->shards; i++) {
		int64_t version = 0;
		if (shard_folder(conf, i, folder) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/index.db", folder);
		if (access(path, F_OK) < 0)
			continue;
		if (db_open_any(&db, path, &version) < 0)
			continue; /* who needs it says what is wrong */
		db_close(&db);
		if (version > SCHEMA_VERSION)
			return kurir_log(self, KURIR_ERROR, -EPROTONOSUPPORT,
			    "shard %02x has format %lld, of a later server than this one, which has"
			    " %d: with that server's program, \"kurirctl store upgrade back\"",
			    i, (long long)version, SCHEMA_VERSION);
		if (version != 0 && version < SCHEMA_VERSION)
			return kurir_log(self, KURIR_ERROR, -EPROTONOSUPPORT,
			    "shard %02x has format %lld, this server has %d:"
			    " \"kurirctl store upgrade\" while it does not run",
			    i, (long long)version, SCHEMA_VERSION);
	}
	return 0;
}

/* Held as long as the server may write to any shard: those who change what shards are wait. */
static int hold(struct kurir_self *self, int root)
{
	struct sqlite_self *m = kurir_state(self);
	m->format = openat(root, "format", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return m->format < 0 || flock(m->format, LOCK_SH | LOCK_NB) < 0 ? -errno : 0;
}

void format_release(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	if (m->format >= 0)
		close(m->format);
	m->format = -1;
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
	if (r == 0)
		r = hold(self, root);
	close(root);
	if (r == -EWOULDBLOCK)
		return kurir_log(
		    self, KURIR_ERROR, r, "kurir-store works on %.*s now", KURIR_ARG(conf->root));
	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot tell the format of %.*s",
		    KURIR_ARG(conf->root));
	if (strcmp(have, want) == 0)
		return check_shards(self);
	have[strcspn(have, "\n")] = '\0';
	return kurir_log(self, KURIR_ERROR, -EINVAL,
	    "%.*s has \"%s\", not as many shards or another version than this server would make",
	    KURIR_ARG(conf->root), have);
}
