/* relay_conn.c - one connection to one host, up to where a message can be sent: greeting,
 * names, TLS, login.
 * Whatever goes wrong is noted in the task and concerns the host; recipients are decided
 * elsewhere. */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <kurir/auth.h>

#define QUIT_SPAN 5000

/* The step that failed, in words: "timed out after the greeting". */
static const char *failure(int r)
{
	switch (r) {
	case -ETIMEDOUT:
		return "no answer in time";
	case -ECONNREFUSED:
		return "connection refused";
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return "no way to the host";
	case -EPROTO:
	case -EMSGSIZE:
		return "the answer is not SMTP";
	case -EPIPE:
	case -ECONNRESET:
		return "connection lost";
	}
	return "connection failed";
}

static struct kurir_str reply_text(struct kurir_arena *arena, const struct relay_reply *r)
{
	return kurir_copy(arena, (struct kurir_str){ r->text, r->text_len });
}

void relay_note(struct relay_task *t, struct kurir_str remote, const struct relay_reply *reply,
    const char *xyz, const char *text, bool site)
{
	struct kurir_result *o = &t->trouble.result;

	memset(o, 0, sizeof(*o));
	o->fate = KURIR_FATE_DEFERRED;
	o->remote = kurir_copy(t->arena, remote);
	o->xyz = kurir_str_of(xyz);
	o->text = kurir_copy(t->arena, kurir_str_of(text));
	o->site = site;
	if (reply != NULL && reply->code != 0) {
		o->code = (uint32_t)reply->code;
		o->text = reply_text(t->arena, reply);
		if (reply->xyz_len > 0 && reply->xyz[0] == '4')
			o->xyz = kurir_copy(
			    t->arena, (struct kurir_str){ reply->xyz, reply->xyz_len });
		if (reply->code >= 500)
			t->hosts_refused++;
	}
	t->trouble.seen = true;
}

static int note_errno(struct relay_task *t, struct kurir_str remote, int r, const char *when)
{
	const char *xyz = r == -EPROTO || r == -EMSGSIZE ? "4.5.0"
	    : r == -ECONNREFUSED			 ? "4.4.1"
							 : "4.4.2";

	if (r != -ECANCELED)
		relay_note(t, remote, NULL, xyz,
		    kurir_format(t->arena, "%s %s", failure(r), when).ptr, true);
	return r;
}

/* "192.0.2.1:25" and "mx.example" -> "mx.example[192.0.2.1]:25" */
static struct kurir_str remote_of(
    struct kurir_arena *arena, struct kurir_str address, struct kurir_str name)
{
	ssize_t colon = kurir_str_find_last(address, ':');
	struct kurir_str ip, port;

	if (colon < 0 || kurir_str_starts(address, KURIR_STR("unix:")))
		return kurir_copy(arena, address);
	ip = kurir_str_part(address, 0, (size_t)colon);
	port = kurir_str_part(address, (size_t)colon, address.len);
	if (ip.len > 2 && ip.ptr[0] == '[')
		ip = kurir_str_part(ip, 1, ip.len - 2);
	return kurir_format(
	    arena, "%.*s[%.*s]%.*s", KURIR_ARG(name), KURIR_ARG(ip), KURIR_ARG(port));
}

struct kurir_str relay_conn_key(struct relay_task *t, struct kurir_arena *arena,
    struct kurir_str address, struct kurir_str name)
{
	return kurir_format(arena, "%s %u %.*s %.*s %.*s %.*s", t->lmtp ? "lmtp" : "smtp",
	    t->hop->tls, KURIR_ARG(t->job->destination), KURIR_ARG(address), KURIR_ARG(name),
	    KURIR_ARG(t->hop->user));
}

void relay_free(struct relay_conn *c)
{
	if (c == NULL)
		return;
	kurir_close(c->stream);
	kurir_arena_free(c->arena);
}

KURIR_PARKS void relay_quit(struct relay_conn *c)
{
	if (!c->broken && kurir_write(c->stream, KURIR_STR("QUIT\r\n")) == 0)
		(void)kurir_flush(c->stream, kurir_now() + QUIT_SPAN);
	relay_free(c);
}

KURIR_PARKS static int read_lines(
    struct relay_conn *c, kurir_time span, struct relay_reply *ret, struct relay_offer *offer)
{
	kurir_time until = kurir_now() + span;
	struct relay_reply reply = { 0 };
	int r = kurir_flush(c->stream, until);

	/* A server that closes after a refusal may have answered before our bytes failed. */
	if (r == -ECANCELED || r == -ETIMEDOUT)
		return r;
	do {
		struct kurir_str line;

		r = kurir_readline(c->stream, RELAY_LINE_MAX, &line, until);
		if (r <= 0)
			return r == 0 ? -ECONNRESET : r == -EMSGSIZE ? -EPROTO : r;
		r = relay_reply_line(&reply, line);
		/* The first line is the greeting's. */
		if (offer != NULL && r >= 0 && reply.code == 250 && reply.lines > 1)
			relay_offer_line(offer, line);
	} while (r == 1);
	if (r == 0)
		*ret = reply;
	return r;
}

KURIR_PARKS int relay_read(struct relay_conn *c, kurir_time span, struct relay_reply *ret)
{
	int r = read_lines(c, span, ret, NULL);

	if (r < 0 || ret->code == 421)
		c->broken = true;
	return r;
}

KURIR_PARKS static int command(
    struct relay_conn *c, kurir_time span, struct kurir_str line, struct relay_reply *ret)
{
	int r = kurir_write(c->stream, line);

	if (r == -ECANCELED)
		return r;
	return relay_read(c, span, ret);
}

/* A host that the DNS named and that has our own name is ourselves, by an address that nobody
 * told us is ours: what we gave it would come back. */
static bool greets_as_us(struct relay_task *t, struct relay_conn *c,
    const struct relay_reply *reply, struct kurir_str me)
{
	struct kurir_str text = { reply->text, reply->text_len };
	ssize_t space = kurir_str_find(text, ' ');

	text = kurir_str_part(text, 0, space < 0 ? text.len : (size_t)space);
	if (c->lmtp || t->hop->names.count == 0 ||
	    (!kurir_str_equal_nocase(text, me) &&
		!kurir_str_equal_nocase(text, kurir_hostname())))
		return false;
	relay_note(
	    t, c->remote, NULL, "5.4.6", "the mail host is this server: a mail loop", true);
	t->hosts_refused++;
	return true;
}

/* EHLO, and HELO for a server that does not know it. */
KURIR_PARKS static int greet(struct relay_task *t, struct relay_conn *c)
{
	struct kurir_str me = t->conf->helo.len > 0 ? t->conf->helo : kurir_hostname();
	struct relay_offer offer = { 0 };
	struct relay_reply reply;
	int r;

	(void)kurir_printf(c->stream, "%s %.*s\r\n", c->lmtp ? "LHLO" : "EHLO", KURIR_ARG(me));
	r = read_lines(c, t->conf->t_helo, &reply, &offer);
	if (r == 0 && reply.code >= 500 && reply.code != 521 && !c->lmtp && c->tls.len == 0) {
		offer.ext = 0;
		r = command(c, t->conf->t_helo,
		    kurir_format(t->arena, "HELO %.*s\r\n", KURIR_ARG(me)), &reply);
	}
	if (r < 0)
		return note_errno(t, c->remote, r, "after EHLO");
	if (reply.code != 250) {
		relay_note(t, c->remote, &reply, "4.7.0", "", true);
		return -ECONNREFUSED;
	}
	c->offer = offer;
	return greets_as_us(t, c, &reply, me) ? -ELOOP : 0;
}

/* What must be proved to this host: the hop's wish, and for DANE the host's own records. */
static void tls_wish(const struct relay_task *t, struct kurir_str name,
    struct kurir_tls_client *ret, bool *ret_must)
{
	const struct kurir_next_hop *h = t->hop;
	struct kurir_str *rdata;
	size_t n = 0;

	ret->size = sizeof(*ret);
	ret->name = name;
	ret->verify = h->tls == KURIR_HOP_VERIFY ? KURIR_TLS_NAME : KURIR_TLS_ANY;
	*ret_must = h->tls == KURIR_HOP_MUST || h->tls == KURIR_HOP_VERIFY;
	if (h->tls != KURIR_HOP_DANE)
		return;
	rdata = kurir_alloc(t->arena, (h->tlsa.count + 1) * sizeof(*rdata));
	for (size_t i = 0; i < h->tlsa.count; i++) {
		if (h->tlsa_names.count > 0 &&
		    !kurir_str_equal_nocase(h->tlsa_names.items[i], name))
			continue;
		*ret_must = true;
		if (h->tlsa.items[i].len > 0)
			rdata[n++] = h->tlsa.items[i];
	}
	if (n == 0)
		return;
	ret->verify = KURIR_TLS_DANE;
	ret->tlsa = rdata;
	ret->tlsa_count = n;
}

/* -EKEYREJECTED: the handshake failed, and plain text is good enough for a new connection. */
KURIR_PARKS static int encrypt(struct relay_task *t, struct relay_conn *c, struct kurir_str name)
{
	struct kurir_tls_client wish = { 0 };
	struct relay_reply reply;
	struct kurir_str why;
	bool must;
	int r;

	if (t->hop->tls == KURIR_HOP_NEVER)
		return 0;
	tls_wish(t, name, &wish, &must);
	if (!(c->offer.ext & RELAY_EXT_STARTTLS)) {
		if (!must)
			return 0;
		relay_note(t, c->remote, NULL, "4.7.4",
		    "the host offers no encryption, which is required", true);
		return -EPROTONOSUPPORT;
	}
	r = command(c, t->conf->t_tls, KURIR_STR("STARTTLS\r\n"), &reply);
	if (r < 0)
		return note_errno(t, c->remote, r, "after STARTTLS");
	if (reply.code != 220) {
		if (!must && reply.code != 421)
			return 0;
		relay_note(t, c->remote, &reply, "4.7.5", "", true);
		return -EPROTONOSUPPORT;
	}
	r = kurir_tls_connect(c->stream, &wish, kurir_now() + t->conf->t_tls);
	if (r == -ECANCELED)
		return r;
	if (r < 0) {
		kurir_count(t->self, RELAY_TLS_FAILED, 1);
		c->broken = true;
		why = kurir_tls_error(c->stream);
		relay_note(t, c->remote, NULL, "4.7.5",
		    kurir_format(
			t->arena, "TLS failed: %.*s", why.len > 300 ? 300 : (int)why.len, why.ptr)
			.ptr,
		    true);
		return must ? -EPROTO : -EKEYREJECTED;
	}
	kurir_count(t->self, RELAY_TLS, 1);
	c->tls = kurir_copy(c->arena, kurir_tls_summary(c->stream));
	c->secure = wish.verify != KURIR_TLS_ANY;
	return greet(t, c);
}

static struct kurir_str base64_line(
    struct kurir_arena *arena, const char *prefix, struct kurir_str s)
{
	return kurir_format(
	    arena, "%s%.*s\r\n", prefix, KURIR_ARG(kurir_base64_encode(arena, s)));
}

/* RFC 4954 with PLAIN (RFC 4616) or LOGIN. */
KURIR_PARKS static int log_in(struct relay_task *t, struct relay_conn *c)
{
	const struct kurir_next_hop *h = t->hop;
	struct relay_reply reply = { 0 };
	char *plain;
	int r;

	if (h->user.len == 0)
		return 0;
	if (c->tls.len == 0 && h->tls != KURIR_HOP_NEVER) {
		relay_note(t, c->remote, NULL, "4.7.5",
		    "the host offers no encryption for the login", true);
		return -EPROTONOSUPPORT;
	}
	if (c->offer.ext & RELAY_EXT_PLAIN) {
		size_t n = h->user.len + h->password.len + 2;

		plain = kurir_alloc(t->arena, n);
		memcpy(plain + 1, h->user.ptr, h->user.len);
		memcpy(plain + 2 + h->user.len, h->password.ptr, h->password.len);
		r = command(c, t->conf->t_mail,
		    base64_line(t->arena, "AUTH PLAIN ", (struct kurir_str){ plain, n }), &reply);
	} else if (c->offer.ext & RELAY_EXT_LOGIN) {
		r = command(c, t->conf->t_mail, KURIR_STR("AUTH LOGIN\r\n"), &reply);
		if (r == 0 && reply.code == 334)
			r = command(
			    c, t->conf->t_mail, base64_line(t->arena, "", h->user), &reply);
		if (r == 0 && reply.code == 334)
			r = command(
			    c, t->conf->t_mail, base64_line(t->arena, "", h->password), &reply);
	} else {
		relay_note(
		    t, c->remote, NULL, "4.7.0", "the host offers no login that we know", true);
		return -EPROTONOSUPPORT;
	}
	if (r < 0)
		return note_errno(t, c->remote, r, "at the login");
	if (reply.code == 235)
		return 0;
	relay_note(t, c->remote, &reply, "4.7.8", "", true);
	t->hosts_refused = 0; /* our password, not the sender's fault: keep trying */
	return -EACCES;
}

KURIR_PARKS static int dial(struct relay_task *t, struct relay_conn *c, struct kurir_str address)
{
	struct kurir_str source = t->conf->source_v4;
	int r;

	if (kurir_str_starts(address, KURIR_STR("unix:")))
		source = KURIR_STR("");
	else if (address.len > 0 && address.ptr[0] == '[')
		source = t->conf->source_v6;
	r = kurir_dial(t->self, address, source, kurir_now() + t->conf->t_connect, &c->stream);
	if (r < 0) {
		c->stream = NULL;
		kurir_count(t->self, RELAY_UNREACHABLE, 1);
		return r == -ECANCELED ? r
				       : (note_errno(t, c->remote, r, "when connecting"),
					     t->trouble.result.xyz = KURIR_STR("4.4.1"), r);
	}
	kurir_patience(c->stream, t->conf->t_block);
	kurir_count(t->self, RELAY_CONNECTIONS, 1);
	return 0;
}

KURIR_PARKS static int open_once(struct relay_task *t, struct relay_conn *c,
    struct kurir_str address, struct kurir_str name, bool plain)
{
	struct relay_reply reply;
	int r = dial(t, c, address);

	if (r < 0)
		return r;
	r = relay_read(c, t->conf->t_greeting, &reply);
	if (r < 0)
		return note_errno(t, c->remote, r, "before the greeting");
	if (reply.code != 220) {
		relay_note(t, c->remote, &reply, "4.3.2", "", true);
		return -ECONNREFUSED;
	}
	r = greet(t, c);
	if (r == 0 && !plain)
		r = encrypt(t, c, name);
	if (r == 0)
		r = log_in(t, c);
	return r;
}

KURIR_PARKS int relay_open(struct relay_task *t, struct kurir_str address, struct kurir_str name,
    struct relay_conn **ret)
{
	bool plain = false;

	for (;;) {
		struct kurir_arena *arena = kurir_arena_new("relay connection");
		struct relay_conn *c = kurir_alloc(arena, sizeof(*c));
		int r;

		c->arena = arena;
		c->lmtp = t->lmtp;
		c->tls = KURIR_STR("");
		c->key = relay_conn_key(t, arena, address, name);
		c->remote = remote_of(arena, address, name);
		r = open_once(t, c, address, name, plain);
		if (r == 0) {
			*ret = c;
			return 0;
		}
		if (c->stream == NULL || r == -ECANCELED)
			relay_free(c);
		else
			relay_quit(c);
		if (r != -EKEYREJECTED || plain)
			return r;
		plain = true;
	}
}
