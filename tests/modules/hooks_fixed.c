/* hooks_fixed.c - says at each point what its configuration says, and rot-13s messages: for
 * scenarios. */
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>

static const char *const verdicts[] = { "next", "accept", "reject", "defer", "discard", "hangup",
	"error", NULL };

struct conf {
	int at_connect, at_helo, at_auth, at_mail, at_rcpt, at_data, at_message, at_filter;
	struct kurir_str reply, find;
	bool rotate, header, rewrite, drop;
	kurir_time wait;
	int64_t fail_at, stop_at;
	struct kurir_str sender, add;
};

#define POINT(n, m) \
	KURIR_OPT_CHOICE(n, struct conf, m, verdicts, "next", "What is said at this point.")
static const struct kurir_option options[] = {
	POINT("connect", at_connect),
	POINT("helo", at_helo),
	POINT("auth", at_auth),
	POINT("mail", at_mail),
	POINT("rcpt", at_rcpt),
	POINT("data", at_data),
	POINT("message", at_message),
	POINT("filter", at_filter),
	KURIR_OPT_TEXT("reply", struct conf, reply, "", "The words of a refusal."),
	KURIR_OPT_TEXT("find", struct conf, find, "", "A message with this is refused."),
	KURIR_OPT_BOOL("rotate", struct conf, rotate, "false", "Rot-13 each message."),
	KURIR_OPT_BOOL("rewrite", struct conf, rewrite, "false", "Rot-13 each spooled message."),
	KURIR_OPT_INT("fail-at", struct conf, fail_at, "0", "Bytes after which that fails."),
	KURIR_OPT_INT("stop-at", struct conf, stop_at, "0", "Bytes after which that ends."),
	KURIR_OPT_TEXT("sender", struct conf, sender, "", "The sender of each message."),
	KURIR_OPT_TEXT("add", struct conf, add, "", "A recipient of each message."),
	KURIR_OPT_BOOL("drop", struct conf, drop, "false", "Drop all recipients."),
	KURIR_OPT_BOOL("header", struct conf, header, "false", "Add a header field at MAIL."),
	KURIR_OPT_SPAN("wait", struct conf, wait, "0", "How long each decision takes."),
	{ 0 },
};

static int say(struct kurir_self *self, struct kurir_conn *conn, int verdict)
{
	const struct conf *c = kurir_conf(self);
	int r;

	if (c->wait > 0) {
		r = kurir_sleep(kurir_now() + c->wait);
		if (r < 0)
			return r;
	}
	if (verdict == 6)
		return -EIO;
	if (c->reply.len > 0 && (verdict == KURIR_REJECT || verdict == KURIR_DEFER))
		(void)kurir_reply(
		    conn, verdict == KURIR_REJECT ? 571 : 471, NULL, "%.*s", KURIR_ARG(c->reply));
	return verdict;
}

static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	return say(self, conn, ((const struct conf *)kurir_conf(self))->at_connect);
}

static int at_helo(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	(void)name;
	return say(self, conn, ((const struct conf *)kurir_conf(self))->at_helo);
}

static int at_auth(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str account)
{
	(void)account;
	return say(self, conn, ((const struct conf *)kurir_conf(self))->at_auth);
}

static int at_mail(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	const struct conf *c = kurir_conf(self);

	(void)sender;
	if (c->header && kurir_header_add(tx, KURIR_STR("X-Fixed"), KURIR_STR("a\n b")) < 0)
		return -EIO;
	return say(self, kurir_tx_conn(tx), c->at_mail);
}

static int at_rcpt(struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	(void)rcpt;
	return say(self, kurir_tx_conn(tx), ((const struct conf *)kurir_conf(self))->at_rcpt);
}

static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return say(self, kurir_tx_conn(tx), ((const struct conf *)kurir_conf(self))->at_data);
}

static int rotate(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	const struct conf *c = arg;
	ssize_t n, i, all = 0;
	char b[100];

	while ((n = kurir_read(from, b, sizeof(b), KURIR_FOREVER)) > 0) {
		for (i = 0; i < n; i++) {
			char l = (char)(b[i] | 0x20);

			if (l >= 'a' && l <= 'z')
				b[i] = (char)(b[i] + (l < 'n' ? 13 : -13));
		}
		if (kurir_write(to, (struct kurir_str){ b, (size_t)n }) < 0)
			return -EPIPE;
		all += n;
		if (c->fail_at > 0 && all >= c->fail_at)
			return -EIO;
		if (c->stop_at > 0 && all >= c->stop_at)
			return 0;
	}
	return (int)n;
}

static int at_filter(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream **body)
{
	const struct conf *c = kurir_conf(self);

	if (c->at_filter == 6)
		return -EIO;
	if (!c->rotate)
		return 0;
	return kurir_filter_body(tx, body, rotate, (void *)(uintptr_t)c);
}

/* All that a message hook may change. */
static int change(struct kurir_self *self, struct kurir_tx *tx)
{
	const struct conf *c = kurir_conf(self);
	int r = 0;

	if (c->rewrite)
		r = kurir_message_rewrite(tx, rotate, (void *)(uintptr_t)c);
	if (r == 0 && c->sender.len > 0)
		r = kurir_tx_set_sender(tx, c->sender);
	while (r == 0 && c->drop && kurir_tx_rcpt_count(tx) > 0)
		r = kurir_rcpt_drop(tx, kurir_tx_rcpt_at(tx, 0));
	if (r == 0 && c->add.len > 0)
		r = kurir_rcpt_add(tx, c->add);
	return r;
}

static int at_message(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_str l;
	int r = 0;

	while (c->find.len > 0 && (r = kurir_readline(body, 10000, &l, KURIR_FOREVER)) == 1)
		if (kurir_str_starts(l, c->find))
			return say(self, kurir_tx_conn(tx), KURIR_REJECT);
	if (r >= 0)
		r = change(self, tx);
	if (r < 0)
		return r;
	return say(self, kurir_tx_conn(tx), c->at_message);
}

static void at_done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	struct kurir_str id = kurir_tx_id(tx);

	(void)kurir_log(self, KURIR_DEBUG, 0, "done with %.*s: %s", KURIR_ARG(id),
	    kurir_verdict_name(verdict));
}

static void at_closed(struct kurir_self *self, struct kurir_conn *conn)
{
	(void)conn;
	(void)kurir_log(self, KURIR_DEBUG, 0, "closed");
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.connect = at_connect,
	.helo = at_helo,
	.auth = at_auth,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.filter = at_filter,
	.message = at_message,
	.done = at_done,
	.closed = at_closed };

KURIR_MODULE(hooks_fixed, .version = "0", .summary = "decides what it is told to, for tests",
    .caps = KURIR_CAP_BODY | KURIR_CAP_RCPT, .roles = KURIR_ROLE_EDGE,
    .conf_size = sizeof(struct conf), .options = options, .smtp = &hooks);
