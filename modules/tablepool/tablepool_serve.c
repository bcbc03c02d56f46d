/* tablepool_serve.c - the endpoint: questions wait for a connection, and are asked on it.
 *
 * A server that cannot be reached is tried once a second; meanwhile every question fails at once,
 * so that nobody waits for what will not come. */
#include "tablepool.h"

#include <openssl/crypto.h>
#include <string.h>

#define AGAIN 1000

const char *const tablepool_counters[] = {
	[TABLE_FOUND] = "found",
	[TABLE_MISSING] = "missing",
	[TABLE_REFUSED] = "refused",
	[TABLE_FAILED] = "failed",
	[TABLE_CONNECTED] = "connected",
	NULL,
};

/* What a helper thread does, on a connection that is its own meanwhile. */
struct errand {
	const struct tablepool *pool;
	const void *conf;
	void *link; /* NULL: one is opened first; and NULL afterwards when it is gone */
	bool connected;
	struct table_job *job;
	int result;
};

int tablepool_start(struct kurir_self *self, const struct table_backend *backend, unsigned most,
    kurir_time timeout)
{
	struct tablepool *p = kurir_state(self);

	*p = (struct tablepool){ .self = self,
		.backend = backend,
		.most = most < TABLE_LINKS ? most : TABLE_LINKS,
		.timeout = timeout };
	p->freed = kurir_signal_new(kurir_self_arena(self));
	return 0;
}

void tablepool_stop(struct kurir_self *self)
{
	struct tablepool *p = kurir_state(self);

	while (p->idle_count > 0)
		p->backend->close(p->idle[--p->idle_count]);
}

/* Words that say something about the question, not about the connection. */
static bool is_answer(int r)
{
	return r == 0 || r == -ENODATA || r == -EACCES || r == -EOPNOTSUPP || r == -EINVAL ||
	    r == -E2BIG;
}

static int errand_run(void *arg)
{
	struct errand *e = arg;
	const struct table_backend *b = e->pool->backend;
	bool kept = e->link != NULL;

	for (;;) {
		if (e->link == NULL) {
			e->link = b->open(e->conf, e->job->timeout, e->job->error);
			e->connected = e->link != NULL;
		}
		e->result = e->link == NULL ? -EHOSTDOWN : b->ask(e->link, e->conf, e->job);
		if (is_answer(e->result))
			return 0;
		if (e->link != NULL)
			b->close(e->link);
		e->link = NULL;
		kurir_buf_free(&e->job->values);
		e->job->count = 0;
		if (!kept || e->result == -ETIMEDOUT)
			return 0;
		kept = false; /* it may have been closed while nobody used it: once more */
	}
}

/* A connection of the pool, or the right to open one: 0, or -errno. */
KURIR_PARKS static int take(struct tablepool *p, kurir_time until, void **ret)
{
	for (;;) {
		int r;

		if (p->idle_count > 0) {
			*ret = p->idle[--p->idle_count];
			return 0;
		}
		if (p->down && kurir_now() < p->again)
			return -EHOSTDOWN;
		if (p->open < p->most) {
			p->open++;
			*ret = NULL;
			return 0;
		}
		r = kurir_signal_wait(p->freed, until);
		if (r < 0)
			return r;
	}
}

static void give(struct tablepool *p, void *link)
{
	if (link != NULL)
		p->idle[p->idle_count++] = link;
	else
		p->open--;
	kurir_signal_raise(p->freed);
}

static void note(struct tablepool *p, const struct errand *e)
{
	if (e->connected)
		kurir_count(p->self, TABLE_CONNECTED, 1);
	kurir_count(p->self,
	    e->result == 0		? TABLE_FOUND
		: e->result == -ENODATA ? TABLE_MISSING
		: e->result == -EACCES	? TABLE_REFUSED
					: TABLE_FAILED,
	    1);
	if (is_answer(e->result)) {
		if (p->down)
			(void)kurir_log(p->self, KURIR_NOTICE, 0, "can be asked again");
		p->down = false;
		if (e->result == -EINVAL || e->result == -E2BIG)
			(void)kurir_log(p->self, KURIR_ERROR, e->result, "map \"%.*s\": %s",
			    KURIR_ARG(e->job->map), e->job->error);
		return;
	}
	if (e->result != -EHOSTDOWN) { /* this question, not the server */
		(void)kurir_log(p->self, KURIR_WARN, e->result, "map \"%.*s\": %s",
		    KURIR_ARG(e->job->map), e->job->error);
		return;
	}
	p->again = kurir_now() + AGAIN;
	if (!p->down)
		(void)kurir_log(p->self, KURIR_ERROR, e->result,
		    "cannot be asked, what hangs on it has to wait: %s", e->job->error);
	p->down = true;
}

/* As a C string in the scratch arena; NULL: it cannot be one. */
static char *text_of(struct kurir_str s)
{
	if (s.len > KURIR_TABLE_KEY_MAX || (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL))
		return NULL;
	return (char *)(uintptr_t)kurir_copy(kurir_scratch(), s).ptr;
}

/* 0, or -errno: a key that cannot be one is in no map. */
static int parse(struct tablepool *p, struct kurir_reader *in, struct table_job *job)
{
	uint8_t what = kurir_get_u8(in);
	struct kurir_str key, secret = KURIR_STR("");
	ssize_t at;

	job->map = kurir_get_text(in);
	key = kurir_get_text(in);
	if (what == KURIR_TABLE_VERIFY)
		secret = kurir_get_text(in);
	if (in->error < 0 || (what != KURIR_TABLE_FIND && what != KURIR_TABLE_VERIFY))
		return -EBADMSG;
	job->query = p->backend->query(kurir_conf(p->self), job->map, what == KURIR_TABLE_VERIFY);
	if (job->query == NULL)
		return -EOPNOTSUPP;
	at = kurir_str_find_last(key, '@');
	job->key = text_of(key);
	job->local = text_of(at < 0 ? key : kurir_str_part(key, 0, (size_t)at));
	job->domain =
	    text_of(at < 0 ? KURIR_STR("") : kurir_str_part(key, (size_t)at + 1, key.len));
	if (job->key == NULL || key.len == 0)
		return -ENODATA;
	if (what == KURIR_TABLE_VERIFY &&
	    (secret.len == 0 || (job->secret = text_of(secret)) == NULL))
		return -EACCES;
	return 0;
}

/* What waits for a connection and what is asked on it both end in the pool's time. */
KURIR_PARKS static int run(struct tablepool *p, struct table_job *job)
{
	kurir_time until = kurir_now() + p->timeout;
	struct errand *e = kurir_alloc(kurir_scratch(), sizeof(*e));
	void *link;
	int r = take(p, until, &link);

	if (r < 0)
		return r;
	*e = (struct errand){ .pool = p,
		.conf = kurir_conf(p->self),
		.link = link,
		.job = job,
		.result = -ECANCELED };
	job->timeout = (int)p->timeout;
	r = kurir_offload(errand_run, e, KURIR_FOREVER);
	give(p, e->link);
	if (e->result == -ECANCELED) /* it was never begun */
		return r < 0 ? r : -ECANCELED;
	note(p, e);
	return e->result;
}

KURIR_PARKS static int call(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct tablepool *p = kurir_state(self);
	struct table_job *job = kurir_alloc(kurir_scratch(), sizeof(*job));
	struct kurir_reader rest = KURIR_READER(in->body);
	int r = parse(p, &rest, job);

	if (r == 0)
		r = run(p, job);
	if (r == 0 && job->secret == NULL)
		r = kurir_put_u32(reply, job->count);
	if (r == 0 && job->secret == NULL)
		r = kurir_buf_add(reply, kurir_buf_str(&job->values));
	kurir_buf_free(&job->values);
	if (job->secret != NULL)
		OPENSSL_cleanse(job->secret, strlen(job->secret));
	return r == -EMSGSIZE ? -E2BIG : r;
}

const struct kurir_endpoint_ops tablepool_endpoint = { .size = sizeof(tablepool_endpoint),
	.call = call };
