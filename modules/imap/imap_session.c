/* imap_session.c - the loop: read a command with its literals, look it up, run it. */

#include <errno.h>
#include <string.h>

#include "imap.h"

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

/* One line, behind what command has, without its line end.  1, 0 at the end of the stream,
 * -errno. */
KURIR_PARKS static int read_line(struct imap *s, struct kurir_buf *command)
{
	kurir_time until =
	    kurir_now() + (s->state == IMAP_NOT_AUTHENTICATED ? s->conf->login : s->conf->idle);
	struct kurir_str line;
	int r = 0;

	if (kurir_pending(s->stream) == 0)
		r = kurir_flush(s->stream, until);
	if (r >= 0)
		r = kurir_readline(s->stream, IMAP_LINE_MAX, &line, until);
	if (r <= 0)
		return r;
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	r = kurir_buf_add(command, line);
	return r < 0 ? r : 1;
}

/* A whole command into command.  1: run it; 0: it was an APPEND and is done, or nothing is
 * left; -errno. */
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
		if (r <= 0)
			return r < 0 ? r : 1;
		if (s->state != IMAP_NOT_AUTHENTICATED &&
		    imap_append_expects(kurir_buf_str(command))) {
			imap_append_run(s, kurir_buf_str(command), size, sync);
			return 0;
		}
		r = s->state == IMAP_NOT_AUTHENTICATED && size > 4096
		    ? -EMSGSIZE
		    : read_literal(s, command, size, sync);
	} while (r >= 0);
	return r;
}

static bool tag_ok(struct kurir_str tag)
{
	if (tag.len == 0 || tag.len > 100)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		if ((unsigned char)tag.ptr[i] <= 32 || (unsigned char)tag.ptr[i] >= 127 ||
		    memchr("(){%*\"\\+", tag.ptr[i], 9))
			return false;
	return true;
}

/* tag SP ["UID" SP] verb [SP arguments] */
KURIR_PARKS static void run_command(struct imap *s, struct kurir_str line)
{
	struct imap_args a = { .rest = line };
	const struct imap_command *c = NULL;
	struct kurir_str verb = KURIR_STR("");
	ssize_t space = kurir_str_find(line, ' ');

	kurir_count(s->self, IMAP_COMMANDS, 1);
	s->tag = kurir_str_part(line, 0, space < 0 ? line.len : (size_t)space);
	if (!tag_ok(s->tag) || space < 0) {
		s->tag = KURIR_STR("*");
		imap_bad(s, "A command begins with a tag");
		return;
	}
	a.rest = kurir_str_part(line, (size_t)space + 1, line.len);
	s->by_uid = false;
	if (imap_atom(&a, &verb) >= 0 && kurir_str_equal_nocase(verb, KURIR_STR("UID")) &&
	    imap_space(&a)) {
		s->by_uid = true;
		imap_atom(&a, &verb);
	}
	c = imap_command_find(verb);
	if (!c || (s->by_uid && !c->uid))
		imap_bad(s, "Unknown command");
	else if (!(c->states & s->state))
		imap_bad(s, "Not in this state");
	else if (!imap_end(&a) && !imap_space(&a))
		imap_bad(s, "A space is missing");
	else
		c->run(s, &a);
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
	}
	kurir_buf_free(&command);
	imap_view_close(s);
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
