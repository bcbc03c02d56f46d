/* hooks_fault.c - does what no module should, at the point and in the way that the client's address
 * names: 127.1.WAY.POINT, as they stand in the tables below, from 1.  For the table of faults. */
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum way { CRASH = 1, SPIN, BLOCK, LEAK, FLOOD, CORRUPT, NONSENSE, LATE, CLOSE, FORK };
enum point { CONNECT = 1, HELO, AUTH, MAIL, RCPT, DATA, MESSAGE, DONE, CLOSED };

struct state {
	char *text;
};

static int start(struct kurir_self *self)
{
	struct state *s = kurir_state(self);

	s->text = strdup("what it keeps");
	return s->text != NULL ? 0 : -ENOMEM;
}

static void stop(struct kurir_self *self)
{
	free(((struct state *)kurir_state(self))->text);
}

static void leak(void)
{
	for (;;) {
		char *p = malloc(16 << 20);

		if (p == NULL)
			abort();
		memset(p, 1, 16 << 20);
	}
}

static void flood(struct kurir_self *self)
{
	for (int i = 0; i < 20000; i++)
		(void)kurir_log(self, KURIR_WARN, 0, "line %d of very many", i);
}

/* What it keeps is overwritten, and then used. */
static void corrupt(struct kurir_self *self)
{
	struct state *s = kurir_state(self);

	memset(s, 0x5a, sizeof(*s));
	s->text[0] = 'x';
}

static void fork_away(void)
{
	if (fork() == 0)
		for (;;)
			(void)pause();
}

KURIR_PARKS static int misbehave(struct kurir_self *self, enum way way)
{
	volatile int *nowhere = NULL;

	switch (way) {
	case CRASH:
		*nowhere = 1;
		break;
	case SPIN:
		for (volatile int i = 0;; i++)
			continue;
	case BLOCK:
		(void)nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
		break;
	case LEAK:
		leak();
		break;
	case FLOOD:
		flood(self);
		break;
	case CORRUPT:
		corrupt(self);
		break;
	case NONSENSE:
		return 42;
	case LATE:
		return kurir_sleep(KURIR_FOREVER);
	case CLOSE:
		for (int fd = 0; fd < 256; fd++)
			(void)close(fd);
		break;
	case FORK:
		fork_away();
		break;
	}
	return KURIR_NEXT;
}

/* 0, or what this client wants done there. */
static enum way wanted(struct kurir_conn *conn, enum point point)
{
	struct kurir_str peer = kurir_conn_peer(conn), text = KURIR_STR("127.1.");
	ssize_t dot;
	uint64_t way, where;

	if (!kurir_str_starts(peer, text))
		return 0;
	peer = kurir_str_part(peer, text.len, peer.len);
	dot = kurir_str_find(peer, '.');
	if (dot < 0 || kurir_str_number(kurir_str_part(peer, 0, (size_t)dot), FORK, &way) < 0 ||
	    kurir_str_number(kurir_str_part(peer, (size_t)dot + 1, peer.len), CLOSED, &where) < 0)
		return 0;
	return where == point ? (enum way)way : 0;
}

KURIR_PARKS static int at(struct kurir_self *self, struct kurir_conn *conn, enum point point)
{
	enum way way = wanted(conn, point);

	return way == 0 ? KURIR_NEXT : misbehave(self, way);
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	return at(self, conn, CONNECT);
}

KURIR_PARKS static int at_helo(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	(void)name;
	return at(self, conn, HELO);
}

KURIR_PARKS static int at_auth(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str account)
{
	(void)account;
	return at(self, conn, AUTH);
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	(void)sender;
	return at(self, kurir_tx_conn(tx), MAIL);
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	(void)rcpt;
	return at(self, kurir_tx_conn(tx), RCPT);
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return at(self, kurir_tx_conn(tx), DATA);
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	struct kurir_str line;

	(void)kurir_readline(body, 1000, &line, KURIR_FOREVER);
	return at(self, kurir_tx_conn(tx), MESSAGE);
}

/* Neither may park. */
static void tell(struct kurir_self *self, struct kurir_conn *conn, enum point point)
{
	enum way way = wanted(conn, point);

	if (way != 0 && way != LATE)
		(void)misbehave(self, way);
}

static void at_done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	(void)verdict;
	tell(self, kurir_tx_conn(tx), DONE);
}

static void at_closed(struct kurir_self *self, struct kurir_conn *conn)
{
	tell(self, conn, CLOSED);
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks),
	.connect = at_connect,
	.helo = at_helo,
	.auth = at_auth,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.message = at_message,
	.done = at_done,
	.closed = at_closed,
};

KURIR_MODULE(hooks_fault, .version = "1", .summary = "Breaks as its client wishes, for tests.",
    .roles = KURIR_ROLE_EDGE, .self_size = sizeof(struct state), .start = start, .stop = stop,
    .smtp = &hooks);
