/* kurir/stream.h - bytes, both ways: a socket, TLS above it, a pair in memory, a file.
 *
 * A stream buffers both directions.  Output is sent by kurir_flush(), or when more than
 * 16 KiB wait; flush before you park on input of the same stream (that is pipelining).  The
 * first error of a direction stays: write freely, check kurir_flush().  One fiber may read
 * while another writes; never two on one side.
 *
 * Errors: -ETIMEDOUT past the deadline, -ECANCELED once the fiber is being ended, -EPIPE or
 * -ECONNRESET when the peer has gone, -EMSGSIZE over a limit, -EPROTO for broken TLS. */
#ifndef KURIR_STREAM_H
#define KURIR_STREAM_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* At least one byte up to n, 0 at the end of the stream, or -errno. */
KURIR_API ssize_t kurir_read(struct kurir_stream *, void *, size_t n, kurir_time) KURIR_PARKS;
/* What is buffered, waiting for input only when nothing is (more == 0) or for at least one
 * more byte than is buffered (more == 1); borrowed until the next call on this stream's
 * input.  Returns 1, 0 at the end of the stream (then *ret has what is left), -ENOBUFS when the
 * buffer (64 KiB) is full, or -errno. */
KURIR_API int kurir_peek(struct kurir_stream *, int more, struct kurir_str *ret, kurir_time)
    KURIR_PARKS;
KURIR_API void kurir_consume(struct kurir_stream *, size_t n); /* n <= what was peeked */
/* One line with its LF (and CR), borrowed until the next call on this stream's input. Returns
 * 1; 0 at the end of the stream (*ret has an unfinished line, if any); -EMSGSIZE when no LF
 * came within max bytes: then the rest of that line is still to be read (kurir_skip_line). */
KURIR_API int kurir_readline(struct kurir_stream *, size_t max, struct kurir_str *ret, kurir_time)
    KURIR_PARKS;
KURIR_API int kurir_skip_line(struct kurir_stream *, kurir_time)
    KURIR_PARKS; /* up to and with LF */
KURIR_API size_t kurir_pending(
    struct kurir_stream *); /* bytes that can be read without waiting */
KURIR_API void kurir_drop_input(struct kurir_stream *); /* forgets what is buffered */

/* Buffers, and flushes by itself when much waits (for at most the stream's patience). */
KURIR_API int kurir_write(struct kurir_stream *, struct kurir_str) KURIR_PARKS;
KURIR_API int kurir_printf(struct kurir_stream *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
KURIR_API int kurir_flush(struct kurir_stream *, kurir_time) KURIR_PARKS;
/* Sends len bytes of a file from offset, by sendfile(2) when the stream allows it. */
KURIR_API int kurir_send_file(
    struct kurir_stream *, int fd, uint64_t offset, uint64_t len, kurir_time) KURIR_PARKS;
KURIR_API void kurir_patience(struct kurir_stream *, kurir_time span); /* preset: 5 minutes */
KURIR_API void kurir_close(
    struct kurir_stream *); /* at once; unflushed output is dropped; NULL is fine */

/* Connects to "ip:port" or "[ip6]:port" (RFC 5952 text, no names) or "unix:/path";
 * source is a local address or empty.  Roles without a network ask the resolver role. 0; -EPERM
 * without KURIR_CAP_NET; -EINVAL what is no address; -errno of connect(2). */
KURIR_API int kurir_dial(struct kurir_self *, struct kurir_str address, struct kurir_str source,
    kurir_time, struct kurir_stream **ret) KURIR_PARKS;
/* Takes the descriptor (made non-blocking) in any case: 0 or -errno. */
KURIR_API int kurir_stream_of(int fd, struct kurir_stream **ret);
/* Two ends in memory: what is written to one is read from the other. */
KURIR_API int kurir_stream_pair(struct kurir_stream **ret_a, struct kurir_stream **ret_b);

/* TLS as client, above what the stream is now; plaintext still buffered is an error (-EPROTO). */
enum kurir_tls_verify {
	KURIR_TLS_ANY,	/* opportunistic (RFC 7435): encrypts, proves nothing */
	KURIR_TLS_NAME, /* a trusted certificate for name */
	KURIR_TLS_DANE, /* RFC 7672 with the records in tlsa */
};
struct kurir_tls_client {
	size_t size;
	struct kurir_str name; /* SNI and reference identity */
	enum kurir_tls_verify verify;
	const struct kurir_str *tlsa; /* DANE: rdata of TLSA records */
	size_t tlsa_count;
};
KURIR_API int kurir_tls_connect(
    struct kurir_stream *, const struct kurir_tls_client *, kurir_time) KURIR_PARKS;
/* As server, with the certificates of the configuration ("tls"), by SNI.  Input that was
 * buffered before the handshake is dropped; returns -EBADMSG when there was any. */
KURIR_API int kurir_tls_accept(struct kurir_stream *, kurir_time) KURIR_PARKS;
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" or empty when the stream is plain. */
KURIR_API struct kurir_str kurir_tls_summary(struct kurir_stream *);
/* Why the last handshake failed, for people; borrowed from the stream. */
KURIR_API struct kurir_str kurir_tls_error(struct kurir_stream *);

/* What both ends know of this connection and nobody between them: for logins that are good for it
 * alone.  The length, at most KURIR_TLS_BINDING_MAX; -ENOTSUP when there is none. */
enum kurir_tls_binding {
	KURIR_TLS_EXPORTER,	    /* RFC 9266 */
	KURIR_TLS_SERVER_END_POINT, /* RFC 5929 section 4 */
};
#define KURIR_TLS_BINDING_MAX 64
KURIR_API int kurir_tls_binding(
    struct kurir_stream *, enum kurir_tls_binding, unsigned char *ret);

/* All bytes both ways coded from now on, above what the stream is: compression.  The functions
 * never park. */
struct kurir_coding_ops {
	size_t size;
	/* Decodes from *in, which moves, to at most room bytes: how many; 0 when it needs more
	 * of the peer's bytes, and then *in is empty; -EPROTO.  It need not keep *in. */
	ssize_t (*decode)(void *coding, struct kurir_str *in, char *to, size_t room);
	/* All of in (at most 32 KiB) so that the peer can read all of it: 0 or -errno. */
	int (*encode)(void *coding, struct kurir_str in, struct kurir_buf *out);
	void (*close)(void *coding); /* with the stream */
};
/* Takes coding in any case.  Output must have been flushed; -EBADMSG and nothing happened when
 * input is buffered that came before it. */
KURIR_API int kurir_stream_code(
    struct kurir_stream *, const struct kurir_coding_ops *, void *coding);

#ifdef __cplusplus
}
#endif
#endif
