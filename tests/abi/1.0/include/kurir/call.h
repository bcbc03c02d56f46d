/* kurir/call.h - how roles talk: packed values, and calls to an endpoint in another role.
 *
 * A call names an endpoint; the core knows which role answers it and takes the channel to
 * that process (or the function itself, when this process plays that role too).  A key
 * chooses among several processes of the role: equal keys reach the same process. */
#ifndef KURIR_CALL_H
#define KURIR_CALL_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Packing: little-endian fixed integers; texts as u32 length and bytes.  The reader has a
 * sticky error: read all, then check.  Past the end or after an error everything reads as
 * zero or empty. */
KURIR_API int kurir_put_u8(struct kurir_buf *, uint8_t);
KURIR_API int kurir_put_u32(struct kurir_buf *, uint32_t);
KURIR_API int kurir_put_u64(struct kurir_buf *, uint64_t);
KURIR_API int kurir_put_text(struct kurir_buf *, struct kurir_str);
struct kurir_reader {
	struct kurir_str rest;
	int error; /* 0 or -EBADMSG */
};
#define KURIR_READER(s) ((struct kurir_reader){ .rest = (s) })
KURIR_API uint8_t kurir_get_u8(struct kurir_reader *);
KURIR_API uint32_t kurir_get_u32(struct kurir_reader *);
KURIR_API uint64_t kurir_get_u64(struct kurir_reader *);
KURIR_API struct kurir_str kurir_get_text(struct kurir_reader *); /* borrowed from the input */

#define KURIR_CALL_MAX (1u << 20) /* bytes of a request or a reply */

struct kurir_request {
	const char *endpoint;
	uint64_t key;
	struct kurir_str body;
	int fd; /* sent along, borrowed; 0 or -1: none */
	uint64_t reserved[2];
};
/* Parks until the answer: >= 0 is the handler's result, *ret_reply is in arena. Waits for a
 * process that is being restarted. -errno of the handler, -ECONNRESET when its process died,
 * -ENOENT for an unknown endpoint, -ETIMEDOUT, -ECANCELED.  When the caller stops waiting, or its
 * process dies, the handler is cancelled. */
KURIR_API int kurir_call(struct kurir_self *, const struct kurir_request *, kurir_time,
    struct kurir_arena *, struct kurir_str *ret_reply) KURIR_PARKS;
/* One way, no answer, never parks: 0, or -EAGAIN when the channel is full or down (the
 * receiver must be able to find out by itself what it missed). */
KURIR_API int kurir_post(struct kurir_self *, const struct kurir_request *);

/* Service kind "endpoint". */
struct kurir_incoming {
	struct kurir_str body; /* borrowed until the handler returns */
	int fd;		       /* likewise, or -1: what shall stay open is duplicated */
	uint64_t key;
	uint64_t reserved[2];
};
struct kurir_endpoint_ops {
	size_t size;
	/* On a fiber of its own.  reply has a limit of KURIR_CALL_MAX; result >= 0 or -errno. */
	int (*call)(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *reply)
	    KURIR_PARKS;
	/* A one-way message; on the loop, must not park.  NULL: posts are refused. */
	void (*post)(struct kurir_self *, const struct kurir_incoming *);
};

/*
 * kurirctl: service kind "endpoint" with a name that starts with "ctl.": "kurirctl queue
 * list --json x" calls "ctl.queue" with the body {"args":["list","x"]} (options that
 * kurirctl knows are taken out; others stay) and expects one JSON value in reply:
 * {"text": "for people, lines", "data": <for programs>}, or {"error": "sentence"}.
 */

#ifdef __cplusplus
}
#endif
#endif
