/* state_read.c - the state log, read when the queue starts.
 *
 * A torn end is cut off.  Behind a damaged place the next whole entry is looked for; what only
 * the damaged ones named is found again in the segments. */
#include "state_record.h"

#include "spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

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

int state_load(struct queue *q, int fd, struct log_read *l)
{
	char head[SEGMENT_HEAD];
	struct segment_head h;
	*l = (struct log_read){ .b = KURIR_BUF(8u << 20), .at = SEGMENT_HEAD };
	int r = spool_read_full(fd, head, sizeof(head), 0);
	if (r == 0)
		r = segment_get_head(head, &h);
	q->log.salt = r == 0 ? h.salt : 0;
	l->good = l->at;
	while (r == 0) {
		r = kurir_buf_reserve(&l->b, 1u << 20);
		if (r != 0)
			break;
		ssize_t got = spool_io->pread(fd, l->b.ptr + l->b.len, 1u << 20, l->at);
		if (got <= 0) {
			r = (int)got;
			break;
		}
		l->at += (uint64_t)got;
		l->b.len += (size_t)got;
		r = read_entries(q, l);
	}
	kurir_buf_free(&l->b);
	l->headless = r == -EBADMSG || r == -ENODATA;
	return l->headless ? 0 : r;
}

static int read_log(struct queue *q, int fd)
{
	struct log_read l;
	int r = state_load(q, fd, &l);
	if (r != 0)
		return r;
	if (l.headless)
		kurir_log(q->self, KURIR_ERROR, -EBADMSG,
		    "the state log has no head, going on without");
	if (l.holes) {
		kurir_log(
		    q->self, KURIR_ERROR, 0, "the state log is damaged, some fates are lost");
		distrust(q, l.deep);
	} else if (l.good < l.at) /* after a power cut: what it said is found again */
		kurir_log(q->self, KURIR_WARN, 0, "the state log ends at byte %llu of %llu",
		    (unsigned long long)l.good, (unsigned long long)l.at);
	q->forgetful = l.headless || l.holes;
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
		q->forgetful = true;
		return 0;
	}
	if (q->log.fd < 0)
		return q->log.fd;
	int r = read_log(q, q->log.fd);
	if (r == 0)
		drop_decided(q);
	return r;
}
