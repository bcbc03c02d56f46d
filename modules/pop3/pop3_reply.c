/* pop3_reply.c - what the client gets: status lines and messages. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pop3.h"

#define CHUNK 131072 /* bytes, of a message at once */

KURIR_PARKS KURIR_FMT_LIST(3) static int status(
    struct pop3 *p, const char *word, const char *fmt, va_list ap)
{
	char text[512];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		n = 0;
	return kurir_printf(p->stream, "%s %.*s\r\n", word, n < 512 ? n : 511, text);
}

KURIR_PARKS int pop3_ok(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = status(p, "+OK", fmt, ap);
	va_end(ap);
	return r;
}

KURIR_PARKS int pop3_err(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	kurir_count(p->self, POP3_ERRORS, 1);
	p->bad++;
	va_start(ap, fmt);
	r = status(p, "-ERR", fmt, ap);
	va_end(ap);
	return r;
}

/* Where we are in the message, between chunks. */
struct stuffer {
	bool line_start; /* the next byte begins a line */
	bool in_body;
	bool empty_line; /* only CR so far on this line */
	int64_t lines;	 /* of the body, still to send; -1: all */
	bool done;
};

/* Where in data, but for its beginning, a line begins with a dot.  Text has fewer dots than
 * lines. */
static size_t dotted_line(struct kurir_str data)
{
	const char *end = data.ptr + data.len, *dot = data.ptr + 1;

	while (dot < end && (dot = memchr(dot, '.', (size_t)(end - dot))) != NULL) {
		if (dot[-1] == '\n')
			return (size_t)(dot - data.ptr);
		dot++;
	}
	return data.len;
}

/* All of data, with a dot doubled at each line's beginning: in as large pieces as there are. */
KURIR_PARKS static int stuff_all(struct pop3 *p, struct stuffer *s, struct kurir_str data)
{
	int r = 0;

	if (s->line_start && data.ptr[0] == '.')
		r = kurir_write(p->stream, KURIR_STR("."));
	s->line_start = data.ptr[data.len - 1] == '\n';
	while (data.len > 0 && r >= 0) {
		size_t n = dotted_line(data);

		r = kurir_write(p->stream, kurir_str_part(data, 0, n));
		if (n < data.len && r >= 0)
			r = kurir_write(p->stream, KURIR_STR("."));
		data = kurir_str_part(data, n, data.len);
	}
	return r;
}

/* Sends data, with a dot doubled at each line's beginning, until the line budget is used up. */
KURIR_PARKS static int stuff(struct pop3 *p, struct stuffer *s, struct kurir_str data)
{
	int r = 0;

	while (data.len > 0 && !s->done && r >= 0) {
		const char *lf = memchr(data.ptr, '\n', data.len);
		size_t n = lf ? (size_t)(lf - data.ptr) + 1 : data.len;

		if (s->line_start && data.ptr[0] == '.')
			kurir_write(p->stream, KURIR_STR("."));
		if (s->line_start)
			s->empty_line = true;
		if (data.ptr[0] != '\r' && data.ptr[0] != '\n')
			s->empty_line = false;
		if (n > 2 || (n == 2 && data.ptr[1] != '\n'))
			s->empty_line = false;
		r = kurir_write(p->stream, kurir_str_part(data, 0, n));
		s->line_start = lf != NULL;
		if (lf && s->in_body && s->lines > 0)
			s->lines--;
		if (lf && s->empty_line)
			s->in_body = true;
		s->done = s->in_body && s->lines == 0;
		data = kurir_str_part(data, n, data.len);
	}
	return r;
}

KURIR_PARKS int pop3_send_body(struct pop3 *p, const struct kurir_body *body, int64_t lines)
{
	struct stuffer s = { .line_start = true, .lines = lines };
	size_t room = body->length < CHUNK ? (size_t)body->length : CHUNK;
	char *chunk = kurir_alloc(kurir_scratch(), room + 1);
	uint64_t at = 0;

	while (at < body->length && !s.done) {
		size_t want = body->length - at < room ? (size_t)(body->length - at) : room;
		ssize_t n = pread(body->fd, chunk, want, (off_t)(body->offset + at));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = lines < 0 ? stuff_all(p, &s, (struct kurir_str){ chunk, (size_t)n })
			      : stuff(p, &s, (struct kurir_str){ chunk, (size_t)n });
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	if (!s.line_start)
		kurir_write(p->stream, KURIR_STR("\r\n"));
	return kurir_write(p->stream, KURIR_STR(".\r\n"));
}
