/* imap_session.c - the loop: read a command with its literals, look it up, run it. */

#include <errno.h>
#include <string.h>

#include "imap_notify.h"

#define CHUNK	   16384
#define REST_AFTER 5000 /* milliseconds without a command */

KURIR_PARKS int imap_read_exactly(struct imap *s, char *to, size_t len)
{
	kurir_time until = kurir_now() + s->conf->login;

	while (len > 0) {
		ssize_t n = kurir_read(s->stream, to, len, until);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One literal, announced at the end of what command has, behind it. */
KURIR_PARKS static int read_literal(
    struct imap *s, struct kurir_buf *command, uint64_t size, bool sync)
{
	int r = kurir_buf_add(command, KURIR_STR("\r\n"));

	if (r >= 0 && size > command->limit)
		r = -EMSGSIZE;
	if (r >= 0)
		r = kurir_buf_reserve(command, (size_t)size);
	if (r < 0)
		return r;
	if (sync) {
		imap_puts(s, "+ Go ahead\r\n");
		r = kurir_flush(s->stream, kurir_now() + s->conf->login);
	}
	if (r >= 0)
		r = imap_read_exactly(s, command->ptr + command->len, (size_t)size);
	if (r >= 0)
		command->len += (size_t)size;
	return r;
}

/* Whether a whole line has come: else the client may wait for what was said before. */
KURIR_PARKS static bool line_waits(struct imap *s)
{
	struct kurir_str there;

	return kurir_pending(s->stream) > 0 &&
	    kurir_peek(s->stream, 0, &there, kurir_now()) > 0 && kurir_str_find(there, '\n') >= 0;
}

/* The next line.  Who is silent for a while mostly stays so, and needs less meanwhile. */
KURIR_PARKS static int wait_line(struct imap *s, struct kurir_str *ret, kurir_time until)
{
	kurir_time soon = kurir_now() + REST_AFTER;
	int r = -ETIMEDOUT;

	if (soon < until)
		r = kurir_readline(s->stream, IMAP_LINE_MAX, ret, soon);
	if (r != -ETIMEDOUT)
		return r;
	imap_rest(s);
	return kurir_readline(s->stream, IMAP_LINE_MAX, ret, until);
}

/* One line, behind what command has, without its line end.  1, 0 at the end of the stream,
 * -errno. */
KURIR_PARKS static int read_line(struct imap *s, struct kurir_buf *command)
{
	kurir_time until =
	    kurir_now() + (s->state == IMAP_NOT_AUTHENTICATED ? s->conf->login : s->conf->idle);
	struct kurir_str line;
	int r = 0;

	if (!line_waits(s))
		r = command->len == 0 && s->notify != NULL ? imap_notify_while(s, until, false)
							   : kurir_flush(s->stream, until);
	if (r >= 0)
		r = wait_line(s, &line, until);
	if (r <= 0)
		return r;
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	r = kurir_buf_add(command, line);
	return r < 0 ? r : 1;
}

/* Whether the command that begins so reads its literals itself. */
static bool streams(const struct imap *s, struct kurir_str command)
{
	struct imap_args a = { .rest = command };
	const struct imap_command *c;
	struct kurir_str tag;
	bool by_uid;

	c = imap_command_parse(&a, &tag, &by_uid);
	return c && (c->flags & IMAP_STREAMS) && (c->states & s->state);
}

/* A whole command into command.  1: run it; 0: nothing is left; -errno. */
KURIR_PARKS static int read_command(struct imap *s, struct kurir_buf *command)
{
	int r;

	do {
		size_t begin = command->len;
		struct kurir_str line;
		uint64_t size;
		bool sync;

		r = read_line(s, command);
		if (r <= 0) {
			s->over = s->over || r == 0;
			return r;
		}
		/* What a literal holds is not looked at: it may look like the mark of another. */
		line = kurir_str_part(kurir_buf_str(command), begin, command->len);
		r = imap_literal_mark(line, &size, &sync);
		if (r <= 0 || (begin == 0 && streams(s, line)))
			return r < 0 ? r : 1;
		r = s->state == IMAP_NOT_AUTHENTICATED && size > 4096
		    ? -EMSGSIZE
		    : read_literal(s, command, size, sync);
	} while (r >= 0);
	return r;
}

KURIR_PARKS int imap_next_line(struct imap *s, struct imap_args *a)
{
	struct kurir_buf line = KURIR_BUF(IMAP_LINE_MAX);
	int r = read_line(s, &line);

	if (r == 0) {
		s->over = true;
		r = -ECONNRESET;
	}
	if (r > 0)
		a->rest = kurir_copy(kurir_scratch(), kurir_buf_str(&line));
	kurir_buf_free(&line);
	return r < 0 ? r : 0;
}

KURIR_PARKS void imap_skip_literals(struct imap *s, struct imap_args *a)
{
	char *chunk = kurir_alloc(kurir_scratch(), CHUNK);
	uint64_t size, total = 0;
	bool sync;

	while (!s->over && imap_literal_mark(a->rest, &size, &sync) == 1 && !sync) {
		total += size;
		s->over = size > s->conf->append_max || total > s->conf->append_max;
		while (size > 0 && !s->over) {
			size_t want = size < CHUNK ? (size_t)size : CHUNK;

			s->over = imap_read_exactly(s, chunk, want) < 0;
			size -= want;
		}
		if (!s->over && imap_next_line(s, a) < 0)
			s->over = true;
	}
}

/* Why a command that is known is not run; NULL: it is. */
static const char *objection(
    const struct imap *s, const struct imap_command *c, struct imap_args *a)
{
	if (!(c->states & s->state))
		return "Not in this state";
	if ((c->flags & IMAP_NUMBERS) && (s->enabled & IMAP_UIDONLY) && !s->by_uid)
		return "[UIDREQUIRED] You wanted UIDs only";
	if ((c->flags & IMAP_BARE) && !imap_end(a))
		return "This takes nothing";
	return imap_end(a) || imap_space(a) ? NULL : "A space is missing";
}

KURIR_PARKS static void run_command(struct imap *s, struct kurir_str line)
{
	struct imap_args a = { .rest = line,
		.utf8 = (s->enabled & (IMAP_REV2 | IMAP_UTF8)) != 0 };
	const struct imap_command *c = imap_command_parse(&a, &s->tag, &s->by_uid);
	const char *why = c ? objection(s, c, &a) : "Unknown command";
	int r = imap_place_still(s);

	kurir_count(s->self, IMAP_COMMANDS, 1);
	s->told = kurir_now();
	if (r == -EACCES) {
		imap_puts(s, "* BYE The mailbox may not be read any more\r\n");
		s->over = true;
	} else if (s->tag.len == 0) {
		s->tag = KURIR_STR("*");
		imap_bad(s, "A command begins with a tag");
	} else if (why) {
		if (c && (c->flags & IMAP_STREAMS))
			imap_skip_literals(s, &a);
		imap_bad(s, "%s", why);
	} else if (r < 0) {
		imap_skip_literals(s, &a);
		imap_failed(s, r);
	} else {
		c->run(s, &a);
	}
}

/* What ends the session from our side, said to the client. */
KURIR_PARKS static void say_bye(struct imap *s, int r)
{
	if (r == -EMSGSIZE)
		imap_puts(s, "* BYE The command is too long\r\n");
	else if (r == -ETIMEDOUT)
		imap_puts(s, "* BYE Nothing heard for too long\r\n");
	else if (r == -EBADMSG)
		imap_puts(s, "* BYE This is not IMAP\r\n");
	else if (kurir_conn_draining(s->conn))
		imap_puts(s, "* BYE The server is going down\r\n");
}

KURIR_PARKS static void loop(struct imap *s)
{
	struct kurir_buf command = KURIR_BUF(IMAP_COMMAND_MAX);

	while (!s->over) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		int r = read_command(s, &command);

		if (r > 0)
			run_command(s, kurir_buf_str(&command));
		kurir_buf_free(&command);
		kurir_rewind(kurir_scratch(), mark);
		if (r < 0) {
			say_bye(s, r);
			break;
		}
		if (s->bad > (unsigned)s->conf->errors) {
			imap_puts(s, "* BYE Too many errors\r\n");
			break;
		}
		if (!s->over && s->state == IMAP_NOT_AUTHENTICATED &&
		    ++s->commands >= IMAP_STRANGER) {
			imap_puts(s, "* BYE Too many commands without a login\r\n");
			break;
		}
	}
	kurir_buf_free(&command);
	imap_notify_end(s);
	imap_view_close(s);
	imap_saved_clear(s);
}

static struct imap session(struct kurir_self *self, struct kurir_conn *conn)
{
	return (struct imap){ .self = self,
		.conn = conn,
		.stream = kurir_conn_stream(conn),
		.conf = kurir_conf(self),
		.state = IMAP_NOT_AUTHENTICATED,
		.tag = KURIR_STR("*") };
}

KURIR_PARKS void imap_serve(struct kurir_self *self, struct kurir_conn *conn)
{
	struct imap s = session(self, conn);

	kurir_count(self, IMAP_SESSIONS, 1);
	imap_puts(&s, "* OK [CAPABILITY ");
	imap_put_capability(&s);
	kurir_printf(s.stream, "] %.*s ready\r\n", KURIR_ARG(kurir_hostname()));
	loop(&s);
	if (!s.handed)
		kurir_flush(s.stream, kurir_now() + s.conf->login);
}

KURIR_PARKS void imap_resume(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str state)
{
	struct imap s = session(self, conn);

	s.state = IMAP_AUTHENTICATED;
	s.tag = state;
	s.account = kurir_conn_account(conn);
	s.store = kurir_service_find("store", NULL, &s.store_self);
	if (!s.store) {
		imap_no(&s, "[UNAVAILABLE] There are no mailboxes here");
	} else {
		kurir_printf(s.stream, "%.*s OK [CAPABILITY ", KURIR_ARG(s.tag));
		imap_put_capability(&s);
		imap_puts(&s, "] Logged in\r\n");
		loop(&s);
	}
	kurir_flush(s.stream, kurir_now() + s.conf->login);
}
