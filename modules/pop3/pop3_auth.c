/* pop3_auth.c - the AUTHORIZATION state (RFC 1939 section 4): capabilities, TLS, who are you.
 * Runs in the edge role; a login ends with the connection handed over. */

#include <errno.h>

#include <sasl/sasl.h>

#include "pop3.h"

#define TICKETS	     5 /* in a row, while the server is reloaded again and again */
#define RESPONSE_MAX (2 * POP3_LINE_MAX)

static bool may_log_in(struct pop3 *p)
{
	return kurir_conn_encrypted(p->conn) || p->conf->plaintext;
}

static bool may_upgrade(struct pop3 *p)
{
	return p->state == POP3_AUTHORIZATION && !kurir_conn_encrypted(p->conn) &&
	    kurir_conn_tls_mode(p->conn) == KURIR_TLS_UPGRADE;
}

/* With its beginning and its end, between which the mechanisms stand. */
KURIR_PARKS static void put_mechanisms(struct pop3 *p, const char *before, const char *after)
{
	static const char *const names[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };
	size_t n = !p->conf->scram					    ? 1
	    : kurir_conn_encrypted(p->conn) && scram_offers_plus(p->stream) ? 3
									    : 2;

	for (size_t i = 0; i < n; i++)
		kurir_printf(p->stream, "%s%s%s", before, names[i], after);
}

/* CAPA, RFC 2449 section 5. */
KURIR_PARKS void pop3_capa(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)args;
	(void)count;
	pop3_ok(p, "Capability list follows");
	kurir_write(p->stream,
	    KURIR_STR("TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"));
	if (may_upgrade(p))
		kurir_write(p->stream, KURIR_STR("STLS\r\n"));
	if (p->state == POP3_TRANSACTION || may_log_in(p)) {
		kurir_write(p->stream, KURIR_STR("USER\r\nSASL"));
		put_mechanisms(p, " ", "");
		kurir_write(p->stream, KURIR_STR("\r\n"));
	}
	kurir_write(p->stream, KURIR_STR("IMPLEMENTATION Kurir\r\n.\r\n"));
}

/* STLS, RFC 2595 section 4.  What the client sent ahead of the handshake is never obeyed. */
KURIR_PARKS void pop3_stls(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	kurir_time until = kurir_now() + p->conf->login;
	int r;

	(void)args;
	(void)count;
	if (!may_upgrade(p)) {
		pop3_err(p, "TLS is not available here");
		return;
	}
	pop3_ok(p, "Begin TLS negotiation");
	r = kurir_flush(p->stream, until);
	if (r >= 0)
		r = kurir_tls_accept(p->stream, until);
	p->user = KURIR_STR("");
	if (r < 0) {
		kurir_log(p->self, KURIR_INFO, r, "TLS failed: %.*s",
		    KURIR_ARG(kurir_tls_error(p->stream)));
		p->over = true;
	}
}

KURIR_PARKS static void refused(struct pop3 *p, int r, struct kurir_str user)
{
	kurir_count(p->self, POP3_LOGIN_FAILURES, 1);
	KURIR_EMIT(p->self, KURIR_NOTICE, "auth", { "verdict", KURIR_STR("reject") },
	    { "user", user }, { "peer", kurir_conn_peer(p->conn) });
	if (r == -EACCES)
		pop3_err(p, "[AUTH] Wrong user or password");
	else
		pop3_err(p, "[SYS/TEMP] Cannot check the password now, try again later");
}

/* The client's line, in base64: 0, or -ESHUTDOWN and it has had its reply. */
KURIR_PARKS static int respond(struct pop3 *p, struct kurir_str challenge, struct kurir_str *ret)
{
	struct kurir_str coded = kurir_base64_encode(kurir_scratch(), challenge), line;
	kurir_time until = kurir_now() + p->conf->login;
	int r;

	kurir_printf(p->stream, "+ %.*s\r\n", KURIR_ARG(coded));
	r = kurir_flush(p->stream, until);
	if (r >= 0)
		r = kurir_readline(p->stream, RESPONSE_MAX, &line, until);
	if (r <= 0) {
		p->over = true;
		return -ESHUTDOWN;
	}
	*ret = kurir_copy(kurir_scratch(), kurir_str_trim(line));
	if (!kurir_str_equal(*ret, KURIR_STR("*")))
		return 0;
	pop3_err(p, "Cancelled");
	return -ESHUTDOWN;
}

/* For struct scram_peer. */
KURIR_PARKS static int ask(void *arg, struct kurir_str challenge, struct kurir_str *ret)
{
	struct pop3 *p = arg;
	struct kurir_str line;
	int r = respond(p, challenge, &line);

	if (r == 0 && kurir_base64_decode(kurir_scratch(), line, ret) < 0) {
		pop3_err(p, "[AUTH] That is not base64");
		r = -ESHUTDOWN;
	}
	return r;
}

/* By password, or by what SCRAM came to. */
KURIR_PARKS static int identify(struct pop3 *p, const struct kurir_credentials *c,
    const struct scram *scram, kurir_time until, struct kurir_identity *ret,
    struct kurir_str *ret_signature)
{
	struct kurir_arena *arena = kurir_conn_arena(p->conn);

	return scram ? kurir_scram_verify(p->self, c, scram->message, scram->proof, until, arena,
			   ret, ret_signature)
		     : kurir_authenticate(p->self, c, until, arena, ret);
}

/* Checks the password and, when it is right, gives the session away. */
KURIR_PARKS static void log_in(
    struct pop3 *p, struct kurir_credentials *c, const struct scram *scram)
{
	const struct scram_peer peer = { ask, p };
	struct kurir_str signature;
	kurir_time until = kurir_now() + p->conf->login;
	struct kurir_identity who;
	int r;

	c->protocol = kurir_conn_protocol(p->conn);
	c->peer = kurir_conn_peer(p->conn);
	c->encrypted = kurir_conn_encrypted(p->conn);
	r = identify(p, c, scram, until, &who, &signature);
	if (r < 0) {
		refused(p, r, c->user);
		return;
	}
	if (scram && (r = scram_finish(&peer, signature)) < 0) {
		if (r == -EBADMSG)
			pop3_err(p, "[AUTH] Nothing was expected");
		return;
	}
	kurir_count(p->self, POP3_LOGINS, 1);
	kurir_conn_set_account(p->conn, who.account);
	KURIR_EMIT(p->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", kurir_conn_peer(p->conn) });
	r = kurir_conn_handover(p->conn, who.ticket, KURIR_STR(""), until);
	/* A ticket of a process that has been replaced since: its successor makes another. */
	for (unsigned n = 0; n < TICKETS && r == -EACCES; n++) {
		r = identify(p, c, scram, until, &who, &signature);
		if (r >= 0)
			r = kurir_conn_handover(p->conn, who.ticket, KURIR_STR(""), until);
	}
	p->over = true;
	if (r >= 0) {
		p->handed = true;
		return;
	}
	kurir_log(p->self, KURIR_WARN, r, "cannot reach the access role, closing the session");
	pop3_err(p, "[SYS/TEMP] Cannot open the mailbox now, try again later");
}

/* USER and PASS, RFC 1939 section 7.  Every name is answered alike. */
KURIR_PARKS void pop3_user(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)count;
	if (!may_log_in(p)) {
		pop3_err(p, "[AUTH] Begin TLS first");
		return;
	}
	p->user = kurir_copy(kurir_conn_arena(p->conn), args[1]);
	pop3_ok(p, "Now the password");
}

KURIR_PARKS void pop3_pass(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	struct kurir_credentials c = {
		.user = p->user, .password = args[1], .authzid = KURIR_STR("")
	};

	(void)count;
	if (p->user.len == 0) {
		pop3_err(p, "USER comes first");
		return;
	}
	c.password = kurir_copy(kurir_scratch(), args[1]);
	p->user = KURIR_STR("");
	log_in(p, &c, NULL);
}

KURIR_PARKS static void plain(struct pop3 *p, struct kurir_str initial)
{
	struct kurir_credentials c = { .user = KURIR_STR("") };

	if (!initial.ptr && respond(p, KURIR_STR(""), &initial) < 0)
		return;
	if (kurir_sasl_plain(kurir_scratch(), initial, &c) < 0)
		pop3_err(p, "[AUTH] Not a PLAIN response");
	else
		log_in(p, &c, NULL);
}

KURIR_PARKS static void with_scram(struct pop3 *p, bool plus, struct kurir_str initial)
{
	const struct scram_peer peer = { ask, p };
	struct kurir_credentials c = { .password = KURIR_STR("") };
	struct scram scram = { .plus = plus };
	int r = 0;

	if (kurir_str_equal(initial, KURIR_STR("=")))
		initial = KURIR_STR("");
	else if (initial.ptr)
		r = kurir_base64_decode(kurir_scratch(), initial, &initial);
	if (r >= 0)
		r = scram_run(&scram, p->self, p->stream, initial, &peer,
		    kurir_now() + p->conf->login, kurir_scratch());
	c.user = scram.user.ptr ? scram.user : KURIR_STR("");
	c.authzid = scram.authzid;
	if (r >= 0)
		log_in(p, &c, &scram);
	else if (r == -EBADMSG)
		pop3_err(p, "[AUTH] Not a SCRAM message");
	else if (r != -ESHUTDOWN)
		refused(p, r, c.user);
}

/* AUTH with and without initial response, RFC 5034; AUTH alone lists the mechanisms. */
KURIR_PARKS void pop3_auth(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	struct kurir_str initial = { NULL, 0 };
	bool plus;

	if (!may_log_in(p)) {
		pop3_err(p, "[AUTH] Begin TLS first");
		return;
	}
	if (count == 1) {
		pop3_ok(p, "Mechanisms follow");
		put_mechanisms(p, "", "\r\n");
		kurir_write(p->stream, KURIR_STR(".\r\n"));
		return;
	}
	if (count >= 3)
		initial = args[2];
	if (kurir_str_equal_nocase(args[1], KURIR_STR("PLAIN")))
		plain(p, initial);
	else if (scram_mechanism(args[1], &plus) && p->conf->scram &&
	    (!plus || (kurir_conn_encrypted(p->conn) && scram_offers_plus(p->stream))))
		with_scram(p, plus, initial);
	else
		pop3_err(p, "[AUTH] No such mechanism");
}
