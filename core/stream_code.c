/* stream_code.c - the layer that codes all bytes both ways, with a coding that a module has
 * (kurir/stream.h).  It holds what of the peer's bytes was not decoded yet, and what was coded
 * and not sent yet: at most CODED of the one and one call's worth of the other. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define CODED 8192u  /* of the peer's bytes at once */
#define PLAIN 32768u /* of ours, coded in one call */

struct stream_code {
	struct stream_layer layer;
	struct stream_layer *lower;
	const struct kurir_coding_ops *ops;
	void *coding;
	char *in; /* owned while something is in it */
	struct kurir_str rest;
	struct kurir_buf out;
	size_t taken; /* plain bytes that out stands for: told once all of it is sent */
	int error;
};

static struct stream_code *of_layer(struct stream_layer *l)
{
	return (struct stream_code *)l;
}

/* More of the peer's bytes, when the last are decoded: as the lower layer's read. */
static ssize_t code_fill(struct stream_code *c)
{
	if (!c->in && !(c->in = malloc(CODED)))
		check_no_memory();
	ssize_t n = c->lower->ops->read(c->lower, c->in, CODED);
	c->rest = (struct kurir_str){ c->in, n > 0 ? (size_t)n : 0 };
	if (n <= 0) {
		free(c->in);
		c->in = NULL;
	}
	return n;
}

static ssize_t code_read(struct stream_layer *l, void *p, size_t n)
{
	struct stream_code *c = of_layer(l);
	while (!c->error) {
		/* Also with nothing left: it may hold plain bytes that had no room before. */
		ssize_t got = c->ops->decode(c->coding, &c->rest, p, n);
		if (got > 0)
			return got;
		if (got < 0)
			c->error = (int)got;
		else if (!c->rest.len && (got = code_fill(c)) <= 0)
			return got;
	}
	return c->error;
}

/* Sends what is coded: 0, -EAGAIN, -errno. */
static int code_push(struct stream_code *c)
{
	while (c->out.len) {
		struct iovec v = { c->out.ptr, c->out.len };
		ssize_t n = c->lower->ops->write(c->lower, &v, 1);
		if (n < 0)
			return (int)n;
		kurir_buf_cut(&c->out, (size_t)n);
	}
	kurir_buf_free(&c->out);
	return 0;
}

/* After -EAGAIN the same bytes come again, maybe with more behind them. */
static ssize_t code_write(struct stream_layer *l, const struct iovec *v, int count)
{
	struct stream_code *c = of_layer(l);
	for (int i = 0; i < count && !c->taken; i++) {
		size_t n = v[i].iov_len < PLAIN ? v[i].iov_len : PLAIN;
		int r = n
		    ? c->ops->encode(c->coding, (struct kurir_str){ v[i].iov_base, n }, &c->out)
		    : 0;
		if (r < 0)
			return r;
		c->taken += n;
	}
	int r = code_push(c);
	if (r < 0)
		return r;
	size_t taken = c->taken;
	c->taken = 0;
	return (ssize_t)taken;
}

KURIR_PARKS static int code_wait(struct stream_layer *l, enum stream_want want, kurir_time until)
{
	struct stream_code *c = of_layer(l);
	return c->lower->ops->wait(c->lower, want, until);
}

static bool code_waited(struct stream_layer *l)
{
	return of_layer(l)->lower->ops->waited(of_layer(l)->lower);
}

static void code_close(struct stream_layer *l)
{
	struct stream_code *c = of_layer(l);
	struct stream_layer *lower = c->lower;
	c->ops->close(c->coding);
	free(c->in);
	kurir_buf_free(&c->out);
	free(c);
	lower->ops->close(lower);
}

/* No pending(): whether what it holds is a whole byte is not known before it is decoded. */
static const struct stream_ops code_ops = {
	.name = "code",
	.read = code_read,
	.write = code_write,
	.wait = code_wait,
	.waited = code_waited,
	.close = code_close,
};

int kurir_stream_code(struct kurir_stream *s, const struct kurir_coding_ops *ops, void *coding)
{
	kurir_assert(s && s->magic == STREAM_MAGIC && !s->reading && !s->writing && !s->out_len);
	if (kurir_pending(s)) {
		ops->close(coding);
		return -EBADMSG;
	}
	struct stream_code *c = calloc(1, sizeof(*c));
	if (!c)
		check_no_memory();
	*c = (struct stream_code){ .layer.ops = &code_ops,
		.lower = s->top,
		.ops = ops,
		.coding = coding,
		.rest = KURIR_STR(""),
		.out = KURIR_BUF(2 * PLAIN) };
	s->top = &c->layer;
	return 0;
}
