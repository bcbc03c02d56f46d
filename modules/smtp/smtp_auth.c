/* smtp_auth.c - AUTH: who the client is.
 *
 * RFC 4954 4:   auth-command = "AUTH" SP sasl-mech [SP initial-response]
 *                              *(CRLF [base64]) [CRLF "*"] CRLF
 *               initial-response = base64 / "="
 * RFC 4616 2:   PLAIN message = [authzid] NUL authcid NUL passwd
 * RFC 7677:     SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, see modules/sasl.
 * LOGIN has no RFC: two prompts, base64 of "Username:" and "Password:". */
#include "smtp_private.h"

#include <errno.h>
#include <sasl/sasl.h>
#include <string.h>

#define RESPONSE_MAX 12288 /* RFC 4954 4 */
#define AUTH_SPAN    60000

/* A prompt and its answer, decoded.  0, or a negative value: the refusal was said. */
KURIR_PARKS static int ask(struct smtp *s, const char *prompt, struct kurir_str *ret)
{
	struct kurir_str l;
	int r;

	smtp_say(s, 334, "", prompt);
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
	if (smtp_base64(l, kurir_scratch(), ret) < 0) {
		smtp_error(s, 501, "5.5.2", "That is not base64");
		return -EINVAL;
	}
	return 0;
}

KURIR_PARKS static int initial(struct smtp *s, struct kurir_str given, struct kurir_str *ret)
{
	if (kurir_str_equal(given, KURIR_STR("="))) {
		*ret = KURIR_STR("");
		return 0;
	}
	if (smtp_base64(given, kurir_scratch(), ret) == 0)
		return 0;
	smtp_error(s, 501, "5.5.2", "That is not base64");
	return -EINVAL;
}

KURIR_PARKS static int plain(struct smtp *s, struct kurir_str given, struct kurir_credentials *c)
{
	struct kurir_str m, rest;
	ssize_t a, b;
	int r = given.len > 0 ? initial(s, given, &m) : ask(s, "", &m);

	if (r < 0)
		return r;
	a = kurir_str_find(m, '\0');
	rest = kurir_str_part(m, a < 0 ? m.len : (size_t)a + 1, m.len);
	b = kurir_str_find(rest, '\0');
	if (a < 0 || b < 1 || (size_t)b + 1 >= rest.len ||
	    kurir_str_find(kurir_str_part(rest, (size_t)b + 1, rest.len), '\0') >= 0) {
		smtp_error(s, 501, "5.5.2", "That is not a PLAIN message");
		return -EINVAL;
	}
	c->authzid = kurir_str_part(m, 0, (size_t)a);
	c->user = kurir_str_part(rest, 0, (size_t)b);
	c->password = kurir_str_part(rest, (size_t)b + 1, rest.len);
	return 0;
}

KURIR_PARKS static int login(struct smtp *s, struct kurir_str given, struct kurir_credentials *c)
{
	int r = given.len > 0 ? initial(s, given, &c->user) : ask(s, "VXNlcm5hbWU6", &c->user);

	if (r == 0)
		r = ask(s, "UGFzc3dvcmQ6", &c->password);
	if (r == 0 &&
	    (c->user.len == 0 || memchr(c->user.ptr, 0, c->user.len) != NULL ||
		memchr(c->password.ptr, 0, c->password.len) != NULL)) {
		smtp_error(s, 501, "5.5.2", "That is not a name and a password");
		r = -EINVAL;
	}
	return r;
}

KURIR_PARKS static void failed(struct smtp *s, const struct kurir_credentials *c, int r)
{
	if (r == -ESHUTDOWN)
		return;
	if (r == -EBADMSG) {
		smtp_error(s, 501, "5.5.2", "That is not a SCRAM message");
		return;
	}
	kurir_count(s->self, COUNT_AUTH_FAILED, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "auth",
	    { "verdict", r == -EACCES ? KURIR_STR("reject") : KURIR_STR("defer") },
	    { "user", c->user }, { "peer", c->peer },
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

/* For struct scram_peer: the client has had its reply when it fails. */
KURIR_PARKS static int ask_scram(void *arg, struct kurir_str challenge, struct kurir_str *ret)
{
	struct kurir_str coded = kurir_base64_encode(kurir_scratch(), challenge);

	coded = kurir_copy(kurir_scratch(), coded); /* NUL follows */
	return ask(arg, coded.ptr, ret) < 0 ? -ESHUTDOWN : 0;
}

/* By password, or by what SCRAM came to, which the client is then told in turn. */
KURIR_PARKS static int identify(struct smtp *s, const struct kurir_credentials *c,
    const struct scram *scram, struct kurir_identity *ret)
{
	const struct scram_peer peer = { ask_scram, s };
	kurir_time until = smtp_until(s, AUTH_SPAN);
	struct kurir_arena *arena = kurir_conn_arena(s->conn);
	struct kurir_str signature;
	int r;

	if (!scram)
		return kurir_authenticate(s->self, c, until, arena, ret);
	r = kurir_scram_verify(
	    s->self, c, scram->message, scram->proof, until, arena, ret, &signature);
	return r < 0 ? r : scram_finish(&peer, signature);
}

KURIR_PARKS static void try_it(
    struct smtp *s, struct kurir_credentials *c, const struct scram *scram)
{
	struct kurir_identity who = { 0 };
	struct kurir_answer a;
	int r, v;

	c->protocol = kurir_conn_protocol(s->conn);
	c->peer = kurir_conn_peer(s->conn);
	c->encrypted = kurir_conn_encrypted(s->conn);
	r = kurir_flush(s->io, smtp_until(s, s->conf->idle_time));
	if (r == 0)
		r = identify(s, c, scram, &who);
	if (r < 0) {
		failed(s, c, r);
		return;
	}
	v = kurir_session_auth(s->conn, who.account, &a);
	if (v != KURIR_ACCEPT) {
		smtp_refused(s, v, &a);
		return;
	}
	s->authenticated = true;
	kurir_conn_set_account(s->conn, who.account);
	kurir_count(s->self, COUNT_AUTH, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", c->peer });
	smtp_answer(s, &a);
}

KURIR_PARKS static void with_scram(struct smtp *s, bool plus, struct kurir_str given)
{
	const struct scram_peer peer = { ask_scram, s };
	struct kurir_credentials c = { .password = KURIR_STR("") };
	struct kurir_str first = { NULL, 0 };
	struct scram scram = { .plus = plus };
	int r = given.len > 0 ? initial(s, given, &first) : 0;

	if (r < 0)
		return;
	r = scram_run(
	    &scram, s->self, s->io, first, &peer, smtp_until(s, AUTH_SPAN), kurir_scratch());
	c.user = scram.user.ptr ? scram.user : KURIR_STR("");
	c.authzid = scram.authzid;
	c.peer = kurir_conn_peer(s->conn);
	if (r < 0)
		failed(s, &c, r);
	else
		try_it(s, &c, &scram);
}

KURIR_PARKS void smtp_auth(struct smtp *s, struct kurir_str args)
{
	struct kurir_credentials c = {
		.authzid = KURIR_STR(""), .user = KURIR_STR(""), .password = KURIR_STR("")
	};
	ssize_t space = kurir_str_find(args, ' ');
	struct kurir_str name = kurir_str_part(args, 0, space < 0 ? args.len : (size_t)space);
	struct kurir_str given =
	    space < 0 ? KURIR_STR("") : kurir_str_part(args, (size_t)space + 1, args.len);
	bool plus;
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
	given = kurir_copy(kurir_scratch(), given); /* the line goes with the next one */
	if (kurir_str_equal_nocase(name, KURIR_STR("PLAIN"))) {
		r = plain(s, given, &c);
	} else if (kurir_str_equal_nocase(name, KURIR_STR("LOGIN"))) {
		r = login(s, given, &c);
	} else if (s->conf->scram && scram_mechanism(name, &plus) &&
	    (!plus || smtp_may_bind(s))) {
		with_scram(s, plus, given);
		return;
	} else {
		smtp_error(s, 504, "5.5.4", "Unknown mechanism");
		return;
	}
	if (r == 0)
		try_it(s, &c, NULL);
	if (c.password.len > 0)
		explicit_bzero((char *)(uintptr_t)c.password.ptr, c.password.len);
}
