/* auth_fixed.c - users, passwords and tokens from the configuration, for scenarios. */
#include <kurir/auth.h>

#include <errno.h>

struct conf {
	struct kurir_map users, tokens;
	int64_t error; /* what check() answers, when not 0 */
};

static const struct kurir_option options[] = {
	KURIR_OPT_MAP("users", struct conf, users, "", "Name and password of each user."),
	KURIR_OPT_MAP("tokens", struct conf, tokens, "", "Each token, and whom it is for."),
	KURIR_OPT_INT("error", struct conf, error, "0", "An errno that every check fails with."),
	{ 0 },
};

static int check(struct kurir_self *self, const struct kurir_credentials *c,
    struct kurir_arena *arena, struct kurir_str *ret_account)
{
	const struct conf *conf = kurir_conf(self);
	size_t i;

	if (conf->error != 0)
		return (int)-conf->error;
	for (i = 0; i < conf->users.count; i++) {
		if (!kurir_str_equal(conf->users.items[i].key, c->user))
			continue;
		if (!kurir_str_equal(conf->users.items[i].values.items[0], c->password))
			return -EACCES;
		*ret_account = kurir_copy(arena, c->user);
		return 0;
	}
	return -ENOENT;
}

static int bearer(struct kurir_self *self, const struct kurir_credentials *c,
    struct kurir_str token, struct kurir_arena *arena, struct kurir_str *ret_account)
{
	const struct conf *conf = kurir_conf(self);

	if (conf->error != 0)
		return (int)-conf->error;
	for (size_t i = 0; i < conf->tokens.count; i++) {
		struct kurir_str account = conf->tokens.items[i].values.items[0];

		if (!kurir_str_equal(conf->tokens.items[i].key, token))
			continue;
		if (c->user.len > 0 && !kurir_str_equal(c->user, account))
			return -EACCES;
		*ret_account = kurir_copy(arena, account);
		return 0;
	}
	return -ENOENT;
}

static const struct kurir_auth_ops auth = {
	.size = sizeof(auth), .check = check, .bearer = bearer
};
static const struct kurir_service services[] = { { "auth", "fixed", &auth, 0 }, { 0 } };

KURIR_MODULE(auth_fixed, .version = "0", .summary = "users from the configuration, for tests",
    .roles = KURIR_ROLE_AUTH, .conf_size = sizeof(struct conf), .options = options,
    .services = services);
