/* stream.h - the inside of a stream: buffers above a stack of layers.
 *
 *   kurir_stream   buffers, lines, sticky errors          stream.c
 *   [code]         compresses                             stream_code.c
 *   [tls]          encrypts what it gives to the next     stream_tls.c
 *   socket | pair  moves the bytes                        stream_socket.c, stream_pair.c
 *
 * Layers never park in read and write: they return -EAGAIN, and wait() parks until it may be
 * worth to try again.  So no library below is ever left half-way on a parked stack, and a
 * parked stream can give its buffers back. */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include <kurir/stream.h>
#include <sys/uio.h>

#include "fiber.h"

#define STREAM_MAGIC	 0x4b535431u
#define STREAM_INPUT_MAX 65536u /* what kurir_peek can hold */
#define STREAM_SEND	 16384u /* more than this is sent without being asked */

struct stream_layer;

enum stream_want { STREAM_READ, STREAM_WRITE };

struct stream_ops {
	const char *name;
	/* Bytes moved, 0 from read at the end, -EAGAIN, or -errno. */
	ssize_t (*read)(struct stream_layer *, void *, size_t);
	ssize_t (*write)(struct stream_layer *, const struct iovec *, int count);
	/* After -EAGAIN of that direction: 0, -ETIMEDOUT, -ECANCELED. */
	int (*wait)(struct stream_layer *, enum stream_want, kurir_time) KURIR_PARKS;
	/* NULL: the bytes are read and written.  As write; *offset moves. */
	ssize_t (*send_file)(struct stream_layer *, int fd, uint64_t *offset, size_t len);
	size_t (*pending)(struct stream_layer *); /* bytes a layer holds; may be NULL */
	bool (*waited)(struct stream_layer *);	  /* a fiber is parked here */
	void (*close)(struct stream_layer *);	  /* closes and frees it and what is below */
};

struct stream_layer {
	const struct stream_ops *ops;
};

struct kurir_stream {
	uint32_t magic;
	struct stream_layer *top;
	/* Input: bytes from in_start to in_end wait to be read; no LF before in_scanned. */
	char *in;
	uint32_t in_room, in_start, in_end, in_scanned, in_next_room;
	char *out;
	uint32_t out_room, out_len;
	int in_error, out_error; /* sticky */
	bool in_ended;
	bool reading, writing; /* a fiber is inside */
	kurir_time patience;
	struct kurir_str tls_error; /* owned */
};

/* Takes the layer. */
struct kurir_stream *stream_new(struct stream_layer *);
/* A connected (or connecting) socket; nonblocking: it is already.  Takes fd in any case. */
int stream_of_socket(int fd, bool nonblocking, struct kurir_stream **ret);
/* A socket that another process gave us and may still hold: it can change its flags under us, so
 * nothing here relies on them.  Takes fd; -ENOTSOCK. */
int stream_of_stranger(int fd, struct kurir_stream **ret);
/* The descriptor of a plain socket stream, or -1.  Borrowed. */
int stream_fd(struct kurir_stream *);
/* Ends the stream and gives its descriptor, or -EOPNOTSUPP (TLS, pair) and nothing happened.
 * What was read and not consumed is lost: take it with kurir_peek() first. */
int stream_detach(struct kurir_stream *);
/* Puts bytes in front of the input: 0 or -EMSGSIZE. */
int stream_unread(struct kurir_stream *, struct kurir_str);
/* Waits until a connecting socket is connected or not: 0 or -errno. */
int stream_connected(struct kurir_stream *, kurir_time) KURIR_PARKS;

/* For stream_socket.c and stream_pair.c. */
bool stream_is_socket(const struct stream_layer *);
int stream_socket_fd(const struct stream_layer *);
int stream_socket_release(struct stream_layer *); /* frees the layer, gives the descriptor */

#endif
