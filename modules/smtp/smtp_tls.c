/* smtp_tls.c - STARTTLS (RFC 3207).  What was said before the handshake is forgotten, and what
 * was sent behind the command, in plaintext, is never obeyed: it could be an attacker's. */
#include "smtp_private.h"

#include <errno.h>

#define HANDSHAKE_SPAN 60000

KURIR_PARKS void smtp_starttls(struct smtp *s, struct kurir_str args)
{
	struct kurir_str why;
	int r;

	(void)args;
	if (kurir_conn_encrypted(s->conn)) {
		smtp_error(s, 503, "5.5.1", "TLS is active");
		return;
	}
	if (!smtp_offers_tls(s)) {
		smtp_error(s, 502, "5.5.1", "No TLS here");
		return;
	}
	if (kurir_pending(s->io) > 0) {
		kurir_drop_input(s->io);
		kurir_count(s->self, COUNT_INJECTED, 1);
		KURIR_EMIT(s->self, KURIR_NOTICE, "closed", { "peer", kurir_conn_peer(s->conn) },
		    { "why", KURIR_STR("commands behind STARTTLS") });
		smtp_say(s, 554, "5.5.1", "Nothing may follow STARTTLS");
		smtp_close(s, "commands behind STARTTLS");
		return;
	}
	smtp_say(s, 220, "2.0.0", "Go ahead");
	r = kurir_flush(s->io, smtp_until(s, HANDSHAKE_SPAN));
	if (r == 0)
		r = kurir_tls_accept(s->io, smtp_until(s, HANDSHAKE_SPAN));
	if (r < 0) {
		why = kurir_tls_error(s->io);
		kurir_count(s->self, r == -EBADMSG ? COUNT_INJECTED : COUNT_TLS_FAILED, 1);
		(void)kurir_log(
		    s->self, KURIR_INFO, r, "TLS handshake failed: %.*s", KURIR_ARG(why));
		smtp_close(s, "TLS handshake");
		return;
	}
	kurir_count(s->self, COUNT_TLS, 1);
	s->extended = false;
	s->helo = KURIR_STR("");
	/* A name that was given in plain text may have been somebody else's. */
	s->authenticated = false;
	kurir_conn_set_account(s->conn, KURIR_STR(""));
	smtp_set_state(s, IN_NEW);
}
