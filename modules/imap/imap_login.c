/* imap_login.c - LOGIN (RFC 9051 section 6.2.3), and what every login comes to: it runs in the
 * edge role and ends with the connection handed over.
 *
 *   login = "LOGIN" SP userid SP password */

#include <errno.h>

#include "imap.h"

#include <sasl/sasl.h>

#define TICKETS 5 /* in a row, while the server is reloaded again and again */

KURIR_PARKS void imap_refuse(struct imap *s, int r, struct kurir_str user)
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

/* By password, or by what SCRAM came to. */
KURIR_PARKS static int identify(struct imap *s, const struct kurir_credentials *c,
    const struct scram *scram, kurir_time until, struct kurir_identity *ret,
    struct kurir_str *ret_signature)
{
	struct kurir_arena *arena = kurir_conn_arena(s->conn);

	return scram ? kurir_scram_verify(s->self, c, scram->message, scram->proof, until, arena,
			   ret, ret_signature)
		     : kurir_authenticate(s->self, c, until, arena, ret);
}

KURIR_PARKS void imap_log_in(struct imap *s, struct kurir_credentials *c, struct scram *scram)
{
	const struct scram_peer peer = { imap_ask, s };
	struct kurir_str signature;
	kurir_time until = kurir_now() + s->conf->login;
	struct kurir_identity who;
	int r;

	c->protocol = kurir_conn_protocol(s->conn);
	c->peer = kurir_conn_peer(s->conn);
	c->encrypted = kurir_conn_encrypted(s->conn);
	r = identify(s, c, scram, until, &who, &signature);
	if (r < 0) {
		imap_refuse(s, r, c->user);
		return;
	}
	if (scram && (r = scram_finish(&peer, signature)) < 0) {
		if (r == -EBADMSG)
			imap_bad(s, "Nothing was expected");
		return;
	}
	kurir_count(s->self, IMAP_LOGINS, 1);
	kurir_conn_set_account(s->conn, who.account);
	KURIR_EMIT(s->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", kurir_conn_peer(s->conn) });
	r = kurir_conn_handover(s->conn, who.ticket, s->tag, until);
	/* A ticket of a process that has been replaced since: its successor makes another. */
	for (unsigned n = 0; n < TICKETS && r == -EACCES; n++) {
		r = identify(s, c, scram, until, &who, &signature);
		if (r >= 0)
			r = kurir_conn_handover(s->conn, who.ticket, s->tag, until);
	}
	s->over = true;
	if (r >= 0) {
		s->handed = true;
		return;
	}
	kurir_log(s->self, KURIR_WARN, r, "cannot reach the access role, closing the session");
	imap_no(s, "[UNAVAILABLE] The mailbox cannot be opened now, try again later");
}

KURIR_PARKS void imap_login(struct imap *s, struct imap_args *a)
{
	struct kurir_credentials c = { .authzid = KURIR_STR("") };

	if (!imap_may_log_in(s))
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
	else if (imap_astring(a, &c.user) < 0 || !imap_space(a) ||
	    imap_astring(a, &c.password) < 0 || !imap_end(a) || c.user.len == 0)
		imap_bad(s, "LOGIN takes a user and a password");
	else
		imap_log_in(s, &c, NULL);
}
