/* milter_link.c - connections to a milter.
 * A milter of version 6 takes another session on the same connection, but libmilter does so only
 * right after a message that it has let continue; such connections are kept.  What a milter says
 * before it was asked ends its connection. */
#include "milter.h"

#include <errno.h>

void milter_link_close(struct milter_link *l)
{
	if (l == NULL)
		return;
	kurir_close(l->stream);
	kurir_arena_free(l->arena);
}

int milter_send(struct milter_link *l, int command, struct kurir_str data)
{
	size_t n = data.len + 1;
	char head[5] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n,
		(char)command };
	int r = kurir_write(l->stream, (struct kurir_str){ head, 5 });

	l->between = false;
	return r < 0 || data.len == 0 ? r : kurir_write(l->stream, data);
}

/* Exactly n bytes, for which there is room. */
KURIR_PARKS static int read_all(struct kurir_stream *s, char *to, size_t n, kurir_time until)
{
	while (n > 0) {
		ssize_t got = kurir_read(s, to, n, until);

		if (got <= 0)
			return got < 0 ? (int)got : -EPIPE;
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

int milter_receive(
    struct milter_link *l, int *ret_reply, struct kurir_str *ret_data, kurir_time until)
{
	struct kurir_str raw;
	char head[5];
	uint32_t n;
	char *data;
	int r = kurir_flush(l->stream, until);

	if (r == 0)
		r = read_all(l->stream, head, 5, until);
	if (r < 0)
		return r;
	raw = (struct kurir_str){ head, 4 };
	struct kurir_reader reader = KURIR_READER(raw);
	n = milter_get_u32(&reader);
	if (n < 1 || n > MILTER_PACKET_MAX)
		return -EPROTO;
	data = kurir_alloc(kurir_scratch(), n);
	r = read_all(l->stream, data, n - 1, until);
	if (r < 0)
		return r;
	*ret_reply = head[4];
	*ret_data = (struct kurir_str){ data, n - 1 };
	return 0;
}

KURIR_PARKS static int negotiate(struct kurir_self *self, struct milter_link *l, kurir_time until)
{
	struct kurir_buf b = KURIR_BUF(16);
	struct kurir_str data;
	int reply, r = milter_put_u32(&b, MILTER_VERSION);

	if (r == 0)
		r = milter_put_u32(&b, MILTER_MAY_ALL);
	if (r == 0)
		r = milter_put_u32(&b, MILTER_CAN_ALL);
	if (r == 0)
		r = milter_send(l, MILTER_OPTIONS, kurir_buf_str(&b));
	kurir_buf_free(&b);
	if (r == 0)
		r = milter_receive(l, &reply, &data, until);
	if (r < 0)
		return r;
	if (reply != MILTER_OPTIONS)
		return -EPROTO;
	r = milter_get_options(kurir_copy(l->arena, data), &l->options);
	if (r == -EPROTO)
		(void)kurir_log(self, KURIR_ERROR, 0,
		    "the milter wants version %u, actions %#x and protocol %#x, which is more than"
		    " was offered",
		    l->options.version, l->options.actions, l->options.protocol);
	return r;
}

KURIR_PARKS static int open_link(struct kurir_self *self, struct milter_link **ret)
{
	const struct milter_conf *c = kurir_conf(self);
	const struct milter *m = kurir_state(self);
	kurir_time until = kurir_now() + c->connect_time;
	struct kurir_arena *arena = kurir_arena_new("milter");
	struct milter_link *l = kurir_alloc(arena, sizeof(*l));
	int r;

	l->arena = arena;
	r = kurir_dial(self, m->address, KURIR_STR(""), until, &l->stream);
	if (r == 0)
		r = negotiate(self, l, until);
	if (r < 0) {
		milter_link_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* A kept connection is good as long as the milter neither closed it nor said something. */
int milter_link_get(struct kurir_self *self, struct milter_link **ret)
{
	struct milter *m = kurir_state(self);
	struct kurir_str said;

	while (m->idle != NULL) {
		struct milter_link *l = m->idle;
		int r;

		m->idle = l->next;
		m->idle_count--;
		r = kurir_peek(l->stream, 0, &said, kurir_now());
		if (r == -ETIMEDOUT) {
			kurir_count(self, COUNT_REUSED, 1);
			*ret = l;
			return 0;
		}
		milter_link_close(l);
		if (r == -ECANCELED)
			return r;
	}
	return open_link(self, ret);
}

void milter_link_put(struct kurir_self *self, struct milter_link *l)
{
	const struct milter_conf *c = kurir_conf(self);
	struct milter *m = kurir_state(self);
	bool keep =
	    l->options.version >= 6 && l->between && m->idle_count < c->keep && !kurir_draining();
	int r = milter_send(l, keep ? MILTER_QUIT_NEXT : MILTER_QUIT, KURIR_STR(""));

	if (r == 0)
		r = kurir_flush(l->stream, kurir_now() + c->command_time);
	if (r < 0 || !keep || m->idle_count >= c->keep) {
		milter_link_close(l);
		return;
	}
	l->next = m->idle;
	m->idle = l;
	m->idle_count++;
}
