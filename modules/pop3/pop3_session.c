/* pop3_session.c - the loop: read a line, look it up, check, run, answer. */

#include <errno.h>

#include "pop3.h"

static const struct pop3_command *find(struct kurir_str verb)
{
	for (const struct pop3_command *c = pop3_commands; c->verb; c++)
		if (kurir_str_equal_nocase(verb, kurir_str_of(c->verb)))
			return c;
	return NULL;
}

KURIR_PARKS static void quit(struct pop3 *p)
{
	p->over = true;
	if (p->state == POP3_TRANSACTION)
		pop3_update(p);
	else
		pop3_ok(p, "Bye");
}

KURIR_PARKS static void run_line(struct pop3 *p, struct kurir_str line)
{
	struct kurir_str words[POP3_WORDS];
	const struct pop3_command *c;
	int n = pop3_split(line, words);

	kurir_count(p->self, POP3_COMMANDS, 1);
	if (n <= 0) {
		pop3_err(p, "Not a command");
		return;
	}
	if (n == 1 && kurir_str_equal_nocase(words[0], KURIR_STR("QUIT"))) {
		quit(p);
		return;
	}
	c = find(words[0]);
	if (!c)
		pop3_err(p, "Unknown command");
	else if (!(c->states & p->state))
		pop3_err(p, "Not now");
	else if ((unsigned)n - 1 < c->min || (unsigned)n - 1 > c->max)
		pop3_err(p, "%s takes %u to %u arguments", c->verb, c->min, c->max);
	else
		c->run(p, words, (unsigned)n);
}

/* Until QUIT, the peer's end, an error, or a limit. */
KURIR_PARKS static void loop(struct pop3 *p)
{
	while (!p->over) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		kurir_time idle = p->state == POP3_TRANSACTION ? p->conf->idle : p->conf->login;
		struct kurir_str line;
		int r = 0;

		if (kurir_pending(p->stream) == 0)
			r = kurir_flush(p->stream, kurir_now() + idle);
		if (r >= 0 && kurir_conn_draining(p->conn)) {
			pop3_err(p, "[SYS/TEMP] The server is going down");
			return;
		}
		if (r >= 0)
			r = kurir_readline(p->stream, POP3_LINE_MAX, &line, kurir_now() + idle);
		if (r == -EMSGSIZE) {
			pop3_err(p, "Line too long");
			return;
		}
		if (r == -ETIMEDOUT)
			pop3_err(p, "[SYS/TEMP] Nothing heard for too long");
		if (r <= 0)
			return;
		line = kurir_copy(kurir_scratch(), line);
		if (line.len > 0 && line.ptr[line.len - 1] == '\n')
			line.len--;
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		run_line(p, line);
		if (p->bad > (unsigned)p->conf->errors)
			p->over = true;
		if (!p->over && p->state == POP3_AUTHORIZATION &&
		    ++p->commands >= POP3_STRANGER) {
			pop3_err(p, "Too many commands without a login");
			p->over = true;
		}
		kurir_rewind(kurir_scratch(), mark);
	}
}

KURIR_PARKS static void noop(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)args;
	(void)count;
	pop3_ok(p, "Still here");
}

const struct pop3_command pop3_commands[] = {
	{ "CAPA", POP3_AUTHORIZATION | POP3_TRANSACTION, 0, 0, pop3_capa },
	{ "UTF8", POP3_AUTHORIZATION, 0, 0, pop3_utf8 },
	{ "STLS", POP3_AUTHORIZATION, 0, 0, pop3_stls },
	{ "USER", POP3_AUTHORIZATION, 1, 1, pop3_user },
	{ "PASS", POP3_AUTHORIZATION, 1, 1, pop3_pass },
	{ "AUTH", POP3_AUTHORIZATION, 0, 2, pop3_auth },
	{ "STAT", POP3_TRANSACTION, 0, 0, pop3_stat },
	{ "LIST", POP3_TRANSACTION, 0, 1, pop3_list },
	{ "UIDL", POP3_TRANSACTION, 0, 1, pop3_uidl },
	{ "RETR", POP3_TRANSACTION, 1, 1, pop3_retr },
	{ "TOP", POP3_TRANSACTION, 2, 2, pop3_top },
	{ "DELE", POP3_TRANSACTION, 1, 1, pop3_dele },
	{ "RSET", POP3_TRANSACTION, 0, 0, pop3_rset },
	{ "NOOP", POP3_TRANSACTION, 0, 0, noop },
	{ 0 },
};

KURIR_PARKS void pop3_serve(struct kurir_self *self, struct kurir_conn *conn)
{
	struct pop3 p = { .self = self,
		.conn = conn,
		.stream = kurir_conn_stream(conn),
		.conf = kurir_conf(self),
		.state = POP3_AUTHORIZATION,
		.user = KURIR_STR("") };

	kurir_count(self, POP3_SESSIONS, 1);
	pop3_ok(&p, "%.*s POP3 server ready", KURIR_ARG(kurir_hostname()));
	loop(&p);
	if (!p.handed)
		kurir_flush(p.stream, kurir_now() + p.conf->login);
}

KURIR_PARKS void pop3_resume(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str state)
{
	struct pop3 p = { .self = self,
		.conn = conn,
		.stream = kurir_conn_stream(conn),
		.conf = kurir_conf(self),
		.state = POP3_TRANSACTION,
		.user = KURIR_STR("") };
	int r = pop3_mailbox_open(&p);

	(void)state;
	if (r == -EBUSY) {
		pop3_err(&p, "[IN-USE] Another session has this mailbox");
	} else if (r < 0) {
		kurir_log(self, KURIR_WARN, r, "cannot open the mailbox, refusing the session");
		pop3_err(&p, "[SYS/TEMP] Cannot open the mailbox now");
	} else {
		pop3_ok(&p, "%zu messages", p.view.count);
		loop(&p);
	}
	kurir_flush(p.stream, kurir_now() + p.conf->login);
}
