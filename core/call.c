/* call.c - kurir_call() and kurir_post(): who answers, where, and who waits for the answer.
 * An endpoint that this process plays itself is called directly, on a fiber of its own; any
 * other through the channel that the address book has for its role and index. */
#include "call.h"
#include "channel_private.h"
#include "check.h"
#include "fiber.h"
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOK_ROLES   9
#define BOOK_INDEXES 256
#define BUCKETS	     64u
#define POSTS_MAX    10000u /* local ones that wait for the end of the round */

struct endpoint {
	struct endpoint *next;
	struct kurir_str name;
	uint32_t role;
	channel_call_fn *call;
	channel_post_fn *post;
};
static struct endpoint *endpoints[BUCKETS];

static struct {
	struct channel *at[BOOK_INDEXES];
	unsigned count;
} book[BOOK_ROLES];
static struct kurir_arena *book_arena;
static struct kurir_signal *book_changed;
static struct kurir_group *call_group; /* handlers of the core's own endpoints */
static unsigned calls_in, calls_out;
static bool held; /* the instances are not started yet: what is for them waits */
static bool over; /* they are stopped: nothing is done for anybody */

/* A call that runs here, for a channel or (channel NULL) for a fiber of this process. */
struct call_in {
	struct call_in *next, **link; /* in channel->incoming */
	struct channel *channel;
	struct call_wait *wait; /* local caller; NULL once it has gone */
	struct fiber *fiber;	/* of the handler */
	uint32_t id;
	int fd;
	uint64_t key;
	const struct endpoint *endpoint;
	const struct kurir_endpoint_ops *ops; /* of a module, or NULL */
	struct kurir_self *owner;
	size_t length;
	char body[];
};

static unsigned role_slot(uint32_t role)
{
	return (unsigned)__builtin_ctz(role | 1u << BOOK_ROLES);
}

static struct endpoint *endpoint_find(struct kurir_str name, bool make)
{
	struct endpoint **p = &endpoints[kurir_str_hash(name) % BUCKETS], *e;

	for (; *p != NULL; p = &(*p)->next)
		if (kurir_str_equal((*p)->name, name))
			return *p;
	if (!make)
		return NULL;
	if (book_arena == NULL)
		book_arena = kurir_arena_new("book");
	e = *p = kurir_alloc(book_arena, sizeof(*e));
	e->name = kurir_copy(book_arena, name);
	return e;
}

void channel_book_endpoint(struct kurir_str name, uint32_t role)
{
	endpoint_find(name, true)->role = role & (~role + 1); /* the lowest bit */
}

void channel_serve(const char *name, uint32_t role, channel_call_fn *call, channel_post_fn *post)
{
	struct endpoint *e = endpoint_find(kurir_str_of(name), true);

	e->role = role;
	e->call = call;
	e->post = post;
}

static struct kurir_signal *book_signal(void)
{
	if (book_arena == NULL)
		book_arena = kurir_arena_new("book");
	if (book_changed == NULL)
		book_changed = kurir_signal_new(book_arena);
	return book_changed;
}

void channel_book_set(uint32_t role, unsigned index, unsigned count, struct channel *c)
{
	unsigned slot = role_slot(role);
	struct channel *old;

	if (slot >= BOOK_ROLES || index >= BOOK_INDEXES)
		return;
	if (c != NULL)
		channel_ref(c);
	old = book[slot].at[index];
	book[slot].at[index] = c;
	book[slot].count = count < BOOK_INDEXES ? count : BOOK_INDEXES;
	if (old != NULL)
		channel_unref(old);
	kurir_signal_raise(book_signal());
}

void call_reset(void)
{
	for (unsigned r = 0; r < BOOK_ROLES; r++) {
		for (unsigned i = 0; i < BOOK_INDEXES; i++)
			if (book[r].at[i] != NULL)
				channel_unref(book[r].at[i]);
		memset(&book[r], 0, sizeof(book[r]));
	}
	memset(endpoints, 0, sizeof(endpoints));
	kurir_arena_free(book_arena);
	book_arena = NULL;
	book_changed = NULL;
	call_group = NULL;
	over = false;
}

unsigned call_busy(void)
{
	return calls_in;
}

unsigned call_waiting(void)
{
	return calls_out;
}

static int endpoint_local(const struct endpoint *e, const struct kurir_endpoint_ops **ret_ops,
    struct kurir_self **ret_owner)
{
	*ret_ops = NULL;
	*ret_owner = NULL;
	if ((e->role & kurir_roles()) == 0)
		return -ENOENT;
	if (over)
		return -ESHUTDOWN;
	if (e->call != NULL || e->post != NULL)
		return 0;
	*ret_ops = kurir_service_find("endpoint", e->name.ptr, ret_owner);
	return *ret_ops != NULL ? 0 : -ENOENT;
}

/* Answers of this side. */

static void call_answer(struct channel *c, uint32_t id, int result, struct kurir_str body)
{
	struct frame f = { .id = id, .kind = FRAME_ANSWER, .result = result, .body = body };

	if (channel_send(c, &f, -1) < 0 && !c->down) {
		f.body = KURIR_STR("");
		f.result = -EMSGSIZE;
		/* The caller cannot be told, nor may it wait for ever: it does not read. */
		if (channel_send(c, &f, -1) < 0)
			channel_down(c);
	}
}

/* The peer's answers wait with their fiber, not in the buffer, when it does not read. */
KURIR_PARKS static void call_answer_wait(struct call_in *in, int result, struct kurir_str body)
{
	struct channel *c = in->channel;
	int r = 0;

	while (r >= 0 && channel_full(c) && !c->down)
		r = kurir_signal_wait(c->room, KURIR_FOREVER);
	if (in->id != 0)
		call_answer(c, in->id, result, body);
}

static void call_settle(struct call_wait *w, int result, struct kurir_str body)
{
	w->result = result;
	if (w->arena != NULL && body.len > 0)
		w->reply = kurir_copy(w->arena, body);
	w->done = true;
	fiber_wake(w->fiber, 0);
}

static void call_in_free(struct call_in *in)
{
	if (in->channel != NULL) {
		*in->link = in->next;
		if (in->next != NULL)
			in->next->link = in->link;
		in->channel->incoming_count--;
		in->channel->incoming_bytes -= in->length;
		channel_unref(in->channel);
	}
	free(in);
}

KURIR_PARKS static void call_run(void *arg)
{
	struct call_in *in = arg;
	struct kurir_incoming incoming = {
		.body = { in->body, in->length }, .fd = in->fd, .key = in->key
	};
	struct kurir_buf reply = KURIR_BUF(KURIR_CALL_MAX);
	int r = fiber_canceled() ? -ECANCELED : 0;

	while (r == 0 && held && in->owner != NULL && !in->owner->started)
		r = kurir_signal_wait(book_signal(), KURIR_FOREVER);
	bool begun = r == 0;
	if (r == -ECANCELED)
		r = -ESHUTDOWN; /* not begun: the caller may ask somebody else */
	else if (in->ops != NULL && in->ops->call != NULL)
		r = in->ops->call(in->owner, &incoming, &reply);
	else
		r = in->endpoint->call == NULL ? -ENOENT : in->endpoint->call(&incoming, &reply);
	if (in->fd >= 0 && close(in->fd) < 0)
		kurir_assert(errno != EBADF); /* it was borrowed, and the handler closed it */
	/* The caller's process is not being ended; and what was begun is not made once more. */
	if ((r == -ECANCELED && in->channel != NULL) || (r == -ESHUTDOWN && begun))
		r = -ECONNRESET;
	if (in->channel != NULL)
		call_answer_wait(in, r, kurir_buf_str(&reply));
	else if (in->wait != NULL)
		call_settle(in->wait, r, kurir_buf_str(&reply));
	kurir_buf_free(&reply);
	call_in_free(in);
	calls_in--;
}

static struct call_in *call_in_new(const struct endpoint *e, struct kurir_str body)
{
	struct call_in *in = malloc(sizeof(*in) + body.len + 1);

	if (in == NULL)
		return NULL;
	memset(in, 0, sizeof(*in));
	in->endpoint = e;
	in->length = body.len;
	memcpy(in->body, body.ptr, body.len);
	in->body[body.len] = 0;
	return in;
}

/* Takes fd on success. */
static int call_begin(struct call_in *in, int fd)
{
	struct kurir_group *g = in->owner != NULL ? in->owner->group : NULL;
	int r;

	if (g == NULL) {
		if (call_group == NULL)
			call_group = kurir_group_begin(NULL);
		g = call_group;
	}
	in->fd = fd;
	/* The answer is owed by the core: no right to spawn is asked for. */
	r = fiber_start(g, in->endpoint->name.ptr, call_run, in, &in->fiber);
	if (r >= 0)
		calls_in++;
	return r;
}

/* Frames. */

/* Posts that wait: those to this process for the end of the round, as from a channel; others for
 * their instance's start. */
struct local_post {
	struct local_post *next;
	struct frame frame;
	int fd;
	char bytes[];
};
struct post_list {
	struct local_post *first, **end;
	unsigned count;
};
static struct post_list posts = { .end = &posts.first }, early = { .end = &early.first };

/* Takes fd on success. */
static int post_keep(
    struct post_list *l, const struct endpoint *e, uint64_t key, struct kurir_str body, int fd)
{
	struct local_post *p;

	if (l->count >= POSTS_MAX)
		return -EAGAIN;
	p = malloc(sizeof(*p) + body.len + 1);
	if (p == NULL)
		return -EAGAIN;
	memcpy(p->bytes, body.ptr, body.len);
	p->bytes[body.len] = 0;
	p->next = NULL;
	p->frame = (struct frame){
		.kind = FRAME_POST, .key = key, .name = e->name, .body = { p->bytes, body.len }
	};
	p->fd = fd;
	*l->end = p;
	l->end = &p->next;
	l->count++;
	return 0;
}

static void frame_post(const struct frame *f, int fd)
{
	const struct endpoint *e = endpoint_find(f->name, false);
	const struct kurir_endpoint_ops *ops;
	struct kurir_self *owner;
	struct kurir_incoming incoming = { .body = f->body, .fd = fd, .key = f->key };

	if (e != NULL && endpoint_local(e, &ops, &owner) >= 0) {
		if (held && owner != NULL && !owner->started &&
		    post_keep(&early, e, f->key, f->body, fd) >= 0)
			return;
		if (ops != NULL && ops->post != NULL)
			ops->post(owner, &incoming);
		else if (ops == NULL && e->post != NULL)
			e->post(&incoming);
	}
	if (fd >= 0)
		(void)close(fd);
}

static void posts_replay(struct post_list *l)
{
	struct local_post *p = l->first;

	*l = (struct post_list){ .end = &l->first };
	while (p != NULL) {
		struct local_post *next = p->next;

		frame_post(&p->frame, p->fd);
		free(p);
		p = next;
	}
}

void call_hold(bool on)
{
	held = on;
	if (on)
		return;
	kurir_signal_raise(book_signal());
	posts_replay(&early);
}

/* Those of modules end with their instances. */
KURIR_PARKS void call_stop(void)
{
	over = true;
	kurir_group_end(call_group);
	call_group = NULL;
}

/* What an administrator may ask for, a process that was broken into may not. */
static bool call_admitted(const struct channel *c, struct kurir_str name)
{
	return c->control ||
	    (!kurir_str_starts(name, KURIR_STR("ctl.")) &&
		!kurir_str_starts(name, KURIR_STR("peek.")));
}

static void frame_call(struct channel *c, const struct frame *f, int fd)
{
	const struct endpoint *e = endpoint_find(f->name, false);
	const struct kurir_endpoint_ops *ops = NULL;
	struct kurir_self *owner = NULL;
	struct call_in *in = NULL;
	int r = e == NULL ? -ENOENT : endpoint_local(e, &ops, &owner);

	if (!call_admitted(c, f->name))
		r = -EPERM;
	if (r >= 0 &&
	    (c->incoming_count >= CHANNEL_CALLS ||
		c->incoming_bytes + f->body.len > CHANNEL_BODIES))
		r = -EAGAIN;
	if (r >= 0 && (in = call_in_new(e, f->body)) == NULL)
		r = -ENOMEM;
	if (r < 0)
		goto refuse;
	in->id = f->id;
	in->key = f->key;
	in->ops = ops;
	in->owner = owner;
	in->channel = c;
	channel_ref(c);
	in->link = &c->incoming;
	in->next = c->incoming;
	if (in->next != NULL)
		in->next->link = &in->next;
	c->incoming = in;
	c->incoming_count++;
	c->incoming_bytes += in->length;
	r = call_begin(in, fd);
	if (r >= 0)
		return;
	call_in_free(in);
refuse:
	if (fd >= 0)
		(void)close(fd);
	call_answer(c, f->id, r, KURIR_STR(""));
}

static void slot_free(struct channel *c, struct call_slot *s)
{
	s->wait = NULL;
	s->next_free = c->slot_free;
	c->slot_free = (uint32_t)(s - c->slots);
}

static void frame_answer(struct channel *c, const struct frame *f)
{
	uint32_t n = f->id & 0xffffu;
	struct call_slot *s = n < c->slot_count ? &c->slots[n] : NULL;
	struct call_wait *w;

	if (s == NULL || s->wait == NULL || s->id != f->id)
		return; /* nobody waits any more */
	w = s->wait;
	slot_free(c, s);
	call_settle(w, f->result, f->body);
}

/* The caller has gone: its handler is ended, and nobody is told. */
static void call_in_cancel(struct call_in *in)
{
	in->id = 0;
	fiber_cancel(in->fiber);
}

static void frame_cancel(struct channel *c, const struct frame *f)
{
	for (struct call_in *in = c->incoming; in != NULL; in = in->next)
		if (in->id == f->id)
			call_in_cancel(in);
}

void call_frame(struct channel *c, const struct frame *f, int fd)
{
	switch (f->kind) {
	case FRAME_CALL:
		frame_call(c, f, fd);
		return;
	case FRAME_POST:
		frame_post(f, fd);
		return;
	case FRAME_ANSWER:
		frame_answer(c, f);
		break;
	case FRAME_CANCEL:
		frame_cancel(c, f);
		break;
	default:
		break;
	}
	if (fd >= 0)
		(void)close(fd);
}

void call_down(struct channel *c)
{
	for (uint32_t i = 0; i < c->slot_count; i++) {
		struct call_slot *s = &c->slots[i];

		if (s->wait == NULL)
			continue;
		call_settle(s->wait, -ECONNRESET, KURIR_STR(""));
		slot_free(c, s);
	}
	for (struct call_in *in = c->incoming; in != NULL; in = in->next)
		call_in_cancel(in);
}

/* Calls of this side. */

static struct call_slot *slot_take(struct channel *c, struct call_wait *w)
{
	struct call_slot *s;

	if (c->slot_free == UINT32_MAX) {
		uint32_t n = c->slot_count > 0 ? c->slot_count * 2 : 64;

		if (n > CHANNEL_CALLS)
			return NULL;
		s = realloc(c->slots, sizeof(*s) * n);
		if (s == NULL)
			return NULL;
		c->slots = s;
		for (uint32_t i = n; i-- > c->slot_count;) {
			s[i].wait = NULL;
			s[i].next_free = c->slot_free;
			c->slot_free = i;
		}
		c->slot_count = n;
	}
	s = &c->slots[c->slot_free];
	c->slot_free = s->next_free;
	c->generation = c->generation % 0xffffu + 1; /* never 0: an id is not 0 */
	s->id = c->generation << 16 | (uint32_t)(s - c->slots);
	s->wait = w;
	return s;
}

/* Where a key's calls go: -1 here, else the index. */
static int call_target(const struct endpoint *e, uint64_t key, unsigned *ret_slot)
{
	unsigned slot = role_slot(e->role), count, index;

	if (kurir_roles() == KURIR_ROLE_ALL)
		return -1;
	if (slot >= BOOK_ROLES)
		return -ENOENT;
	count = book[slot].count > 0 ? book[slot].count : 1;
	index = (unsigned)(key % count);
	if (kurir_roles() == e->role && index == kurir_role_index())
		return -1;
	*ret_slot = slot;
	return (int)index;
}

/* The channel, once it is there and has room. */
KURIR_PARKS static int call_channel(
    const struct endpoint *e, uint64_t key, kurir_time until, struct channel **ret)
{
	unsigned slot = 0;

	for (;;) {
		int index = call_target(e, key, &slot), r;
		struct channel *c;

		if (index < 0)
			return index == -1 ? -ENOENT : index;
		c = book[slot].at[index];
		if (c != NULL && (c->down || c->leaving))
			c = NULL;
		if (c != NULL && !channel_full(c)) {
			*ret = c;
			return 0;
		}
		if (c != NULL) {
			channel_ref(c);
			r = kurir_signal_wait(c->room, until);
			channel_unref(c);
		} else {
			r = kurir_signal_wait(book_signal(), until);
		}
		if (r < 0)
			return r;
	}
}

KURIR_PARKS static int call_remote(const struct endpoint *e, const struct kurir_request *q,
    kurir_time until, struct call_wait *w)
{
	struct frame f = { .kind = FRAME_CALL, .key = q->key, .name = e->name, .body = q->body };
	struct channel *c;
	struct call_slot *s;
	uint32_t id;
	int r = call_channel(e, q->key, until, &c);

	if (r < 0)
		return r;
	s = slot_take(c, w);
	if (s == NULL)
		return -EAGAIN;
	id = f.id = s->id;
	r = channel_send(c, &f, q->fd > 0 ? q->fd : -1);
	if (r < 0) {
		slot_free(c, s);
		return r;
	}
	channel_ref(c);
	while (!w->done && r >= 0)
		r = fiber_park(until);
	if (!w->done) {
		slot_free(
		    c, &c->slots[id & 0xffffu]); /* looked up again: the table may have moved */
		(void)channel_send(c, &(struct frame){ .kind = FRAME_CANCEL, .id = id }, -1);
	}
	c->leaving |= w->done && w->result == -ESHUTDOWN;
	channel_unref(c);
	return w->done ? w->result : r;
}

KURIR_PARKS static int call_local(const struct endpoint *e, const struct kurir_request *q,
    kurir_time until, struct call_wait *w)
{
	const struct kurir_endpoint_ops *ops;
	struct kurir_self *owner;
	struct call_in *in;
	int r = endpoint_local(e, &ops, &owner), fd = -1;

	if (r < 0)
		return r;
	if (q->fd > 0 && (fd = fcntl(q->fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return -errno;
	in = call_in_new(e, q->body);
	r = in == NULL ? -ENOMEM : 0;
	if (r >= 0) {
		in->key = q->key;
		in->ops = ops;
		in->owner = owner;
		in->wait = w;
		r = call_begin(in, fd);
	}
	if (r < 0) {
		free(in);
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (!w->done && r >= 0)
		r = fiber_park(until);
	if (w->done)
		return w->result;
	in->wait = NULL; /* still running: it has not settled */
	fiber_cancel(in->fiber);
	return r;
}

KURIR_PARKS int kurir_call(struct kurir_self *self, const struct kurir_request *q,
    kurir_time until, struct kurir_arena *arena, struct kurir_str *ret_reply)
{
	const struct endpoint *e = endpoint_find(kurir_str_of(q->endpoint), false);
	struct call_wait w = { .fiber = fiber_self(), .arena = arena, .reply = KURIR_STR("") };
	unsigned slot;
	int r;

	(void)self;
	if (e == NULL || e->role == 0)
		return -ENOENT;
	if (q->body.len > KURIR_CALL_MAX)
		return -EMSGSIZE;
	if (fiber_canceled())
		return -ECANCELED;
	calls_out++;
	do {
		w.done = false;
		r = call_target(e, q->key, &slot) == -1 ? call_local(e, q, until, &w)
							: call_remote(e, q, until, &w);
	} while (r == -ESHUTDOWN && !over && kurir_roles() != KURIR_ROLE_ALL);
	calls_out--;
	r = r == -ESHUTDOWN ? -ECONNRESET : r;
	if (w.done && ret_reply != NULL)
		*ret_reply = w.reply;
	return r;
}

static void posts_run(struct loop_task *t)
{
	(void)t;
	posts_replay(&posts);
}

static int post_local(const struct endpoint *e, const struct kurir_request *q)
{
	static struct loop_task task = { .run = posts_run };
	int fd = q->fd > 0 ? fcntl(q->fd, F_DUPFD_CLOEXEC, 3) : -1;
	int r = post_keep(&posts, e, q->key, q->body, fd);

	if (r < 0 && fd >= 0)
		(void)close(fd);
	if (r >= 0)
		loop_defer(&task);
	return r;
}

static int post(const struct kurir_request *q, bool late)
{
	const struct endpoint *e = endpoint_find(kurir_str_of(q->endpoint), false);
	struct frame f = { .kind = FRAME_POST, .key = q->key, .body = q->body };
	struct channel *c;
	unsigned slot = 0;
	int index, fd = q->fd > 0 ? q->fd : -1;

	if (e == NULL || e->role == 0)
		return -ENOENT;
	if (q->body.len > KURIR_CALL_MAX)
		return -EMSGSIZE;
	index = call_target(e, q->key, &slot);
	if (index == -1)
		return post_local(e, q);
	if (index < 0)
		return index;
	c = book[slot].at[index];
	if (c == NULL || c->down || channel_full(c))
		return -EAGAIN;
	f.name = e->name;
	return (late ? channel_send_late(c, &f) : channel_send(c, &f, fd)) < 0 ? -EAGAIN : 0;
}

int kurir_post(struct kurir_self *self, const struct kurir_request *q)
{
	(void)self;
	return post(q, false);
}

int call_post_late(const struct kurir_request *q)
{
	return post(q, true);
}
