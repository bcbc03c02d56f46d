/* imap_login.c - LOGIN (RFC 9051 section 6.2.3), and what every login comes to: it runs in the
 * edge role and ends with the connection handed over.
 *
 *   login = "LOGIN" SP userid SP password */

#include <errno.h>
#include <sasl/sasl.h>

#include "imap.h"

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

KURIR_PARKS void imap_log_in(struct imap *s, struct sasl *sasl)
{
	struct kurir_arena *arena = kurir_conn_arena(s->conn);
	struct kurir_identity who;
	int r = sasl_conclude(sasl, sasl_identify(sasl, arena, &who));

	if (r == -EBADMSG)
		imap_bad(s, "Nothing was expected");
	else if (r < 0 && r != -ESHUTDOWN)
		imap_refuse(s, r, sasl->who.user);
	if (r < 0)
		return;
	kurir_count(s->self, IMAP_LOGINS, 1);
	kurir_conn_set_account(s->conn, who.account);
	KURIR_EMIT(s->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", kurir_conn_peer(s->conn) });
	r = kurir_conn_handover(s->conn, who.ticket, s->tag, sasl->until);
	/* A ticket of a process that has been replaced since: its successor makes another. */
	for (unsigned n = 0; n < TICKETS && r == -EACCES; n++) {
		r = sasl_identify(sasl, arena, &who);
		if (r >= 0)
			r = kurir_conn_handover(s->conn, who.ticket, s->tag, sasl->until);
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
	struct sasl sasl = imap_exchange(s);

	if (!imap_may_log_in(s))
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
	else if (imap_astring(a, &sasl.who.user) < 0 || !imap_space(a) ||
	    imap_astring(a, &sasl.who.password) < 0 || !imap_end(a) || sasl.who.user.len == 0)
		imap_bad(s, "LOGIN takes a user and a password");
	else
		imap_log_in(s, &sasl);
	sasl_forget(&sasl);
}
