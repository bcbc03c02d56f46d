/* imap_starttls.c - STARTTLS (RFC 9051 section 6.2.1).
 *
 *   command-auth = "STARTTLS"
 *
 * What the client sent ahead of the handshake is never obeyed. */

#include "imap.h"

KURIR_PARKS void imap_starttls(struct imap *s, struct imap_args *a)
{
	kurir_time until = kurir_now() + s->conf->login;
	int r;

	(void)a;
	if (!imap_may_upgrade(s)) {
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
