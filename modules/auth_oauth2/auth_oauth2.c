/* auth_oauth2.c - lets in who brings a token that a trusted issuer has signed: OAUTHBEARER and
 * XOAUTH2.  The keys are in a file, so that no login waits for another server. */
#include "jwt.h"

#include <errno.h>
#include <fcntl.h>
#include <kurir/auth.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((off_t)1 << 20)
#define LOOK	 1000 /* ms between two looks whether the file has changed */

enum { COUNT_ACCEPTED, COUNT_REFUSED, COUNT_FOREIGN, COUNT_RELOADS };
static const char *const counters[] = { "accepted", "refused", "foreign", "reloads", NULL };

struct conf {
	struct kurir_str keys, issuer, audience, scope, claim;
	kurir_time leeway;
};

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("keys", struct conf, keys, NULL,
	    "The issuer's key set (RFC 7517), what its jwks_uri gives; read again when it changes."),
	KURIR_OPT_TEXT("issuer", struct conf, issuer, NULL, "What iss has to be."),
	KURIR_OPT_TEXT("audience", struct conf, audience, "",
	    "What aud has to have in it; empty: anything."),
	KURIR_OPT_TEXT(
	    "scope", struct conf, scope, "", "What scope has to have in it; empty: anything."),
	KURIR_OPT_RANGE("account-claim", KURIR_TEXT, struct kurir_str, struct conf, claim,
	    "email", 1, 100, "The claim that names the account."),
	KURIR_OPT_RANGE("leeway", KURIR_SPAN, kurir_time, struct conf, leeway, "1m", 0, 600000,
	    "How far the issuer's clock may be from this one."),
	{ 0 },
};

struct state {
	struct jwt_key *keys;
	struct stat seen;
	kurir_time look;
};

/* The keys in the file: 0, or -errno; *ret_why for -EINVAL. */
static int keys_of(
    const char *path, struct jwt_key **ret, struct stat *ret_seen, const char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = -errno;
	char *text = NULL;
	ssize_t n = 0;

	*ret_why = "it is no file, or larger than 1 MiB";
	if (fd < 0)
		return r;
	if (fstat(fd, ret_seen) < 0)
		r = -errno;
	else if (!S_ISREG(ret_seen->st_mode) || ret_seen->st_size > FILE_MAX)
		r = -EINVAL;
	else if ((text = malloc((size_t)ret_seen->st_size + 1)) == NULL)
		r = -ENOMEM;
	else if ((n = pread(fd, text, (size_t)ret_seen->st_size, 0)) < 0)
		r = -errno;
	else
		r = jwt_keys_read(text, (size_t)n, ret, ret_why);
	free(text);
	(void)close(fd);
	return r;
}

static int load(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct jwt_key *keys = NULL;
	const char *why;
	int r = keys_of(c->keys.ptr, &keys, &s->seen, &why);

	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot use the keys of %.*s%s%s",
		    KURIR_ARG(c->keys), r == -EINVAL ? ": " : "", r == -EINVAL ? why : "");
	jwt_keys_free(s->keys);
	s->keys = keys;
	return 0;
}

/* What cannot be used leaves the keys as they were, and is said once. */
static void refresh(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct stat st;

	if (kurir_now() < s->look)
		return;
	s->look = kurir_now() + LOOK;
	if (stat(c->keys.ptr, &st) < 0 ||
	    (st.st_ino == s->seen.st_ino && st.st_size == s->seen.st_size &&
		st.st_mtim.tv_sec == s->seen.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == s->seen.st_mtim.tv_nsec))
		return;
	if (load(self) == 0)
		kurir_count(self, COUNT_RELOADS, 1);
}

static int inspect(const void *conf, struct kurir_arena *arena, const char **ret_option,
    struct kurir_str *ret_error)
{
	const struct conf *c = conf;
	struct jwt_key *keys = NULL;
	struct stat seen;
	const char *why;
	int r = keys_of(c->keys.ptr, &keys, &seen, &why);

	jwt_keys_free(keys);
	if (r == 0)
		return 0;
	*ret_option = "keys";
	*ret_error = kurir_format(
	    arena, "%.*s: %s", KURIR_ARG(c->keys), r == -EINVAL ? why : strerrordesc_np(-r));
	return -EINVAL;
}

/* Whom a token that is signed well lets in: NULL, or why not. */
static const char *judge(const struct conf *c, const json_t *claims, struct kurir_arena *arena,
    struct kurir_str user, struct kurir_str *ret_account)
{
	const struct jwt_wanted want = { .issuer = c->issuer,
		.audience = c->audience,
		.scope = c->scope,
		.now = kurir_wallclock() / 1000,
		.leeway = c->leeway / 1000 };
	const char *why = jwt_claims(claims, &want);

	if (why != NULL)
		return why;
	*ret_account = kurir_lower(arena, jwt_text(arena, claims, c->claim.ptr));
	if (ret_account->len == 0)
		return "it names no account";
	return user.len == 0 || kurir_str_equal(kurir_lower(arena, user), *ret_account)
	    ? NULL
	    : "it is somebody else's";
}

KURIR_PARKS static int bearer(struct kurir_self *self, const struct kurir_credentials *cr,
    struct kurir_str token, struct kurir_arena *arena, struct kurir_str *ret_account)
{
	struct state *s = kurir_state(self);
	const char *why;
	struct jwt t;

	refresh(self);
	if (jwt_read(arena, token, &t) < 0) {
		kurir_count(self, COUNT_FOREIGN, 1);
		return -ENOENT;
	}
	if (!jwt_signed(&t, s->keys)) {
		jwt_free(&t);
		kurir_count(self, COUNT_FOREIGN, 1);
		return -ENOENT;
	}
	why = judge(kurir_conf(self), t.claims, arena, cr->user, ret_account);
	jwt_free(&t);
	kurir_count(self, why == NULL ? COUNT_ACCEPTED : COUNT_REFUSED, 1);
	if (why == NULL)
		return 0;
	KURIR_EMIT(self, KURIR_NOTICE, "token", { "verdict", KURIR_STR("reject") },
	    { "why", kurir_str_of(why) }, { "user", cr->user }, { "peer", cr->peer });
	return -EACCES;
}

static int start(struct kurir_self *self)
{
	return load(self);
}

static void stop(struct kurir_self *self)
{
	struct state *s = kurir_state(self);

	jwt_keys_free(s->keys);
	s->keys = NULL;
}

static const struct kurir_auth_ops ops = { .size = sizeof(ops), .bearer = bearer };
static const struct kurir_service services[] = {
	{ .kind = "auth", .name = "auth_oauth2", .ops = &ops }, { 0 }
};
static const struct kurir_path paths[] = { { .option = "keys", .read = KURIR_ROLE_AUTH }, { 0 } };

KURIR_MODULE(auth_oauth2, .version = "1.0", .summary = "Tokens that a trusted issuer has signed",
    .roles = KURIR_ROLE_AUTH, .caps = KURIR_CAP_FILES, .conf_size = sizeof(struct conf),
    .self_size = sizeof(struct state), .options = options, .counters = counters,
    .services = services, .paths = paths, .inspect = inspect, .start = start, .stop = stop);
