/* frozen_auth.c - a module of the 1.0: knows who may log in. */
#include <kurir/auth.h>

#include <errno.h>

struct conf {
	struct kurir_map users;
};

static const struct kurir_option options[] = {
	KURIR_OPT_MAP("users", struct conf, users, "", "Passwords by user."),
	{ 0 },
};

/* As a slow hash would: in a thread. */
static int compare(void *arg)
{
	const struct kurir_str *two = arg;

	return kurir_str_equal(two[0], two[1]) ? 0 : -EACCES;
}

static int check(struct kurir_self *self, const struct kurir_credentials *c,
    struct kurir_arena *arena, struct kurir_str *ret_account)
{
	const struct conf *conf = kurir_conf(self);

	for (size_t i = 0; i < conf->users.count; i++) {
		const struct kurir_pair *user = &conf->users.items[i];
		struct kurir_str two[2] = { c->password, user->values.items[0] };

		if (!kurir_str_equal_nocase(user->key, c->user))
			continue;
		*ret_account = kurir_lower(arena, user->key);
		return kurir_offload(compare, two, kurir_now() + 10000);
	}
	return -ENOENT;
}

static const struct kurir_auth_ops ops = { .size = sizeof(ops), .check = check };
static const struct kurir_service services[] = { { "auth", "frozen", &ops, 0 }, { 0 } };

KURIR_MODULE(frozen_auth, .version = "1.0", .summary = "Passwords as 1.0 checked them",
    .caps = KURIR_CAP_SPAWN, .roles = KURIR_ROLE_AUTH, .conf_size = sizeof(struct conf),
    .options = options, .services = services);
