/* compact.c - segments of which little is needed any more give their room back.
 *
 * What is still needed is copied to the segment that is being written, some MiB in a
 * transaction, and its rows name the new place.  The copy is durable before the transaction
 * is, and the old file goes only in a transaction after it (purge.c): whatever happens, one of
 * the two places has the bytes, and what a crash leaves behind has no row, or is counted as
 * not needed, and goes the same way. Who has the old file open reads on in it; who only knows
 * its name looks again (access.c).
 *
 * So finished segments take at most SHARE_PERCENT^-1 of what is needed of them, and no more
 * than SMALL_MANY of them are small, however often the server was started again. */
#include "sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARE_PERCENT 50
#define SMALL_MANY    16
#define SMALL_SHARE   16 /* small: less than that part of a whole segment */
#define STEP_BYTES    ((uint64_t)8 << 20)
#define STEP_RECORDS  512

/* A segment that nobody appends to any more: its size; 0: it is not, or it is not there. */
uint64_t segment_finished(int folder, const char *name)
{
	struct stat st;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	bool unlocked = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0;
	close(fd);
	return unlocked && st.st_size > 0 ? (uint64_t)st.st_size : unlocked;
}

struct choice {
	int64_t worst, smallest; /* 0: none */
	uint64_t share, bytes;	 /* percent of worst that is needed; of smallest */
	unsigned small;
};

static int consider(struct shard *s, struct choice *c, int64_t id, uint64_t size)
{
	int64_t live;
	int r = db_number(
	    &s->db, &live, "SELECT live FROM segment WHERE id = ? AND damaged = 0", "i", id);
	if (r == -ENOENT)
		return 0;
	uint64_t share = r == 0 ? (uint64_t)live * 100 / size : 100;
	if (share < SHARE_PERCENT && (c->worst == 0 || share < c->share)) {
		c->worst = id;
		c->share = share;
	}
	if (size < s->conf->segment_size / SMALL_SHARE) {
		c->small++;
		if (c->smallest == 0 || size < c->bytes) {
			c->smallest = id;
			c->bytes = size;
		}
	}
	return r;
}

static int choose(struct shard *s, int64_t *ret)
{
	struct choice c = { .worst = 0 };
	DIR *d = opendir(s->folder);
	int r = 0;
	if (d == NULL)
		return -errno;
	for (struct dirent *e = readdir(d); e != NULL && r == 0; e = readdir(d)) {
		uint64_t id = blob_name_id(e->d_name);
		uint64_t size = id == 0 ? 0 : segment_finished(dirfd(d), e->d_name);
		if (size > 0)
			r = consider(s, &c, (int64_t)id, size);
	}
	closedir(d);
	*ret = c.worst != 0 ? c.worst : c.small > SMALL_MANY ? c.smallest : 0;
	return r;
}

/* One record to the end of the segment that is being written, if it is what it was. */
static int copy_record(struct shard *s, int fd, int64_t blob, const struct blob_place *old)
{
	struct blob_record record;
	struct blob_place new;
	int r = blob_record_read(fd, blob_record_start(old), &record);
	if (r == 0 && (record.body != old->offset || record.source.length != old->length))
		r = -EBADMSG;
	if (r == 0)
		r = blob_append(&s->blobs, &record.source, &new);
	if (r == 0)
		r = db_exec(&s->db,
		    "INSERT INTO segment(id, bytes, live) VALUES(?1, ?2, ?2) ON CONFLICT(id)"
		    " DO UPDATE SET bytes = bytes + ?2, live = live + ?2",
		    "ii", (int64_t) new.segment, (int64_t) new.record);
	if (r == 0)
		r = db_exec(&s->db, "UPDATE blob SET segment = ?, offset = ? WHERE id = ?", "iii",
		    (int64_t) new.segment, (int64_t) new.offset, blob);
	if (r == 0)
		r = db_exec(&s->db, "UPDATE segment SET live = live - ? WHERE id = ?", "ii",
		    (int64_t)old->record, (int64_t)old->segment);
	return r;
}

/* 0: nothing of it is needed any more; 1: there is more to do. */
static int copy_some(struct shard *s, int fd, int64_t segment)
{
	uint64_t bytes = 0;
	int r = 0;
	for (unsigned n = 0; n < STEP_RECORDS && bytes < STEP_BYTES; n++) {
		sqlite3_stmt *q = db_query(&s->db, &r,
		    "SELECT id, offset, length, record FROM blob WHERE segment = ?"
		    " ORDER BY offset LIMIT 1",
		    "i", segment);
		if (r == 0)
			r = db_step(&s->db, q);
		if (r <= 0)
			return r;
		int64_t blob = db_column(q, 0);
		struct blob_place old = { (uint64_t)segment, (uint64_t)db_column(q, 1),
			(uint64_t)db_column(q, 2), (uint64_t)db_column(q, 3) };
		db_done(q);
		r = copy_record(s, fd, blob, &old);
		if (r < 0)
			return r;
		bytes += old.record;
	}
	return 1;
}

/* Some MiB of one segment: 1 when there may be more to do, 0, -errno.  One that is damaged is
 * left as it is, for who checks and repairs. */
int compact_step(struct shard *s)
{
	char name[BLOB_NAME], path[SHARD_PATH + 64];
	int r = 0;
	if (s->compacting == 0)
		r = choose(s, &s->compacting);
	if (r < 0 || s->compacting == 0)
		return r;
	blob_name(name, (uint64_t)s->compacting);
	(void)snprintf(path, sizeof(path), "%s/%s", s->folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		r = -errno;
	else
		r = copy_some(s, fd, s->compacting);
	if (fd >= 0)
		close(fd);
	if (r == -EBADMSG || r == -ENOENT) {
		s->damaged = s->compacting;
		r = db_exec(
		    &s->db, "UPDATE segment SET damaged = 1 WHERE id = ?", "i", s->compacting);
		r = r < 0 ? r : 1;
		s->compacting = 0;
	}
	if (r <= 0)
		s->compacting = 0;
	return r < 0 ? r : 1;
}
