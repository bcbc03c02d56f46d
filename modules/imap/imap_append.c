/* imap_append.c - APPEND (RFC 3501 section 6.3.11, UIDPLUS of RFC 4315).
 *
 *   append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
 *
 * The message goes into an anonymous file as it comes in, never whole into the session's
 * buffers. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imap.h"

struct append {
	struct kurir_str mailbox;
	struct kurir_append message;
};

/* Behind the tag; stops before the literal's mark. */
static int parse(struct kurir_str command, struct append *ret)
{
	struct imap_args a = { .rest = command };
	struct kurir_str word;
	ssize_t space = kurir_str_find(command, ' ');

	if (space <= 0)
		return -EBADMSG;
	a.rest = kurir_str_part(command, (size_t)space + 1, command.len);
	if (imap_atom(&a, &word) < 0 || !kurir_str_equal_nocase(word, KURIR_STR("APPEND")) ||
	    !imap_space(&a))
		return -EBADMSG;
	if (imap_mailbox(&a, &ret->mailbox) < 0 || !imap_space(&a))
		return -EBADMSG;
	if (a.rest.len > 0 && a.rest.ptr[0] == '(' &&
	    (imap_flags(&a, &ret->message.flags, &ret->message.keywords) < 0 || !imap_space(&a)))
		return -EBADMSG;
	if (a.rest.len > 0 && a.rest.ptr[0] == '"' &&
	    (imap_astring(&a, &word) < 0 || imap_date_time(word, &ret->message.date) < 0 ||
		!imap_space(&a)))
		return -EBADMSG;
	return a.rest.len > 0 && a.rest.ptr[0] == '{' ? 0 : -EBADMSG;
}

bool imap_append_expects(struct kurir_str command)
{
	struct append a = { .mailbox = KURIR_STR("") };

	return parse(command, &a) >= 0;
}

/* The literal into fd; -EBADMSG for a NUL in it. */
KURIR_PARKS static int receive(struct imap *s, int fd, uint64_t size)
{
	char *chunk = kurir_alloc(kurir_scratch(), 16384);
	int bad = 0;

	while (size > 0) {
		size_t want = size < 16384 ? (size_t)size : 16384;
		int r = imap_read_exactly(s, chunk, want);

		if (r < 0)
			return r;
		if (memchr(chunk, '\0', want))
			bad = -EILSEQ;
		for (size_t at = 0; bad == 0 && at < want;) {
			ssize_t n = write(fd, chunk + at, want - at);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				bad = -errno;
			else
				at += (size_t)n;
		}
		size -= want;
	}
	return bad;
}

/* The line end behind the literal. */
KURIR_PARKS static int finish_line(struct imap *s)
{
	struct kurir_str line;
	int r = kurir_readline(s->stream, IMAP_LINE_MAX, &line, imap_until(s));

	return r <= 0 ? (r < 0 ? r : -ECONNRESET) : kurir_str_trim(line).len > 0 ? -EBADMSG : 0;
}

KURIR_PARKS static void store(struct imap *s, struct append *a)
{
	struct kurir_changed changed = { .target_validity = 0 };
	int r = s->store->append(s->store_self, s->account, a->mailbox, &a->message, 1,
	    imap_until(s), kurir_scratch(), &changed);

	if (r == -ENOENT) {
		imap_no(s, "[TRYCREATE] No such mailbox");
		return;
	}
	if (r >= 0 && s->state == IMAP_SELECTED && kurir_str_equal(a->mailbox, s->mailbox))
		r = imap_update(s, true);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	kurir_count(s->self, IMAP_APPENDED, 1);
	if (changed.target.count == 1)
		imap_ok(s, "[APPENDUID %u %u] Done", changed.target_validity,
		    changed.target.ranges[0].first);
	else
		imap_ok(s, "Done");
}

KURIR_PARKS void imap_append_run(
    struct imap *s, struct kurir_str command, uint64_t size, bool sync)
{
	struct append a = { .mailbox = KURIR_STR(""), .message.keywords = KURIR_STR("") };
	int fd, r;

	kurir_count(s->self, IMAP_COMMANDS, 1);
	s->tag = kurir_str_part(command, 0, (size_t)kurir_str_find(command, ' '));
	parse(command, &a);
	if (size > s->conf->append_max || size == 0) {
		imap_no(s,
		    size == 0 ? "[CANNOT] An empty message"
			      : "[TOOBIG] The message is too large");
		/* What a client sends unasked cannot be told from commands. */
		s->over = !sync;
		return;
	}
	fd = memfd_create("append", MFD_CLOEXEC);
	if (fd < 0) {
		imap_failed(s, -errno);
		s->over = !sync;
		return;
	}
	if (sync) {
		imap_puts(s, "+ Go ahead\r\n");
		kurir_flush(s->stream, imap_until(s));
	}
	r = receive(s, fd, size);
	if (r >= 0 || r == -EILSEQ || r == -ENOSPC) {
		int end = finish_line(s);

		r = end < 0 ? end : r;
	}
	a.message.fd = fd;
	a.message.length = size;
	if (r == -EILSEQ)
		imap_no(s, "[CANNOT] A message has no NUL");
	else if (r == -EBADMSG)
		imap_bad(s, "APPEND ends with its message");
	else if (r >= 0)
		store(s, &a);
	else
		s->over = true;
	close(fd);
}
