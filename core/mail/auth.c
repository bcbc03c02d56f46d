/* auth.c - from a user and a password to an identity: the question, asked in any role, and the
 * answer, found in the auth role by the services of kind "auth" in the order of the
 * configuration.
 * Passwords are wiped from the memory of this file; nothing of them is logged. */
#include "auth.h"
#include "channel.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#define CREDENTIALS_MAX 8192

/* auth: text user, password, authzid, protocol, peer, u8 encrypted -> text account, ticket */
int auth_put(struct kurir_buf *b, const struct kurir_credentials *c)
{
	int r = kurir_put_text(b, c->user);

	if (r == 0)
		r = kurir_put_text(b, c->password);
	if (r == 0)
		r = kurir_put_text(b, c->authzid);
	if (r == 0)
		r = kurir_put_text(b, c->protocol);
	if (r == 0)
		r = kurir_put_text(b, c->peer);
	if (r == 0)
		r = kurir_put_u8(b, c->encrypted);
	return r;
}

struct kurir_credentials auth_get(struct kurir_reader *rd)
{
	struct kurir_credentials c = { 0 };

	c.user = kurir_get_text(rd);
	c.password = kurir_get_text(rd);
	c.authzid = kurir_get_text(rd);
	c.protocol = kurir_get_text(rd);
	c.peer = kurir_get_text(rd);
	c.encrypted = kurir_get_u8(rd) != 0;
	return c;
}

int auth_get_identity(struct kurir_reader *rd, struct kurir_identity *ret)
{
	struct kurir_identity id = { .account = kurir_get_text(rd) };

	id.ticket = kurir_get_text(rd);
	if (rd->error < 0 || id.account.len == 0)
		return -EBADMSG;
	*ret = id;
	return 0;
}

static void auth_wipe(struct kurir_str s)
{
	if (s.len > 0)
		OPENSSL_cleanse((void *)(uintptr_t)s.ptr, s.len);
}

uint64_t auth_key(struct kurir_arena *arena, struct kurir_str user)
{
	return kurir_str_hash(kurir_lower(arena, user));
}

KURIR_PARKS int kurir_authenticate(struct kurir_self *self, const struct kurir_credentials *c,
    kurir_time until, struct kurir_arena *arena, struct kurir_identity *ret)
{
	struct kurir_buf body = KURIR_BUF(CREDENTIALS_MAX);
	struct kurir_request rq = { .endpoint = "auth", .fd = -1 };
	struct kurir_str reply;
	struct kurir_reader rd;
	int r = c->user.len > 0 ? 0 : -EACCES;

	/* Reserved at once, so that no copy of the password stays behind where it grew. */
	if (r == 0)
		r = kurir_buf_reserve(&body, CREDENTIALS_MAX);
	if (r == 0)
		r = auth_put(&body, c);
	if (r == -EMSGSIZE)
		r = -EACCES;
	if (r < 0)
		goto out;
	rq.key = auth_key(arena, c->user);
	rq.body = kurir_buf_str(&body);
	r = kurir_call(self, &rq, until, arena, &reply);
	if (r < 0)
		goto out;
	rd = KURIR_READER(reply);
	r = auth_get_identity(&rd, ret);
out:
	auth_wipe(kurir_buf_str(&body));
	kurir_buf_free(&body);
	return r;
}

/* Asks each provider; a provider in trouble does not let a wrong password through, and its
 * trouble is
 * what is told when nobody else knows the user. */
KURIR_PARKS static int auth_ask(const struct kurir_credentials *c, struct kurir_arena *arena,
    struct kurir_str *ret_account, struct kurir_self **ret_who)
{
	const struct kurir_auth_ops *ops;
	struct kurir_self *owner = NULL;
	int trouble = -EACCES;

	for (unsigned n = 0; (ops = kurir_service_at("auth", n, &owner)) != NULL; n++) {
		int r = auth_provides(ops, check) ? ops->check(owner, c, arena, ret_account)
						  : -ENOENT;

		if (r == -ENOENT)
			continue;
		*ret_who = owner;
		if (r == 0 || r == -EACCES || r == -EAGAIN || r == -ECANCELED)
			return r;
		trouble = r;
	}
	return trouble;
}

static const char *auth_result(int r)
{
	switch (r) {
	case 0:
		return "ok";
	case -EACCES:
		return "wrong";
	case -EAGAIN:
		return "later";
	}
	return "error";
}

int auth_answer(struct kurir_self *who, int r, const struct kurir_credentials *c,
    struct kurir_str account, struct kurir_buf *reply)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str ticket;

	/* Acting for somebody else is nobody's right here. */
	if (r == 0 && c->authzid.len > 0 && !kurir_str_equal_nocase(c->authzid, account) &&
	    !kurir_str_equal_nocase(c->authzid, c->user))
		r = -EACCES;
	KURIR_EMIT(who, r == 0 ? KURIR_INFO : KURIR_NOTICE, "auth", { "user", c->user },
	    { "account", account }, { "protocol", c->protocol }, { "peer", c->peer },
	    { "result", kurir_str_of(auth_result(r)) });
	if (r < 0)
		return r;
	r = ticket_issue(arena, auth_key(arena, c->user), account, c->protocol, &ticket);
	if (r == 0)
		r = kurir_put_text(reply, account);
	if (r == 0)
		r = kurir_put_text(reply, ticket);
	return r;
}

KURIR_PARKS static int auth_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_credentials c = auth_get(&rd);
	struct kurir_self *who = NULL;
	struct kurir_str account = KURIR_STR("");
	int r;

	if (rd.error < 0)
		return rd.error;
	if (c.user.len == 0 || memchr(c.password.ptr, '\0', c.password.len) != NULL)
		r = -EACCES;
	else
		r = auth_ask(&c, kurir_scratch(), &account, &who);
	auth_wipe(c.password);
	return auth_answer(who, r, &c, account, reply);
}

void auth_serve(void)
{
	channel_serve("auth", KURIR_ROLE_AUTH, auth_called, NULL);
	scram_serve();
	bearer_serve();
	ticket_serve();
}
