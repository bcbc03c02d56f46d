/* httpc.h - a client of HTTP/1.1 (RFC 9112) for modules that ask a server near them: one
 * question, one bounded answer, connections that are used again.  No TLS, no redirections, no
 * cookies. */
#ifndef HTTPC_H
#define HTTPC_H

#include <kurir/module.h>
#include <kurir/stream.h>

#define HTTP_LINE_MAX  8192
#define HTTP_LINES_MAX 100

struct http_field {
	struct kurir_str name, value; /* a value may not have CR, LF or NUL: they become spaces */
};
struct http_question {
	struct kurir_str method, target, host; /* "POST", "/checkv2", "127.0.0.1:11333" */
	const struct http_field *fields;       /* ends with a name of length 0; or NULL */
	struct kurir_str body;
	struct kurir_stream *stream; /* or NULL: what is read from it follows body ... */
	uint64_t stream_length;	     /* ... so many bytes */
};
struct http_answer {
	unsigned status;
	struct kurir_str body; /* in the arena; NUL follows */
};

/* A server, and a connection to it that nobody uses now. */
struct http_server {
	struct kurir_str address; /* as of kurir_dial() */
	struct kurir_stream *idle;
};
/* Asks, on the idle connection or a new one; when the idle one turns out to be gone, and the
 * question has no stream, again on a new one.  0 with whatever status; -EMSGSIZE: the body is
 * larger than max; -EPROTO: that is no HTTP; or why it could not be asked. */
int http_ask(struct kurir_self *, struct http_server *, const struct http_question *, size_t max,
    kurir_time, struct kurir_arena *, struct http_answer *ret) KURIR_PARKS;
void http_close(struct http_server *);

/* ---- httpc_parse.c ---- */

/* What the head of an answer says about its body. */
struct http_head {
	unsigned status;
	bool minor;	  /* HTTP/1.1, not 1.0 */
	bool close, keep; /* Connection */
	bool chunked, has_length;
	uint64_t length;
};
/* The first line: 0 or -EPROTO. */
int http_parse_status(struct kurir_str line, struct http_head *ret);
/* A field; those that do not matter here are passed over. */
int http_parse_field(struct kurir_str line, struct http_head *head);
/* The size of the chunk that follows. */
int http_parse_chunk(struct kurir_str line, uint64_t *ret);

#endif
