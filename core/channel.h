/* channel.h - framed messages between processes, with answers, descriptors and back-pressure.
 *
 * A channel is one end of a Unix socket pair.  Frames: u32 length, u32 id, u8 kind (call,
 * answer, post, cancel), u8 flags (descriptor follows), u64 key, i32 result, endpoint or body.
 * Calls of many fibers share a channel; answers come in any order. */
#ifndef CORE_CHANNEL_H
#define CORE_CHANNEL_H

#include <kurir/call.h>

struct channel;

/* Takes fd.  Frames that come in are dispatched to this process's endpoints. */
struct channel *channel_new(int fd, const char *label);
/* The other end is the control role: only that one may ask for "ctl." and "peek.". */
void channel_admit(struct channel *);
/* Called when it cannot go on although the peer lives: nobody else would notice that. */
typedef void channel_lost_fn(int64_t peer);
void channel_watch(struct channel *, channel_lost_fn *, int64_t peer);
void channel_free(struct channel *); /* calls in flight fail with -ECONNRESET */

/* At the end of the process: all that are left. */
void channel_free_all(void);

/* The process's address book: where role/index is reached; replaced when the supervisor says
 * so. */
void channel_book_set(uint32_t role, unsigned index, unsigned count, struct channel *);
/* Which role answers an endpoint (from the plan). */
void channel_book_endpoint(struct kurir_str endpoint, uint32_t role);

/* Endpoints of the core itself ("auth", "log", "ticket.redeem", "ctl.status", ...). */
typedef int channel_call_fn(const struct kurir_incoming *, struct kurir_buf *reply);
typedef void channel_post_fn(const struct kurir_incoming *);
void channel_serve(const char *endpoint, uint32_t role, channel_call_fn *, channel_post_fn *);

#endif
