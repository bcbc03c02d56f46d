/* imap_authenticate.c - AUTHENTICATE (RFC 9051 section 6.2.2, SASL-IR of RFC 4959).
 *
 *   authenticate = "AUTHENTICATE" SP mechanism [SP (base64 / "=")] *(CRLF base64)
 *   mechanism    = "PLAIN" / "SCRAM-SHA-256" / "SCRAM-SHA-256-PLUS" */

#include <errno.h>
#include <sasl/sasl.h>

#include "imap.h"

#define RESPONSE_MAX 8192

/* The client's line, in base64: 0, or -ESHUTDOWN and it has had its reply. */
KURIR_PARKS static int respond(struct imap *s, struct kurir_str challenge, struct kurir_str *ret)
{
	struct kurir_str coded = kurir_base64_encode(kurir_scratch(), challenge), line;
	kurir_time until = kurir_now() + s->conf->login;
	int r;

	kurir_printf(s->stream, "+ %.*s\r\n", KURIR_ARG(coded));
	r = kurir_flush(s->stream, until);
	if (r >= 0)
		r = kurir_readline(s->stream, RESPONSE_MAX, &line, until);
	if (r <= 0) {
		s->over = true;
		return -ESHUTDOWN;
	}
	*ret = kurir_copy(kurir_scratch(), kurir_str_trim(line));
	if (!kurir_str_equal(*ret, KURIR_STR("*")))
		return 0;
	imap_bad(s, "Cancelled");
	return -ESHUTDOWN;
}

KURIR_PARKS int imap_ask(void *arg, struct kurir_str challenge, struct kurir_str *ret)
{
	struct imap *s = arg;
	struct kurir_str line;
	int r = respond(s, challenge, &line);

	if (r == 0 && kurir_base64_decode(kurir_scratch(), line, ret) < 0) {
		imap_bad(s, "That is not base64");
		r = -ESHUTDOWN;
	}
	return r;
}

KURIR_PARKS static void plain(struct imap *s, struct kurir_str initial)
{
	struct kurir_credentials c = { .user = KURIR_STR("") };

	if (!initial.ptr && respond(s, KURIR_STR(""), &initial) < 0)
		return;
	if (kurir_sasl_plain(kurir_scratch(), initial, &c) < 0)
		imap_bad(s, "Not a PLAIN response");
	else
		imap_log_in(s, &c, NULL);
}

KURIR_PARKS static void with_scram(struct imap *s, bool plus, struct kurir_str initial)
{
	const struct scram_peer peer = { imap_ask, s };
	struct kurir_credentials c = { .password = KURIR_STR("") };
	struct scram scram = { .plus = plus };
	int r = 0;

	if (kurir_str_equal(initial, KURIR_STR("=")))
		initial = KURIR_STR("");
	else if (initial.ptr)
		r = kurir_base64_decode(kurir_scratch(), initial, &initial);
	if (r >= 0)
		r = scram_run(&scram, s->self, s->stream, initial, &peer,
		    kurir_now() + s->conf->login, kurir_scratch());
	c.user = scram.user.ptr ? scram.user : KURIR_STR("");
	c.authzid = scram.authzid;
	if (r >= 0)
		imap_log_in(s, &c, &scram);
	else if (r == -EBADMSG)
		imap_bad(s, "Not a SCRAM message");
	else if (r != -ESHUTDOWN)
		imap_refuse(s, r, c.user);
}

KURIR_PARKS void imap_authenticate(struct imap *s, struct imap_args *a)
{
	struct kurir_str mechanism = KURIR_STR(""), initial = { NULL, 0 };
	bool plus;

	if (!imap_may_log_in(s)) {
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
		return;
	}
	if (imap_atom(a, &mechanism) >= 0 && imap_space(a))
		initial = a->rest; /* "=": it is empty */
	if (kurir_str_equal_nocase(mechanism, KURIR_STR("PLAIN")))
		plain(s, initial);
	else if (scram_mechanism(mechanism, &plus) &&
	    (plus ? imap_may_bind(s) : imap_may_scram(s)))
		with_scram(s, plus, initial);
	else
		imap_no(s, "No such mechanism");
}
