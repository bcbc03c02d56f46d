/* queue_memory.c - a queue that keeps messages in memory and delivers nothing: for scenarios. */
#include <kurir/queue.h>
#include <kurir/stream.h>

#include "scenario.h"

#include <errno.h>
#include <string.h>

#define MESSAGES_MAX 1000
#define BYTES_MAX    (64u << 20)

struct conf {
	int64_t fail_after; /* messages; then every commit says ENOSPC */
};
struct state {
	struct kurir_buf messages[MESSAGES_MAX];
	size_t count;
};
struct kurir_spool {
	struct kurir_self *self;
	struct kurir_arena *arena;
	struct kurir_buf body;
	struct kurir_group *readers; /* fibers that feed read_back()'s streams */
	int error;
};

static const struct kurir_option options[] = {
	KURIR_OPT_INT("fail-after", struct conf, fail_after, "-1",
	    "Messages after which the disk is full."),
	{ 0 },
};

static int begin(struct kurir_self *self, uint64_t size_hint, struct kurir_spool **ret)
{
	struct kurir_arena *arena = kurir_arena_new("spool");
	struct kurir_spool *s = kurir_alloc(arena, sizeof(*s));

	(void)size_hint;
	s->self = self;
	s->arena = arena;
	s->body = KURIR_BUF(BYTES_MAX);
	*ret = s;
	return 0;
}

static int put(struct kurir_spool *s, struct kurir_str piece)
{
	if (s->error == 0)
		s->error = kurir_buf_add(&s->body, piece);
	return s->error;
}

static void drop(struct kurir_spool *s)
{
	if (s->readers != NULL)
		kurir_group_end(s->readers);
	kurir_buf_free(&s->body);
	kurir_arena_free(s->arena);
}

struct feed {
	struct kurir_stream *to;
	struct kurir_str text;
};

static void feed(void *arg)
{
	struct feed *f = arg;

	(void)kurir_write(f->to, f->text);
	(void)kurir_flush(f->to, kurir_now() + 60000);
	kurir_close(f->to);
}

static int read_back(struct kurir_spool *s, struct kurir_stream **ret)
{
	struct feed *f = kurir_alloc(s->arena, sizeof(*f));
	int r = kurir_stream_pair(&f->to, ret);

	if (r < 0)
		return r;
	f->text = kurir_buf_str(&s->body);
	if (s->readers == NULL)
		s->readers = kurir_group_begin(s->self);
	return kurir_group_go(s->readers, "feed", feed, f);
}

static int commit(struct kurir_spool *s, const struct kurir_envelope *e, kurir_time until)
{
	const struct conf *c = kurir_conf(s->self);
	struct state *st = kurir_state(s->self);
	struct kurir_buf *m = &st->messages[st->count];
	size_t i;

	(void)until;
	if (st->count == MESSAGES_MAX ||
	    (c->fail_after >= 0 && st->count >= (size_t)c->fail_after)) {
		drop(s);
		return -ENOSPC;
	}
	st->count++; /* drop() parks: the place is taken before */
	*m = KURIR_BUF(BYTES_MAX + 65536);
	(void)kurir_buf_printf(m, "from: <%.*s>\n", KURIR_ARG(e->sender));
	for (i = 0; i < e->count; i++)
		(void)kurir_buf_printf(m, "rcpt: <%.*s> notify=%u orcpt=%.*s\n",
		    KURIR_ARG(e->recipients[i].address), e->recipients[i].notify,
		    KURIR_ARG(e->recipients[i].orcpt));
	(void)kurir_buf_printf(m, "flags: %u envid=%.*s account=%.*s\n\n", e->flags,
	    KURIR_ARG(e->envid), KURIR_ARG(e->account));
	(void)kurir_buf_add(m, kurir_buf_str(&s->body));
	drop(s);
	return 0;
}

static int open_body(struct kurir_self *self, struct kurir_str ref, struct kurir_body *ret)
{
	(void)self;
	(void)ref;
	(void)ret;
	return -ENOENT;
}

static size_t count(struct kurir_self *self)
{
	return ((struct state *)kurir_state(self))->count;
}

static int text(struct kurir_self *self, unsigned long n, struct kurir_str *ret)
{
	struct state *st = kurir_state(self);

	if (n < 1 || n > st->count)
		return -ENOENT;
	*ret = kurir_buf_str(&st->messages[n - 1]);
	return 0;
}

static void stop(struct kurir_self *self)
{
	struct state *st = kurir_state(self);
	size_t i;

	for (i = 0; i < st->count; i++)
		kurir_buf_free(&st->messages[i]);
	st->count = 0;
}

static const struct kurir_queue_ops queue = { .size = sizeof(queue),
	.begin = begin,
	.write = put,
	.read = read_back,
	.commit = commit,
	.abort = drop,
	.open = open_body };
static const struct spool_ops spool = {
	.size = sizeof(spool), .count = count, .text = text, .forget = stop
};
static const struct kurir_service services[] = {
	{ "queue", "memory", &queue, 0 },
	{ "scenario", "spool", &spool, 0 },
	{ 0 },
};

KURIR_MODULE(queue_memory, .version = "0", .summary = "keeps messages in memory, for tests",
    .caps = KURIR_CAP_SPAWN, .roles = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state), .options = options,
    .services = services, .stop = stop);
