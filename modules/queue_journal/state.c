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
#include "state_record.h"

#include "spool_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_SLACK    (16u << 20) /* bytes of log before a checkpoint is worth it */
#define BROKEN_PAUSE 1000

void state_put(struct kurir_buf *to, uint64_t salt, unsigned type, const char *payload, size_t n)
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
	state_put(&q->log.pending, q->log.salt, type, payload, n);
	if (q->log.fresh_salt != 0) /* and to the new one that is being made */
		state_put(&q->log.fresh, q->log.fresh_salt, type, payload, n);
	q->log.appended += ENTRY_HEAD + n;
	if (q->log.work != NULL)
		kurir_signal_raise(q->log.work);
}

size_t state_pack_segment(char *p, const struct segment *s)
{
	segment_put_le64(p, s->id);
	segment_put_le64(p + 8, s->known);
	return 16;
}

size_t state_pack_message(char *p, const struct message *m)
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

size_t state_pack_entry(char *p, const struct message *m, const struct entry *e)
{
	unsigned state = entry_decided(e) || e->state == ENTRY_HELD ? e->state : ENTRY_TIMED;
	segment_put_le64(p, m->segment->id);
	segment_put_le64(p + 8, m->offset);
	/* Who stands in line or has its turn has no time of its own: after a start it is now. */
	bool turn =
	    e->state == ENTRY_WAITING || e->state == ENTRY_READY || e->state == ENTRY_BUSY;
	segment_put_le64(p + 16, turn ? 0 : (uint64_t)e->due);
	segment_put_le32(p + 24, e->index);
	segment_put_le32(
	    p + 28, e->attempts | state << 16 | (uint32_t)(e->flags & ENTRY_WARNED) << 24);
	return 32;
}

size_t state_pack_totals(char *p, const struct totals *t)
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
	log_add(q, LOG_SEGMENT, p, state_pack_segment(p, s));
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
	log_add(q, LOG_MESSAGE, p, state_pack_message(p, m));
}

void state_put_message(struct queue *q, const struct message *m)
{
	struct state_log *l = &q->log;
	char p[PAYLOAD_MAX];
	state_put(&l->fresh, l->fresh_salt, LOG_MESSAGE, p, state_pack_message(p, m));
	for (uint32_t i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];
		if (e->attempts > 0 || e->flags != 0 || entry_decided(e) ||
		    e->state == ENTRY_HELD)
			state_put(
			    &l->fresh, l->fresh_salt, LOG_ENTRY, p, state_pack_entry(p, m, e));
	}
}

void state_entry(struct queue *q, const struct message *m, const struct entry *e)
{
	char p[PAYLOAD_MAX];
	log_add(q, LOG_ENTRY, p, state_pack_entry(p, m, e));
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
	struct segment *old = table_segment(q, old_segment, false);
	if (old != NULL)
		old->left_at = q->log.appended;
	/* From a place that the new log has not come to yet, perhaps to one it has passed. */
	if (q->log.fresh_salt != 0)
		state_put_message(q, m);
}

struct log_write {
	int fd;
	uint64_t at;
	struct kurir_str bytes;
};

/* Transition: fates in memory -> durable fates.  In a helper thread. */
static int log_write_run(void *arg)
{
	struct log_write *w = arg;
	int r = spool_write_full(w->fd, w->bytes.ptr, w->bytes.len, w->at);
	return r == 0 ? spool_io->datasync(w->fd) : r;
}

struct shielded {
	struct log_write w;
	int result;
};

static int shielded_run(void *arg)
{
	struct shielded *x = arg;
	x->result = log_write_run(&x->w);
	return 0;
}

int state_append(struct queue *q)
{
	struct state_log *l = &q->log;
	struct kurir_buf b = l->pending;
	uint64_t covers = l->appended;
	l->pending = (struct kurir_buf){ .limit = PENDING_MAX };
	struct shielded x = { .w = { .fd = l->fd, .at = l->size }, .result = -ECANCELED };
	x.w.bytes = kurir_buf_str(&b);
	kurir_offload(
	    shielded_run, &x, KURIR_FOREVER); /* its own result counts, not that we end */
	if (x.result == -ECANCELED) {	      /* not begun, as this fiber is being ended */
		l->pending = b;
		return x.result;
	}
	if (x.result == 0) {
		l->size += b.len;
		l->durable = covers;
	} else {
		l->broken = true;
	}
	kurir_buf_free(&b);
	return x.result;
}

KURIR_PARKS static int state_flush(struct queue *q)
{
	struct state_log *l = &q->log;
	bool grown = l->size > l->checkpoint_size * 2 + LOG_SLACK && kurir_now() >= l->not_before;
	return l->broken || l->wanted || grown ? state_checkpoint(q) : state_append(q);
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
		if (l->durable == l->appended && !l->broken && !l->wanted) {
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
	if (l->broken && l->durable < l->appended)
		state_checkpoint(q);
	else if (l->fd >= 0 && l->pending.len > 0)
		state_append(q);
	if (l->fd >= 0)
		spool_io->close(l->fd);
	l->fd = -1;
	kurir_buf_free(&l->pending);
}
