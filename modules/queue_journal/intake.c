/* intake.c - records of the spool become messages of the queue.
 *
 * Three ways lead here, and each record comes by at least one: the writer's notice, the look at
 * the end marks every few seconds, and the scan of a segment whose writer is gone.  A segment's
 * "known" only grows, record by record, so that none is taken twice. */
#include "queue_role.h"

#include "spool_io.h"
#include "spool_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH_MAX   (16u << 20) /* bytes of envelopes kept until their first attempt */
#define RECORDS_MAX (2u << 20)	/* bytes of envelopes that are read at once */

static void intake_tell(struct queue *q, const struct message *m, struct kurir_str envelope)
{
	struct kurir_reader r = KURIR_READER(envelope);
	struct kurir_envelope e;
	if (kurir_get_envelope(&r, q->scratch, &e) == 0) {
		struct kurir_str count = kurir_format(q->scratch, "%u", m->count);
		struct kurir_str bytes = kurir_format(q->scratch, "%u", m->bytes);
		KURIR_EMIT(q->self, KURIR_INFO, "queued", { "id", e.id }, { "from", e.sender },
		    { "rcpts", count }, { "bytes", bytes });
	}
	kurir_arena_clear(q->scratch);
}

/* One sound record at the end of what is known. */
static void intake_take(
    struct queue *q, struct segment *s, const struct segment_found *f, struct kurir_str envelope)
{
	uint64_t bytes = segment_record_bytes(&f->record);
	s->known = f->offset + bytes;
	if (f->record.kind == SEGMENT_MOVED) {
		struct segment *old = table_segment(q, f->moved_segment, false);
		struct message *m = table_find(q, old, f->moved_offset);
		if (m != NULL) {
			table_move(q, m, s, f->offset, (uint32_t)bytes);
			state_moved(q, f->moved_segment, f->moved_offset, m);
			return;
		}
		/* It was over by then; unless this is the only record there is of it. */
		if (!q->forgetful || (old != NULL && old->seen))
			return;
	}
	bool hold = q->conf->hold || f->record.kind == SEGMENT_HELD;
	struct message *m = table_add(q, s, f->offset, &f->record);
	state_message(q, m);
	kurir_count(q->self, QUEUE_ACCEPTED, m->count);
	if (m->count == 0)
		state_bury(q, m);
	if (envelope.len > 0 && !hold && q->fresh_bytes + envelope.len <= FRESH_MAX) {
		m->envelope = malloc(envelope.len);
		if (m->envelope != NULL) {
			memcpy(m->envelope, envelope.ptr, envelope.len);
			m->envelope_length = (uint32_t)envelope.len;
			q->fresh_bytes += envelope.len;
		}
	}
	if (envelope.len > 0)
		intake_tell(q, m, envelope);
	for (uint32_t i = 0; hold && i < m->count; i++) {
		m->entries[i].state = ENTRY_HELD;
		state_entry(q, m, &m->entries[i]);
	}
	if (!q->started || hold)
		return;
	for (uint32_t i = 0; i < m->count; i++)
		scheduler_ready(&q->scheduler, &m->entries[i]);
	dispatch_wake(q);
}

/* NULL: there is no such segment, and a writer that claims so fills no table. */
static struct segment *noticed_segment(struct queue *q, uint64_t id)
{
	struct segment *s = table_segment(q, id, false);
	char name[SEGMENT_NAME_MAX];
	struct stat st;
	if (s != NULL)
		return s;
	segment_name(name, id, ".seg");
	return fstatat(q->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? table_segment(q, id, true)
								    : NULL;
}

/* Notices of a writer; on the loop. */
void intake_post(struct kurir_self *self, const struct kurir_incoming *in)
{
	struct queue *q = queue_self(self)->queue;
	struct kurir_reader r = KURIR_READER(in->body);
	if (q == NULL || !q->started || q->stopping)
		return; /* will be found */
	while (r.error == 0 && r.rest.len > 0) {
		uint64_t id = kurir_get_u64(&r);
		struct segment_found f = { .offset = kurir_get_u64(&r) };
		struct kurir_str head = kurir_get_text(&r);
		struct kurir_str envelope = kurir_get_text(&r);
		if (r.error != 0 || head.len != SEGMENT_HEAD ||
		    !segment_record_sound(head.ptr, envelope) ||
		    segment_get_record(head.ptr, segment_get_le64(head.ptr + 8), &f.record) != 0)
			break;
		if (f.record.envelope_length != envelope.len || f.offset > INT64_MAX)
			break;
		struct segment *s = noticed_segment(q, id);
		if (s == NULL)
			break;
		s->seen = true;
		if (f.offset < s->known)
			continue;
		if (f.offset > s->known) {
			q->rescan = true; /* one was lost before */
			continue;
		}
		if (f.record.kind == SEGMENT_MOVED) {
			f.moved_segment = segment_get_le64(envelope.ptr);
			f.moved_offset = segment_get_le64(envelope.ptr + 8);
			envelope = (struct kurir_str){ 0 };
		}
		intake_take(q, s, &f, envelope);
	}
}

/* One segment's unknown part, in a helper thread. */
struct look {
	struct segment_scan scan;
	int dir;
	char name[SEGMENT_NAME_MAX], mark[SEGMENT_NAME_MAX];
	bool sealed; /* the writer is gone, and all was read after that */
	int result;
};

static int look_run(void *arg)
{
	struct look *l = arg;
	char end[8];
	l->result = 0;
	l->scan.fd = spool_io->open(l->dir, l->name, O_RDONLY, 0);
	if (l->scan.fd < 0) {
		l->result = l->scan.fd;
		return 0;
	}
	l->sealed = flock(l->scan.fd, LOCK_SH | LOCK_NB) == 0;
	l->scan.until = UINT64_MAX;
	if (!l->sealed) {
		int m = spool_io->open(l->dir, l->mark, O_RDONLY, 0), r = m;
		l->scan.trusted = true;
		l->scan.until = 0;
		if (m >= 0) {
			r = spool_read_full(m, end, sizeof(end), 0);
			if (r == 0)
				l->scan.until = segment_get_le64(end);
			spool_io->close(m);
		}
		/* An empty mark: nothing is durable yet.  None: its writer is about to go. */
		if (r < 0 && r != -ENODATA)
			l->result = r == -ENOENT ? -EAGAIN : r;
	}
	if (l->sealed) /* what a killed writer left may be in no more than memory */
		l->result = spool_io->datasync(l->scan.fd);
	if (l->result == 0 && l->scan.until > l->scan.from)
		l->result = segment_scan(&l->scan);
	spool_io->close(l->scan.fd);
	return 0;
}

KURIR_PARKS static int intake_look(struct queue *q, uint64_t id)
{
	struct segment *s = table_segment(q, id, true);
	struct look l = { .dir = q->dir };
	segment_name(l.name, id, ".seg");
	segment_name(l.mark, id, ".end");
	l.scan.from = s->known;
	int r = kurir_offload(look_run, &l, KURIR_FOREVER);
	s = table_segment(q, id, true); /* others ran meanwhile */
	if (l.result == -EBADMSG) {
		kurir_log(
		    q->self, KURIR_ERROR, l.result, "%s is not a segment, left alone", l.name);
		s->stranger = true;
		return 0;
	}
	if (l.result == -ENOENT)
		s->seen = false;
	else if (l.result < 0 && l.result != -EAGAIN)
		kurir_log(q->self, KURIR_ERROR, l.result, "cannot read %s, trying again", l.name);
	if (l.result < 0)
		return l.result;
	for (size_t i = 0; i < l.scan.count; i++)
		if (l.scan.found[i].offset >= s->known &&
		    table_find(q, s, l.scan.found[i].offset) == NULL) {
			intake_take(q, s, &l.scan.found[i], (struct kurir_str){ 0 });
			if (q->started)
				kurir_count(q->self, QUEUE_MISSED, 1);
		}
	if (l.scan.torn > 0 || l.scan.skipped > 0) {
		kurir_count(q->self, QUEUE_TORN, l.scan.torn);
		kurir_log(q->self, KURIR_WARN, 0,
		    "%s: %u unfinished records and %llu other bytes left out", l.name,
		    l.scan.torn, (unsigned long long)l.scan.skipped);
	}
	free(l.scan.found);
	if (l.sealed) {
		s->sealed = true;
		if (l.scan.count > 0 && l.scan.end > s->known)
			s->known = l.scan.end;
		unlinkat(q->dir, l.mark, 0); /* of a writer that was killed */
	}
	return r;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* The ids of the files with that suffix, ascending; free() them. */
static int list_files(struct queue *q, const char *suffix, uint64_t **ret, size_t *ret_count)
{
	uint64_t *ids = NULL;
	size_t count = 0, room = 0;
	int fd = openat(q->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		int err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	const char *name;
	int r;
	while ((r = spool_io->next(d, &name)) > 0) {
		uint64_t id = segment_name_id(name, suffix);
		if (id == 0)
			continue;
		if (count == room) {
			room = room == 0 ? 64 : room * 2;
			uint64_t *p = realloc(ids, room * sizeof(*p));
			if (p == NULL)
				abort();
			ids = p;
		}
		ids[count++] = id;
	}
	closedir(d);
	if (r < 0) { /* some are missing: they are not gone */
		free(ids);
		return r;
	}
	if (count > 0)
		qsort(ids, count, sizeof(*ids), compare_ids);
	*ret = ids;
	*ret_count = count;
	return 0;
}

/* 0: everything that is in the spool is known.  Else what the last trouble was, and whether the
 * names at least could be read. */
KURIR_PARKS static int intake_look_all(struct queue *q, bool *ret_listed)
{
	uint64_t *ids;
	size_t count;
	int r = list_files(q, ".seg", &ids, &count);
	*ret_listed = r == 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) /* also those that cannot be read now */
		table_segment(q, ids[i], true)->seen = true;
	for (size_t i = 0; i < count && r != -ECANCELED; i++) {
		struct segment *s = table_segment(q, ids[i], true);
		int one = s->sealed || s->stranger ? 0 : intake_look(q, ids[i]);
		if (one < 0 && one != -ENOENT)
			r = one;
	}
	free(ids);
	return r;
}

/* Transition: body file without a message, its writer gone -> nothing. */
KURIR_PARKS static void drop_litter(
    struct queue *q, const char *suffix, const uint64_t *kept, size_t kept_count)
{
	uint64_t *ids;
	size_t count;
	if (list_files(q, suffix, &ids, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		char name[SEGMENT_NAME_MAX];
		if (kept_count > 0 &&
		    bsearch(&ids[i], kept, kept_count, sizeof(*kept), compare_ids) != NULL)
			continue;
		segment_name(name, ids[i], suffix);
		int fd = spool_io->open(q->dir, name, O_RDONLY, 0);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
			/* Its writer may have made it a message a moment ago: look once more. */
			uint32_t bucket = 0;
			bool listed, used = intake_look_all(q, &listed) < 0;
			for (struct message *m = table_walk(q, &bucket, NULL); m != NULL && !used;
			     m = table_walk(q, &bucket, m))
				used = m->body_file == ids[i];
			if (!used)
				spool_io->unlink(q->dir, name);
		}
		spool_io->close(fd);
	}
	free(ids);
}

KURIR_PARKS static void drop_unused_bodies(struct queue *q)
{
	uint64_t *kept = NULL;
	size_t count = 0, room = 0;
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m)) {
		if (m->body_file == 0)
			continue;
		if (count == room) {
			room = room == 0 ? 64 : room * 2;
			uint64_t *p = realloc(kept, room * sizeof(*p));
			if (p == NULL)
				abort();
			kept = p;
		}
		kept[count++] = m->body_file;
	}
	if (count > 0)
		qsort(kept, count, sizeof(*kept), compare_ids);
	drop_litter(q, ".body", kept, count);
	drop_litter(q, ".new", NULL, 0);
	free(kept);
}

void queue_orphan(struct queue *q, struct message *m, struct entry *e, int err)
{
	char place[64];
	if (!table_decide(q, m, e, ENTRY_CANCELLED))
		return;
	snprintf(place, sizeof(place), "%016llx:%llu recipient %u",
	    (unsigned long long)m->segment->id, (unsigned long long)m->offset, e->index);
	KURIR_EMIT(q->self, KURIR_ERROR, "orphan", { "place", kurir_str_of(place) },
	    { "text", kurir_str_of(strerror(-err)) });
	kurir_count(q->self, QUEUE_ORPHANS, 1);
	kurir_count(q->self, QUEUE_CANCELLED, 1);
	state_entry(q, m, e);
	if (m->undecided == 0)
		state_bury(q, m);
}

/* Messages of the log whose segment is not there: nothing can be done but to say so. */
static void report_orphans(struct queue *q)
{
	uint32_t bucket = 0;
	unsigned orphans = 0;
	struct message *m = table_walk(q, &bucket, NULL);
	while (m != NULL) {
		uint32_t next_bucket = bucket;
		struct message *next = table_walk(q, &next_bucket, m);
		if (!m->segment->seen && !m->dead) {
			orphans += m->undecided;
			for (uint32_t i = 0; i < m->count; i++)
				queue_orphan(q, m, &m->entries[i], -ENOENT);
		}
		m = next;
		bucket = next_bucket;
	}
	if (orphans > 0) {
		kurir_log(q->self, KURIR_ERROR, 0,
		    "%u recipients are lost: their segments are not in the spool", orphans);
	}
}

int intake_recover(struct queue *q)
{
	bool listed = false;
	int r = state_open(q);
	if (r == 0) {
		int looked = intake_look_all(q, &listed);
		r = listed && looked != -ECANCELED ? 0 : looked;
		q->litter = looked != 0;
	}
	if (r == 0)
		report_orphans(q);
	if (r == 0 && !q->litter)
		drop_unused_bodies(q);
	for (struct segment *s = q->segments, *next; r == 0 && s != NULL; s = next) {
		next = s->next;
		if (!s->seen && s->live == 0 && !s->sealed)
			table_segment_free(q, s);
	}
	return r;
}

void intake_watch(void *arg)
{
	struct queue *q = arg;
	int r = 0;
	while (r != -ECANCELED) {
		r = kurir_sleep(kurir_now() + (q->rescan ? 50 : q->conf->scan_interval));
		q->rescan = false;
		if (r == -ECANCELED)
			return;
		bool listed;
		r = intake_look_all(q, &listed);
		if (r == 0 && q->litter) {
			q->litter = false;
			drop_unused_bodies(q);
		}
	}
}

/* Records of messages, read from their segments in a helper thread. */
struct record_read {
	struct queue_record *records;
	size_t count;
	int dir;
};

static int record_read_one(int fd, struct queue_record *x)
{
	char head[SEGMENT_HEAD];
	int r = spool_read_full(fd, head, SEGMENT_HEAD, x->offset);
	if (r == 0)
		r = segment_get_record(head, segment_get_le64(head + 8), &x->record);
	if (r < 0)
		return r;
	size_t n = x->record.envelope_length;
	x->bytes = malloc(n + 1);
	if (x->bytes == NULL)
		return -ENOMEM;
	r = spool_read_full(fd, x->bytes, n, x->offset + SEGMENT_HEAD);
	if (r == 0 && !segment_record_sound(head, (struct kurir_str){ x->bytes, n }))
		r = -EBADMSG;
	size_t skip = x->record.kind == SEGMENT_MOVED ? SEGMENT_MOVED_BYTES : 0;
	x->envelope = (struct kurir_str){ x->bytes + skip, n - skip };
	return r;
}

static int record_run(void *arg)
{
	struct record_read *x = arg;
	char name[SEGMENT_NAME_MAX];
	int fd = -ENOENT;
	for (size_t i = 0, bytes = 0; i < x->count; i++) {
		struct queue_record *a = &x->records[i];
		if (bytes >= RECORDS_MAX) {
			a->result = -EAGAIN;
			continue;
		}
		if (i == 0 || a->segment != a[-1].segment) {
			if (fd >= 0)
				spool_io->close(fd);
			segment_name(name, a->segment, ".seg");
			fd = spool_io->open(x->dir, name, O_RDONLY, 0);
		}
		a->result = fd < 0 ? fd : record_read_one(fd, a);
		bytes += a->result == 0 ? a->envelope.len : 0;
	}
	if (fd >= 0)
		spool_io->close(fd);
	return 0;
}

int queue_read_records(struct queue *q, struct queue_record *records, size_t count)
{
	struct record_read x = { .records = records, .count = count, .dir = q->dir };
	return count > 0 ? kurir_offload(record_run, &x, KURIR_FOREVER) : 0;
}

int queue_read_record(struct queue *q, struct message *m, struct kurir_arena *arena,
    struct segment_record *ret, struct kurir_str *ret_envelope)
{
	if (m->envelope != NULL && ret == NULL) {
		*ret_envelope =
		    kurir_copy(arena, (struct kurir_str){ m->envelope, m->envelope_length });
		return 0;
	}
	struct segment *s = m->segment;
	struct queue_record x = { .segment = s->id, .offset = m->offset };
	m->users++;
	s->users++;
	int r = queue_read_records(q, &x, 1);
	s->users--;
	m->users--;
	if (x.result == 0) {
		*ret_envelope = kurir_copy(arena, x.envelope);
		if (ret != NULL)
			*ret = x.record;
	}
	free(x.bytes);
	return x.result != 0 ? x.result : r;
}
