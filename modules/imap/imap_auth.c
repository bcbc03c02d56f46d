/* imap_auth.c - commands of every state, and the login (RFC 3501 sections 6.1 and 6.2).
 * Logins run in the edge role and end with the connection handed over. */

#include <errno.h>

#include "imap.h"

static bool may_log_in(struct imap *s)
{
	return kurir_conn_encrypted(s->conn) || s->conf->plaintext;
}

static bool may_upgrade(struct imap *s)
{
	return s->state == IMAP_NOT_AUTHENTICATED && !kurir_conn_encrypted(s->conn) &&
	    kurir_conn_tls_mode(s->conn) == KURIR_TLS_UPGRADE;
}

KURIR_PARKS void imap_put_capability(struct imap *s)
{
	imap_puts(s, "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE");
	if (s->state == IMAP_NOT_AUTHENTICATED) {
		imap_puts(s, may_upgrade(s) ? " STARTTLS" : "");
		imap_puts(s, may_log_in(s) ? " AUTH=PLAIN" : " LOGINDISABLED");
		return;
	}
	imap_puts(s, " NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE SPECIAL-USE");
}

/* 6.1.1 */
KURIR_PARKS void imap_capability(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* CAPABILITY ");
	imap_put_capability(s);
	imap_puts(s, "\r\n");
	imap_ok(s, "Done");
}

/* 6.1.2 */
KURIR_PARKS void imap_noop(struct imap *s, struct imap_args *a)
{
	int r = s->state == IMAP_SELECTED ? imap_update(s, true) : 0;

	(void)a;
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}

/* 6.1.3 */
KURIR_PARKS void imap_logout(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* BYE Until next time\r\n");
	imap_ok(s, "Done");
	s->over = true;
}

/* RFC 2971: what the client says of itself is not kept. */
KURIR_PARKS void imap_id(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* ID (\"name\" \"Kurir\")\r\n");
	imap_ok(s, "Done");
}

/* RFC 5161: nothing that is offered has to be enabled. */
KURIR_PARKS void imap_enable(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* ENABLED\r\n");
	imap_ok(s, "Done");
}

/* 6.2.1; what the client sent ahead of the handshake is never obeyed. */
KURIR_PARKS void imap_starttls(struct imap *s, struct imap_args *a)
{
	kurir_time until = kurir_now() + s->conf->login;
	int r;

	if (!imap_end(a) || !may_upgrade(s)) {
		imap_bad(s, "TLS cannot begin here");
		return;
	}
	imap_ok(s, "Begin TLS negotiation");
	r = kurir_flush(s->stream, until);
	if (r >= 0)
		r = kurir_tls_accept(s->stream, until);
	if (r < 0) {
		kurir_log(s->self, KURIR_INFO, r, "TLS failed: %.*s",
		    KURIR_ARG(kurir_tls_error(s->stream)));
		s->over = true;
	}
}

KURIR_PARKS static void refuse(struct imap *s, int r, struct kurir_str user)
{
	kurir_count(s->self, IMAP_LOGIN_FAILURES, 1);
	KURIR_EMIT(s->self, KURIR_NOTICE, "auth", { "verdict", KURIR_STR("reject") },
	    { "user", user }, { "peer", kurir_conn_peer(s->conn) });
	s->bad++;
	if (r == -EACCES)
		imap_no(s, "[AUTHENTICATIONFAILED] Wrong user or password");
	else
		imap_no(s, "[UNAVAILABLE] The password cannot be checked now, try again later");
}

/* Checks the password and, when it is right, gives the session away. */
KURIR_PARKS static void log_in(struct imap *s, struct kurir_credentials *c)
{
	kurir_time until = kurir_now() + s->conf->login;
	struct kurir_identity who;
	int r;

	c->protocol = kurir_conn_protocol(s->conn);
	c->peer = kurir_conn_peer(s->conn);
	c->encrypted = kurir_conn_encrypted(s->conn);
	r = kurir_authenticate(s->self, c, until, kurir_conn_arena(s->conn), &who);
	if (r < 0) {
		refuse(s, r, c->user);
		return;
	}
	kurir_count(s->self, IMAP_LOGINS, 1);
	kurir_conn_set_account(s->conn, who.account);
	KURIR_EMIT(s->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", kurir_conn_peer(s->conn) });
	r = kurir_conn_handover(s->conn, who.ticket, s->tag, until);
	s->over = true;
	if (r >= 0) {
		s->handed = true;
		return;
	}
	kurir_log(s->self, KURIR_WARN, r, "cannot reach the access role, closing the session");
	imap_no(s, "[UNAVAILABLE] The mailbox cannot be opened now, try again later");
}

/* 6.2.3: login = "LOGIN" SP userid SP password */
KURIR_PARKS void imap_login(struct imap *s, struct imap_args *a)
{
	struct kurir_credentials c = { .authzid = KURIR_STR("") };

	if (!may_log_in(s))
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
	else if (imap_astring(a, &c.user) < 0 || !imap_space(a) ||
	    imap_astring(a, &c.password) < 0 || !imap_end(a) || c.user.len == 0)
		imap_bad(s, "LOGIN takes a user and a password");
	else
		log_in(s, &c);
}

/* 6.2.2 with RFC 4959: authenticate = "AUTHENTICATE" SP "PLAIN" [SP (base64 / "=")] */
KURIR_PARKS void imap_authenticate(struct imap *s, struct imap_args *a)
{
	struct kurir_credentials c = { .user = KURIR_STR("") };
	struct kurir_str mechanism, response;

	if (!may_log_in(s)) {
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
		return;
	}
	if (imap_atom(a, &mechanism) < 0 ||
	    !kurir_str_equal_nocase(mechanism, KURIR_STR("PLAIN"))) {
		imap_no(s, "No such mechanism");
		return;
	}
	if (imap_space(a)) {
		response = a->rest;
	} else {
		int r;

		imap_puts(s, "+ \r\n");
		r = kurir_flush(s->stream, kurir_now() + s->conf->login);
		if (r >= 0)
			r = kurir_readline(
			    s->stream, 8192, &response, kurir_now() + s->conf->login);
		if (r <= 0) {
			s->over = true;
			return;
		}
		response = kurir_copy(kurir_scratch(), kurir_str_trim(response));
	}
	if (kurir_str_equal(response, KURIR_STR("*")))
		imap_bad(s, "Cancelled");
	else if (kurir_sasl_plain(kurir_scratch(), response, &c) < 0)
		imap_bad(s, "Not a PLAIN response");
	else
		log_in(s, &c);
}
