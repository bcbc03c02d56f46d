/* pop3_auth.c - the AUTHORIZATION state (RFC 1939 section 4): capabilities, TLS, who are you.
 * Runs in the edge role; a login ends with the connection handed over. */

#include <errno.h>

#include <sasl/sasl.h>

#include "pop3.h"

#define TICKETS	     5 /* in a row, while the server is reloaded again and again */
#define RESPONSE_MAX (2 * POP3_LINE_MAX)

static bool may_log_in(struct pop3 *p)
{
	return kurir_conn_encrypted(p->conn) || p->conf->plaintext;
}

static bool may_upgrade(struct pop3 *p)
{
	return p->state == POP3_AUTHORIZATION && !kurir_conn_encrypted(p->conn) &&
	    kurir_conn_tls_mode(p->conn) == KURIR_TLS_UPGRADE;
}

/* With what stands before and behind each. */
KURIR_PARKS static void put_mechanisms(struct pop3 *p, const char *before, const char *after)
{
	const char *name;

	for (unsigned n = 0;
	     (name = sasl_offered(p->stream, p->conf->scram, p->conf->bearer, n)) != NULL; n++)
		kurir_printf(p->stream, "%s%s%s", before, name, after);
}

/* CAPA, RFC 2449 section 5. */
KURIR_PARKS void pop3_capa(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)args;
	(void)count;
	pop3_ok(p, "Capability list follows");
	kurir_write(p->stream,
	    KURIR_STR("TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUTF8\r\n"));
	if (p->conf->expire < 0)
		kurir_write(p->stream, KURIR_STR("EXPIRE NEVER\r\n"));
	else
		kurir_printf(p->stream, "EXPIRE %lld\r\n", (long long)p->conf->expire);
	if (may_upgrade(p))
		kurir_write(p->stream, KURIR_STR("STLS\r\n"));
	if (p->state == POP3_TRANSACTION || may_log_in(p)) {
		kurir_write(p->stream, KURIR_STR("USER\r\nSASL"));
		put_mechanisms(p, " ", "");
		kurir_write(p->stream, KURIR_STR("\r\n"));
	}
	kurir_write(p->stream, KURIR_STR("IMPLEMENTATION Kurir\r\n.\r\n"));
}

/* UTF8, RFC 6856 section 2.  Messages are sent as they are with it and without it: what is in
 * UTF-8 came to a mailbox whose owner said that his program can read that. */
KURIR_PARKS void pop3_utf8(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)args;
	(void)count;
	pop3_ok(p, "UTF-8");
}

/* STLS, RFC 2595 section 4.  What the client sent ahead of the handshake is never obeyed. */
KURIR_PARKS void pop3_stls(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	kurir_time until = kurir_now() + p->conf->login;
	int r;

	(void)args;
	(void)count;
	if (!may_upgrade(p)) {
		pop3_err(p, "TLS is not available here");
		return;
	}
	pop3_ok(p, "Begin TLS negotiation");
	r = kurir_flush(p->stream, until);
	if (r >= 0)
		r = kurir_tls_accept(p->stream, until);
	p->user = KURIR_STR("");
	if (r < 0) {
		kurir_log(p->self, KURIR_INFO, r, "TLS failed: %.*s",
		    KURIR_ARG(kurir_tls_error(p->stream)));
		p->over = true;
	}
}

KURIR_PARKS static void refused(struct pop3 *p, int r, struct kurir_str user)
{
	kurir_count(p->self, POP3_LOGIN_FAILURES, 1);
	KURIR_EMIT(p->self, KURIR_NOTICE, "auth", { "verdict", KURIR_STR("reject") },
	    { "user", user }, { "peer", kurir_conn_peer(p->conn) });
	if (r == -EACCES)
		pop3_err(p, "[AUTH] Wrong user or password");
	else
		pop3_err(p, "[SYS/TEMP] Cannot check the password now, try again later");
}

/* The client's line, in base64: 0, or -ESHUTDOWN and it has had its reply. */
KURIR_PARKS static int respond(struct pop3 *p, struct kurir_str challenge, struct kurir_str *ret)
{
	struct kurir_str coded = kurir_base64_encode(kurir_scratch(), challenge), line;
	kurir_time until = kurir_now() + p->conf->login;
	int r;

	kurir_printf(p->stream, "+ %.*s\r\n", KURIR_ARG(coded));
	r = kurir_flush(p->stream, until);
	if (r >= 0)
		r = kurir_readline(p->stream, RESPONSE_MAX, &line, until);
	if (r <= 0) {
		p->over = true;
		return -ESHUTDOWN;
	}
	*ret = kurir_copy(kurir_scratch(), kurir_str_trim(line));
	if (!kurir_str_equal(*ret, KURIR_STR("*")))
		return 0;
	pop3_err(p, "Cancelled");
	return -ESHUTDOWN;
}

/* For struct sasl. */
KURIR_PARKS static int ask(void *arg, struct kurir_str challenge, struct kurir_str *ret)
{
	struct pop3 *p = arg;
	struct kurir_str line;
	int r = respond(p, challenge, &line);

	if (r == 0 && kurir_base64_decode(kurir_scratch(), line, ret) < 0) {
		pop3_err(p, "[AUTH] That is not base64");
		r = -ESHUTDOWN;
	}
	return r;
}

static struct sasl exchange(struct pop3 *p)
{
	return (struct sasl){ .self = p->self,
		.conn = p->conn,
		.stream = p->stream,
		.scram = p->conf->scram,
		.bearer = p->conf->bearer,
		.until = kurir_now() + p->conf->login,
		.ask = ask,
		.arg = p };
}

/* Checks the password and, when it is right, gives the session away. */
KURIR_PARKS static void log_in(struct pop3 *p, struct sasl *sasl)
{
	struct kurir_arena *arena = kurir_conn_arena(p->conn);
	struct kurir_identity who;
	int r = sasl_conclude(sasl, sasl_identify(sasl, arena, &who));

	if (r == -EBADMSG)
		pop3_err(p, "[AUTH] Nothing was expected");
	else if (r < 0 && r != -ESHUTDOWN)
		refused(p, r, sasl->who.user);
	if (r < 0)
		return;
	kurir_count(p->self, POP3_LOGINS, 1);
	kurir_conn_set_account(p->conn, who.account);
	KURIR_EMIT(p->self, KURIR_INFO, "auth", { "verdict", KURIR_STR("accept") },
	    { "account", who.account }, { "peer", kurir_conn_peer(p->conn) });
	r = kurir_conn_handover(p->conn, who.ticket, KURIR_STR(""), sasl->until);
	/* A ticket of a process that has been replaced since: its successor makes another. */
	for (unsigned n = 0; n < TICKETS && r == -EACCES; n++) {
		r = sasl_identify(sasl, arena, &who);
		if (r >= 0)
			r = kurir_conn_handover(p->conn, who.ticket, KURIR_STR(""), sasl->until);
	}
	p->over = true;
	if (r >= 0) {
		p->handed = true;
		return;
	}
	kurir_log(p->self, KURIR_WARN, r, "cannot reach the access role, closing the session");
	pop3_err(p, "[SYS/TEMP] Cannot open the mailbox now, try again later");
}

/* USER and PASS, RFC 1939 section 7.  Every name is answered alike. */
KURIR_PARKS void pop3_user(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	(void)count;
	if (!may_log_in(p)) {
		pop3_err(p, "[AUTH] Begin TLS first");
		return;
	}
	p->user = kurir_copy(kurir_conn_arena(p->conn), args[1]);
	pop3_ok(p, "Now the password");
}

KURIR_PARKS void pop3_pass(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	struct sasl sasl = exchange(p);

	(void)count;
	if (p->user.len == 0) {
		pop3_err(p, "USER comes first");
		return;
	}
	sasl.who.user = p->user;
	sasl.who.password = kurir_copy(kurir_scratch(), args[1]);
	p->user = KURIR_STR("");
	log_in(p, &sasl);
	sasl_forget(&sasl);
}

/* AUTH with and without initial response, RFC 5034; AUTH alone lists the mechanisms. */
KURIR_PARKS void pop3_auth(struct pop3 *p, const struct kurir_str *args, unsigned count)
{
	struct sasl sasl = exchange(p);
	int r;

	if (!may_log_in(p)) {
		pop3_err(p, "[AUTH] Begin TLS first");
		return;
	}
	if (count == 1) {
		pop3_ok(p, "Mechanisms follow");
		put_mechanisms(p, "", "\r\n");
		kurir_write(p->stream, KURIR_STR(".\r\n"));
		return;
	}
	r = sasl_run(&sasl, args[1], count >= 3 ? args[2] : (struct kurir_str){ NULL, 0 });
	if (r == 0)
		log_in(p, &sasl);
	else if (r == -ENOTSUP)
		pop3_err(p, "[AUTH] No such mechanism");
	else if (r == -EBADMSG)
		pop3_err(p, "[AUTH] Not a message of that mechanism");
	else if (r != -ESHUTDOWN)
		refused(p, r, sasl.who.user);
	sasl_forget(&sasl);
}
