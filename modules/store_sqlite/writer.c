/* writer.c - the endpoint "store.sqlite": requests of one shard, many in a transaction.
 *
 * A request is answered when what it did is durable.  One fiber at a time takes what waits, lets
 * a helper thread do it, and wakes the others; a request whose fiber was ended meanwhile belongs
 * to the batch that it is in. */
#include "schema.h"
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum request_state { REQUEST_WAITING, REQUEST_TAKEN, REQUEST_DONE };
struct request {
	struct request *next;
	enum request_state state;
	bool abandoned;
	int fd, result;
	struct kurir_buf reply;
	size_t length;
	char bytes[];
};
struct batch {
	struct shard *shard;
	struct request *first;
	bool ran;
	bool quiet; /* nobody is to hear of it, and it need not outlive a power cut */
	int result; /* of the whole */
};

static void request_free(struct request *q)
{
	if (q->fd >= 0)
		close(q->fd);
	kurir_buf_free(&q->reply);
	free(q);
}

unsigned shard_of(const struct sqlite_conf *conf, struct kurir_str account)
{
	return (unsigned)(kurir_str_hash(account) % (uint64_t)conf->shards);
}

int shard_folder(const struct sqlite_conf *conf, unsigned number, char ret[SHARD_PATH])
{
	int n = snprintf(ret, SHARD_PATH, "%.*s/%02x", KURIR_ARG(conf->root), number);
	return n < 0 || n >= SHARD_PATH - 64 ? -ENAMETOOLONG : 0;
}

/* In a helper thread: folders, database, bell. */
static int shard_open(struct shard *s)
{
	char path[SHARD_PATH + 16];
	int r = mkdir(s->folder, 0750) < 0 && errno != EEXIST ? -errno : 0;
	if (r == 0)
		r = blob_sync_folder(s->conf->root.ptr);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/bell", s->folder);
	s->bell = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->bell < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/" SCHEMA_BEFORE, s->folder);
	s->held = access(path, F_OK) == 0;
	(void)snprintf(path, sizeof(path), "%s/index.db", s->folder);
	r = db_open_writer(&s->db, path);
	if (r == 0) {
		int64_t searched = 0;
		r = db_number(&s->db, &searched, "SELECT EXISTS(SELECT 1 FROM searched)", "");
		s->searched = searched != 0;
		if (r == 0)
			r = blob_sync_folder(s->folder);
		if (r < 0)
			db_close(&s->db);
	}
	if (r < 0) {
		close(s->bell);
		s->bell = -1;
		return r;
	}
	blob_writer_init(&s->blobs, s->folder, s->conf->segment_size);
	s->durable = true; /* as it was opened */
	s->open = true;
	return 0;
}

static void shard_close(struct shard *s)
{
	if (!s->open)
		return;
	blob_writer_close(&s->blobs);
	db_close(&s->db);
	close(s->bell);
	s->open = false;
}

/* Each in a savepoint, so that one that fails takes nothing with it. */
static int run_one(struct shard *s, struct kurir_arena *arena, struct request *q)
{
	int r = db_exec(&s->db, "SAVEPOINT one", "");
	if (r < 0)
		return r;
	q->result =
	    operation_run(s, arena, (struct kurir_str){ q->bytes, q->length }, q->fd, &q->reply);
	if (q->result < 0) {
		r = db_exec(&s->db, "ROLLBACK TO one", "");
		s->recent.blob = 0;
	}
	return r < 0 ? r : db_exec(&s->db, "RELEASE one", "");
}

/* Who was the first to see a message: it is recent once more when that is forgotten. */
static bool only_claims(const struct batch *b)
{
	for (const struct request *q = b->first; q != NULL; q = q->next)
		if (q->length == 0 || q->bytes[0] != SQLITE_OP_CLAIM)
			return false;
	return true;
}

/* What comes next makes durable also what did not wait for it. */
static int set_durable(struct shard *s, bool on)
{
	if (on == s->durable)
		return 0;
	s->durable = on;
	return db_text_run(
	    &s->db, on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

static int run_all(struct batch *b)
{
	struct shard *s = b->shard;
	int r = s->open ? 0 : shard_open(s);
	b->quiet = only_claims(b);
	if (r == 0)
		r = set_durable(s, !b->quiet);
	if (r == 0)
		r = db_exec(&s->db, "BEGIN IMMEDIATE", "");
	if (r < 0)
		return r;
	struct kurir_arena *arena = kurir_arena_new("store request");
	s->purged = false;
	for (struct request *q = b->first; q != NULL && r == 0; q = q->next) {
		r = run_one(s, arena, q);
		kurir_arena_clear(arena);
	}
	kurir_arena_free(arena);
	if (r == 0)
		r = blob_sync(&s->blobs);
	if (r == 0)
		r = db_exec(&s->db, "COMMIT", "");
	if (r == 0)
		return 0;
	s->recent.blob = 0;
	if (sqlite3_get_autocommit(s->db.sql) == 0)
		(void)db_exec(&s->db, "ROLLBACK", "");
	blob_cut(&s->blobs);
	shard_close(s); /* what went wrong with this connection does not go on with the next */
	return r;
}

static int batch_run(void *arg)
{
	struct batch *b = arg;
	b->result = run_all(b);
	b->ran = true;
	if (b->result == 0 && !b->quiet)
		(void)!pwrite(b->shard->bell, "!", 1, 0);
	return 0;
}

static void batch_take(struct batch *b)
{
	struct shard *s = b->shard;
	struct request **end = &b->first;
	for (unsigned n = 0; n < BATCH_MAX && s->first != NULL; n++) {
		struct request *q = s->first;
		s->first = q->next;
		q->state = REQUEST_TAKEN;
		q->next = NULL;
		*end = q;
		end = &q->next;
	}
	if (s->first == NULL)
		s->last = &s->first;
}

/* Nobody ran it: its requests wait again, ahead of those that came later. */
static void batch_return(struct batch *b)
{
	struct shard *s = b->shard;
	struct request **end = &b->first;
	if (b->first == NULL)
		return;
	for (struct request *q = b->first; q != NULL; q = q->next) {
		q->state = REQUEST_WAITING;
		end = &q->next;
	}
	*end = s->first;
	if (s->first == NULL)
		s->last = end;
	s->first = b->first;
}

static void batch_end(struct batch *b)
{
	struct shard *s = b->shard;
	kurir_count(s->self, SQLITE_BATCHES, 1);
	if (b->result < 0) {
		kurir_count(s->self, SQLITE_FAILED, 1);
		kurir_log(s->self, KURIR_ERROR, b->result,
		    "shard %02x: nothing of this batch was kept", s->number);
	}
	if (b->result == 0 && s->searched && s->came && !s->news) {
		struct sqlite_self *m = kurir_state(s->self);
		s->news = true;
		if (m->search != NULL)
			kurir_signal_raise(m->search);
	}
	s->came = false;
	if (s->damaged != 0) {
		kurir_count(s->self, SQLITE_DAMAGED, 1);
		kurir_log(s->self, KURIR_ERROR, -EBADMSG,
		    "shard %02x: segment %016llx is damaged, and is left as it is", s->number,
		    (unsigned long long)s->damaged);
		s->damaged = 0;
	}
	for (struct request *q = b->first, *next; q != NULL; q = next) {
		next = q->next;
		q->state = REQUEST_DONE;
		if (b->result < 0)
			q->result = b->result;
		kurir_count(s->self, SQLITE_REQUESTS, 1);
		if (q->abandoned)
			request_free(q);
	}
}

/* As many shards write at once as there are processors, in the order in which they came: what
 * comes to the others meanwhile shares their next transaction. */
KURIR_PARKS static int turn_begin(struct sqlite_self *m)
{
	uint64_t mine = m->turns.given++;
	int r = 0;
	while (r == 0 && mine >= m->turns.ended + m->turns.at_once)
		r = kurir_signal_wait(m->turns.signal, KURIR_FOREVER);
	return r;
}

static void turn_end(struct sqlite_self *m)
{
	m->turns.ended++;
	kurir_signal_raise(m->turns.signal);
}

KURIR_PARKS static int shard_batch(struct shard *s)
{
	struct sqlite_self *m = kurir_state(s->self);
	struct batch b = { .shard = s };
	s->busy = true;
	int r = turn_begin(m);
	if (r == 0) {
		batch_take(&b);
		r = kurir_offload(batch_run, &b, KURIR_FOREVER);
	}
	turn_end(m);
	s->busy = false;
	if (b.ran)
		batch_end(&b);
	else
		batch_return(&b);
	kurir_signal_raise(s->done);
	return b.ran ? 0 : r;
}

static void unqueue(struct shard *s, struct request *q)
{
	struct request **at = &s->first;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	if (*at == NULL)
		s->last = at;
}

/* 0 once it is done; -errno when the wait was cancelled: then it is gone. */
KURIR_PARKS static int shard_do(struct shard *s, struct request *q)
{
	int r = 0;
	*s->last = q;
	s->last = &q->next;
	while (q->state != REQUEST_DONE && r >= 0)
		r = q->state == REQUEST_WAITING && !s->busy
		    ? shard_batch(s)
		    : kurir_signal_wait(s->done, KURIR_FOREVER);
	if (q->state == REQUEST_DONE)
		return 0;
	if (q->state == REQUEST_TAKEN) {
		q->abandoned = true;
	} else {
		unqueue(s, q);
		request_free(q);
	}
	return r;
}

static struct shard *shard_get(struct kurir_self *self, unsigned number)
{
	struct sqlite_self *m = kurir_state(self);
	const struct sqlite_conf *conf = kurir_conf(self);
	struct shard *s = m->shards[number];
	if (s != NULL)
		return s;
	s = kurir_alloc(kurir_self_arena(self), sizeof(*s));
	s->self = self;
	s->number = number;
	s->conf = conf;
	s->bell = -1;
	s->last = &s->first;
	s->done = kurir_signal_new(kurir_self_arena(self));
	if (shard_folder(conf, number, s->folder) < 0)
		return NULL;
	m->shards[number] = s;
	return s;
}

KURIR_PARKS int sqlite_writer(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	struct shard *s = shard_get(self, (unsigned)(in->key % (uint64_t)conf->shards));
	struct request *q = malloc(sizeof(*q) + in->body.len);
	if (q == NULL || s == NULL) {
		free(q);
		return q == NULL ? -ENOMEM : -ENAMETOOLONG;
	}
	*q = (struct request){
		.fd = -1, .reply = KURIR_BUF(KURIR_CALL_MAX), .length = in->body.len
	};
	/* The batch may outlive the call, whose descriptor is borrowed. */
	if (in->fd >= 0 && (q->fd = fcntl(in->fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		int r = -errno;
		request_free(q);
		return r;
	}
	memcpy(q->bytes, in->body.ptr, in->body.len);
	int r = shard_do(s, q);
	if (r < 0)
		return r;
	r = q->result;
	if (r >= 0)
		r = kurir_buf_add(reply, kurir_buf_str(&q->reply));
	request_free(q);
	return r;
}

KURIR_PARKS int sqlite_purge(struct kurir_self *self, unsigned shard, kurir_time until)
{
	struct kurir_request call = { .endpoint = "store.sqlite", .key = shard, .fd = -1 };
	bool more = true;
	int r = 0;
	while (r >= 0 && more && !kurir_draining()) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct kurir_str reply;
		struct kurir_buf b;
		sqlite_begin(&b, SQLITE_OP_PURGE, KURIR_STR(""), KURIR_STR(""));
		call.body = kurir_buf_str(&b);
		r = kurir_call(self, &call, until, kurir_scratch(), &reply);
		kurir_buf_free(&b);
		more = r >= 0 && reply.len == 1 && reply.ptr[0] != 0;
		kurir_rewind(kurir_scratch(), mark);
	}
	return r < 0 ? r : 0;
}

void sqlite_writer_stop(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	for (unsigned i = 0; i < SHARDS_MAX; i++)
		if (m->shards[i] != NULL)
			shard_close(m->shards[i]);
}

int sqlite_begin(
    struct kurir_buf *b, enum sqlite_op op, struct kurir_str account, struct kurir_str mailbox)
{
	*b = KURIR_BUF(KURIR_CALL_MAX);
	(void)kurir_put_u8(b, (uint8_t)op);
	(void)kurir_put_text(b, account);
	(void)kurir_put_text(b, mailbox);
	return kurir_put_u64(b, (uint64_t)kurir_wallclock());
}

KURIR_PARKS int sqlite_ask(struct kurir_self *self, struct kurir_str account, struct kurir_buf *b,
    int fd, kurir_time until, struct kurir_arena *arena, struct kurir_str *ret_reply)
{
	struct kurir_request request = { .endpoint = "store.sqlite",
		.key = shard_of(kurir_conf(self), account),
		.body = kurir_buf_str(b),
		.fd = fd };
	int r = kurir_call(self, &request, until, arena, ret_reply);
	kurir_buf_free(b);
	return r;
}
