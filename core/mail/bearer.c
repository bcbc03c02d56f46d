/* bearer.c - bearer tokens (RFC 6750): the question, asked in any role, and the answer, found in
 * the auth role by the first service that knows the token. */
#include "auth.h"
#include "channel.h"

#include <errno.h>

#define REQUEST_MAX 16384

/* auth.bearer: credentials, text token -> identity */
KURIR_PARKS int kurir_bearer_verify(struct kurir_self *self, const struct kurir_credentials *c,
    struct kurir_str token, kurir_time until, struct kurir_arena *arena,
    struct kurir_identity *ret)
{
	struct kurir_buf body = KURIR_BUF(REQUEST_MAX);
	struct kurir_request rq = { .endpoint = "auth.bearer", .fd = -1 };
	struct kurir_str reply;
	int r = auth_put(&body, c);

	if (r == 0)
		r = kurir_put_text(&body, token);
	rq.key = auth_key(arena, c->user);
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, until, arena, &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r == -EMSGSIZE ? -EACCES : r;
	struct kurir_reader rd = KURIR_READER(reply);
	return auth_get_identity(&rd, ret);
}

/* A service in trouble does not let a wrong token through; its trouble is what is told when no
 * other knows it. */
KURIR_PARKS static int bearer_ask(const struct kurir_credentials *c, struct kurir_str token,
    struct kurir_str *ret_account, struct kurir_self **ret_who)
{
	const struct kurir_auth_ops *ops;
	struct kurir_self *owner = NULL;
	int result = -ENOTSUP;

	for (unsigned n = 0; (ops = kurir_service_at("auth", n, &owner)) != NULL; n++) {
		if (!auth_provides(ops, bearer))
			continue;
		int r = ops->bearer(owner, c, token, kurir_scratch(), ret_account);
		if (r == -ENOENT) {
			result = result == -ENOTSUP ? -EACCES : result;
			continue;
		}
		*ret_who = owner;
		result = r;
		if (r == 0 || r == -EACCES || r == -EAGAIN || r == -ECANCELED)
			break;
	}
	return result;
}

KURIR_PARKS static int bearer_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_credentials c = auth_get(&rd);
	struct kurir_str token = kurir_get_text(&rd), account = KURIR_STR("");
	struct kurir_self *who = NULL;

	if (rd.error < 0)
		return rd.error;
	int r = bearer_ask(&c, token, &account, &who);
	return r == -ENOTSUP ? r : auth_answer(who, r, &c, account, reply);
}

void bearer_serve(void)
{
	channel_serve("auth.bearer", KURIR_ROLE_AUTH, bearer_called, NULL);
}
