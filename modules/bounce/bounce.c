/* bounce.c - tells senders what became of their mail, when they asked or need to know.
 * Never for a message without a sender: a notification has none, so none is answered by another.
 * */
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PIECE 16384

enum counter { SENT, FAILED };

struct conf {
	uint64_t full_size, header_size;
};

struct returned {
	struct kurir_self *queue;
	const struct kurir_queue_ops *ops;
	struct kurir_spool *spool;
	bool line_start, dotline, high;
};

KURIR_PARKS static int put_piece(struct returned *x, struct kurir_str piece)
{
	for (size_t i = 0; i < piece.len; i++) {
		x->dotline |= x->line_start && piece.ptr[i] == '.';
		x->line_start = piece.ptr[i] == '\n';
		x->high |= (unsigned char)piece.ptr[i] > 127;
	}
	return x->ops->write(x->spool, piece);
}

/* The end of the header in what was read so far: how many bytes belong to it, 0: not in it. */
static size_t header_end(const char *p, size_t n)
{
	for (size_t i = 0; i + 3 < n; i++)
		if (memcmp(p + i, "\r\n\r\n", 4) == 0)
			return i + 2;
	return 0;
}

KURIR_PARKS static int copy_message(
    struct returned *x, struct kurir_body *body, bool headers, uint64_t max)
{
	char *piece = kurir_alloc(kurir_scratch(), PIECE);
	uint64_t left = body->length < max ? body->length : max;
	int r = 0;
	size_t kept = 0; /* bytes of the last piece, for a header's end across two */
	while (r == 0 && left > 0) {
		size_t room = PIECE - kept;
		ssize_t got = pread(body->fd, piece + kept, left < room ? (size_t)left : room,
		    (off_t)body->offset);
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		body->offset += (uint64_t)got;
		left -= (uint64_t)got;
		size_t n = kept + (size_t)got;
		size_t end = headers ? header_end(piece, n) : 0;
		if (end > 0)
			return put_piece(
			    x, (struct kurir_str){ piece + kept, end > kept ? end - kept : 0 });
		r = put_piece(x, (struct kurir_str){ piece + kept, (size_t)got });
		size_t keep = headers ? (n < 3 ? n : 3) : 0;
		memmove(piece, piece + n - keep, keep);
		kept = keep;
	}
	return r;
}

KURIR_PARKS static int write_report(struct kurir_self *self, struct returned *x,
    const struct report_facts *f, struct kurir_body *body)
{
	const struct conf *conf = kurir_conf(self);
	struct kurir_buf b = KURIR_BUF(REPORT_MAX);
	bool full = false;
	for (size_t i = 0; i < f->count; i++)
		full |= f->rcpts[i].notice == KURIR_NOTICE_FAILED;
	full &= (f->envelope->flags & KURIR_ENV_RET_HDRS) == 0 && body->length <= conf->full_size;
	int r = report_begin(&b, f, full ? REPORT_FULL : REPORT_HEADERS);
	if (r == 0)
		r = put_piece(x, kurir_buf_str(&b));
	if (r == 0)
		r = copy_message(x, body, !full, full ? conf->full_size : conf->header_size);
	kurir_buf_clear(&b);
	if (r == 0)
		r = report_end(&b, f);
	if (r == 0)
		r = put_piece(x, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS static int commit_report(
    struct returned *x, const struct report_facts *f, kurir_time deadline)
{
	struct kurir_recipient to = { .address = f->envelope->sender,
		.notify = KURIR_NOTIFY_NEVER };
	struct kurir_envelope e = {
		.id = f->message_id, .flags = KURIR_ENV_BOUNCE, .arrived = f->now
	};
	e.flags |= f->envelope->flags & KURIR_ENV_UTF8;
	e.flags |= x->high ? KURIR_ENV_8BIT : 0u;
	e.flags |= x->dotline ? KURIR_ENV_DOTLINE : 0u;
	e.listener = KURIR_STR("bounce");
	e.count = 1;
	e.recipients = &to;
	return x->ops->commit(x->spool, &e, deadline);
}

KURIR_PARKS static int notify(struct kurir_self *self, struct kurir_str ref,
    const struct kurir_envelope *e, const struct kurir_bounce_rcpt *rcpts, size_t count,
    kurir_time deadline)
{
	struct returned x = { .line_start = true };
	struct kurir_body body = { .fd = -1 };
	struct kurir_arena *arena = kurir_scratch();
	uint64_t random;
	if (e->sender.len == 0 || count == 0)
		return 0;
	x.ops = kurir_service_find("queue", NULL, &x.queue);
	if (x.ops == NULL)
		return -ENOENT;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	struct report_facts f = {
		.hostname = kurir_hostname(), .now = kurir_wallclock(), .envelope = e
	};
	f.message_id = kurir_message_id(arena);
	f.boundary = kurir_format(arena, "=_%016llx", (unsigned long long)random);
	f.rcpts = rcpts;
	f.count = count;
	int r = x.ops->open(x.queue, ref, &body);
	if (r == -ENOENT || r == -EBADMSG)
		r = 0; /* lost, and still somebody is to hear that it was not delivered */
	if (r == 0)
		r = x.ops->begin(x.queue, 0, &x.spool);
	if (r == 0) {
		r = write_report(self, &x, &f, &body);
		if (r == 0)
			r = commit_report(&x, &f, deadline);
		else
			x.ops->abort(x.spool);
	}
	if (body.fd >= 0)
		close(body.fd);
	kurir_count(self, r == 0 ? SENT : FAILED, 1);
	if (r == 0)
		KURIR_EMIT(self, KURIR_INFO, "message", { "id", f.message_id },
		    { "parent", e->id }, { "from", KURIR_STR("") }, { "to", e->sender },
		    { "listener", KURIR_STR("bounce") });
	return r;
}

static const struct kurir_option options[] = {
	KURIR_OPT_SIZE("full-size", struct conf, full_size, "64K",
	    "Larger messages come back with their header only."),
	KURIR_OPT_SIZE("header-size", struct conf, header_size, "32K",
	    "At most that much of a header comes back."),
	{ 0 },
};
static const char *const counters[] = { "sent", "failed", NULL };
static const char *const needs[] = { "queue", NULL };
static const struct kurir_bounce_ops ops = { .size = sizeof(ops), .notify = notify };
static const struct kurir_service services[] = { { "bounce", "report", &ops, 0 }, { 0 } };

KURIR_MODULE(bounce, .version = "1.0", .summary = "Tells senders what became of their mail",
    .roles = KURIR_ROLE_QUEUE, .conf_size = sizeof(struct conf), .options = options,
    .counters = counters, .needs = needs, .services = services);
