/* smtp.c - the module: options, counters, and the protocols smtp, submission and lmtp. */
#include "smtp_private.h"

#include <errno.h>

#define CONF(type, name, member, preset, help) \
	KURIR_OPT_##type(name, struct smtp_conf, member, preset, help)
#define RANGE(type, ct, name, member, preset, lo, hi, help) \
	KURIR_OPT_RANGE(name, type, ct, struct smtp_conf, member, preset, lo, hi, help)

static const char *const line_ends[] = { "strict", "repair", NULL };

static const struct kurir_option options[] = {
	CONF(TEXTS, "relay-networks", relay_networks, "",
	    "Networks whose clients may send to any address, without a password."),
	CONF(SIZE, "message-size", message_size, "50M",
	    "The largest message; 0 is without limit."),
	RANGE(KURIR_INT, int64_t, "recipients", recipients, "1000", 1, 100000,
	    "Recipients of one message; RFC 5321 wants at least 100."),
	RANGE(KURIR_INT, int64_t, "messages", messages, "0", 0, INT32_MAX,
	    "Messages of one connection; 0 is without limit."),
	RANGE(KURIR_INT, int64_t, "line-length", line_length, "2048", 512, 16384,
	    "The longest command line, in bytes."),
	RANGE(KURIR_INT, int64_t, "errors", errors, "20", 1, 100000,
	    "Errors after which the connection is closed."),
	RANGE(KURIR_INT, int64_t, "commands", commands, "2000", 10, INT32_MAX,
	    "Commands without a message after which the connection is closed."),
	RANGE(KURIR_INT, int64_t, "hops", received, "50", 1, 1000,
	    "Received fields in a message above which it is taken for a loop."),
	RANGE(KURIR_SPAN, kurir_time, "idle-time", idle_time, "5m", 1, 0x7fffffff,
	    "How long to wait for a command."),
	RANGE(KURIR_SPAN, kurir_time, "data-time", data_time, "3m", 1, 0x7fffffff,
	    "How long to wait for the next part of a message."),
	RANGE(KURIR_SPAN, kurir_time, "session-time", session_time, "4h", 1, 0x7fffffff,
	    "How long one connection may last."),
	RANGE(KURIR_SPAN, kurir_time, "commit-time", commit_time, "1m", 1, 0x7fffffff,
	    "How long filters and disk may take after the end of a message."),
	KURIR_OPT_CHOICE("line-ends", struct smtp_conf, line_ends, line_ends, "strict",
	    "A bare CR, a bare LF or a NUL in a message: refuse it, or repair it."),
	CONF(BOOL, "require-tls", require_tls, "false", "Take mail over TLS only."),
	CONF(BOOL, "auth-without-tls", auth_without_tls, "false",
	    "Take passwords from connections that are not encrypted."),
	CONF(BOOL, "auth-on-smtp", auth_on_mx, "false",
	    "Offer AUTH on listeners of protocol smtp, too."),
	KURIR_OPT_BOOL("scram", struct smtp_conf, scram, "false",
	    "Offer SCRAM-SHA-256: when all users have a verifier."),
	KURIR_OPT_BOOL("oauth", struct smtp_conf, bearer, "false",
	    "Offer OAUTHBEARER and XOAUTH2: when a module checks tokens."),
	CONF(BOOL, "add-headers", add_headers, "true",
	    "Submission: add Date and Message-ID to a message that has none."),
	CONF(BOOL, "own-senders", own_senders, "true",
	    "An account sends only as addresses that lead to its mailbox, in MAIL and in From."),
	CONF(TEXTS, "any-sender", any_sender, "", "Accounts that may send as anybody."),
	CONF(TEXT, "greeting", greeting, "Kurir", "What follows the host name in the greeting."),
	{ 0 },
};

/* In the order of enum smtp_counter. */
static const char *const counters[] = { "sessions", "commands", "errors", "mail", "rcpt",
	"rcpt-refused", "messages", "bytes", "refused", "deferred", "bad-lines", "too-big",
	"loops", "tls", "tls-failed", "injected", "auth", "auth-failed", "timeouts", "limits",
	"sender-refused", NULL };

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct smtp_conf *c = conf;
	struct kurir_networks nets;
	size_t i;

	if (kurir_networks_parse(arena, c->relay_networks, &nets, error) < 0) {
		*error = kurir_format(arena, "relay-networks: %.*s", KURIR_ARG(*error));
		return -EINVAL;
	}
	for (i = 0; i < c->greeting.len; i++)
		if (c->greeting.ptr[i] < ' ' || c->greeting.ptr[i] > '~' || i >= 200) {
			*error =
			    KURIR_STR("greeting: one line of at most 200 printable characters");
			return -EINVAL;
		}
	return 0;
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct smtp_conf *c = kurir_conf(self);
	struct smtp_state *st = kurir_state(self);
	struct kurir_str error;

	return kurir_networks_parse(
	    kurir_self_arena(self), c->relay_networks, &st->relay_networks, &error);
}

KURIR_PARKS static void serve_smtp(struct kurir_self *self, struct kurir_conn *conn)
{
	smtp_serve(self, conn, SMTP_MX);
}

KURIR_PARKS static void serve_submission(struct kurir_self *self, struct kurir_conn *conn)
{
	smtp_serve(self, conn, SMTP_SUBMISSION);
}

KURIR_PARKS static void serve_lmtp(struct kurir_self *self, struct kurir_conn *conn)
{
	smtp_serve(self, conn, SMTP_LMTP);
}

KURIR_PARKS static int rehearse(
    struct kurir_self *self, struct kurir_stream *io, const struct kurir_rehearsal *r)
{
	(void)self;
	return smtp_rehearse(io, r, SMTP_MX);
}

KURIR_PARKS static int rehearse_lmtp(
    struct kurir_self *self, struct kurir_stream *io, const struct kurir_rehearsal *r)
{
	(void)self;
	return smtp_rehearse(io, r, SMTP_LMTP);
}

#define BUSY "421 4.3.2 Too busy, try again later\r\n"

static const struct kurir_protocol_ops smtp_ops = {
	.size = sizeof(smtp_ops), .serve = serve_smtp, .busy = BUSY, .rehearse = rehearse
};
static const struct kurir_protocol_ops submission_ops = { .size = sizeof(submission_ops),
	.serve = serve_submission,
	.busy = BUSY,
	.rehearse = rehearse };
static const struct kurir_protocol_ops lmtp_ops = {
	.size = sizeof(lmtp_ops), .serve = serve_lmtp, .busy = BUSY, .rehearse = rehearse_lmtp
};

static const struct kurir_service services[] = {
	{ "protocol", "smtp", &smtp_ops, 0 },
	{ "protocol", "submission", &submission_ops, 0 },
	{ "protocol", "lmtp", &lmtp_ops, 0 },
	{ 0 },
};
static const char *const needs[] = { "queue", NULL };

KURIR_MODULE(smtp, .version = "0.1.0", .summary = "takes mail over SMTP, submission and LMTP",
    .roles = KURIR_ROLE_EDGE, .conf_size = sizeof(struct smtp_conf),
    .self_size = sizeof(struct smtp_state), .options = options, .counters = counters,
    .needs = needs, .services = services, .check = check, .start = start);
