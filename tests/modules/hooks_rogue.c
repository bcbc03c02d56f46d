/* hooks_rogue.c - does, at MAIL, what the sender's local part says: what a module should not do, and
 * some of what it may.  For the test of isolation. */
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct state {
	bool started;
};

static int start(struct kurir_self *self)
{
	((struct state *)kurir_state(self))->started = true;
	return 0;
}

struct seen {
	unsigned mails;
};

static void use_memory(void)
{
	for (;;) {
		char *p = malloc(16 << 20);

		if (p == NULL)
			abort();
		memset(p, 1, 16 << 20);
	}
}

static int fork_away(struct kurir_conn *conn)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return kurir_reply(conn, 550, NULL, "%s", pid < 0 ? "no fork" : "forked") < 0
	    ? -EINVAL
	    : KURIR_REJECT;
}

static int connect_out(struct kurir_conn *conn)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool got = fd >= 0;

	if (got)
		close(fd);
	(void)kurir_reply(conn, 550, NULL, "%s", got ? "a socket" : "no socket");
	return KURIR_REJECT;
}

/* As many fields as a message may have. */
static int add_many(struct kurir_tx *tx)
{
	while (kurir_header_add(tx, KURIR_STR("A"), KURIR_STR("")) == 0)
		continue;
	return KURIR_NEXT;
}

KURIR_PARKS static int misbehave(struct kurir_conn *conn, struct kurir_str how)
{
	volatile int *nowhere = NULL;

	if (kurir_str_starts(how, KURIR_STR("crash")))
		*nowhere = 1;
	if (kurir_str_starts(how, KURIR_STR("spin")))
		for (volatile int i = 0;; i++)
			continue;
	if (kurir_str_starts(how, KURIR_STR("block")))
		(void)nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
	if (kurir_str_starts(how, KURIR_STR("late")))
		return kurir_sleep(KURIR_FOREVER);
	if (kurir_str_starts(how, KURIR_STR("leak")))
		use_memory();
	if (kurir_str_starts(how, KURIR_STR("close")))
		for (int fd = 0; fd < 256; fd++)
			(void)close(fd);
	if (kurir_str_starts(how, KURIR_STR("fork")))
		return fork_away(conn);
	if (kurir_str_starts(how, KURIR_STR("socket")))
		return connect_out(conn);
	if (kurir_str_starts(how, KURIR_STR("nonsense")))
		return 42;
	if (kurir_str_starts(how, KURIR_STR("error")))
		return -EIO;
	return KURIR_NEXT;
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	struct kurir_conn *conn = kurir_tx_conn(tx);
	struct seen *seen = kurir_conn_state(conn, self);
	struct kurir_str what = kurir_format(kurir_scratch(), "%u %.*s %.*s", ++seen->mails,
	    KURIR_ARG(kurir_conn_peer(conn)), KURIR_ARG(kurir_tx_helo(tx)));

	if (!((const struct state *)kurir_state(self))->started)
		return -EINVAL;
	if (kurir_header_add(tx, KURIR_STR("X-Rogue"), what) < 0)
		return -EPERM;
	return kurir_str_starts(sender, KURIR_STR("many@")) ? add_many(tx)
							    : misbehave(conn, sender);
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	unsigned *count = kurir_tx_state(tx, self);

	(*count)++;
	if (!kurir_str_starts(kurir_rcpt_address(rcpt), KURIR_STR("alias@")))
		return KURIR_NEXT;
	return kurir_rcpt_set_address(tx, rcpt, KURIR_STR("hyd@satu.example")) < 0 ? -EPERM
										   : KURIR_NEXT;
}

/* "add: a@b.example", "drop: a@b.example", "from: a@b.example" */
static int envelope(struct kurir_tx *tx, struct kurir_str line)
{
	ssize_t colon = kurir_str_find(line, ':');
	struct kurir_str word = kurir_str_part(line, 0, colon < 0 ? 0 : (size_t)colon);
	struct kurir_str address = kurir_str_trim(kurir_str_part(line, word.len + 1, line.len));

	if (kurir_str_equal(word, KURIR_STR("add")))
		return kurir_rcpt_add(tx, address);
	if (kurir_str_equal(word, KURIR_STR("from")))
		return kurir_tx_set_sender(tx, address);
	if (!kurir_str_equal(word, KURIR_STR("drop")))
		return 0;
	for (size_t i = 0; i < kurir_tx_rcpt_count(tx); i++)
		if (kurir_str_equal(kurir_rcpt_address(kurir_tx_rcpt_at(tx, i)), address))
			return kurir_rcpt_drop(tx, kurir_tx_rcpt_at(tx, i));
	return -ENOENT;
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const unsigned *count = kurir_tx_state(tx, self);
	struct kurir_str line;
	int r;

	while ((r = kurir_readline(body, 10000, &line, KURIR_FOREVER)) == 1) {
		if (kurir_str_starts(line, KURIR_STR("do: "))) {
			r = misbehave(kurir_tx_conn(tx), kurir_str_part(line, 4, line.len));
			if (r != KURIR_NEXT)
				return r;
		}
		r = envelope(tx, line);
		if (r < 0)
			return r;
		if (kurir_str_starts(line, KURIR_STR("refuse"))) {
			(void)kurir_reply(kurir_tx_conn(tx), 554, "5.7.1",
			    "%u of %zu, %llu bytes", *count, kurir_tx_rcpt_count(tx),
			    (unsigned long long)kurir_tx_size(tx));
			return KURIR_REJECT;
		}
	}
	return r;
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks),
	.mail = at_mail,
	.rcpt = at_rcpt,
	.message = at_message,
};

KURIR_MODULE(hooks_rogue, .version = "1", .summary = "Misbehaves, for tests.",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_BODY | KURIR_CAP_RCPT,
    .self_size = sizeof(struct state), .start = start, .conn_size = sizeof(struct seen),
    .tx_size = sizeof(unsigned), .smtp = &hooks);
