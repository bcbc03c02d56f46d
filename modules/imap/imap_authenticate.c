/* imap_authenticate.c - AUTHENTICATE (RFC 9051 section 6.2.2, SASL-IR of RFC 4959).
 *
 *   authenticate = "AUTHENTICATE" SP mechanism [SP (base64 / "=")] *(CRLF base64)
 *   mechanism    = one of modules/sasl */

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

KURIR_PARKS static int ask(void *arg, struct kurir_str challenge, struct kurir_str *ret)
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

struct sasl imap_exchange(struct imap *s)
{
	return (struct sasl){ .self = s->self,
		.conn = s->conn,
		.stream = s->stream,
		.scram = imap_may_scram(s),
		.bearer = imap_may_bearer(s),
		.until = kurir_now() + s->conf->login,
		.ask = ask,
		.arg = s };
}

KURIR_PARKS void imap_authenticate(struct imap *s, struct imap_args *a)
{
	struct kurir_str mechanism = KURIR_STR(""), initial = { NULL, 0 };
	struct sasl sasl = imap_exchange(s);
	int r;

	if (!imap_may_log_in(s)) {
		imap_no(s, "[PRIVACYREQUIRED] Begin TLS first");
		return;
	}
	if (imap_atom(a, &mechanism) >= 0 && imap_space(a))
		initial = a->rest; /* "=": it is empty */
	r = sasl_run(&sasl, mechanism, initial);
	if (r == 0)
		imap_log_in(s, &sasl);
	else if (r == -ENOTSUP)
		imap_no(s, "No such mechanism");
	else if (r == -EBADMSG)
		imap_bad(s, "Not a message of that mechanism");
	else if (r != -ESHUTDOWN)
		imap_refuse(s, r, sasl.who.user);
	sasl_forget(&sasl);
}
