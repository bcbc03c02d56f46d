/* spool_file.c - one batch of records, one pwritev, one fdatasync.
 *
 * Guarantees (see doc/QUEUE.md): S1 a batch's result is 0 only after fdatasync said so; S2
 * a segment that failed once is cut back to what was durable and never written again; S3 the
 * segment's name is durable before its first record is. */
#include "spool_file.h"

#include "spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILL_FOR     (64u << 10) /* larger batches pay for their metadata with fewer flushes */
#define FILL_BATCHES 16
#define FILL_MAX     (FILL_FOR * FILL_BATCHES)
#define IOV_ITEM     4 /* head, envelope, body, padding */

static const char zeros[64u << 10];

static uint64_t file_id(struct spool_file *f)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	uint32_t role = (uint32_t)__builtin_ctz(f->role | 1u << 15);
	uint32_t who = (uint32_t)getpid() * 31 + f->index;
	return ms << 20 | (uint64_t)(role & 15) << 16 | (uint64_t)(who & 255) << 8 |
	    (f->sequence++ & 255);
}

int spool_file_create(struct spool_file *f, const char *suffix, uint64_t *ret_id)
{
	char name[SEGMENT_NAME_MAX];
	for (int tries = 0; tries < 1000; tries++) {
		uint64_t id = file_id(f);
		segment_name(name, id, suffix);
		int fd = spool_io->open(f->dir, name, O_RDWR | O_CREAT | O_EXCL, 0640);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		/* Whatever the umask is: the queue reads it.  And the queue may have taken the
		 * newborn for litter before it was locked. */
		struct stat st;
		int r = 0;
		do
			r = flock(fd, LOCK_EX);
		while (r != 0 && errno == EINTR);
		if (r != 0 || fchmod(fd, 0640) != 0 || fstat(fd, &st) != 0) {
			int err = -errno;
			spool_io->close(fd);
			spool_io->unlink(f->dir, name);
			return err;
		}
		if (st.st_nlink == 0) {
			spool_io->close(fd);
			continue;
		}
		*ret_id = id;
		return fd;
	}
	return -EEXIST;
}

/* Zeros from filled on, so that later fdatasyncs need not change the file's metadata: enough for
 * some batches like this one, as it waits for them on the disk.
 * Failing is fine: then the records themselves extend the file, or fail. */
static void file_fill(struct spool_file *f, uint64_t bytes)
{
	struct iovec v[FILL_MAX / sizeof(zeros)];
	while (f->filled < f->end + bytes && f->filled < f->limit) {
		uint64_t room = f->limit - f->filled, n = bytes * FILL_BATCHES;
		int count = 0;
		n = n < sizeof(zeros) ? sizeof(zeros) : n;
		n = n < room ? n : room;
		for (uint64_t at = 0; at < n; at += sizeof(zeros))
			v[count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)zeros,
				.iov_len = n - at < sizeof(zeros) ? n - at : sizeof(zeros) };
		if (spool_writev_full(f->fd, v, count, f->filled) != 0)
			return;
		f->filled += n;
	}
}

/* Transition: nothing -> an empty segment whose name is durable. */
static int file_open(struct spool_file *f)
{
	char from[SEGMENT_NAME_MAX], to[SEGMENT_NAME_MAX], mark[SEGMENT_NAME_MAX],
	    head[SEGMENT_HEAD];
	uint64_t id;
	int fd = spool_file_create(f, ".new", &id);
	if (fd < 0)
		return fd;
	segment_name(from, id, ".new");
	segment_name(to, id, ".seg");
	segment_name(mark, id, ".end");
	struct segment_head h = {
		.id = id, .role = f->role, .index = f->index, .pid = (uint32_t)getpid()
	};
	h.created = (int64_t)(id >> 20);
	int r = 0;
	if (getrandom(&h.salt, sizeof(h.salt), 0) != (ssize_t)sizeof(h.salt))
		r = -EIO;
	segment_put_head(head, &h);
	if (r == 0)
		r = spool_write_full(fd, head, sizeof(head), 0);
	int m = -1;
	if (r == 0) {
		m = spool_io->open(f->dir, mark, O_WRONLY | O_CREAT | O_TRUNC, 0640);
		r = m < 0 ? m : fchmod(m, 0640) != 0 ? -errno : 0;
	}
	if (r == 0)
		r = spool_io->sync(fd);
	if (r == 0)
		r = spool_io->rename(f->dir, from, to);
	if (r == 0) {
		r = spool_io->sync(f->dir);
		if (r != 0)
			spool_io->unlink(f->dir, to);
	} else {
		spool_io->unlink(f->dir, from);
	}
	if (r != 0) {
		if (m >= 0)
			spool_io->close(m);
		spool_io->unlink(f->dir, mark);
		spool_io->close(fd);
		return r;
	}
	f->fd = fd;
	f->mark = m;
	f->head = h;
	f->end = SEGMENT_HEAD;
	f->filled = SEGMENT_HEAD;
	return 0;
}

/* Transition: open segment -> finished: what is behind end was never promised and goes. */
int spool_file_finish(void *arg)
{
	struct spool_file *f = arg;
	char mark[SEGMENT_NAME_MAX];
	if (f->fd < 0)
		return 0;
	if (spool_io->truncate(f->fd, f->end) != 0) {
		/* At least no record may begin there. */
		spool_write_full(f->fd, zeros, SEGMENT_HEAD, f->end);
	}
	segment_name(mark, f->head.id, ".end");
	spool_io->unlink(f->dir, mark);
	spool_io->close(f->mark);
	spool_io->close(f->fd); /* and with it the lock: the queue looks at the whole once more */
	f->fd = f->mark = -1;
	return 0;
}

/* How far readers may trust the segment while its writer lives.  Not synced: after a power
 * cut nobody asks for it.  What readers cannot be told of, they find when its writer is gone. */
static void file_mark(struct spool_file *f)
{
	char end[8];
	segment_put_le64(end, f->end);
	if (spool_write_full(f->mark, end, sizeof(end), 0) != 0)
		spool_file_finish(f);
}

static int batch_vectors(struct spool_batch *b, struct iovec *v, uint64_t *ret_bytes)
{
	struct spool_file *f = b->file;
	int n = 0;
	uint64_t at = f->end;
	for (unsigned i = 0; i < b->count; i++) {
		struct spool_item *x = b->items[i];
		x->record.salt = f->head.salt;
		x->record.synced = f->end;
		segment_put_record(x->head, &x->record, x->envelope);
		x->segment = f->head.id;
		x->offset = at;
		uint64_t bytes = segment_record_bytes(&x->record);
		uint64_t pad = bytes - SEGMENT_HEAD - x->envelope.len - x->body.len;
		v[n++] = (struct iovec){ x->head, SEGMENT_HEAD };
		v[n++] = (struct iovec){ (void *)(uintptr_t)x->envelope.ptr, x->envelope.len };
		if (x->body.len > 0)
			v[n++] = (struct iovec){ (void *)(uintptr_t)x->body.ptr, x->body.len };
		if (pad > 0)
			v[n++] = (struct iovec){ (void *)(uintptr_t)zeros, pad };
		at += bytes;
	}
	*ret_bytes = at - f->end;
	return n;
}

/* Transition: collected messages -> durable messages, all of the batch or none. */
int spool_batch_run(void *arg)
{
	struct spool_batch *b = arg;
	struct spool_file *f = b->file;
	struct iovec v[SPOOL_BATCH_MAX * IOV_ITEM];
	uint64_t bytes = 0;
	int r = 0;
	for (unsigned i = 0; i < b->count; i++)
		bytes += segment_record_bytes(&b->items[i]->record);
	if (f->fd >= 0 && f->end > SEGMENT_HEAD && f->end + bytes > f->limit)
		spool_file_finish(f);
	if (f->fd < 0)
		r = file_open(f);
	if (r == 0) {
		if (f->end + bytes > f->filled && bytes < FILL_FOR)
			file_fill(f, bytes);
		int n = batch_vectors(b, v, &bytes);
		r = spool_writev_full(f->fd, v, n, f->end);
		if (r == 0)
			r = spool_io->datasync(f->fd);
		if (r == 0) {
			f->end += bytes;
			if (f->filled < f->end)
				f->filled = f->end;
			file_mark(f);
		} else {
			spool_file_finish(f);
		}
	}
	b->result = r;
	return 0;
}
