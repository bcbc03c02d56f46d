/* smtp_helo.c - the client names itself, and learns what can be had here.
 *
 * RFC 5321 4.1.1.1:
 *   ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
 *   helo = "HELO" SP Domain CRLF
 * RFC 2033 4.1:  LHLO is EHLO with another name.
 */
#include "smtp_private.h"

#include <sasl/sasl.h>

#include <stdio.h>
#include <string.h>

/* Names that are not quite domains are common and harmless; what could fool a reader of
 * a Received: field is not. */
static bool is_name(struct kurir_str s)
{
	size_t i;

	if (s.len == 0 || s.len > 255)
		return false;
	if (smtp_is_literal(s))
		return true;
	for (i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9')) &&
		    c != '.' && c != '-' && c != '_' && c != ':')
			return false;
	}
	return true;
}

bool smtp_offers_auth(const struct smtp *s)
{
	if (s->kind == SMTP_LMTP || (s->kind == SMTP_MX && !s->conf->auth_on_mx))
		return false;
	return !s->authenticated && (kurir_conn_encrypted(s->conn) || s->conf->auth_without_tls);
}

bool smtp_offers_tls(const struct smtp *s)
{
	return kurir_conn_tls_mode(s->conn) == KURIR_TLS_UPGRADE &&
	    !kurir_conn_encrypted(s->conn);
}

KURIR_PARKS static void put_mechanisms(struct smtp *s)
{
	struct kurir_buf b = KURIR_BUF(256);
	const char *name;

	kurir_buf_printf(&b, "AUTH");
	for (unsigned n = 0;
	     (name = sasl_offered(s->io, s->conf->scram, s->conf->bearer, n)) != NULL; n++)
		kurir_buf_printf(&b, " %s", name);
	kurir_buf_printf(&b, " LOGIN");
	smtp_line(s, 250, false, kurir_copy(kurir_scratch(), kurir_buf_str(&b)).ptr);
	kurir_buf_free(&b);
}

/* 1 when the name was taken; else the answer has been given. */
KURIR_PARKS static int take_name(struct smtp *s, struct kurir_str args, struct kurir_answer *a)
{
	struct kurir_str name = kurir_str_trim(args);
	int v;

	if (!is_name(name)) {
		smtp_error(s, 501, "5.5.4", "A domain or an address in brackets, please");
		return 0;
	}
	smtp_reset(s);
	memcpy(s->helo_space, name.ptr, name.len);
	s->helo = (struct kurir_str){ s->helo_space, name.len };
	v = kurir_session_helo(s->conn, s->helo, a);
	if (v != KURIR_ACCEPT) {
		smtp_refused(s, v, a);
		return 0;
	}
	smtp_set_state(s, IN_IDLE);
	return 1;
}

KURIR_PARKS void smtp_helo(struct smtp *s, struct kurir_str args)
{
	struct kurir_answer a;

	if (take_name(s, args, &a) == 0)
		return;
	s->extended = false;
	a.xyz = KURIR_STR("");
	smtp_answer(s, &a);
}

KURIR_PARKS void smtp_ehlo(struct smtp *s, struct kurir_str args)
{
	struct kurir_str host = kurir_hostname();
	struct kurir_answer a;
	char text[300];

	if (take_name(s, args, &a) == 0)
		return;
	s->extended = true;
	(void)snprintf(text, sizeof(text), "%.*s", KURIR_ARG(host));
	smtp_line(s, 250, false, text);
	smtp_line(s, 250, false, "PIPELINING");
	if (s->conf->message_size > 0)
		(void)snprintf(
		    text, sizeof(text), "SIZE %llu", (unsigned long long)s->conf->message_size);
	else
		(void)snprintf(text, sizeof(text), "SIZE");
	smtp_line(s, 250, false, text);
	if (smtp_offers_tls(s))
		smtp_line(s, 250, false, "STARTTLS");
	if (smtp_offers_auth(s))
		put_mechanisms(s);
	smtp_line(s, 250, false, "ENHANCEDSTATUSCODES");
	smtp_line(s, 250, false, "8BITMIME");
	smtp_line(s, 250, false, "DSN");
	smtp_line(s, 250, false, "SMTPUTF8");
	smtp_line(s, 250, false, "CHUNKING");
	smtp_line(s, 250, true, "HELP");
}

KURIR_PARKS void smtp_lhlo(struct smtp *s, struct kurir_str args)
{
	smtp_ehlo(s, args);
}
