/* state.c - the log of what became of each recipient: one file, append-only, rewritten now and
 * then.
 *
 * Every entry says how things are, not how they change, so that replaying twice does no harm.
 *
 *	file  = head (64 bytes: as a segment's, role 0), entries
 *	entry = crc:4 length:2 type:1 zero:1 payload
 *
 * The checksum begins with the salt of the file.  Guarantees: L1 a message is forgotten and its
 * segment goes only after the log that says so is durable; L2 a log that could not be
 * written is replaced by a new one that says all. */
#include "queue_role.h"

#include "crc32c.h"
#include "spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define LOG_NAME     "state.log"
#define LOG_NEW	     "state.new"
#define ENTRY_HEAD   8
#define ENTRY_ALIGN  8 /* all payloads are multiples of it */
#define PENDING_MAX  ((size_t)1 << 31)
#define LOG_SLACK    (16u << 20) /* bytes of log before a checkpoint is worth it */
#define BROKEN_PAUSE 1000

enum {
	LOG_SEGMENT = 1, /* id:8 known:8 */
	LOG_GONE = 2,	 /* id:8 */
	LOG_MESSAGE =
	    3, /* segment:8 offset:8 body_file:8 arrived:8 bytes:4 id_hash:4 count:4 lane:4 */
	LOG_ENTRY = 4,	/* segment:8 offset:8 due:8 index:4 attempts:2 state:1 flags:1 */
	LOG_MOVED = 5,	/* segment:8 offset:8 old_segment:8 old_offset:8 bytes:4 zero:4 */
	LOG_TOTALS = 6, /* accepted:8 delivered:8 bounced:8 cancelled:8 */
};
#define PAYLOAD_MAX 48

static uint32_t entry_crc(uint64_t salt, const char *from_length, size_t n)
{
	char s[8];
	segment_put_le64(s, salt);
	return crc32c(crc32c(0, s, sizeof(s)), from_length, n);
}

static void log_put(
    struct kurir_buf *to, uint64_t salt, unsigned type, const char *payload, size_t n)
{
	char e[ENTRY_HEAD + PAYLOAD_MAX];
	segment_put_le32(e + 4, (uint32_t)n | (uint32_t)type << 16);
	memcpy(e + ENTRY_HEAD, payload, n);
	segment_put_le32(e, entry_crc(salt, e + 4, 4 + n));
	if (kurir_buf_add(to, (struct kurir_str){ e, ENTRY_HEAD + n }) != 0)
		abort(); /* 2 GiB of log that no disk takes */
}

static void log_add(struct queue *q, unsigned type, const char *payload, size_t n)
{
	log_put(&q->log.pending, q->log.salt, type, payload, n);
	q->log.appended += ENTRY_HEAD + n;
	if (q->log.work != NULL)
		kurir_signal_raise(q->log.work);
}

static size_t pack_segment(char *p, const struct segment *s)
{
	segment_put_le64(p, s->id);
	segment_put_le64(p + 8, s->known);
	return 16;
}

static size_t pack_message(char *p, const struct message *m)
{
	segment_put_le64(p, m->segment->id);
	segment_put_le64(p + 8, m->offset);
	segment_put_le64(p + 16, m->body_file);
	segment_put_le64(p + 24, (uint64_t)m->arrived);
	segment_put_le32(p + 32, m->bytes);
	segment_put_le32(p + 36, m->id_hash);
	segment_put_le32(p + 40, m->count);
	segment_put_le32(p + 44, m->count > 0 ? m->entries[0].lane : 0);
	return 48;
}

static size_t pack_entry(char *p, const struct message *m, const struct entry *e)
{
	unsigned state = entry_decided(e) || e->state == ENTRY_HELD ? e->state : ENTRY_TIMED;
	segment_put_le64(p, m->segment->id);
	segment_put_le64(p + 8, m->offset);
	/* Who stands in line has no time of its own: after a start it is now. */
	segment_put_le64(p + 16, e->state == ENTRY_WAITING ? 0 : (uint64_t)e->due);
	segment_put_le32(p + 24, e->index);
	segment_put_le32(
	    p + 28, e->attempts | state << 16 | (uint32_t)(e->flags & ENTRY_WARNED) << 24);
	return 32;
}

static size_t pack_totals(char *p, const struct totals *t)
{
	segment_put_le64(p, t->accepted);
	segment_put_le64(p + 8, t->delivered);
	segment_put_le64(p + 16, t->bounced);
	segment_put_le64(p + 24, t->cancelled);
	return 32;
}

void state_segment(struct queue *q, const struct segment *s)
{
	char p[PAYLOAD_MAX];
	log_add(q, LOG_SEGMENT, p, pack_segment(p, s));
}

void state_segment_gone(struct queue *q, uint64_t id)
{
	char p[8];
	segment_put_le64(p, id);
	log_add(q, LOG_GONE, p, sizeof(p));
}

void state_message(struct queue *q, const struct message *m)
{
	char p[PAYLOAD_MAX];
	log_add(q, LOG_MESSAGE, p, pack_message(p, m));
}

void state_entry(struct queue *q, const struct message *m, const struct entry *e)
{
	char p[PAYLOAD_MAX];
	log_add(q, LOG_ENTRY, p, pack_entry(p, m, e));
}

void state_moved(
    struct queue *q, uint64_t old_segment, uint64_t old_offset, const struct message *m)
{
	char p[PAYLOAD_MAX];
	segment_put_le64(p, m->segment->id);
	segment_put_le64(p + 8, m->offset);
	segment_put_le64(p + 16, old_segment);
	segment_put_le64(p + 24, old_offset);
	segment_put_le32(p + 32, m->bytes);
	segment_put_le32(p + 36, 0);
	log_add(q, LOG_MOVED, p, 40);
}

/* Replay. */

static int replay_message(struct queue *q, const char *p)
{
	struct segment *s = table_segment(q, segment_get_le64(p), true);
	uint64_t offset = segment_get_le64(p + 8);
	uint32_t bytes = segment_get_le32(p + 32), count = segment_get_le32(p + 40);
	if (count > SEGMENT_ENVELOPE_MAX || offset < SEGMENT_HEAD)
		return -EBADMSG;
	if (offset + bytes > s->known)
		s->known = offset + bytes;
	if (table_find(q, s, offset) != NULL)
		return 0;
	struct segment_record r = { .body_file = segment_get_le64(p + 16) };
	r.arrived = (int64_t)segment_get_le64(p + 24);
	r.id_hash = segment_get_le32(p + 36);
	r.recipients = count;
	r.lane = (uint8_t)segment_get_le32(p + 44);
	struct message *m = table_add(q, s, offset, &r);
	s->live_bytes += bytes - m->bytes;
	m->bytes = bytes;
	return 0;
}

static int replay_entry(struct queue *q, const char *p)
{
	struct message *m =
	    table_find(q, table_segment(q, segment_get_le64(p), false), segment_get_le64(p + 8));
	uint32_t index = segment_get_le32(p + 24), rest = segment_get_le32(p + 28);
	unsigned state = rest >> 16 & 255;
	if (m == NULL)
		return 0; /* is over */
	if (index >= m->count || state > ENTRY_EXPANDED)
		return -EBADMSG;
	struct entry *e = &m->entries[index];
	if (entry_decided(e))
		return 0;
	e->due = (int64_t)segment_get_le64(p + 16);
	e->attempts = (uint16_t)rest;
	e->flags = (uint8_t)(rest >> 24);
	if (state >= ENTRY_DELIVERED)
		table_decide(q, m, e, (enum entry_state)state);
	else
		e->state = state == ENTRY_HELD ? ENTRY_HELD : ENTRY_NEW;
	return 0;
}

static int replay_moved(struct queue *q, const char *p)
{
	struct segment *s = table_segment(q, segment_get_le64(p), true);
	uint64_t offset = segment_get_le64(p + 8);
	uint32_t bytes = segment_get_le32(p + 32);
	struct segment *old = table_segment(q, segment_get_le64(p + 16), false);
	struct message *m = table_find(q, old, segment_get_le64(p + 24));
	if (offset + bytes > s->known)
		s->known = offset + bytes;
	if (m != NULL && table_find(q, s, offset) == NULL)
		table_move(q, m, s, offset, bytes);
	return 0;
}

static size_t log_length(unsigned type)
{
	static const uint8_t lengths[] = { 0, 16, 8, 48, 32, 40, 32 };
	return type < sizeof(lengths) ? lengths[type] : 0;
}

static int replay_one(struct queue *q, unsigned type, const char *p, size_t n)
{
	if (n == 0 || log_length(type) != n)
		return -EBADMSG;
	struct segment *s;
	switch (type) {
	case LOG_SEGMENT:
		s = table_segment(q, segment_get_le64(p), true);
		if (segment_get_le64(p + 8) > s->known)
			s->known = segment_get_le64(p + 8);
		if (s->base == 0)
			s->base = s->known;
		return 0;
	case LOG_GONE:
		s = table_segment(q, segment_get_le64(p), false);
		if (s != NULL && s->live == 0)
			table_segment_free(q, s);
		return 0;
	case LOG_MESSAGE:
		return replay_message(q, p);
	case LOG_ENTRY:
		return replay_entry(q, p);
	case LOG_MOVED:
		return replay_moved(q, p);
	default: /* ends a checkpoint */
		q->log.complete = true;
		q->totals = (struct totals){ .accepted = segment_get_le64(p),
			.delivered = segment_get_le64(p + 8),
			.bounced = segment_get_le64(p + 16),
			.cancelled = segment_get_le64(p + 24) };
		return 0;
	}
}

int state_replay(struct queue *q, struct kurir_str bytes, uint64_t salt, size_t *ret_good)
{
	size_t at = 0;
	int r = 0;
	while (r == 0 && bytes.len - at >= ENTRY_HEAD) {
		const char *e = bytes.ptr + at;
		uint32_t word = segment_get_le32(e + 4);
		size_t n = word & 0xffff;
		if (n > PAYLOAD_MAX) {
			r = -EBADMSG;
			break;
		}
		if (n > bytes.len - at - ENTRY_HEAD)
			break;
		if (entry_crc(salt, e + 4, 4 + n) != segment_get_le32(e))
			r = -EBADMSG;
		else
			r = replay_one(q, word >> 16, e + ENTRY_HEAD, n);
		if (r == 0)
			at += ENTRY_HEAD + n;
	}
	*ret_good = at;
	return r;
}

/* Messages that were over when the log ended. */
static void drop_decided(struct queue *q)
{
	uint32_t bucket = 0;
	struct message *m = table_walk(q, &bucket, NULL);
	while (m != NULL) {
		struct message *next = m;
		uint32_t next_bucket = bucket;
		next = table_walk(q, &next_bucket, m);
		if (m->undecided == 0)
			state_bury(q, m);
		m = next;
		bucket = next_bucket;
	}
}

/* Drops bytes up to the next entry that is whole: true when there is one. */
static bool skip_damage(struct kurir_buf *b, uint64_t salt)
{
	size_t at = 0;
	bool found = false;
	for (; at + ENTRY_HEAD + PAYLOAD_MAX <= b->len; at += ENTRY_ALIGN) {
		const char *e = b->ptr + at;
		uint32_t word = segment_get_le32(e + 4);
		size_t n = word & 0xffff;
		found = n > 0 && log_length(word >> 16) == n &&
		    entry_crc(salt, e + 4, 4 + n) == segment_get_le32(e);
		if (found)
			break;
	}
	kurir_buf_cut(b, at);
	return found;
}

struct log_read {
	struct kurir_buf b;
	uint64_t at, good; /* of the file: read up to here, and the end of the last sound entry */
	bool lost;	   /* not at an entry: what is read is searched for one */
	bool holes, deep;  /* deep: in the checkpoint */
};

/* What is in the buffer, as far as it goes. */
static int read_entries(struct queue *q, struct log_read *l)
{
	int r = -EBADMSG;
	while (r == -EBADMSG) {
		size_t used;
		if (l->lost && !skip_damage(&l->b, q->log.salt))
			return 0;
		l->holes |= l->lost;
		l->lost = false;
		r = state_replay(q, kurir_buf_str(&l->b), q->log.salt, &used);
		kurir_buf_cut(&l->b, used);
		if (used > 0)
			l->good = l->at - l->b.len;
		if (r == -EBADMSG) {
			kurir_buf_cut(&l->b, l->b.len < ENTRY_ALIGN ? l->b.len : ENTRY_ALIGN);
			l->lost = true;
			l->deep |= !q->log.complete;
		}
	}
	return r;
}

/* A message may have been named in a hole only: the segments are searched again for what the
 * log does not know.  Rather twice than never. */
static void distrust(struct queue *q, bool deep)
{
	for (struct segment *s = q->segments; s != NULL; s = s->next)
		s->known = deep || s->base == 0 ? SEGMENT_HEAD : s->base;
}

static int read_log(struct queue *q, int fd)
{
	char head[SEGMENT_HEAD];
	struct segment_head h;
	struct log_read l = { .b = KURIR_BUF(8u << 20), .at = SEGMENT_HEAD };
	int r = spool_read_full(fd, head, sizeof(head), 0);
	if (r == 0)
		r = segment_get_head(head, &h);
	q->log.salt = r == 0 ? h.salt : 0;
	l.good = l.at;
	while (r == 0) {
		r = kurir_buf_reserve(&l.b, 1u << 20);
		if (r != 0)
			break;
		ssize_t got = spool_io->pread(fd, l.b.ptr + l.b.len, 1u << 20, l.at);
		if (got <= 0) {
			r = (int)got;
			break;
		}
		l.at += (uint64_t)got;
		l.b.len += (size_t)got;
		r = read_entries(q, &l);
	}
	kurir_buf_free(&l.b);
	if (r == -EBADMSG || r == -ENODATA) {
		kurir_log(q->self, KURIR_ERROR, r, "the state log has no head, going on without");
		r = 0;
	}
	if (r != 0)
		return r;
	if (l.holes) {
		kurir_log(
		    q->self, KURIR_ERROR, 0, "the state log is damaged, some fates are lost");
		distrust(q, l.deep);
	} else if (l.good < l.at) /* after a power cut: what it said is found again */
		kurir_log(q->self, KURIR_WARN, 0, "the state log ends at byte %llu of %llu",
		    (unsigned long long)l.good, (unsigned long long)l.at);
	q->log.size = l.good;
	/* Transition: torn log -> log.  What was read may be in no more than memory yet.  When
	 * either fails, or there are holes, a new log with everything takes its place. */
	q->log.broken = q->log.salt == 0 || l.holes || spool_io->truncate(fd, l.good) != 0 ||
	    spool_io->datasync(fd) != 0;
	q->log.appended = q->log.broken; /* what is decided waits for the new one */
	return 0;
}

int state_open(struct queue *q)
{
	q->log.pending = (struct kurir_buf){ .limit = PENDING_MAX };
	q->log.fd = spool_io->open(q->dir, LOG_NAME, O_RDWR, 0);
	if (q->log.fd == -ENOENT) {
		q->log.fd = -1;
		/* None yet: the first thing written is a checkpoint. */
		q->log.broken = true;
		return 0;
	}
	if (q->log.fd < 0)
		return q->log.fd;
	int r = read_log(q, q->log.fd);
	if (r == 0)
		drop_decided(q);
	return r;
}

/* Writing, in a helper thread. */
struct log_write {
	int dir, fd;
	uint64_t at;
	struct kurir_str bytes;
	bool fresh; /* a whole new log */
	int result;
};

static int log_write_run(void *arg)
{
	struct log_write *w = arg;
	int r = 0;
	if (w->fresh) {
		w->fd = spool_io->open(w->dir, LOG_NEW, O_RDWR | O_CREAT | O_TRUNC, 0640);
		r = w->fd < 0 ? w->fd : 0;
	}
	if (r == 0)
		r = spool_write_full(w->fd, w->bytes.ptr, w->bytes.len, w->at);
	if (r == 0)
		r = spool_io->datasync(w->fd);
	if (w->fresh && r == 0) {
		/* Transition: old log -> new log, by one rename. */
		r = spool_io->rename(w->dir, LOG_NEW, LOG_NAME);
		if (r == 0)
			r = spool_io->sync(w->dir);
	}
	if (w->fresh && r != 0 && w->fd >= 0)
		spool_io->close(w->fd);
	w->result = r;
	return 0;
}

static void checkpoint_messages(struct queue *q, struct kurir_buf *b, uint64_t salt)
{
	char p[PAYLOAD_MAX];
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m)) {
		log_put(b, salt, LOG_MESSAGE, p, pack_message(p, m));
		for (uint32_t i = 0; i < m->count; i++) {
			const struct entry *e = &m->entries[i];
			if (e->attempts > 0 || e->flags != 0 || entry_decided(e) ||
			    e->state == ENTRY_HELD)
				log_put(b, salt, LOG_ENTRY, p, pack_entry(p, m, e));
		}
	}
}

/* All that is known, as a new log.  Parks only while it is written. */
KURIR_PARKS static int state_checkpoint(struct queue *q)
{
	struct kurir_buf b = { .limit = PENDING_MAX };
	struct segment_head h = { .created = kurir_wallclock() };
	char p[PAYLOAD_MAX], head[SEGMENT_HEAD];
	if (getrandom(&h.salt, sizeof(h.salt), 0) != (ssize_t)sizeof(h.salt))
		return -EIO;
	h.salt |= 1;
	segment_put_head(head, &h);
	kurir_buf_add(&b, (struct kurir_str){ head, sizeof(head) });
	for (struct segment *s = q->segments; s != NULL; s = s->next)
		log_put(&b, h.salt, LOG_SEGMENT, p, pack_segment(p, s));
	checkpoint_messages(q, &b, h.salt);
	log_put(&b, h.salt, LOG_TOTALS, p, pack_totals(p, &q->totals));

	struct state_log *l = &q->log;
	uint64_t covers = l->appended;
	uint64_t old_salt = l->salt;
	struct kurir_buf old = l->pending; /* is in the checkpoint; kept in case it fails */
	l->pending = (struct kurir_buf){ .limit = PENDING_MAX };
	l->salt = h.salt;
	struct log_write w = {
		.dir = q->dir, .bytes = kurir_buf_str(&b), .fresh = true, .result = -EIO
	};
	kurir_offload(log_write_run, &w, KURIR_FOREVER);
	if (w.result == 0) {
		if (l->fd >= 0)
			spool_io->close(l->fd);
		l->fd = w.fd;
		l->size = l->checkpoint_size = b.len;
		l->durable = covers;
		l->broken = false;
	} else {
		/* What was appended meanwhile carries the new salt: only another checkpoint
		 * helps. */
		l->salt = old_salt;
		l->broken = true;
	}
	kurir_buf_free(&old);
	kurir_buf_free(&b);
	return w.result;
}

KURIR_PARKS static int state_flush(struct queue *q)
{
	struct state_log *l = &q->log;
	if (l->broken || l->size > l->checkpoint_size * 2 + LOG_SLACK)
		return state_checkpoint(q);
	struct kurir_buf b = l->pending;
	uint64_t covers = l->appended;
	l->pending = (struct kurir_buf){ .limit = PENDING_MAX };
	struct log_write w = { .dir = q->dir, .fd = l->fd, .at = l->size, .result = -EIO };
	w.bytes = kurir_buf_str(&b);
	kurir_offload(log_write_run, &w, KURIR_FOREVER);
	if (w.result == 0) {
		l->size += b.len;
		l->durable = covers;
	} else {
		l->broken = true;
	}
	kurir_buf_free(&b);
	return w.result;
}

/* Transition: message with fates -> nothing, its bytes are free. */
static void forget_dead(struct queue *q)
{
	while (q->dead_first != NULL && q->dead_first->dead_at <= q->log.durable) {
		struct message *m = q->dead_first;
		if (m->users > 0)
			break; /* soon */
		q->dead_first = m->dead_next;
		if (m->body_file != 0) {
			char name[SEGMENT_NAME_MAX];
			segment_name(name, m->body_file, ".body");
			spool_io->unlink(q->dir, name);
		}
		table_remove(q, m);
	}
}

void state_bury(struct queue *q, struct message *m)
{
	if (m->dead)
		return;
	queue_forget_envelope(q, m);
	m->dead = true;
	m->dead_at = q->log.appended;
	if (q->dead_first == NULL)
		q->dead_first = m;
	else
		q->dead_last->dead_next = m;
	q->dead_last = m;
}

KURIR_PARKS static void state_writes(void *arg)
{
	struct queue *q = arg;
	struct state_log *l = &q->log;
	int r = 0;
	while (r != -ECANCELED) {
		if (l->durable == l->appended && !l->broken) {
			forget_dead(q);
			r = kurir_signal_wait(
			    l->work, q->dead_first != NULL ? kurir_now() + 100 : KURIR_FOREVER);
			continue;
		}
		int err = state_flush(q);
		if (err != 0)
			kurir_log(q->self, KURIR_ERROR, err,
			    "cannot write the state log, trying again");
		forget_dead(q);
		kurir_signal_raise(l->flushed);
		r = kurir_sleep(kurir_now() + (err != 0 ? BROKEN_PAUSE : q->conf->state_delay));
	}
}

int state_start(struct queue *q)
{
	q->log.work = kurir_signal_new(kurir_self_arena(q->self));
	q->log.flushed = kurir_signal_new(kurir_self_arena(q->self));
	return kurir_group_go(q->group, "queue-state", state_writes, q);
}

int state_wait(struct queue *q, kurir_time deadline)
{
	uint64_t need = q->log.appended;
	while (q->log.durable < need) {
		int r = kurir_signal_wait(q->log.flushed, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The fibers are gone: what they left is written here. */
void state_close(struct queue *q)
{
	struct state_log *l = &q->log;
	l->work = NULL;
	if (l->fd >= 0 && !l->broken && l->pending.len > 0) {
		struct log_write w = { .dir = q->dir, .fd = l->fd, .at = l->size };
		w.bytes = kurir_buf_str(&l->pending);
		log_write_run(&w);
	}
	if (l->fd >= 0)
		spool_io->close(l->fd);
	l->fd = -1;
	kurir_buf_free(&l->pending);
}
