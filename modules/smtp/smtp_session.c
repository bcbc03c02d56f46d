/* smtp_session.c - the loop: read a line, look it up, check its place, carry it out.
 * Answers are sent before the session waits for input: that is all of PIPELINING. */
#include "smtp_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AUTH_LINE 12288 /* RFC 4954 4 */

/* In one switch of kinds: where a command exists. */
enum {
	ON_MX = 1u << SMTP_MX,
	ON_SUB = 1u << SMTP_SUBMISSION,
	ON_LMTP = 1u << SMTP_LMTP,
	ON_SMTP = ON_MX | ON_SUB,
	ON_ALL = ON_SMTP | ON_LMTP
};
enum { LAST_IN_GROUP = 1u << 0, NO_ARGS = 1u << 1 };

static const struct smtp_command {
	struct kurir_str verb;
	uint32_t kinds, states, flags;
	smtp_command_fn *run;
} commands[] = {
	/* verb            where    in state                      flags                    runs */
	{ { "MAIL", 4 }, ON_ALL, IN_IDLE, 0, smtp_mail },
	{ { "RCPT", 4 }, ON_ALL, IN_MAIL | IN_RCPT, 0, smtp_rcpt },
	{ { "DATA", 4 }, ON_ALL, IN_MAIL | IN_RCPT, LAST_IN_GROUP | NO_ARGS, smtp_data },
	{ { "BDAT", 4 }, ON_ALL, IN_ANY, 0, smtp_bdat },
	{ { "EHLO", 4 }, ON_SMTP, IN_ANY, LAST_IN_GROUP, smtp_ehlo },
	{ { "HELO", 4 }, ON_SMTP, IN_ANY, LAST_IN_GROUP, smtp_helo },
	{ { "LHLO", 4 }, ON_LMTP, IN_ANY, LAST_IN_GROUP, smtp_lhlo },
	{ { "STARTTLS", 8 }, ON_ALL, IN_IDLE, LAST_IN_GROUP | NO_ARGS, smtp_starttls },
	{ { "AUTH", 4 }, ON_SMTP, IN_IDLE, LAST_IN_GROUP, smtp_auth },
	{ { "RSET", 4 }, ON_ALL, IN_ANY, NO_ARGS, smtp_rset },
	{ { "NOOP", 4 }, ON_ALL, IN_ANY, LAST_IN_GROUP, smtp_noop },
	{ { "VRFY", 4 }, ON_ALL, IN_ANY, LAST_IN_GROUP, smtp_vrfy },
	{ { "EXPN", 4 }, ON_ALL, IN_ANY, LAST_IN_GROUP, smtp_expn },
	{ { "HELP", 4 }, ON_ALL, IN_ANY, 0, smtp_help },
	{ { "QUIT", 4 }, ON_ALL, IN_ANY, LAST_IN_GROUP | NO_ARGS, smtp_quit },
};

void smtp_set_state(struct smtp *s, uint32_t state)
{
	s->state = state;
}

void smtp_reset(struct smtp *s)
{
	if (s->tx != NULL)
		kurir_tx_end(s->tx);
	s->tx = NULL;
	s->accepted = 0;
	s->bdat_failed = false;
	s->body.open = false;
	if (s->state != IN_NEW)
		smtp_set_state(s, IN_IDLE);
}

kurir_time smtp_until(const struct smtp *s, kurir_time span)
{
	kurir_time until = kurir_now() + span;

	return until < s->end ? until : s->end;
}

void smtp_refused(struct smtp *s, int verdict, const struct kurir_answer *a)
{
	kurir_count(s->self, verdict == KURIR_REJECT ? COUNT_REFUSED : COUNT_DEFERRED, 1);
	if (verdict == KURIR_HANGUP || a->code == 421) {
		smtp_answer(s, a);
		smtp_close(s, "policy");
		return;
	}
	smtp_answer(s, a);
	if (++s->errors >= s->conf->errors) {
		kurir_count(s->self, COUNT_LIMITS, 1);
		smtp_say(s, 421, "4.7.0", "Too many errors, closing the connection");
		smtp_close(s, "too many errors");
	}
}

/* True when a whole line is here already: then nothing needs to be sent first. */
KURIR_PARKS static bool line_waits(struct smtp *s)
{
	struct kurir_str in;

	return kurir_pending(s->io) > 0 && kurir_peek(s->io, 0, &in, 0) == 1 &&
	    kurir_str_find(in, '\n') >= 0;
}

int smtp_read_line(struct smtp *s, size_t max, struct kurir_str *ret)
{
	kurir_time until = smtp_until(s, s->conf->idle_time);
	struct kurir_str l;
	int r;

	if (!line_waits(s)) {
		r = kurir_flush(s->io, until);
		if (r < 0)
			return r;
	}
	r = kurir_readline(s->io, max, &l, until);
	if (r == -EMSGSIZE) {
		r = kurir_skip_line(s->io, until);
		return r < 0 ? r : -EMSGSIZE;
	}
	if (r <= 0)
		return r;
	if (l.len < 2 || l.ptr[l.len - 2] != '\r')
		return -EBADMSG; /* a bare LF ends nothing */
	l.len -= 2;
	if (memchr(l.ptr, '\0', l.len) != NULL || memchr(l.ptr, '\r', l.len) != NULL)
		return -EBADMSG;
	*ret = l;
	return 1;
}

static const struct smtp_command *look_up(const struct smtp *s, struct kurir_str verb)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (kurir_str_equal_nocase(verb, commands[i].verb))
			return (commands[i].kinds & (1u << s->kind)) != 0 ? &commands[i] : NULL;
	return NULL;
}

KURIR_PARKS static void wrong_place(struct smtp *s, const struct smtp_command *c)
{
	if (c->run == smtp_mail && s->state != IN_NEW)
		smtp_error(s, 503, "5.5.1", "There is a transaction already");
	else if (s->state == IN_NEW)
		smtp_error(
		    s, 503, "5.5.1", s->kind == SMTP_LMTP ? "Say LHLO first" : "Say EHLO first");
	else if (c->run == smtp_rcpt || c->run == smtp_data)
		smtp_error(
		    s, 503, "5.5.1", s->state == IN_BDAT ? "BDAT has begun" : "Say MAIL first");
	else
		smtp_error(s, 503, "5.5.1", "Not now: there is a transaction");
}

KURIR_PARKS static void dispatch(struct smtp *s, struct kurir_str l)
{
	ssize_t space = kurir_str_find(l, ' ');
	struct kurir_str verb = kurir_str_part(l, 0, space < 0 ? l.len : (size_t)space);
	struct kurir_str args =
	    space < 0 ? KURIR_STR("") : kurir_str_part(l, (size_t)space + 1, l.len);
	const struct smtp_command *c = look_up(s, verb);

	kurir_count(s->self, COUNT_COMMANDS, 1);
	if (++s->commands > s->conf->commands) {
		kurir_count(s->self, COUNT_LIMITS, 1);
		smtp_say(s, 421, "4.7.0", "Too many commands without a message");
		smtp_close(s, "too many commands");
		return;
	}
	if (c == NULL) {
		smtp_error(s, 500, "5.5.1", "What is that?");
		return;
	}
	if ((c->states & s->state) == 0) {
		wrong_place(s, c);
		return;
	}
	if ((c->flags & NO_ARGS) != 0 && kurir_str_trim(args).len > 0) {
		smtp_error(s, 501, "5.5.4", "No arguments, please");
		return;
	}
	c->run(s, args);
}

KURIR_PARKS static void one_command(struct smtp *s)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	size_t max = (size_t)s->conf->line_length;
	struct kurir_str l;
	int r;

	if (s->kind != SMTP_LMTP && max < AUTH_LINE && s->state == IN_IDLE && smtp_offers_auth(s))
		max = AUTH_LINE;
	r = smtp_read_line(s, max, &l);
	if (r == 1 && l.len + 2 > (size_t)s->conf->line_length &&
	    !kurir_str_starts_nocase(l, KURIR_STR("AUTH ")))
		r = -EMSGSIZE;
	if (r == 1) {
		dispatch(s, l);
	} else if (r == -EMSGSIZE) {
		smtp_error(s, 500, "5.5.2", "Line too long");
	} else if (r == -EBADMSG) {
		kurir_count(s->self, COUNT_BAD_LINES, 1);
		smtp_error(s, 500, "5.5.2", "Lines end with CR LF and have no NUL");
	} else if (r == -ETIMEDOUT) {
		kurir_count(s->self, COUNT_TIMEOUTS, 1);
		smtp_say(s, 421, "4.4.2", "Timed out waiting for a command");
		smtp_close(s, "timeout");
	} else if (r == -ECANCELED) {
		smtp_say(s, 421, "4.3.2", "The server is going down");
		smtp_close(s, "shutdown");
	} else {
		smtp_close(s, r == 0 ? "client left" : "connection lost");
	}
	kurir_rewind(kurir_scratch(), mark);
}

KURIR_PARKS static void greet(struct smtp *s)
{
	struct kurir_answer a;
	int v = kurir_session_connect(s->conn, &a);
	struct kurir_str host = kurir_hostname();

	if (v != KURIR_ACCEPT) {
		smtp_refused(s, v, &a);
		smtp_close(s, "refused");
		return;
	}
	a.text = kurir_format(kurir_scratch(), "%.*s %s %.*s", KURIR_ARG(host),
	    s->kind == SMTP_LMTP ? "LMTP" : "ESMTP", KURIR_ARG(s->conf->greeting));
	smtp_answer(s, &a);
}

static void tell_closed(const struct smtp *s)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%u", s->messages);

	KURIR_EMIT(s->self, KURIR_INFO, "closed", { "peer", kurir_conn_peer(s->conn) },
	    { "helo", s->helo }, { "messages", { text, (size_t)n } },
	    { "why", kurir_str_of(s->why != NULL ? s->why : "quit") });
}

void smtp_serve(struct kurir_self *self, struct kurir_conn *conn, enum smtp_kind kind)
{
	const struct smtp_state *st = kurir_state(self);
	struct smtp *s = kurir_alloc(kurir_conn_arena(conn), sizeof(*s));

	s->self = self;
	s->conf = kurir_conf(self);
	s->conn = conn;
	s->io = kurir_conn_stream(conn);
	s->kind = kind;
	s->state = IN_NEW;
	s->end = kurir_now() + s->conf->session_time;
	s->trusted = kurir_networks_have(&st->relay_networks, kurir_conn_peer(conn));
	kurir_count(self, COUNT_SESSIONS, 1);
	kurir_patience(s->io, s->conf->idle_time);
	greet(s);
	while (!s->closing) {
		if (kurir_conn_draining(conn) && (s->state & (IN_NEW | IN_IDLE)) != 0) {
			smtp_say(s, 421, "4.3.2", "The server is being restarted, try again");
			smtp_close(s, "drain");
			break;
		}
		one_command(s);
	}
	(void)kurir_flush(s->io, kurir_now() + 5000);
	smtp_reset(s);
	kurir_session_closed(conn);
	tell_closed(s);
}
