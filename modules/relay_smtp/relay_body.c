/* relay_body.c - the message itself: straight from the spool's file, or with dots stuffed
 * where a line begins
 * with one (RFC 5321 4.5.2), and the end of data. */
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE 16384

size_t relay_stuff(const char *from, size_t len, char *to, bool *at_line_start)
{
	const char *end = from + len;
	size_t n = 0;

	while (from < end) {
		const char *lf = memchr(from, '\n', (size_t)(end - from));
		size_t part = (size_t)((lf != NULL ? lf + 1 : end) - from);

		if (*at_line_start && *from == '.')
			to[n++] = '.';
		memcpy(to + n, from, part);
		n += part;
		from += part;
		*at_line_start = lf != NULL;
	}
	return n;
}

static int read_at(int fd, uint64_t offset, char *to, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, to + have, len - have, (off_t)(offset + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		have += (size_t)n;
	}
	return 0;
}

KURIR_PARKS static int send_stuffed(struct relay_task *t, struct relay_conn *c, kurir_time until)
{
	char *from = kurir_alloc(t->arena, 3 * PIECE), *to = from + PIECE;
	bool start = true;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < t->body.length;) {
		size_t len = t->body.length - at < PIECE ? (size_t)(t->body.length - at) : PIECE;

		/* A host that takes each piece at its leisure must not hold us for days. */
		if (kurir_now() >= until)
			return -ETIMEDOUT;
		r = read_at(t->body.fd, t->body.offset + at, from, len);
		if (r == 0)
			r = kurir_write(c->stream,
			    (struct kurir_str){ to, relay_stuff(from, len, to, &start) });
		at += len;
	}
	return r;
}

KURIR_PARKS int relay_send_body(struct relay_task *t, struct relay_conn *c)
{
	char end[2] = { '\r', '\n' };
	/* One span for a block of 64 KiB (RFC 5321 4.5.3.2.5), for big messages more in all. */
	kurir_time until =
	    kurir_now() + t->conf->t_block * (kurir_time)(1 + t->body.length / (1024 * 1024));
	int r = 0;

	if (t->job->envelope.flags & KURIR_ENV_DOTLINE)
		r = send_stuffed(t, c, until);
	else if (t->body.length > 0)
		r = kurir_send_file(c->stream, t->body.fd, t->body.offset, t->body.length, until);
	if (r == 0 && t->body.length >= 2)
		r = read_at(t->body.fd, t->body.offset + t->body.length - 2, end, 2);
	if (r == 0 && (end[0] != '\r' || end[1] != '\n'))
		r = kurir_write(c->stream, KURIR_STR("\r\n"));
	if (r == 0)
		r = kurir_write(c->stream, KURIR_STR(".\r\n"));
	if (r == 0)
		r = kurir_flush(c->stream, until);
	return r;
}
