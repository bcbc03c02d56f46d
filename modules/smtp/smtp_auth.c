/* smtp_auth.c - AUTH: who the client is.
 *
 * RFC 4954 4:   auth-command = "AUTH" SP sasl-mech [SP initial-response]
 *                              *(CRLF [base64]) [CRLF "*"] CRLF
 *               initial-response = base64 / "="
 *               sasl-mech = one of modules/sasl
 * LOGIN has no RFC: two prompts, base64 of "Username:" and "Password:". */
#include "smtp_private.h"

#include <errno.h>
#include <sasl/sasl.h>
#include <string.h>

#define RESPONSE_MAX 12288 /* RFC 4954 4 */
#define AUTH_SPAN    60000

/* A prompt and its answer, decoded.  0, or a negative value: the refusal was said. */
KURIR_PARKS static int prompt(struct smtp *s, const char *text, struct kurir_str *ret)
{
	struct kurir_str l;
	int r;

	smtp_say(s, 334, "", text);
	r = smtp_read_line(s, RESPONSE_MAX, &l);
	if (r == -EMSGSIZE || r == -EBADMSG) {
		smtp_error(s, 500, "5.5.6", "Response too long or broken");
		return r;
	}
	if (r <= 0) {
		if (r == -ETIMEDOUT) {
			kurir_count(s->self, COUNT_TIMEOUTS, 1);
			smtp_say(s, 421, "4.4.2", "Timed out");
		}
		smtp_close(s, r == -ETIMEDOUT ? "timeout" : "connection lost");
		return r < 0 ? r : -EPIPE;
	}
	if (kurir_str_equal(l, KURIR_STR("*"))) {
		smtp_error(s, 501, "5.7.0", "Authentication cancelled");
		return -ECANCELED;
	}
	if (kurir_base64_decode(kurir_scratch(), l, ret) < 0) {
		smtp_error(s, 501, "5.5.2", "That is not base64");
		return -EINVAL;
	}
	return 0;
}

KURIR_PARKS static int login(struct smtp *s, struct kurir_str given, struct kurir_credentials *c)
{
	int r = 0;

	if (given.len == 0)
		r = prompt(s, "VXNlcm5hbWU6", &c->user);
	else if (kurir_base64_decode(kurir_scratch(), given, &c->user) < 0)
		return -EBADMSG;
	if (r == 0)
		r = prompt(s, "UGFzc3dvcmQ6", &c->password);
	if (r < 0)
		return -ESHUTDOWN;
	return c->user.len == 0 || memchr(c->user.ptr, 0, c->user.len) != NULL ||
		memchr(c->password.ptr, 0, c->password.len) != NULL
	    ? -EBADMSG
	    : 0;
}

KURIR_PARKS static void failed(struct smtp *s, const struct kurir_credentials *c, int r)
{
	if (r == -ESHUTDOWN)
		return;
	if (r == -EBADMSG) {
		smtp_error(s, 501, "5.5.2", "That is not a message of that mechanism");
		return;
	}
	kurir_count(s->self, COUNT_AUTH_FAILED, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "auth",
	    { "verdict", r == -EACCES ? KURIR_STR("reject") : KURIR_STR("defer") },
	    { "user", c->user }, { "peer", kurir_conn_peer(s->conn) },
	    { "why",
		kurir_str_of(r == -EACCES ? "credentials"
			: r == -EAGAIN	  ? "too many failures"
					  : "no answer") });
	if (r == -EACCES)
		smtp_error(s, 535, "5.7.8", "Wrong user name or password");
	else if (r == -EAGAIN)
		smtp_error(s, 454, "4.7.0", "Too many failures, try again later");
	else
		smtp_error(s, 454, "4.7.0", "Cannot check that now, try again later");
}

/* For struct sasl: the client has had its reply when it fails. */
KURIR_PARKS static int ask(void *arg, struct kurir_str challenge, struct kurir_str *ret)
{
	struct kurir_str coded = kurir_base64_encode(kurir_scratch(), challenge);

	coded = kurir_copy(kurir_scratch(), coded); /* NUL follows */
	return prompt(arg, coded.ptr, ret) < 0 ? -ESHUTDOWN : 0;
}

KURIR_PARKS static void logged_in(struct smtp *s, struct kurir_str account)
{
	struct kurir_answer a;
	int v = kurir_session_auth(s->conn, account, &a);

	if (v != KURIR_ACCEPT) {
		smtp_refused(s, v, &a);
		return;
	}
	s->authenticated = true;
	kurir_conn_set_account(s->conn, account);
	kurir_count(s->self, COUNT_AUTH, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", account }, { "peer", kurir_conn_peer(s->conn) });
	smtp_answer(s, &a);
}

KURIR_PARKS static void log_in(struct smtp *s, struct sasl *sasl)
{
	struct kurir_identity who = { 0 };
	int r;

	r = kurir_flush(s->io, smtp_until(s, s->conf->idle_time));
	sasl->until = smtp_until(s, AUTH_SPAN);
	if (r == 0)
		r = sasl_conclude(sasl, sasl_identify(sasl, kurir_conn_arena(s->conn), &who));
	if (r < 0) {
		failed(s, &sasl->who, r);
		return;
	}
	logged_in(s, who.account);
}

/* Who is said to have proved it before, in a session that is only played. */
KURIR_PARKS static void play(struct smtp *s, struct kurir_str given)
{
	struct kurir_str account;

	if (kurir_base64_decode(kurir_scratch(), given, &account) < 0)
		smtp_error(s, 501, "5.5.2", "That is not base64");
	else
		logged_in(s, account);
}

KURIR_PARKS void smtp_auth(struct smtp *s, struct kurir_str args)
{
	ssize_t space = kurir_str_find(args, ' ');
	struct kurir_str name = kurir_str_part(args, 0, space < 0 ? args.len : (size_t)space);
	struct kurir_str given =
	    space < 0 ? KURIR_STR("") : kurir_str_part(args, (size_t)space + 1, args.len);
	struct sasl sasl = { .self = s->self,
		.conn = s->conn,
		.stream = s->io,
		.scram = s->conf->scram,
		.bearer = s->conf->bearer,
		.until = smtp_until(s, AUTH_SPAN),
		.ask = ask,
		.arg = s };
	int r;

	if (s->authenticated) {
		smtp_error(s, 503, "5.5.1", "You are authenticated");
		return;
	}
	if (s->kind == SMTP_MX && !s->conf->auth_on_mx) {
		smtp_error(s, 502, "5.5.1", "No authentication here");
		return;
	}
	if (!smtp_offers_auth(s)) {
		smtp_error(s, 538, "5.7.11", "Say STARTTLS first");
		return;
	}
	if (name.len == 0) {
		smtp_error(s, 501, "5.5.4", "AUTH needs a mechanism");
		return;
	}
	if (kurir_conn_simulated(s->conn) && kurir_str_equal(name, KURIR_STR("EXTERNAL"))) {
		play(s, given);
		return;
	}
	given = kurir_copy(kurir_scratch(), given); /* the line goes with the next one */
	if (kurir_str_equal_nocase(name, KURIR_STR("LOGIN")))
		r = login(s, given, &sasl.who);
	else
		r = sasl_run(&sasl, name, given.len > 0 ? given : (struct kurir_str){ NULL, 0 });
	if (r == 0)
		log_in(s, &sasl);
	else if (r == -ENOTSUP)
		smtp_error(s, 504, "5.5.4", "Unknown mechanism");
	else
		failed(s, &sasl.who, r);
	sasl_forget(&sasl);
}
