/* scram.c - SCRAM (RFC 5802) as far as it needs credentials: asked in any role, answered in the
 * auth role.  Nothing is kept between the two questions, so that they may reach different
 * processes. */
#include "auth.h"
#include "channel.h"

#include <errno.h>

#define REQUEST_MAX 16384

/* auth.salt: text user -> text salt, u32 iterations */
KURIR_PARKS int kurir_scram_salt(struct kurir_self *self, struct kurir_str user, kurir_time until,
    struct kurir_arena *arena, struct kurir_str *ret_salt, uint32_t *ret_iterations)
{
	struct kurir_buf body = KURIR_BUF(REQUEST_MAX);
	struct kurir_request rq = { .endpoint = "auth.salt", .fd = -1 };
	struct kurir_str reply;
	int r = kurir_put_text(&body, user);

	rq.key = auth_key(arena, user);
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, until, arena, &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r == -EMSGSIZE ? -EACCES : r;
	struct kurir_reader rd = KURIR_READER(reply);
	*ret_salt = kurir_get_text(&rd);
	*ret_iterations = kurir_get_u32(&rd);
	return rd.error;
}

/* auth.scram: credentials, text message, text proof -> identity, text signature */
KURIR_PARKS int kurir_scram_verify(struct kurir_self *self, const struct kurir_credentials *c,
    struct kurir_str message, struct kurir_str proof, kurir_time until, struct kurir_arena *arena,
    struct kurir_identity *ret, struct kurir_str *ret_signature)
{
	struct kurir_buf body = KURIR_BUF(REQUEST_MAX);
	struct kurir_request rq = { .endpoint = "auth.scram", .fd = -1 };
	struct kurir_str reply;
	int r = auth_put(&body, c);

	if (r == 0)
		r = kurir_put_text(&body, message);
	if (r == 0)
		r = kurir_put_text(&body, proof);
	rq.key = auth_key(arena, c->user);
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, until, arena, &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r == -EMSGSIZE ? -EACCES : r;
	struct kurir_reader rd = KURIR_READER(reply);
	r = auth_get_identity(&rd, ret);
	*ret_signature = kurir_get_text(&rd);
	return r < 0 ? r : rd.error;
}

/* Of a user whom nobody knows: what the first would have said. */
static int salt_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_str user = kurir_get_text(&rd), salt = KURIR_STR(""), found;
	const struct kurir_auth_ops *ops;
	struct kurir_self *owner = NULL;
	uint32_t iterations = 0, n;
	int known = 0;

	if (rd.error < 0)
		return rd.error;
	for (unsigned i = 0; (ops = kurir_service_at("auth", i, &owner)) != NULL; i++) {
		int r = auth_provides(ops, salt)
		    ? ops->salt(owner, user, kurir_scratch(), &found, &n)
		    : -ENOTSUP;

		if (r < 0 || (r == 0 && iterations > 0) || known > 0)
			continue;
		salt = found;
		iterations = n;
		known = r;
	}
	if (iterations == 0)
		return -ENOTSUP;
	known = kurir_put_text(reply, salt);
	return known < 0 ? known : kurir_put_u32(reply, iterations);
}

KURIR_PARKS static int scram_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_credentials c = auth_get(&rd);
	struct kurir_str message = kurir_get_text(&rd), proof = kurir_get_text(&rd);
	struct kurir_str account = KURIR_STR(""), signature = KURIR_STR("");
	const struct kurir_auth_ops *ops;
	struct kurir_self *owner = NULL, *who = NULL;
	int r = -EACCES;

	if (rd.error < 0)
		return rd.error;
	for (unsigned i = 0; (ops = kurir_service_at("auth", i, &owner)) != NULL; i++) {
		int one = auth_provides(ops, scram)
		    ? ops->scram(owner, &c, message, proof, kurir_scratch(), &account, &signature)
		    : -ENOENT;

		if (one == -ENOENT)
			continue;
		who = owner;
		r = one;
		if (r == 0 || r == -EACCES || r == -EAGAIN || r == -ECANCELED)
			break;
	}
	r = auth_answer(who, r, &c, account, reply);
	return r < 0 ? r : kurir_put_text(reply, signature);
}

void scram_serve(void)
{
	channel_serve("auth.salt", KURIR_ROLE_AUTH, salt_called, NULL);
	channel_serve("auth.scram", KURIR_ROLE_AUTH, scram_called, NULL);
}
