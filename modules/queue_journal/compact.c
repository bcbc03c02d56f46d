/* compact.c - gives the disk back: segments without a living message go, those with few are
 * rewritten.
 *
 * A living message is written again as a record that says where it was (kind MOVED); the
 * old place is given up only when that record and the log's note of it are durable. */
#include "queue_role.h"

#include "crc32c.h"
#include "spool_io.h"
#include "spool_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD	   1000
#define AT_ONCE	   32	/* messages that move in one group commit */
#define WALK_PIECE 4096 /* buckets between two breaks */
#define WORTH	   4096 /* smaller segments take a block anyway */

/* Transition: segment without living messages -> nothing. */
static int drop_dead(struct queue *q)
{
	int dropped = 0;
	for (struct segment *s = q->segments, *next; s != NULL; s = next) {
		next = s->next;
		if (s->stranger || s->live > 0 || s->users > 0 || (s->seen && !s->sealed))
			continue;
		/* S14: what moved away from it is found in the log. */
		if (s->left_at > q->log.durable)
			continue;
		if (!s->seen) { /* went away, or was only ever a name in the log */
			table_segment_free(q, s);
			continue;
		}
		char name[SEGMENT_NAME_MAX];
		segment_name(name, s->id, ".seg");
		int r = spool_io->unlink(q->dir, name);
		if (r < 0 && r != -ENOENT)
			continue;
		state_segment_gone(q, s->id);
		kurir_count(q->self, QUEUE_SEGMENTS_DROPPED, 1);
		table_segment_free(q, s);
		dropped++;
	}
	return dropped;
}

struct move {
	struct queue *q;
	struct segment *from;
	uint64_t offset;
	int result;
};

/* One message to a new segment.  The record's notice makes the table point there. */
KURIR_PARKS static int move_message(struct move *v)
{
	struct queue *q = v->q;
	struct message *m = table_find(q, v->from, v->offset);
	if (m == NULL || m->dead)
		return 0;
	struct kurir_arena *arena = kurir_arena_new("queue-move");
	struct spool_moved moved = { .segment = v->from->id, .offset = v->offset };
	struct kurir_spool *s = NULL;
	int r = queue_read_record(q, m, arena, &moved.record, &moved.envelope);
	if (r == 0)
		r = spool_begin(q->self, 0, &s);
	if (r == 0 && moved.record.body_file == 0) {
		size_t n = (size_t)moved.record.body_length, got = 0;
		char name[SEGMENT_NAME_MAX];
		segment_name(name, v->from->id, ".seg");
		char *body = kurir_alloc(arena, n + 1);
		int fd = spool_io->open(q->dir, name, O_RDONLY, 0);
		if (fd >= 0) {
			r = spool_read_full(
			    fd, body, n, v->offset + SEGMENT_HEAD + moved.record.envelope_length);
			spool_io->close(fd);
			got = n;
		} else {
			r = fd;
		}
		/* A body that rotted is moved as it is, with the checksum that tells. */
		if (r == 0)
			r = spool_write_inline(s, (struct kurir_str){ body, got });
	}
	if (r == 0)
		r = spool_commit_moved(s, &moved, kurir_now() + 60000);
	else if (s != NULL)
		spool_abort(s);
	kurir_arena_free(arena);
	if (r == 0)
		kurir_count(q->self, QUEUE_MOVED, 1);
	return r;
}

KURIR_PARKS static void move_fiber(void *arg)
{
	struct move *v = arg;
	v->result = move_message(v);
}

/* Until their notices have come, or were found missing. */
KURIR_PARKS static int moves_seen(struct queue *q, const struct move *moves, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (struct message *m;
		     (m = table_find(q, moves[i].from, moves[i].offset)) != NULL && !m->dead &&
		     moves[i].result == 0;) {
			q->rescan = true;
			int r = kurir_sleep(kurir_now() + 20);
			if (r < 0)
				return r;
		}
	return 0;
}

/* Up to AT_ONCE of them in one group commit. */
KURIR_PARKS static int move_some(
    struct queue *q, struct segment *from, const uint64_t *offsets, unsigned n)
{
	struct move moves[AT_ONCE];
	struct kurir_group *g = kurir_group_begin(q->self);
	int r = 0;
	for (unsigned i = 0; i < n; i++) {
		moves[i] = (struct move){ .q = q, .from = from, .offset = offsets[i] };
		if (kurir_group_go(g, "queue-move", move_fiber, &moves[i]) < 0)
			moves[i].result = -ENOMEM;
	}
	kurir_group_wait(g, KURIR_FOREVER);
	kurir_group_end(g);
	for (unsigned i = 0; i < n; i++)
		if (moves[i].result < 0)
			r = moves[i].result;
	int seen = moves_seen(q, moves, n);
	return r < 0 ? r : seen;
}

/* Where the living messages of a segment are.  In pieces: a table that grows meanwhile may show
 * one twice, and what came new is in another segment. */
KURIR_PARKS static int list_living(
    struct queue *q, const struct segment *from, struct kurir_buf *offsets)
{
	int r = 0;
	for (uint32_t bucket = 0; bucket < q->hash_size && r == 0; bucket++) {
		for (const struct message *m = q->hash[bucket]; m != NULL; m = m->hash_next)
			if (m->segment == from && !m->dead && r == 0)
				r = kurir_buf_add(offsets,
				    (struct kurir_str){
					(const char *)&m->offset, sizeof(m->offset) });
		if (bucket % WALK_PIECE == WALK_PIECE - 1 && r == 0)
			r = kurir_yield();
	}
	return r;
}

KURIR_PARKS static int move_all(struct queue *q, struct segment *from)
{
	struct kurir_buf list = KURIR_BUF((size_t)1 << 30);
	int r = list_living(q, from, &list);
	for (size_t at = 0; r == 0 && at < list.len && q->walks == 0 && !kurir_draining();) {
		uint64_t offsets[AT_ONCE];
		size_t n = list.len - at < sizeof(offsets) ? list.len - at : sizeof(offsets);
		memcpy(offsets, list.ptr + at, n);
		at += n;
		r = move_some(q, from, offsets, (unsigned)(n / sizeof(offsets[0])));
	}
	kurir_buf_free(&list);
	return r;
}

KURIR_PARKS static int compact_one(struct queue *q)
{
	for (struct segment *s = q->segments; s != NULL; s = s->next) {
		if (!s->sealed || !s->seen || s->live == 0 || s->known < WORTH ||
		    s->live_bytes * 2 > s->known)
			continue;
		if (q->walks > 0)
			return -ENOENT;
		s->users++;
		q->moving = true;
		int r = move_all(q, s);
		q->moving = false;
		s->users--;
		if (r >= 0)
			r = state_wait(q, KURIR_FOREVER);
		return r;
	}
	return -ENOENT;
}

void compact_run(void *arg)
{
	struct queue *q = arg;
	int r = 0;
	while (r != -ECANCELED) {
		r = kurir_sleep(kurir_now() + PERIOD);
		if (r == -ECANCELED)
			return;
		if (kurir_draining())
			continue;
		drop_dead(q);
		do
			r = compact_one(q);
		while (r >= 0 && !kurir_draining() && drop_dead(q) > 0);
		if (r < 0 && r != -ENOENT && r != -ECANCELED)
			kurir_log(
			    q->self, KURIR_WARN, r, "cannot rewrite a segment, trying again");
	}
}
