/* channel_private.h - what channel.c (bytes and frames) and call.c (who waits for what) share. */
#ifndef CORE_CHANNEL_PRIVATE_H
#define CORE_CHANNEL_PRIVATE_H

#include "channel.h"
#include "loop.h"

#define CHANNEL_NAME_MAX 127		     /* bytes of an endpoint's name */
#define CHANNEL_SOFT	 (1u << 20)	     /* bytes waiting: callers wait, posts are refused */
#define CHANNEL_HARD	 ((size_t)256 << 20) /* bytes waiting: the peer is given up */
#define CHANNEL_LATE	 10		     /* ms that a frame may wait for others */
#define CHANNEL_FDS	 64		     /* descriptors that wait to be sent */
#define CHANNEL_FDS_IN	 256		     /* ... that came before their frames */
#define CHANNEL_CALLS	 65536u		     /* calls in flight, each way */
#define CHANNEL_BODIES	 ((size_t)64 << 20)  /* bytes of requests in progress here */

enum frame_kind { FRAME_CALL = 1, FRAME_ANSWER, FRAME_POST, FRAME_CANCEL };
enum frame_flag { FRAME_FD = 1u << 0 };

/* As it stands on the wire between two processes of one machine: no byte order to mind. */
struct frame_head {
	uint32_t length; /* of the whole frame, with this head */
	uint32_t id;
	uint8_t kind, flags;
	uint16_t name; /* bytes of the endpoint's name; the body follows it */
	int32_t result;
	uint64_t key;
};
#define FRAME_MAX (sizeof(struct frame_head) + CHANNEL_NAME_MAX + KURIR_CALL_MAX)

struct frame {
	uint32_t id;
	uint8_t kind, flags;
	int32_t result;
	uint64_t key;
	struct kurir_str name, body;
};
/* The first frame of in: 1 with *ret (borrowed) and its length; 0: not all here; -EBADMSG. */
int frame_parse(struct kurir_str in, struct frame *ret, size_t *ret_used);

/* A fiber that waits for an answer, on its own stack. */
struct call_wait {
	struct fiber *fiber;
	struct kurir_arena *arena;
	struct kurir_str reply;
	int result;
	bool done;
};
struct call_slot {
	struct call_wait *wait; /* NULL: free */
	uint32_t id;
	uint32_t next_free;
};

struct channel {
	struct channel *next, **link; /* of all */
	struct loop_fd fd;
	struct loop_task flush, more;
	struct loop_timer late; /* set: frames wait for it, or for others */
	unsigned refs;
	bool down, blocked, leaving; /* leaving: it begins nothing any more */
	bool control;		     /* at the other end is the control role */
	channel_lost_fn *lost;	     /* or NULL */
	int64_t peer;
	char label[32];
	struct kurir_arena *arena;
	struct kurir_signal *room; /* raised when less waits, or down */

	struct kurir_buf out;
	size_t out_sent; /* bytes at the front of out that are gone */
	struct {
		int fd;
		size_t at; /* in out: where its frame begins */
	} out_fds[CHANNEL_FDS];
	unsigned out_fd_count;

	struct kurir_buf in;
	int in_fds[CHANNEL_FDS_IN]; /* -1: there was one, but no room for it here */
	unsigned in_fd_count;

	struct call_slot *slots; /* our calls in flight */
	uint32_t slot_count, slot_free, generation;
	struct call_in *incoming; /* the peer's calls in progress here */
	unsigned incoming_count;
	size_t incoming_bytes;
};

/* Appends a frame, sent at the end of this round.  fd is duplicated.  0, -ECONNRESET, -EMFILE,
 * -EAGAIN when too many descriptors wait. */
int channel_send(struct channel *, const struct frame *, int fd);
/* The same for what nobody waits for: it leaves with the next frame, or some milliseconds later,
 * so that many wake the peer once. */
int channel_send_late(struct channel *, const struct frame *);
bool channel_full(const struct channel *);
void channel_down(struct channel *); /* the caller has a reference */
void channel_ref(struct channel *);
void channel_unref(struct channel *);

/* call.c: a frame came in (fd is taken); the channel went down. */
void call_frame(struct channel *, const struct frame *, int fd);
void call_down(struct channel *);

#endif
