/* policy.c - asks a policy server of Postfix (SMTPD_POLICY_README): postgrey, policyd-spf, ...
 *
 *   request = *( name "=" value LF ) LF        answer = "action=" action LF LF
 *
 * One connection of a process is used for all of its sessions, one after the other, as long as
 * the server leaves it open. */
#include "policy.h"

#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>

#define LINE_MAX_BYTES 4096
#define LINES_MAX      50

enum { COUNT_ASKED, COUNT_REJECTED, COUNT_DEFERRED, COUNT_DISCARDED, COUNT_HELD, COUNT_FAILED };
static const char *const counters[] = { "asked", "rejected", "deferred", "discarded", "held",
	"failed", NULL };

static const char *const ats[] = { "mail", "rcpt", "data", "message", NULL };
enum { AT_MAIL, AT_RCPT, AT_DATA, AT_MESSAGE };
static const char *const states[] = { "MAIL", "RCPT", "DATA", "END-OF-MESSAGE" };

struct conf {
	struct kurir_str server;
	int at;
	kurir_time timeout;
	bool trusted;
};
struct state {
	struct kurir_stream *idle; /* a connection that nobody uses now, or NULL */
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("server", struct conf, server, NULL,
	    "Where the policy server listens: ADDRESS:PORT or unix:/PATH."),
	KURIR_OPT_CHOICE(
	    "at", struct conf, at, ats, "rcpt", "Which step of SMTP is asked about."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "20s", 100,
	    600000, "How long the server may take for an answer."),
	KURIR_OPT_BOOL("trusted", struct conf, trusted, "true",
	    "Whether clients that have logged in or may relay are asked about, too."),
	{ 0 },
};

KURIR_PARKS static void put(struct kurir_stream *s, const char *name, struct kurir_str value)
{
	/* A value cannot have a line end: SMTP has none in it, and a name of ours neither. */
	(void)kurir_printf(s, "%s=%.*s\n", name, KURIR_ARG(kurir_str_part(value, 0, 1000)));
}

KURIR_PARKS static void put_number(struct kurir_stream *s, const char *name, uint64_t value)
{
	(void)kurir_printf(s, "%s=%llu\n", name, (unsigned long long)value);
}

/* All attributes that Postfix sends and that are known here. */
KURIR_PARKS static int put_request(
    struct kurir_self *self, struct kurir_stream *s, struct kurir_tx *tx, struct kurir_str rcpt)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_conn *conn = kurir_tx_conn(tx);
	struct kurir_str tls = kurir_tls_summary(kurir_conn_stream(conn)), none = KURIR_STR("");
	struct kurir_str account = kurir_conn_account(conn);
	ssize_t space = kurir_str_find(tls, ' ');

	put(s, "request", KURIR_STR("smtpd_access_policy"));
	put(s, "protocol_state", kurir_str_of(states[c->at]));
	put(s, "protocol_name", KURIR_STR("ESMTP"));
	put(s, "helo_name", kurir_tx_helo(tx));
	put(s, "queue_id", kurir_tx_id(tx));
	put(s, "instance", kurir_tx_id(tx));
	put(s, "sender", kurir_tx_sender(tx));
	put(s, "recipient", rcpt);
	put_number(s, "recipient_count", c->at >= AT_DATA ? kurir_tx_rcpt_count(tx) : 0);
	put(s, "client_address", kurir_conn_peer(conn));
	put(s, "client_name", KURIR_STR("unknown"));
	put(s, "reverse_client_name", KURIR_STR("unknown"));
	put_number(s, "client_port", kurir_conn_peer_port(conn));
	put(s, "sasl_method", account.len > 0 ? KURIR_STR("plain") : none);
	put(s, "sasl_username", account);
	put(s, "sasl_sender", none);
	put_number(s, "size", c->at == AT_MESSAGE ? kurir_tx_size(tx) : 0);
	put(s, "encryption_protocol", space > 0 ? kurir_str_part(tls, 0, (size_t)space) : none);
	put(s, "encryption_cipher",
	    space > 0 ? kurir_str_part(tls, (size_t)space + 1, tls.len) : none);
	return kurir_write(s, KURIR_STR("\n"));
}

/* The lines of an answer up to the empty one; the action is copied. */
KURIR_PARKS static int get_answer(struct kurir_stream *s, kurir_time until, struct kurir_str *ret)
{
	struct kurir_str line, action = KURIR_STR("action=");
	bool got = false;
	int r = kurir_flush(s, until);

	for (unsigned i = 0; r == 0 && i < LINES_MAX; i++) {
		r = kurir_readline(s, LINE_MAX_BYTES, &line, until);
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		line = kurir_str_trim(line);
		if (line.len == 0)
			return got ? 0 : -EBADMSG;
		if (kurir_str_starts_nocase(line, action)) {
			*ret = kurir_copy(
			    kurir_scratch(), kurir_str_part(line, action.len, line.len));
			got = true;
		}
		r = 0;
	}
	return r < 0 ? r : -EBADMSG;
}

/* One question on s, which is kept for the next one when all went well. */
KURIR_PARKS static int ask_on(struct kurir_self *self, struct kurir_stream *s,
    struct kurir_tx *tx, struct kurir_str rcpt, kurir_time until, struct kurir_str *ret)
{
	struct state *st = kurir_state(self);
	int r = put_request(self, s, tx, rcpt);

	if (r == 0)
		r = get_answer(s, until, ret);
	if (r == 0 && st->idle == NULL && !kurir_draining())
		st->idle = s;
	else
		kurir_close(s);
	return r;
}

/* The kept connection may have been closed meanwhile: then a new one is made. */
KURIR_PARKS static int ask(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str rcpt, struct kurir_str *ret)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	kurir_time until = kurir_now() + c->timeout;
	struct kurir_stream *s = st->idle;
	int r = -EPIPE;

	st->idle = NULL;
	kurir_count(self, COUNT_ASKED, 1);
	if (s != NULL)
		r = ask_on(self, s, tx, rcpt, until, ret);
	if (r == -EPIPE || r == -ECONNRESET) {
		r = kurir_dial(self, c->server, KURIR_STR(""), until, &s);
		if (r == 0)
			r = ask_on(self, s, tx, rcpt, until, ret);
	}
	if (r < 0)
		kurir_count(self, COUNT_FAILED, 1);
	return r;
}

static int refuse(struct kurir_self *self, struct kurir_conn *conn, const struct policy_answer *a)
{
	bool later = a->action == POLICY_DEFER;
	int code = a->code != 0 ? a->code : later ? 450 : 554;
	const char *xyz = a->xyz[0] != '\0' ? a->xyz : later ? "4.7.1" : "5.7.1";

	kurir_count(self, later ? COUNT_DEFERRED : COUNT_REJECTED, 1);
	(void)kurir_reply(conn, code, xyz, "%.*s",
	    KURIR_ARG(a->text.len > 0 ? kurir_str_part(a->text, 0, 400)
				      : KURIR_STR("Refused by policy")));
	return later ? KURIR_DEFER : KURIR_REJECT;
}

static int obey(struct kurir_self *self, struct kurir_tx *tx, const struct policy_answer *a)
{
	const struct conf *c = kurir_conf(self);
	int r = 0;

	switch (a->action) {
	case POLICY_NOTHING:
	case POLICY_OK: /* whether a recipient is ours is for others to say */
		break;
	case POLICY_REJECT:
	case POLICY_DEFER:
		return refuse(self, kurir_tx_conn(tx), a);
	case POLICY_DISCARD:
		kurir_count(self, COUNT_DISCARDED, 1);
		return c->at == AT_DATA ? -EPROTO : KURIR_DISCARD;
	case POLICY_HOLD:
		kurir_count(self, COUNT_HELD, 1);
		r = kurir_tx_hold(tx, a->text);
		break;
	case POLICY_PREPEND:
		r = kurir_header_add(tx, a->name, a->text);
		break;
	case POLICY_WARN:
		(void)kurir_log(self, KURIR_NOTICE, 0, "the policy server says: %.*s",
		    KURIR_ARG(kurir_str_part(a->text, 0, 200)));
		break;
	case POLICY_UNKNOWN:
		r = -EBADMSG;
		break;
	}
	return r < 0 ? r : KURIR_NEXT;
}

KURIR_PARKS static int decide(
    struct kurir_self *self, struct kurir_tx *tx, int at, struct kurir_str rcpt)
{
	const struct conf *c = kurir_conf(self);
	struct policy_answer a;
	struct kurir_str action;
	int r;

	if (c->at != at || (!c->trusted && kurir_tx_trusted(tx)))
		return KURIR_NEXT;
	r = ask(self, tx, rcpt, &action);
	if (r < 0)
		return r;
	if (policy_parse(action, &a) < 0)
		return kurir_log(self, KURIR_ERROR, -EBADMSG,
		    "the policy server says \"%.*s\", which is not understood",
		    KURIR_ARG(kurir_str_part(action, 0, 100)));
	KURIR_EMIT(self, KURIR_DEBUG, ats[at], { "id", kurir_tx_id(tx) }, { "to", rcpt },
	    { "action", action });
	return obey(self, tx, &a);
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	(void)sender;
	return decide(self, tx, AT_MAIL, KURIR_STR(""));
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	return decide(self, tx, AT_RCPT, kurir_rcpt_address(rcpt));
}

/* The recipient when there is one only, as Postfix does. */
static struct kurir_str only_rcpt(struct kurir_tx *tx)
{
	return kurir_tx_rcpt_count(tx) == 1 ? kurir_rcpt_address(kurir_tx_rcpt_at(tx, 0))
					    : KURIR_STR("");
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return decide(self, tx, AT_DATA, only_rcpt(tx));
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	(void)body;
	return decide(self, tx, AT_MESSAGE, only_rcpt(tx));
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	struct state *st = kurir_state(self);

	kurir_close(st->idle);
	st->idle = NULL;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.message = at_message };

KURIR_MODULE(policy, .version = "1.0", .summary = "Asks a policy server made for Postfix",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_NET | KURIR_CAP_BODY | KURIR_CAP_RCPT,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state), .options = options,
    .counters = counters, .stop = stop, .smtp = &hooks);
