/* stream.c - bytes, both ways: buffers, lines, sticky errors.
 * Buffers are given back while nothing is in them and the fiber waits for input: an idle
 * session owns none.  A timeout or the end of the fiber spoils no direction, as nothing is lost
 * by it; the exception is a kurir_write() that could not keep what it was given. */
#include "stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define FIRST_ROOM 16384u /* most messages come in one read */
#define DIRECT	   4096u  /* a caller with that much room is given its input at once */
#define PATIENCE   (5 * 60 * 1000)

struct kurir_stream *stream_new(struct stream_layer *top)
{
	struct kurir_stream *s = calloc(1, sizeof(*s));
	if (!s)
		check_no_memory();
	s->magic = STREAM_MAGIC;
	s->top = top;
	s->patience = PATIENCE;
	s->in_next_room = FIRST_ROOM;
	return s;
}

static void check(const struct kurir_stream *s)
{
	kurir_assert(s && s->magic == STREAM_MAGIC);
}

void kurir_close(struct kurir_stream *s)
{
	if (!s)
		return;
	check(s);
	kurir_assert(!s->reading && !s->writing); /* another fiber is parked on it */
	s->top->ops->close(s->top);
	s->magic = 0;
	free(s->in);
	free(s->out);
	free((char *)(uintptr_t)s->tls_error.ptr);
	free(s);
}

void kurir_patience(struct kurir_stream *s, kurir_time span)
{
	check(s);
	s->patience = span;
}

static kurir_time patient(const struct kurir_stream *s)
{
	kurir_time now = kurir_now();
	return s->patience > KURIR_FOREVER - now ? KURIR_FOREVER : now + s->patience;
}

/* Input. */

static size_t in_len(const struct kurir_stream *s)
{
	return s->in_end - s->in_start;
}

size_t kurir_pending(struct kurir_stream *s)
{
	check(s);
	const struct stream_ops *ops = s->top->ops;
	return in_len(s) + (ops->pending ? ops->pending(s->top) : 0);
}

static void in_release(struct kurir_stream *s)
{
	free(s->in);
	s->in = NULL;
	s->in_room = s->in_start = s->in_end = s->in_scanned = 0;
}

void kurir_consume(struct kurir_stream *s, size_t n)
{
	check(s);
	kurir_assert(n <= in_len(s));
	s->in_start += (uint32_t)n;
	if (s->in_scanned < s->in_start)
		s->in_scanned = s->in_start;
	if (s->in_start == s->in_end)
		s->in_start = s->in_end = s->in_scanned = 0;
}

void kurir_drop_input(struct kurir_stream *s)
{
	kurir_consume(s, in_len(s));
}

static void in_resize(struct kurir_stream *s, uint32_t room)
{
	char *p = realloc(s->in, room);
	if (!p)
		check_no_memory();
	s->in = p;
	s->in_room = room;
}

/* Room for more input; 0 or -ENOBUFS. */
static int in_reserve(struct kurir_stream *s)
{
	uint32_t room = s->in_room - s->in_end;
	if (room && (!s->in_start || room >= s->in_room / 4))
		return 0;
	if (s->in_start) {
		memmove(s->in, s->in + s->in_start, in_len(s));
		s->in_end -= s->in_start;
		s->in_scanned -= s->in_start;
		s->in_start = 0;
		if (s->in_end <= s->in_room / 2)
			return 0;
	}
	if (s->in_room >= STREAM_INPUT_MAX)
		return s->in_end < s->in_room ? 0 : -ENOBUFS;
	room = s->in_room ? s->in_room * 2 : s->in_next_room;
	in_resize(s, room < STREAM_INPUT_MAX ? room : STREAM_INPUT_MAX);
	return 0;
}

static ssize_t in_result(struct kurir_stream *s, ssize_t n)
{
	if (n == 0)
		s->in_ended = true;
	else if (n < 0 && n != -ETIMEDOUT && n != -ECANCELED && n != -EAGAIN)
		s->in_error = (int)n;
	return n;
}

/* One read into p, waiting when there is nothing; the idle stream owns no buffers. */
KURIR_PARKS static ssize_t in_read(struct kurir_stream *s, char *p, size_t n, kurir_time until)
{
	for (;;) {
		ssize_t got = s->top->ops->read(s->top, p, n);
		if (got != -EAGAIN)
			return in_result(s, got);
		int r = s->top->ops->wait(s->top, STREAM_READ, until);
		if (r < 0)
			return in_result(s, r);
	}
}

/* More input into the buffer: > 0, 0 at the end, -ENOBUFS or -errno. */
KURIR_PARKS static ssize_t in_fill_locked(struct kurir_stream *s, kurir_time until)
{
	for (;;) {
		int r = in_reserve(s);
		if (r < 0)
			return r;
		size_t room = s->in_room - s->in_end;
		ssize_t n = s->top->ops->read(s->top, s->in + s->in_end, room);
		if (n > 0) {
			s->in_end += (uint32_t)n;
			/* Who sends much gets a larger buffer the next time. */
			s->in_next_room = (size_t)n == room && s->in_room >= s->in_next_room &&
				s->in_next_room < STREAM_SEND
			    ? s->in_next_room * 2
			    : s->in_next_room;
			return n;
		}
		if (n != -EAGAIN)
			return in_result(s, n);
		if (!in_len(s)) {
			in_release(s);
			s->in_next_room = FIRST_ROOM;
		}
		if (!s->out_len) {
			free(s->out);
			s->out = NULL;
			s->out_room = 0;
		}
		r = s->top->ops->wait(s->top, STREAM_READ, until);
		if (r < 0)
			return in_result(s, r);
	}
}

KURIR_PARKS static ssize_t in_fill(struct kurir_stream *s, kurir_time until)
{
	if (s->in_error)
		return s->in_error;
	if (s->in_ended)
		return 0;
	kurir_assert(!s->reading); /* never two fibers on one side */
	s->reading = true;
	ssize_t n = in_fill_locked(s, until);
	s->reading = false;
	return n;
}

KURIR_PARKS ssize_t kurir_read(struct kurir_stream *s, void *p, size_t n, kurir_time until)
{
	check(s);
	if (!n)
		return 0;
	if (!in_len(s) && n >= DIRECT) {
		if (s->in_error || s->in_ended)
			return s->in_error;
		kurir_assert(!s->reading);
		s->reading = true;
		ssize_t got = in_read(s, p, n, until);
		s->reading = false;
		return got;
	}
	if (!in_len(s)) {
		ssize_t got = in_fill(s, until);
		if (got <= 0)
			return got;
	}
	if (n > in_len(s))
		n = in_len(s);
	memcpy(p, s->in + s->in_start, n);
	kurir_consume(s, n);
	return (ssize_t)n;
}

static struct kurir_str in_str(const struct kurir_stream *s)
{
	return s->in ? (struct kurir_str){ s->in + s->in_start, in_len(s) } : KURIR_STR("");
}

KURIR_PARKS int kurir_peek(
    struct kurir_stream *s, int more, struct kurir_str *ret, kurir_time until)
{
	check(s);
	ssize_t n = 1;
	if (more || !in_len(s))
		n = in_fill(s, until);
	if (n < 0)
		return (int)n;
	*ret = in_str(s);
	return n > 0;
}

KURIR_PARKS int kurir_readline(
    struct kurir_stream *s, size_t max, struct kurir_str *ret, kurir_time until)
{
	check(s);
	if (max > STREAM_INPUT_MAX)
		max = STREAM_INPUT_MAX;
	for (;;) {
		struct kurir_str all = in_str(s);
		size_t from = s->in_scanned - s->in_start;
		ssize_t lf = kurir_str_find(kurir_str_part(all, from, all.len), '\n');
		if (lf >= 0) {
			size_t len = from + (size_t)lf + 1;
			if (len > max)
				return -EMSGSIZE;
			*ret = kurir_str_part(all, 0, len);
			kurir_consume(s, len);
			return 1;
		}
		s->in_scanned = s->in_end;
		if (all.len >= max)
			return -EMSGSIZE;
		ssize_t n = in_fill(s, until);
		if (n < 0)
			return (int)n;
		if (n == 0) {
			*ret = in_str(s);
			kurir_consume(s, ret->len);
			return 0;
		}
	}
}

KURIR_PARKS int kurir_skip_line(struct kurir_stream *s, kurir_time until)
{
	check(s);
	for (;;) {
		ssize_t lf = kurir_str_find(in_str(s), '\n');
		if (lf >= 0) {
			kurir_consume(s, (size_t)lf + 1);
			return 1;
		}
		kurir_drop_input(s);
		ssize_t n = in_fill(s, until);
		if (n <= 0)
			return (int)n;
	}
}

int stream_unread(struct kurir_stream *s, struct kurir_str bytes)
{
	check(s);
	size_t total = bytes.len + in_len(s);
	if (total > STREAM_INPUT_MAX)
		return -EMSGSIZE;
	if (!bytes.len)
		return 0;
	if (total > s->in_room)
		in_resize(s, (uint32_t)total);
	memmove(s->in + bytes.len, s->in + s->in_start, in_len(s));
	memcpy(s->in, bytes.ptr, bytes.len);
	s->in_start = s->in_scanned = 0;
	s->in_end = (uint32_t)total;
	return 0;
}

/* Output. */

static int out_result(struct kurir_stream *s, ssize_t r)
{
	if (r < 0 && r != -ETIMEDOUT && r != -ECANCELED)
		s->out_error = (int)r;
	return (int)r;
}

static void out_cut(struct kurir_stream *s, size_t n)
{
	s->out_len -= (uint32_t)n;
	if (s->out_len)
		memmove(s->out, s->out + n, s->out_len);
}

/* Sends the buffer and then more, which is not kept; 0 or -errno. */
KURIR_PARKS static int out_send_locked(
    struct kurir_stream *s, struct kurir_str more, kurir_time until)
{
	while (s->out_len || more.len) {
		struct iovec v[2];
		int count = 0;
		if (s->out_len)
			v[count++] = (struct iovec){ s->out, s->out_len };
		if (more.len)
			v[count++] = (struct iovec){ (char *)(uintptr_t)more.ptr, more.len };
		ssize_t n = s->top->ops->write(s->top, v, count);
		if (n == -EAGAIN)
			n = s->top->ops->wait(s->top, STREAM_WRITE, until);
		if (n < 0)
			return out_result(s, n);
		size_t buffered = (size_t)n < s->out_len ? (size_t)n : s->out_len;
		out_cut(s, buffered);
		more = kurir_str_part(more, (size_t)n - buffered, more.len);
	}
	return 0;
}

KURIR_PARKS static int out_send(struct kurir_stream *s, struct kurir_str more, kurir_time until)
{
	if (s->out_error)
		return s->out_error;
	kurir_assert(!s->writing); /* never two fibers on one side */
	s->writing = true;
	int r = out_send_locked(s, more, until);
	s->writing = false;
	return r;
}

KURIR_PARKS int kurir_flush(struct kurir_stream *s, kurir_time until)
{
	check(s);
	return out_send(s, KURIR_STR(""), until);
}

static void out_reserve(struct kurir_stream *s, size_t more)
{
	size_t need = s->out_len + more, room = s->out_room ? s->out_room : 512;
	if (need <= s->out_room)
		return;
	while (room < need)
		room *= 2;
	char *p = realloc(s->out, room);
	if (!p)
		check_no_memory();
	s->out = p;
	s->out_room = (uint32_t)room;
}

KURIR_PARKS int kurir_write(struct kurir_stream *s, struct kurir_str bytes)
{
	check(s);
	if (s->out_error)
		return s->out_error;
	if (s->out_len + bytes.len > STREAM_SEND) {
		int r = out_send(s, bytes, patient(s));
		/* Part of it may be gone and the rest is not kept: nothing can follow it. */
		if (r < 0)
			s->out_error = r;
		return r;
	}
	if (!bytes.len)
		return 0;
	out_reserve(s, bytes.len);
	memcpy(s->out + s->out_len, bytes.ptr, bytes.len);
	s->out_len += (uint32_t)bytes.len;
	return 0;
}

KURIR_PARKS int kurir_printf(struct kurir_stream *s, const char *format, ...)
{
	char small[512], *p = small;
	va_list args;
	check(s);
	va_start(args, format);
	int n = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	kurir_assert(n >= 0);
	if ((size_t)n >= sizeof(small)) {
		p = malloc((size_t)n + 1);
		if (!p)
			check_no_memory();
		va_start(args, format);
		(void)vsnprintf(p, (size_t)n + 1, format, args);
		va_end(args);
	}
	int r = kurir_write(s, (struct kurir_str){ p, (size_t)n });
	if (p != small)
		free(p);
	return r;
}

/* A piece of the file through the buffer. */
KURIR_PARKS static int send_copied(
    struct kurir_stream *s, int fd, uint64_t offset, uint64_t len, kurir_time until)
{
	while (len) {
		if (s->out_len >= STREAM_SEND) {
			int r = out_send(s, KURIR_STR(""), until);
			if (r < 0)
				return r;
		}
		size_t want = STREAM_SEND - s->out_len;
		if (want > len)
			want = len;
		out_reserve(s, want);
		ssize_t n = pread(fd, s->out + s->out_len, want, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* shorter than promised */
		s->out_len += (uint32_t)n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

KURIR_PARKS static int send_direct(
    struct kurir_stream *s, int fd, uint64_t offset, uint64_t len, kurir_time until)
{
	while (len) {
		size_t want = len > (1u << 30) ? 1u << 30 : (size_t)len;
		uint64_t before = offset;
		ssize_t n = s->top->ops->send_file(s->top, fd, &offset, want);
		if (n == -EAGAIN) {
			int r = s->top->ops->wait(s->top, STREAM_WRITE, until);
			if (r < 0)
				return r;
			continue;
		}
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		len -= offset - before;
	}
	return 0;
}

KURIR_PARKS int kurir_send_file(
    struct kurir_stream *s, int fd, uint64_t offset, uint64_t len, kurir_time until)
{
	check(s);
	if (s->out_error)
		return s->out_error;
	/* What fits in the buffer goes with what is before and behind it. */
	bool small = s->out_len + len <= STREAM_SEND;
	if (small || !s->top->ops->send_file) {
		int r = send_copied(s, fd, offset, len, until);
		if (r < 0)
			s->out_error = r;
		return r;
	}
	int r = out_send(s, KURIR_STR(""), until);
	if (r == 0) {
		s->writing = true;
		r = send_direct(s, fd, offset, len, until);
		s->writing = false;
		if (r == -EOPNOTSUPP) /* not by this socket */
			r = send_copied(s, fd, offset, len, until);
	}
	if (r < 0)
		s->out_error = r;
	return r;
}

/* The descriptor below. */

int stream_fd(struct kurir_stream *s)
{
	check(s);
	return stream_is_socket(s->top) ? stream_socket_fd(s->top) : -1;
}

int stream_detach(struct kurir_stream *s)
{
	check(s);
	if (!stream_is_socket(s->top))
		return -EOPNOTSUPP;
	kurir_assert(!s->reading && !s->writing);
	int fd = stream_socket_release(s->top);
	s->magic = 0;
	free(s->in);
	free(s->out);
	free((char *)(uintptr_t)s->tls_error.ptr);
	free(s);
	return fd;
}
