/* stream_socket.c - the layer of a descriptor: edge-triggered, one read and one write a round.
 * A read that got less than it asked for has emptied the socket, so the next one waits for an
 * edge without asking the kernel again; unless the peer has hung up, as there is no edge after
 * that. */
#include "stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "loop.h"

struct stream_socket {
	struct stream_layer layer;
	struct loop_fd fd;
	bool readable, writable, hung_up, asked_writable;
	bool is_socket; /* for send(2), which does not raise SIGPIPE */
	bool always;	/* a file: never waits */
	bool shared;	/* with a process that may be hostile: its flags are not relied on */
	struct fiber_waiters readers, writers;
};

static struct stream_socket *of_layer(const struct stream_layer *l)
{
	return (struct stream_socket *)(uintptr_t)l;
}

static void socket_ready(struct loop_fd *f, uint32_t events)
{
	struct stream_socket *s =
	    (struct stream_socket *)((char *)f - offsetof(struct stream_socket, fd));
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->hung_up = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		s->readable = true;
		fiber_waiters_wake(&s->readers, 0);
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		s->writable = true;
		fiber_waiters_wake(&s->writers, 0);
	}
}

static ssize_t socket_read(struct stream_layer *l, void *p, size_t n)
{
	struct stream_socket *s = of_layer(l);
	ssize_t got;
	if (!s->readable)
		return -EAGAIN;
	do
		got = s->is_socket ? recv(s->fd.fd, p, n, MSG_DONTWAIT) : read(s->fd.fd, p, n);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN) {
		s->readable = false;
		return -EAGAIN;
	}
	if (got < 0)
		return -errno;
	if ((size_t)got < n && !s->hung_up && !s->always)
		s->readable = false;
	return got;
}

static ssize_t socket_sent(struct stream_socket *s, ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno != EAGAIN)
		return -errno;
	s->writable = false;
	return -EAGAIN;
}

static ssize_t write_once(const struct stream_socket *s, const struct iovec *v, int count)
{
	if (!s->is_socket)
		return writev(s->fd.fd, v, count);
	if (count == 1)
		return send(s->fd.fd, v->iov_base, v->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v,
		.msg_iovlen = (size_t)count };
	return sendmsg(s->fd.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t socket_write(struct stream_layer *l, const struct iovec *v, int count)
{
	struct stream_socket *s = of_layer(l);
	ssize_t n;
	if (!s->writable)
		return -EAGAIN;
	do
		n = write_once(s, v, count);
	while (n < 0 && errno == EINTR);
	return socket_sent(s, n);
}

static ssize_t socket_send_file(struct stream_layer *l, int fd, uint64_t *offset, size_t len)
{
	struct stream_socket *s = of_layer(l);
	off_t from = (off_t)*offset;
	ssize_t n;
	if (s->shared)
		return -EOPNOTSUPP;
	if (!s->writable)
		return -EAGAIN;
	do
		n = sendfile(s->fd.fd, fd, &from, len);
	while (n < 0 && errno == EINTR);
	*offset = (uint64_t)from;
	return socket_sent(s, n);
}

KURIR_PARKS static int socket_wait(
    struct stream_layer *l, enum stream_want want, kurir_time until)
{
	struct stream_socket *s = of_layer(l);
	if (want == STREAM_READ)
		return s->readable ? 0 : fiber_waiters_park(&s->readers, until);
	if (s->writable)
		return 0;
	if (!s->asked_writable) {
		/* Reports at once when it has become writable in between. */
		int r = loop_fd_change(&s->fd, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
		if (r < 0)
			return r;
		s->asked_writable = true;
	}
	return fiber_waiters_park(&s->writers, until);
}

static bool socket_waited(struct stream_layer *l)
{
	return of_layer(l)->readers.first || of_layer(l)->writers.first;
}

int stream_socket_release(struct stream_layer *l)
{
	struct stream_socket *s = of_layer(l);
	int fd = s->fd.fd;
	kurir_assert(!socket_waited(l));
	if (!s->always)
		loop_fd_remove(&s->fd);
	free(s);
	return fd;
}

static void socket_close(struct stream_layer *l)
{
	struct linger none = { 0 };
	if (of_layer(l)->shared)
		(void)setsockopt(of_layer(l)->fd.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void)close(stream_socket_release(l));
}

static const struct stream_ops socket_ops = {
	.name = "socket",
	.read = socket_read,
	.write = socket_write,
	.wait = socket_wait,
	.send_file = socket_send_file,
	.waited = socket_waited,
	.close = socket_close,
};

bool stream_is_socket(const struct stream_layer *l)
{
	return l->ops == &socket_ops;
}

int stream_socket_fd(const struct stream_layer *l)
{
	return of_layer(l)->fd.fd;
}

int stream_of_socket(int fd, bool nonblocking, struct kurir_stream **ret)
{
	int one = 1;
	struct stream_socket *s = calloc(1, sizeof(*s));
	if (!s)
		check_no_memory();
	s->layer.ops = &socket_ops;
	s->fd = (struct loop_fd){ .fd = fd, .ready = socket_ready };
	s->writable = true;
	/* We gather what we send ourselves. */
	s->is_socket =
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 || errno != ENOTSOCK;
	int r = nonblocking || ioctl(fd, FIONBIO, &one) == 0 ? 0 : -errno;
	if (r == 0)
		r = loop_fd_add(&s->fd, EPOLLIN | EPOLLRDHUP);
	if (r == -EPERM) { /* epoll knows no files */
		s->always = s->readable = true;
		r = 0;
	}
	if (r < 0) {
		free(s);
		(void)close(fd);
		return r;
	}
	*ret = stream_new(&s->layer);
	return 0;
}

int kurir_stream_of(int fd, struct kurir_stream **ret)
{
	return stream_of_socket(fd, false, ret);
}

int stream_of_stranger(int fd, struct kurir_stream **ret)
{
	struct kurir_stream *s;
	int r = kurir_stream_of(fd, &s);
	if (r < 0)
		return r;
	if (!of_layer(s->top)->is_socket) {
		kurir_close(s);
		return -ENOTSOCK;
	}
	of_layer(s->top)->shared = true;
	*ret = s;
	return 0;
}

KURIR_PARKS int stream_connected(struct kurir_stream *stream, kurir_time until)
{
	struct stream_socket *s = of_layer(stream->top);
	int err = 0;
	socklen_t len = sizeof(err);
	kurir_assert(stream_is_socket(stream->top));
	s->writable = false;
	while (!s->writable) {
		int r = socket_wait(&s->layer, STREAM_WRITE, until);
		if (r < 0)
			return r;
	}
	if (getsockopt(s->fd.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}
