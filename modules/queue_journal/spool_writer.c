/* spool_writer.c - sessions hand in messages; one fiber makes them durable in batches.
 *
 * While one batch is being written and synced by a helper thread the next one gathers, and
 * starts at once: the more sessions, the more messages an fdatasync.  A session leaves commit()
 * only when its message is durable or nothing of it was promised. */
#include "spool_writer.h"

#include "crc32c.h"
#include "spool_file.h"
#include "spool_io.h"

#include <kurir/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVELOPE_MAX (SEGMENT_ENVELOPE_MAX - SEGMENT_MOVED_BYTES)
#define PIECE	     (256u << 10) /* of a body that goes to a file */
#define KEEP_ROOM    (32u << 10)  /* of a buffer that waits for its next message */
#define NOTICE_MAX   (256u << 10)

enum spool_state { SPOOL_IDLE, SPOOL_OPEN, SPOOL_WAITS, SPOOL_BATCHED, SPOOL_DONE };

struct kurir_spool {
	struct spool_writer *writer;
	struct kurir_spool *next, *made_before;
	struct kurir_signal *done;
	struct kurir_group *readers;
	enum spool_state state;
	bool abandoned; /* nobody waits: the committer cleans up */
	int error;	/* sticky */
	struct kurir_buf body, envelope;
	size_t counted; /* bytes in the writer's memory */
	struct spool_item item;
	int fd; /* of a large body, or -1 */
	uint64_t file_id, filed;
	uint32_t crc;
};

struct spool_writer {
	struct kurir_self *self;
	struct spool_file file;	 /* the committer's */
	struct spool_file names; /* for body files: only dir and ids */
	struct kurir_group *group;
	struct kurir_signal *work;
	struct kurir_spool *first, **last; /* waiting for a batch */
	struct kurir_spool *idle, *made;   /* free ones; all */
	uint64_t memory;
	bool stopped;
};

uint8_t spool_lane(const struct kurir_envelope *e)
{
	uint64_t h = kurir_str_hash(e->account.len > 0 ? e->account : e->sender);
	if (e->account.len + e->sender.len == 0 && e->count > 0) { /* notifications */
		struct kurir_str a = e->recipients[0].address;
		ssize_t at = kurir_str_find_last(a, '@');
		h = kurir_str_hash(kurir_str_part(a, (size_t)(at + 1), a.len));
	}
	return (uint8_t)(h ^ h >> 32);
}

static void spool_account(struct kurir_spool *s)
{
	s->writer->memory += s->body.room;
	s->writer->memory -= s->counted;
	s->counted = s->body.room;
}

static void spool_release(struct kurir_spool *s)
{
	struct spool_writer *w = s->writer;
	if (s->fd >= 0)
		spool_io->close(s->fd); /* the lock goes: a file that no record names is litter */
	s->fd = -1;
	kurir_buf_clear(&s->envelope);
	kurir_buf_clear(&s->body);
	if (s->body.room > KEEP_ROOM)
		kurir_buf_free(&s->body);
	if (s->envelope.room > KEEP_ROOM)
		kurir_buf_free(&s->envelope);
	spool_account(s);
	s->state = SPOOL_IDLE;
	s->next = w->idle;
	w->idle = s;
}

/* Transition: body file without a record -> nothing. */
static void spool_forget_file(struct kurir_spool *s)
{
	char name[SEGMENT_NAME_MAX];
	if (s->fd < 0)
		return;
	segment_name(name, s->file_id, ".body");
	spool_io->unlink(s->writer->file.dir, name);
}

int spool_begin(struct kurir_self *self, uint64_t size_hint, struct kurir_spool **ret)
{
	struct spool_writer *w = queue_self(self)->writer;
	const struct queue_conf *conf = kurir_conf(self);
	if (w == NULL || w->stopped)
		return -ESHUTDOWN;
	struct kurir_spool *s = w->idle;
	if (s != NULL) {
		w->idle = s->next;
	} else {
		s = kurir_alloc(kurir_self_arena(self), sizeof(*s));
		s->writer = w;
		s->made_before = w->made;
		w->made = s;
		s->done = kurir_signal_new(kurir_self_arena(self));
		s->body.limit = SEGMENT_BODY_MAX + PIECE; /* the real limit: see spool_write() */
		s->envelope.limit = SEGMENT_ENVELOPE_MAX;
		s->fd = -1;
	}
	s->state = SPOOL_OPEN;
	s->next = NULL;
	s->readers = NULL;
	s->abandoned = false;
	s->error = 0;
	s->crc = 0;
	s->filed = 0;
	s->file_id = 0;
	memset(&s->item, 0, sizeof(s->item));
	if (size_hint > 0 && size_hint <= conf->inline_size / 4)
		kurir_buf_reserve(&s->body, (size_t)size_hint);
	spool_account(s);
	*ret = s;
	return 0;
}

/* What is collected goes to the body's own file.  In a helper thread. */
static int spill(void *arg)
{
	struct kurir_spool *s = arg;
	if (s->fd < 0) {
		s->fd = spool_file_create(&s->writer->names, ".body", &s->file_id);
		if (s->fd < 0) {
			int err = s->fd;
			s->fd = -1;
			return err;
		}
	}
	int r = spool_write_full(s->fd, s->body.ptr, s->body.len, s->filed);
	if (r == 0) {
		s->crc = crc32c(s->crc, s->body.ptr, s->body.len);
		s->filed += s->body.len;
	}
	return r;
}

KURIR_PARKS static int spool_spill(struct kurir_spool *s)
{
	int r = kurir_offload(spill, s, KURIR_FOREVER);
	kurir_buf_clear(&s->body);
	return r;
}

int spool_write(struct kurir_spool *s, struct kurir_str bytes)
{
	const struct queue_conf *conf = kurir_conf(s->writer->self);
	while (s->error == 0 && bytes.len > 0) {
		struct kurir_str piece = kurir_str_part(bytes, 0, PIECE);
		bytes = kurir_str_part(bytes, piece.len, bytes.len);
		s->error = kurir_buf_add(&s->body, piece);
		spool_account(s);
		bool large = s->fd >= 0 ? s->body.len >= PIECE : s->body.len > conf->inline_size;
		bool crowded = s->writer->memory > conf->memory && s->body.len >= KEEP_ROOM;
		if (s->error == 0 && (large || crowded))
			s->error = spool_spill(s);
	}
	return s->error;
}

int spool_write_inline(struct kurir_spool *s, struct kurir_str bytes)
{
	if (s->error == 0)
		s->error = kurir_buf_add(&s->body, bytes);
	spool_account(s);
	return s->error;
}

/* Reading back, for hooks that look at the whole message. */
struct spool_reader {
	struct kurir_spool *spool;
	struct kurir_stream *to;
};

KURIR_PARKS static void spool_feed(void *arg)
{
	struct spool_reader *r = arg;
	struct kurir_spool *s = r->spool;
	char *piece = malloc(KEEP_ROOM);
	int err = piece == NULL ? -ENOMEM : 0;
	for (uint64_t at = 0; err == 0 && at < s->filed;) {
		uint64_t n = s->filed - at < KEEP_ROOM ? s->filed - at : KEEP_ROOM;
		err = spool_read_full(s->fd, piece, (size_t)n, at);
		if (err == 0)
			err = kurir_write(r->to, (struct kurir_str){ piece, (size_t)n });
		at += n;
	}
	free(piece);
	if (err == 0 && s->body.len > 0)
		err = kurir_write(r->to, kurir_buf_str(&s->body));
	if (err == 0)
		kurir_flush(r->to, kurir_now() + 300000);
	kurir_close(r->to);
	free(r);
}

int spool_read(struct kurir_spool *s, struct kurir_stream **ret)
{
	struct kurir_stream *ours, *theirs;
	if (s->error != 0)
		return s->error;
	int r = kurir_stream_pair(&ours, &theirs);
	if (r < 0)
		return r;
	if (s->readers == NULL)
		s->readers = kurir_group_begin(s->writer->self);
	struct spool_reader *x = malloc(sizeof(*x));
	if (x == NULL) {
		kurir_close(ours);
		kurir_close(theirs);
		return -ENOMEM;
	}
	*x = (struct spool_reader){ .spool = s, .to = ours };
	r = kurir_group_go(s->readers, "spool-read", spool_feed, x);
	if (r < 0) {
		free(x);
		kurir_close(ours);
		kurir_close(theirs);
		return r;
	}
	*ret = theirs;
	return 0;
}

KURIR_PARKS void spool_abort(struct kurir_spool *s)
{
	if (s == NULL)
		return;
	if (s->readers != NULL)
		kurir_group_end(s->readers);
	s->readers = NULL;
	spool_forget_file(s);
	spool_release(s);
}

/* Transition: body file -> durable body file.  In a helper thread. */
static int seal_body(void *arg)
{
	struct kurir_spool *s = arg;
	int r = s->body.len > 0 ? spill(s) : 0;
	if (r == 0)
		r = spool_io->sync(s->fd);
	if (r == 0)
		r = spool_io->sync(s->writer->file.dir);
	return r;
}

/* Takes what lies in s->envelope and the body; the record's own members are filled in by the
 * caller. */
KURIR_PARKS static int spool_durable(struct kurir_spool *s, kurir_time deadline)
{
	struct spool_writer *w = s->writer;
	struct spool_item *x = &s->item;
	if (s->error == 0 && s->fd >= 0) {
		s->error = kurir_offload(seal_body, s, deadline);
		kurir_buf_clear(&s->body);
		x->record.body_file = s->file_id;
	}
	if (s->error != 0 || w->stopped) {
		int err = s->error != 0 ? s->error : -ESHUTDOWN;
		spool_abort(s);
		return err;
	}
	if (x->record.body_file == 0) {
		x->body = kurir_buf_str(&s->body);
		x->record.body_length = x->body.len;
		s->crc = crc32c(0, x->body.ptr, x->body.len);
	} else if (s->fd >= 0) {
		x->record.body_length = s->filed;
	}
	x->record.body_crc = s->crc;
	x->envelope = kurir_buf_str(&s->envelope);
	x->record.envelope_length = (uint32_t)x->envelope.len;
	s->state = SPOOL_WAITS;
	*w->last = s;
	w->last = &s->next;
	kurir_signal_raise(w->work);
	int r = 0;
	while (s->state != SPOOL_DONE && r != -ECANCELED) {
		bool batched = s->state == SPOOL_BATCHED;
		r = kurir_signal_wait(s->done, batched ? KURIR_FOREVER : deadline);
		if (r != -ETIMEDOUT || s->state != SPOOL_WAITS)
			continue;
		s->abandoned = true; /* still in the list: the committer drops it there */
		return r;
	}
	if (s->state != SPOOL_DONE) {
		s->abandoned = true;
		return r;
	}
	r = s->error;
	if (r != 0)
		spool_forget_file(s);
	spool_release(s);
	return r;
}

int spool_commit(struct kurir_spool *s, const struct kurir_envelope *e, kurir_time deadline)
{
	if (s->readers != NULL)
		kurir_group_end(s->readers);
	s->readers = NULL;
	if (s->error == 0)
		s->error = kurir_put_envelope(&s->envelope, e);
	s->item.record.kind = e->flags & KURIR_ENV_HOLD ? SEGMENT_HELD : SEGMENT_MESSAGE;
	s->item.record.arrived = e->arrived;
	s->item.record.recipients = (uint32_t)e->count;
	s->item.record.id_hash = (uint32_t)kurir_str_hash(e->id);
	s->item.record.lane = spool_lane(e);
	return spool_durable(s, deadline);
}

int spool_commit_moved(struct kurir_spool *s, const struct spool_moved *m, kurir_time deadline)
{
	char place[SEGMENT_MOVED_BYTES];
	segment_put_le64(place, m->segment);
	segment_put_le64(place + 8, m->offset);
	s->item.record = m->record;
	s->item.record.kind = SEGMENT_MOVED;
	if (m->record.body_file != 0)
		s->crc = m->record.body_crc;
	if (s->error == 0)
		s->error =
		    kurir_buf_add(&s->envelope, (struct kurir_str){ place, sizeof(place) });
	if (s->error == 0)
		s->error = kurir_buf_add(&s->envelope, m->envelope);
	return spool_durable(s, deadline);
}

/* Takes the next batch off the list; false: there is none. */
static bool writer_gather(
    struct spool_writer *w, struct spool_batch *b, struct kurir_spool **spools)
{
	uint64_t bytes = 0;
	b->count = 0;
	while (w->first != NULL && b->count < SPOOL_BATCH_MAX) {
		struct kurir_spool *s = w->first;
		uint64_t more = segment_record_bytes(&s->item.record);
		if (b->count > 0 && bytes + more > w->file.limit / 4)
			break;
		w->first = s->next;
		if (w->first == NULL)
			w->last = &w->first;
		s->next = NULL;
		if (s->abandoned) {
			spool_forget_file(s);
			spool_release(s);
			continue;
		}
		s->state = SPOOL_BATCHED;
		spools[b->count] = s;
		b->items[b->count++] = &s->item;
		bytes += more;
	}
	kurir_count(w->self, QUEUE_BYTES, bytes);
	return b->count > 0;
}

/* Tells the queue; when the notice is lost the queue finds the records by the segment's end mark.
 * */
static void writer_tell(struct spool_writer *w, const struct spool_batch *b)
{
	struct kurir_buf notice = KURIR_BUF(KURIR_CALL_MAX);
	for (unsigned i = 0; i < b->count; i++) {
		const struct spool_item *x = b->items[i];
		int r = kurir_put_u64(&notice, x->segment);
		if (r == 0)
			r = kurir_put_u64(&notice, x->offset);
		if (r == 0)
			r = kurir_put_text(&notice, (struct kurir_str){ x->head, SEGMENT_HEAD });
		if (r == 0)
			r = kurir_put_text(&notice, x->envelope);
		bool last = i + 1 == b->count;
		if (r == 0 && (last || notice.len > NOTICE_MAX)) {
			struct kurir_request q = { .endpoint = QUEUE_NEW, .fd = -1 };
			q.body = kurir_buf_str(&notice);
			kurir_post(w->self, &q);
			kurir_buf_clear(&notice);
		} else if (r != 0) {
			break;
		}
	}
	kurir_buf_free(&notice);
}

static void writer_finish_batch(
    struct spool_writer *w, const struct spool_batch *b, struct kurir_spool **spools)
{
	if (b->result == 0) {
		kurir_count(w->self, QUEUE_COMMITTED, b->count);
		kurir_count(w->self, QUEUE_BATCHES, 1);
		writer_tell(w, b);
	} else {
		kurir_count(w->self, QUEUE_COMMIT_FAILED, b->count);
		kurir_log(w->self, KURIR_ERROR, b->result,
		    "cannot write to the spool, %u messages were refused for now", b->count);
	}
	for (unsigned i = 0; i < b->count; i++) {
		struct kurir_spool *s = spools[i];
		s->error = b->result;
		s->state = SPOOL_DONE;
		if (s->abandoned) {
			if (b->result != 0)
				spool_forget_file(s);
			spool_release(s);
		} else {
			kurir_signal_raise(s->done);
		}
	}
}

KURIR_PARKS static void writer_commits(void *arg)
{
	struct spool_writer *w = arg;
	struct spool_batch *b = kurir_alloc(kurir_self_arena(w->self), sizeof(*b));
	struct kurir_spool *spools[SPOOL_BATCH_MAX];
	int r = 0;
	b->file = &w->file;
	while (r != -ECANCELED) {
		if (!writer_gather(w, b, spools)) {
			r = kurir_signal_wait(w->work, KURIR_FOREVER);
			continue;
		}
		b->result = -EIO;
		r = kurir_offload(
		    spool_batch_run, b, KURIR_FOREVER); /* waits for it in any case */
		writer_finish_batch(w, b, spools);
	}
	w->stopped = true;
	while (w->first != NULL) { /* those that still wait were not promised */
		struct kurir_spool *s = w->first;
		w->first = s->next;
		s->next = NULL;
		s->error = -ESHUTDOWN;
		s->state = SPOOL_DONE;
		if (s->abandoned)
			spool_release(s);
		else
			kurir_signal_raise(s->done);
	}
	w->last = &w->first;
}

int spool_writer_start(struct kurir_self *self, int dir, struct spool_writer **ret)
{
	const struct queue_conf *conf = kurir_conf(self);
	struct spool_writer *w = kurir_alloc(kurir_self_arena(self), sizeof(*w));
	w->self = self;
	w->last = &w->first;
	w->work = kurir_signal_new(kurir_self_arena(self));
	w->file =
	    (struct spool_file){ .dir = dir, .fd = -1, .mark = -1, .limit = conf->segment_size };
	w->file.role = kurir_roles();
	w->file.index = kurir_role_index();
	w->names = w->file;
	w->group = kurir_group_begin(self);
	int r = kurir_group_go(w->group, "spool-commit", writer_commits, w);
	if (r < 0)
		return r;
	*ret = w;
	return 0;
}

void spool_writer_stop(struct spool_writer *w)
{
	if (w == NULL)
		return;
	w->stopped = true;
	spool_file_finish(&w->file); /* its fiber is no more */
	for (struct kurir_spool *s = w->made; s != NULL; s = s->made_before) {
		kurir_buf_free(&s->body);
		kurir_buf_free(&s->envelope);
	}
}
