/* channel.c - frames over a Unix socket pair: batched writing, reading, descriptors.
 * Frames that are sent during a round of the loop leave in one sendmsg(2) at its end.  What
 * the frames mean is call.c's matter. */
#include "channel_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   ((size_t)128 << 10)
#define READ_ROUNDS 8 /* then the others have their turn */

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

static struct channel *channels;

int frame_parse(struct kurir_str in, struct frame *ret, size_t *ret_used)
{
	struct frame_head h;

	if (in.len < sizeof(h))
		return 0;
	memcpy(&h, in.ptr, sizeof(h));
	if (h.length < sizeof(h) + h.name || h.length > FRAME_MAX || h.name > CHANNEL_NAME_MAX)
		return -EBADMSG;
	if (h.kind < FRAME_CALL || h.kind > FRAME_CANCEL || (h.flags & ~(unsigned)FRAME_FD) != 0)
		return -EBADMSG;
	if ((h.kind == FRAME_CALL || h.kind == FRAME_POST) != (h.name > 0))
		return -EBADMSG;
	if (in.len < h.length)
		return 0;
	*ret = (struct frame){ .id = h.id,
		.kind = h.kind,
		.flags = h.flags,
		.result = h.result,
		.key = h.key,
		.name = { in.ptr + sizeof(h), h.name },
		.body = { in.ptr + sizeof(h) + h.name, h.length - sizeof(h) - h.name } };
	*ret_used = h.length;
	return 1;
}

void channel_ref(struct channel *c)
{
	c->refs++;
}

void channel_unref(struct channel *c)
{
	if (--c->refs > 0)
		return;
	kurir_buf_free(&c->out);
	kurir_buf_free(&c->in);
	free(c->slots);
	if (c->link != NULL) {
		*c->link = c->next;
		if (c->next != NULL)
			c->next->link = c->link;
	}
	kurir_arena_free(c->arena);
	free(c);
}

bool channel_full(const struct channel *c)
{
	return c->out.len - c->out_sent > CHANNEL_SOFT || c->out_fd_count >= CHANNEL_FDS / 2;
}

static void channel_drop_out(struct channel *c)
{
	for (unsigned i = 0; i < c->out_fd_count; i++)
		(void)close(c->out_fds[i].fd);
	c->out_fd_count = 0;
	kurir_buf_clear(&c->out);
	c->out_sent = 0;
}

void channel_down(struct channel *c)
{
	if (c->down)
		return;
	c->down = true;
	loop_timer_clear(&c->late);
	loop_fd_remove(&c->fd);
	(void)close(c->fd.fd);
	channel_drop_out(c);
	for (unsigned i = 0; i < c->in_fd_count; i++)
		if (c->in_fds[i] >= 0)
			(void)close(c->in_fds[i]);
	c->in_fd_count = 0;
	call_down(c);
	kurir_signal_raise(c->room);
	channel_unref(c);
}

/* A queued task holds a reference. */
static void channel_defer(struct channel *c, struct loop_task *t)
{
	if (t->queued)
		return;
	channel_ref(c);
	loop_defer(t);
}

static void channel_give_up(struct channel *c, int why)
{
	(void)kurir_log(NULL, KURIR_ERROR, why, "channel %s: unusable, closing it", c->label);
	if (c->lost != NULL)
		c->lost(c->peer);
}

/* One sendmsg(2).  A descriptor goes with the first byte of its frame, and no second one with
 * it: a receiver that has no room for it then knows which one it has lost. */
static ssize_t channel_write(struct channel *c)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { c->out.ptr + c->out_sent, c->out.len - c->out_sent };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	unsigned n = c->out_fd_count > 0 && c->out_fds[0].at == c->out_sent;
	ssize_t r;

	if (n < c->out_fd_count)
		iov.iov_len = c->out_fds[n].at - c->out_sent;
	if (n > 0) {
		struct cmsghdr *h;

		memset(&control, 0, sizeof(control));
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &c->out_fds[0].fd, sizeof(int));
	}
	do
		r = sendmsg(c->fd.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (n > 0) {
		(void)close(c->out_fds[0].fd);
		memmove(c->out_fds, c->out_fds + 1, sizeof(c->out_fds[0]) * --c->out_fd_count);
	}
	return r;
}

static void channel_flush(struct channel *c)
{
	bool was_full = channel_full(c);

	loop_timer_clear(&c->late);
	while (!c->down && c->out_sent < c->out.len) {
		ssize_t r = channel_write(c);

		if (r == -EAGAIN || r == -ENOBUFS || r == -ETOOMANYREFS) {
			c->blocked = true;
			break;
		}
		if (r < 0) {
			/* What the peer said last may still be there to read. */
			(void)shutdown(c->fd.fd, SHUT_WR);
			channel_drop_out(c);
			if (r != -EPIPE && r != -ECONNRESET)
				channel_give_up(c, (int)r);
			break;
		}
		c->out_sent += (size_t)r;
	}
	if (c->out_sent == c->out.len) {
		kurir_buf_clear(&c->out);
		c->out_sent = 0;
	} else if (c->out_sent > CHANNEL_SOFT) {
		kurir_buf_cut(&c->out, c->out_sent);
		for (unsigned i = 0; i < c->out_fd_count; i++)
			c->out_fds[i].at -= c->out_sent;
		c->out_sent = 0;
	}
	if (was_full && !channel_full(c))
		kurir_signal_raise(c->room);
}

static void channel_flush_task(struct loop_task *t)
{
	struct channel *c = CONTAINER(t, struct channel, flush);

	channel_flush(c);
	channel_unref(c);
}

static void channel_flush_late(struct loop_timer *t)
{
	struct channel *c = CONTAINER(t, struct channel, late);

	channel_ref(c);
	channel_flush(c);
	channel_unref(c);
}

static int channel_append(struct channel *c, const struct frame *f, int fd)
{
	struct frame_head h = { .id = f->id,
		.kind = f->kind,
		.flags = fd >= 0 ? FRAME_FD : 0,
		.name = (uint16_t)f->name.len,
		.result = f->result,
		.key = f->key };
	size_t length = sizeof(h) + f->name.len + f->body.len;

	if (c->down)
		return -ECONNRESET;
	if (length > FRAME_MAX || f->name.len > CHANNEL_NAME_MAX)
		return -EMSGSIZE;
	if (fd >= 0 && c->out_fd_count >= CHANNEL_FDS)
		return -EAGAIN;
	h.length = (uint32_t)length;
	if (kurir_buf_reserve(&c->out, length) < 0)
		return -EAGAIN;
	if (fd >= 0) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

		if (copy < 0)
			return -errno;
		c->out_fds[c->out_fd_count].at = c->out.len;
		c->out_fds[c->out_fd_count++].fd = copy;
	}
	(void)kurir_buf_add(&c->out, (struct kurir_str){ (const char *)&h, sizeof(h) });
	(void)kurir_buf_add(&c->out, f->name);
	(void)kurir_buf_add(&c->out, f->body);
	return 0;
}

int channel_send(struct channel *c, const struct frame *f, int fd)
{
	int r = channel_append(c, f, fd);

	if (r == 0 && !c->blocked)
		channel_defer(c, &c->flush);
	return r;
}

int channel_send_late(struct channel *c, const struct frame *f)
{
	int r = channel_append(c, f, -1);

	if (r < 0 || c->blocked)
		return r;
	if (c->out.len - c->out_sent > CHANNEL_SOFT / 16)
		channel_defer(c, &c->flush);
	else if (!c->flush.queued && c->late.place == 0)
		loop_timer_set(&c->late, kurir_now() + CHANNEL_LATE, channel_flush_late);
	return 0;
}

static int channel_keep_fds(struct channel *c, struct msghdr *m)
{
	bool cut = m->msg_flags & MSG_CTRUNC;
	int r = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + sizeof(int) * i, sizeof(int));
			cut = false;
			if (c->in_fd_count < CHANNEL_FDS_IN) {
				c->in_fds[c->in_fd_count++] = fd;
			} else {
				(void)close(fd);
				r = -EBADMSG;
			}
		}
	}
	/* This process has too many open: the frame comes without it. */
	if (cut && c->in_fd_count < CHANNEL_FDS_IN) {
		c->in_fds[c->in_fd_count++] = -1;
		(void)kurir_log(NULL, KURIR_WARN, -EMFILE,
		    "channel %s: a descriptor is lost, the call that came with it will fail",
		    c->label);
	}
	return r;
}

/* Hands on every whole frame of c->in. */
static int channel_parse(struct channel *c)
{
	size_t used = 0;
	int r = 0;

	while (!c->down) {
		struct frame f;
		size_t length;
		int fd = -1;

		r = frame_parse(
		    (struct kurir_str){ c->in.ptr + used, c->in.len - used }, &f, &length);
		if (r <= 0)
			break;
		if (f.flags & FRAME_FD) {
			if (c->in_fd_count == 0)
				return -EBADMSG;
			fd = c->in_fds[0];
			memmove(c->in_fds, c->in_fds + 1, sizeof(int) * --c->in_fd_count);
		}
		used += length;
		call_frame(c, &f, fd);
	}
	kurir_buf_cut(&c->in, used);
	return r;
}

/* Bytes read, 0 at the end, -errno. */
static ssize_t channel_receive(struct channel *c)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;
	int r;

	if (kurir_buf_reserve(&c->in, READ_SIZE) < 0)
		return -EBADMSG;
	iov.iov_base = c->in.ptr + c->in.len;
	iov.iov_len = READ_SIZE;
	do
		n = recvmsg(c->fd.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c->in.len += (size_t)n;
	r = channel_keep_fds(c, &m);
	return r < 0 ? r : n;
}

static void channel_read(struct channel *c)
{
	for (unsigned i = 0; i < READ_ROUNDS; i++) {
		ssize_t n = channel_receive(c);

		if (n == -EAGAIN)
			return;
		if (n > 0)
			n = channel_parse(c);
		else if (n == 0)
			n = -ECONNRESET;
		if (n < 0 && n != -ECONNRESET)
			channel_give_up(c, (int)n);
		if (n < 0)
			channel_down(c);
		if (c->down)
			return;
	}
	channel_defer(c, &c->more);
}

static void channel_more_task(struct loop_task *t)
{
	struct channel *c = CONTAINER(t, struct channel, more);

	if (!c->down)
		channel_read(c);
	channel_unref(c);
}

static void channel_ready(struct loop_fd *f, uint32_t events)
{
	struct channel *c = CONTAINER(f, struct channel, fd);

	channel_ref(c);
	if ((events & EPOLLOUT) && c->blocked) {
		c->blocked = false;
		channel_flush(c);
	}
	if (!c->down && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		channel_read(c);
	channel_unref(c);
}

struct channel *channel_new(int fd, const char *label)
{
	struct channel *c = calloc(1, sizeof(*c));
	size_t n = strlen(label);

	if (c == NULL)
		goto fail;
	c->arena = kurir_arena_new("channel");
	c->room = kurir_signal_new(c->arena);
	c->out = KURIR_BUF(CHANNEL_HARD);
	c->in = KURIR_BUF(FRAME_MAX + 2 * READ_SIZE);
	c->refs = 1;
	c->slot_free = UINT32_MAX;
	memcpy(c->label, label, n < sizeof(c->label) ? n : sizeof(c->label) - 1);
	c->flush.run = channel_flush_task;
	c->more.run = channel_more_task;
	c->fd.fd = fd;
	c->fd.ready = channel_ready;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (loop_fd_add(&c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		channel_unref(c);
		c = NULL;
		goto fail;
	}
	c->link = &channels;
	c->next = channels;
	if (channels != NULL)
		channels->link = &c->next;
	channels = c;
	return c;
fail:
	(void)close(fd);
	return c;
}

void channel_admit(struct channel *c)
{
	c->control = true;
}

void channel_watch(struct channel *c, channel_lost_fn *lost, int64_t peer)
{
	c->lost = lost;
	c->peer = peer;
}

void channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	if (c->late.place != 0)
		channel_flush(c);
	channel_down(c);
}

void channel_free_all(void)
{
	struct channel *c;

	do {
		c = channels;
		while (c != NULL && c->down)
			c = c->next;
		channel_free(c);
	} while (c != NULL);
}
