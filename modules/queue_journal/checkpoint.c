/* checkpoint.c - a new state log with everything in it takes the place of the old one.
 *
 * It is made in pieces while the queue goes on.  What happens meanwhile is written to both: the
 * new one is in the order of time, so that the last word on a recipient is the right one; and
 * the totals at its end are those of the moment when they are written. */
#include "state_record.h"

#include "spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#define PIECE	    2000	 /* recipients between two breaks */
#define PIECE_BYTES (1u << 20)	 /* of one write */
#define PAUSE	    (5 * 60000L) /* after one that failed, when the old log still does */

struct checkpoint {
	struct queue *q;
	int fd;
	uint64_t at;
	struct kurir_str bytes; /* of this write */
	bool last, renamed;
	int result;
};

/* In a helper thread. */
static int write_run(void *arg)
{
	struct checkpoint *c = arg;
	int r = 0;
	if (c->fd < 0) {
		c->fd = spool_io->open(c->q->dir, LOG_NEW, O_RDWR | O_CREAT | O_TRUNC, 0640);
		r = c->fd < 0 ? c->fd : 0;
	}
	if (r == 0)
		r = spool_write_full(c->fd, c->bytes.ptr, c->bytes.len, c->at);
	if (r == 0 && c->last)
		r = spool_io->datasync(c->fd);
	if (r == 0 && c->last) {
		/* Transition: old log -> new log, by one rename. */
		r = spool_io->rename(c->q->dir, LOG_NEW, LOG_NAME);
		c->renamed = r == 0;
		if (r == 0)
			r = spool_io->sync(c->q->dir);
	}
	c->result = r;
	return 0;
}

/* What was gathered goes to the file. */
KURIR_PARKS static int write_piece(struct checkpoint *c)
{
	struct kurir_buf b = c->q->log.fresh;
	c->q->log.fresh = (struct kurir_buf){ .limit = PENDING_MAX };
	c->bytes = kurir_buf_str(&b);
	c->result = -ECANCELED;
	kurir_offload(write_run, c, KURIR_FOREVER);
	c->at += b.len;
	kurir_buf_free(&b);
	return c->result;
}

/* All messages, with breaks.  A table that grew meanwhile is walked again: an entry that is there
 * twice does no harm. */
KURIR_PARKS static int put_messages(struct checkpoint *c)
{
	struct queue *q = c->q;
	uint32_t bucket = 0, size = q->hash_size;
	int r = 0;
	while (r == 0 && bucket < size) {
		for (unsigned n = 0; n < PIECE && bucket < size; bucket++, n++)
			for (const struct message *m = q->hash[bucket]; m != NULL;
			     m = m->hash_next) {
				state_put_message(q, m);
				n += m->count;
			}
		if (q->log.fresh.len >= PIECE_BYTES)
			r = write_piece(c);
		if (r == 0 && q->log.work != NULL)
			r = kurir_yield();
		if (r == 0 && !q->log.broken && q->log.durable < q->log.appended) {
			state_append(q); /* fates do not wait for us */
			kurir_signal_raise(q->log.flushed);
		}
		if (q->hash_size != size) {
			size = q->hash_size;
			bucket = 0;
		}
	}
	return r;
}

static void checkpoint_begin(struct queue *q, uint64_t salt)
{
	struct segment_head h = { .created = kurir_wallclock(), .salt = salt };
	struct state_log *l = &q->log;
	char p[PAYLOAD_MAX], head[SEGMENT_HEAD];
	l->fresh = (struct kurir_buf){ .limit = PENDING_MAX };
	l->fresh_salt = salt;
	segment_put_head(head, &h);
	kurir_buf_add(&l->fresh, (struct kurir_str){ head, sizeof(head) });
	for (struct segment *s = q->segments; s != NULL; s = s->next)
		state_put(&l->fresh, salt, LOG_SEGMENT, p, state_pack_segment(p, s));
}

/* The new one is the log. */
static void checkpoint_take(struct checkpoint *c, uint64_t covers)
{
	struct state_log *l = &c->q->log;
	if (l->fd >= 0)
		spool_io->close(l->fd);
	l->fd = c->fd;
	l->size = l->checkpoint_size = c->at;
	l->durable = covers;
	l->broken = false;
	l->salt = l->fresh_salt;
	kurir_buf_free(&l->pending);
	l->pending = l->fresh; /* what came while it was written */
	l->fresh = (struct kurir_buf){ .limit = PENDING_MAX };
}

int state_checkpoint(struct queue *q)
{
	struct checkpoint c = { .q = q, .fd = -1 };
	struct state_log *l = &q->log;
	char p[PAYLOAD_MAX];
	uint64_t salt;
	if (getrandom(&salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return -EIO;
	if (l->broken) { /* what waits for the old log never gets there, and is in the new one */
		kurir_buf_free(&l->pending);
		l->pending = (struct kurir_buf){ .limit = PENDING_MAX };
	}
	checkpoint_begin(q, salt | 1);
	l->wanted = false;
	int r = put_messages(&c);
	if (r == 0) {
		uint64_t covers = l->appended;
		state_put(
		    &l->fresh, l->fresh_salt, LOG_TOTALS, p, state_pack_totals(p, &q->totals));
		c.last = true;
		r = write_piece(&c);
		if (r == 0)
			checkpoint_take(&c, covers);
	}
	if (r != 0) {
		/* The old log goes on, unless it is gone or was no more. */
		l->broken |= c.renamed;
		l->not_before = kurir_now() + PAUSE;
		if (c.fd >= 0)
			spool_io->close(c.fd);
		kurir_buf_free(&l->fresh);
	}
	l->fresh_salt = 0;
	return r;
}
