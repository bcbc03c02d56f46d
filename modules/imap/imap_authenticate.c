/* imap_authenticate.c - AUTHENTICATE (RFC 9051 section 6.2.2, SASL-IR of RFC 4959).
 *
 *   authenticate = "AUTHENTICATE" SP "PLAIN" [SP (base64 / "=")] *(CRLF base64) */

#include "imap.h"

KURIR_PARKS void imap_authenticate(struct imap *s, struct imap_args *a)
{
	struct kurir_credentials c = { .user = KURIR_STR("") };
	struct kurir_str mechanism, response;

	if (!imap_may_log_in(s)) {
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
		imap_log_in(s, &c);
}
