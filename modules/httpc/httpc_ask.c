/* httpc_ask.c - one question and its answer on a connection. */
#include "httpc.h"

#include <errno.h>

KURIR_PARKS static void put_field(struct kurir_stream *s, const struct http_field *f)
{
	struct kurir_str value = kurir_copy(kurir_scratch(), f->value);

	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
			((char *)(uintptr_t)value.ptr)[i] = ' ';
	(void)kurir_printf(s, "%.*s: ", KURIR_ARG(f->name));
	(void)kurir_write(s, value);
	(void)kurir_write(s, KURIR_STR("\r\n"));
}

KURIR_PARKS static int put_question(
    struct kurir_stream *s, const struct http_question *q, kurir_time until)
{
	uint64_t left = q->stream != NULL ? q->stream_length : 0;
	struct kurir_str piece;
	int r;

	(void)kurir_printf(s, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\nContent-Length: %llu\r\n",
	    KURIR_ARG(q->method), KURIR_ARG(q->target), KURIR_ARG(q->host),
	    (unsigned long long)(q->body.len + left));
	for (const struct http_field *f = q->fields; f != NULL && f->name.len > 0; f++)
		put_field(s, f);
	(void)kurir_write(s, KURIR_STR("\r\n"));
	r = kurir_write(s, q->body);
	while (r == 0 && left > 0) {
		r = kurir_peek(q->stream, 0, &piece, until);
		if (r != 1)
			return r < 0 ? r : -EIO; /* it is shorter than was said */
		if (piece.len > left)
			piece.len = (size_t)left;
		r = kurir_write(s, piece);
		kurir_consume(q->stream, piece.len);
		left -= piece.len;
	}
	return r < 0 ? r : kurir_flush(s, until);
}

/* A line without its end: 0, -EPROTO, or -errno; -EPIPE: the connection is gone. */
KURIR_PARKS static int line_of(struct kurir_stream *s, kurir_time until, struct kurir_str *ret)
{
	int r = kurir_readline(s, HTTP_LINE_MAX, ret, until);

	if (r <= 0)
		return r == 0 ? -EPIPE : r == -EMSGSIZE ? -EPROTO : r;
	ret->len--;
	if (ret->len > 0 && ret->ptr[ret->len - 1] == '\r')
		ret->len--;
	return kurir_str_find(*ret, '\0') < 0 ? 0 : -EPROTO;
}

KURIR_PARKS static int get_head(struct kurir_stream *s, kurir_time until, struct http_head *ret)
{
	struct kurir_str line;
	int r = line_of(s, until, &line);

	if (r == 0)
		r = http_parse_status(line, ret);
	for (unsigned n = 0; r == 0; n++) {
		r = line_of(s, until, &line);
		if (r < 0 || line.len == 0)
			return r == -EPIPE ? -EPROTO : r;
		r = n < HTTP_LINES_MAX ? http_parse_field(line, ret) : -EPROTO;
	}
	return r;
}

/* So many bytes, or, without them, all up to the end. */
KURIR_PARKS static int get_bytes(struct kurir_stream *s, const uint64_t *length, size_t max,
    kurir_time until, struct kurir_buf *to)
{
	uint64_t left = length != NULL ? *length : UINT64_MAX;
	struct kurir_str piece;
	int r = 1;

	if (length != NULL && left > max - kurir_buf_str(to).len)
		return -EMSGSIZE;
	while (left > 0 && (r = kurir_peek(s, 0, &piece, until)) == 1) {
		if (piece.len > left)
			piece.len = (size_t)left;
		if (kurir_buf_add(to, piece) < 0)
			return -EMSGSIZE;
		kurir_consume(s, piece.len);
		left -= piece.len;
	}
	return r < 0 ? r : r == 0 && length != NULL ? -EPROTO : 0;
}

KURIR_PARKS static int get_chunks(
    struct kurir_stream *s, size_t max, kurir_time until, struct kurir_buf *to)
{
	struct kurir_str line;
	uint64_t size = 1;
	int r = 0;

	while (r == 0 && size > 0) {
		r = line_of(s, until, &line);
		if (r == 0)
			r = http_parse_chunk(line, &size);
		if (r == 0)
			r = get_bytes(s, &size, max, until, to);
		if (r == 0 && size > 0)
			r = line_of(s, until, &line) == 0 && line.len == 0 ? 0 : -EPROTO;
	}
	for (unsigned n = 0; r == 0; n++) { /* the trailer */
		r = n < HTTP_LINES_MAX ? line_of(s, until, &line) : -EPROTO;
		if (r == 0 && line.len == 0)
			break;
	}
	return r == -EPIPE ? -EPROTO : r;
}

/* *ret_again: another question may follow on this connection. */
KURIR_PARKS static int get_answer(struct kurir_stream *s, size_t max, kurir_time until,
    struct kurir_arena *arena, struct http_answer *ret, bool *ret_again)
{
	struct kurir_buf body = KURIR_BUF(max + 1);
	struct http_head h;
	int r;

	do
		r = get_head(s, until, &h);
	while (r == 0 && h.status < 200); /* what is on its way: 100 Continue */
	*ret_again = r == 0 && (h.chunked || h.has_length) && !h.close && (h.minor || h.keep);
	if (r == 0 && h.status != 204 && h.status != 304)
		r = h.chunked ? get_chunks(s, max, until, &body)
			      : get_bytes(s, h.has_length ? &h.length : NULL, max, until, &body);
	ret->status = h.status;
	if (r == 0 && kurir_buf_str(&body).len > max)
		r = -EMSGSIZE;
	if (r == 0)
		ret->body = kurir_copy(arena, kurir_buf_str(&body));
	kurir_buf_free(&body);
	return r;
}

KURIR_PARKS static int ask_on(struct http_server *server, struct kurir_stream *s,
    const struct http_question *q, size_t max, kurir_time until, struct kurir_arena *arena,
    struct http_answer *ret)
{
	bool again = false;
	int sent, r;

	kurir_patience(s, until - kurir_now());
	sent = put_question(s, q, until);
	/* A server may answer before it has read all, and then close. */
	r = sent == 0 || sent == -EPIPE || sent == -ECONNRESET
	    ? get_answer(s, max, until, arena, ret, &again)
	    : sent;
	if (r == 0 && sent == 0 && again && server->idle == NULL && !kurir_draining())
		server->idle = s;
	else
		kurir_close(s);
	return r;
}

KURIR_PARKS int http_ask(struct kurir_self *self, struct http_server *server,
    const struct http_question *q, size_t max, kurir_time until, struct kurir_arena *arena,
    struct http_answer *ret)
{
	struct kurir_stream *s = server->idle;
	int r = -EPIPE;

	server->idle = NULL;
	if (s != NULL && q->stream != NULL) { /* cannot be said twice */
		kurir_close(s);
		s = NULL;
	}
	if (s != NULL)
		r = ask_on(server, s, q, max, until, arena, ret);
	if (r == -EPIPE || r == -ECONNRESET) {
		r = kurir_dial(self, server->address, KURIR_STR(""), until, &s);
		if (r == 0)
			r = ask_on(server, s, q, max, until, arena, ret);
	}
	return r;
}

void http_close(struct http_server *server)
{
	kurir_close(server->idle);
	server->idle = NULL;
}
