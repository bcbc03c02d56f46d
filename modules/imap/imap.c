/* imap.c - the listener protocol "imap": IMAP4rev2 (RFC 9051), IMAP4rev1 (RFC 3501), and the
 * extensions of imap_capability.c. */

#include "imap.h"

static const struct kurir_option options[] = {
	KURIR_OPT_RANGE("idle-timeout", KURIR_SPAN, kurir_time, struct imap_conf, idle, "30m",
	    1000, 86400000,
	    "How long a logged-in client may say nothing (RFC 3501 asks for 30 minutes)."),
	KURIR_OPT_RANGE("login-timeout", KURIR_SPAN, kurir_time, struct imap_conf, login, "1m",
	    1000, 3600000,
	    "How long each step of the login, and each call to the store, may take."),
	KURIR_OPT_RANGE("max-errors", KURIR_INT, int64_t, struct imap_conf, errors, "20", 1, 1000,
	    "After so many failed commands the connection is closed."),
	KURIR_OPT_RANGE("max-append", KURIR_SIZE, uint64_t, struct imap_conf, append_max, "100M",
	    1024, 1ll << 32, "The largest message that APPEND takes."),
	KURIR_OPT_RANGE("max-messages", KURIR_INT, int64_t, struct imap_conf, messages_max, "0",
	    0, INT32_MAX,
	    "So many messages one command may be about, the newest (RFC 9738); 0: all."),
	KURIR_OPT_RANGE("progress-interval", KURIR_SPAN, kurir_time, struct imap_conf, progress,
	    "10s", 0, 3600000,
	    "How often a client hears that its long search still runs (RFC 9585)."),
	KURIR_OPT_BOOL("plaintext-login", struct imap_conf, plaintext, "false",
	    "Accept passwords on connections without TLS."),
	KURIR_OPT_BOOL("scram", struct imap_conf, scram, "false",
	    "Offer SCRAM-SHA-256: when all users have a verifier."),
	KURIR_OPT_BOOL("oauth", struct imap_conf, bearer, "false",
	    "Offer OAUTHBEARER and XOAUTH2: when a module checks tokens."),
	{ 0 },
};

static const char *const counters[] = {
	[IMAP_SESSIONS] = "sessions",
	[IMAP_LOGINS] = "logins",
	[IMAP_LOGIN_FAILURES] = "login-failures",
	[IMAP_COMMANDS] = "commands",
	[IMAP_ERRORS] = "errors",
	[IMAP_RETRIEVED] = "retrieved",
	[IMAP_APPENDED] = "appended",
	[IMAP_EXPUNGED] = "expunged",
	[IMAP_IDLES] = "idles",
	[IMAP_COMPRESSED] = "compressed",
	[IMAP_RIGHTS_CHANGED] = "rights",
	NULL,
};

static const struct kurir_protocol_ops protocol = {
	.size = sizeof(protocol),
	.serve = imap_serve,
	.resume = imap_resume,
	.busy = "* BYE [UNAVAILABLE] Too many connections, try again later\r\n",
};

static const char *const needs[] = { "store", "auth", NULL };

static const struct kurir_service services[] = {
	{ .kind = "protocol", .name = "imap", .ops = &protocol },
	{ 0 },
};

KURIR_MODULE(imap, .version = "1.0", .summary = "IMAP4rev2: mailboxes that stay on the server",
    .caps = KURIR_CAP_SPAWN, .roles = KURIR_ROLE_EDGE | KURIR_ROLE_ACCESS,
    .conf_size = sizeof(struct imap_conf), .options = options, .counters = counters,
    .needs = needs, .services = services);
