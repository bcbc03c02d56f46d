/* pop3.c - the listener protocol "pop3": RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH), 6856
 * (UTF8).
 *
 * AUTHORIZATION runs in the edge role (pop3_auth.c); after a login the connection moves to the
 * access role, where TRANSACTION and UPDATE run (pop3_mailbox.c). */

#include "pop3.h"

static const struct kurir_option options[] = {
	KURIR_OPT_RANGE("idle-timeout", KURIR_SPAN, kurir_time, struct pop3_conf, idle, "10m",
	    1000, 86400000,
	    "How long a logged-in client may say nothing (RFC 1939 asks for 10 minutes)."),
	KURIR_OPT_RANGE("login-timeout", KURIR_SPAN, kurir_time, struct pop3_conf, login, "1m",
	    1000, 3600000, "How long each step of the login may take."),
	KURIR_OPT_RANGE("max-errors", KURIR_INT, int64_t, struct pop3_conf, errors, "10", 1, 1000,
	    "After so many failed commands the connection is closed."),
	KURIR_OPT_BOOL("plaintext-login", struct pop3_conf, plaintext, "false",
	    "Accept passwords on connections without TLS."),
	KURIR_OPT_BOOL("scram", struct pop3_conf, scram, "false",
	    "Offer SCRAM-SHA-256: when all users have a verifier."),
	KURIR_OPT_BOOL("oauth", struct pop3_conf, bearer, "false",
	    "Offer OAUTHBEARER and XOAUTH2: when a module checks tokens."),
	KURIR_OPT_RANGE("expire-days", KURIR_INT, int64_t, struct pop3_conf, expire, "-1", -1,
	    36500,
	    "A message older than that goes when its owner logs in; 0: it goes at the end of the"
	    " session that retrieved it; -1: never."),
	{ 0 },
};

static const char *const counters[] = {
	[POP3_SESSIONS] = "sessions",
	[POP3_LOGINS] = "logins",
	[POP3_LOGIN_FAILURES] = "login-failures",
	[POP3_COMMANDS] = "commands",
	[POP3_ERRORS] = "errors",
	[POP3_RETRIEVED] = "retrieved",
	[POP3_DELETED] = "deleted",
	[POP3_EXPIRED] = "expired",
	NULL,
};

static const struct kurir_protocol_ops protocol = {
	.size = sizeof(protocol),
	.serve = pop3_serve,
	.resume = pop3_resume,
	.busy = "-ERR [SYS/TEMP] Too many connections, try again later\r\n",
};

static const char *const needs[] = { "store", "auth", NULL };

static const struct kurir_service services[] = {
	{ .kind = "protocol", .name = "pop3", .ops = &protocol },
	{ 0 },
};

KURIR_MODULE(pop3, .version = "1.0", .summary = "POP3: fetches mail from INBOX",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_ACCESS, .conf_size = sizeof(struct pop3_conf),
    .options = options, .counters = counters, .needs = needs, .services = services);
