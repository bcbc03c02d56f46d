/* auth_file.c - users in a file: the service "auth".
 * A check costs the time of the hash whether the user exists or not, runs in a helper thread,
 * and is spared for a minute after a success.  Runs in the auth role only; nobody else reads
 * the file. */
#include "auth_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX    (256u << 20)
#define CACHE_SLOTS 4096
#define CACHE_WAYS  4 /* places for one digest: few evict each other */
#define DIGEST	    32
#define PRAISE	    (24 * 3600 * 1000LL)

struct auth_file_conf {
	struct kurir_str users, domain;
	int64_t failures, failures_network, waiting;
	kurir_time back_off, back_off_most, forget, cache;
};

enum {
	COUNT_ACCEPTED,
	COUNT_CACHED,
	COUNT_WRONG,
	COUNT_UNKNOWN,
	COUNT_LOCKED,
	COUNT_BUSY,
	COUNT_RELOADS,
	COUNT_HASHED,
};
static const char *const auth_file_counters[] = { "accepted", "cached", "wrong", "unknown",
	"locked", "busy", "reloads", "hashed", NULL };

struct cache_entry {
	unsigned char digest[DIGEST];
	kurir_time until;
	uint64_t generation;
};

struct auth_file {
	struct kurir_arena *arena; /* of users */
	struct users *users;
	uint64_t generation; /* of the file */
	struct timespec changed;
	off_t size;
	ino_t inode;
	kurir_time look;
	unsigned waiting; /* checks that wait for their turn or their hash */
	struct kurir_signal *checked;
	unsigned char key[DIGEST];
	struct cache_entry *cache; /* CACHE_SLOTS */
	struct backoff *backoff;
	char decoy[LOGIN_HASH_MAX]; /* when the file has no hash */
};

static const struct kurir_option auth_file_options[] = {
	KURIR_OPT_PATH("users", struct auth_file_conf, users, NULL,
	    "The file: lines of user:hash, see below; read again when it changes."),
	KURIR_OPT_RANGE("domain", KURIR_TEXT, struct kurir_str, struct auth_file_conf, domain, "",
	    0, 255, "Added with an @ to names without a domain, in the file and at login."),
	KURIR_OPT_RANGE("failures", KURIR_INT, int64_t, struct auth_file_conf, failures, "5", 0,
	    1000, "Wrong passwords of a user that cost no waiting."),
	KURIR_OPT_RANGE("failures-network", KURIR_INT, int64_t, struct auth_file_conf,
	    failures_network, "20", 0, 100000,
	    "The same for all users together, from one /24 or /64."),
	KURIR_OPT_RANGE("back-off", KURIR_SPAN, kurir_time, struct auth_file_conf, back_off, "1s",
	    1, 86400000, "How long the next failure locks; doubles with each further one."),
	KURIR_OPT_RANGE("back-off-maximum", KURIR_SPAN, kurir_time, struct auth_file_conf,
	    back_off_most, "5m", 1, 86400000, "The longest time a failure locks."),
	KURIR_OPT_SPAN("forget", struct auth_file_conf, forget, "15m",
	    "Failures are forgotten after so long without one."),
	KURIR_OPT_RANGE("cache", KURIR_SPAN, kurir_time, struct auth_file_conf, cache, "60s", 0,
	    3600000, "How long a right password is remembered, as a keyed digest; 0s: not."),
	KURIR_OPT_RANGE("waiting", KURIR_INT, int64_t, struct auth_file_conf, waiting, "256", 1,
	    65536, "Checks that may wait at once; more are told to try later."),
	{ 0 }
};

static int read_all(int fd, struct kurir_str *ret)
{
	struct stat st;
	size_t have = 0;
	char *text;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, text + have, (size_t)st.st_size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = n < 0 ? -errno : -EIO;

			OPENSSL_cleanse(text, have);
			free(text);
			return r;
		}
		have += (size_t)n;
	}
	*ret = (struct kurir_str){ text, have };
	return 0;
}

/* Replaces the users by what the file says now; keeps the old ones when it cannot be read. */
static int auth_file_load(struct kurir_self *self)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	int fd = open(c->users.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct kurir_str text;
	struct stat st;
	unsigned bad;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else
		r = read_all(fd, &text);
	close(fd);
	if (r < 0)
		return r;
	kurir_arena_free(a->arena);
	a->arena = kurir_arena_new("users");
	a->users = users_parse(a->arena, text, c->domain, &bad);
	a->changed = st.st_mtim;
	a->size = st.st_size;
	a->inode = st.st_ino;
	a->generation++;
	OPENSSL_cleanse((void *)(uintptr_t)text.ptr, text.len);
	free((void *)(uintptr_t)text.ptr);
	if (bad > 0)
		(void)kurir_log(self, KURIR_WARN, 0,
		    "%.*s:%u: not user:hash, or a name for the second time, leaving it out",
		    KURIR_ARG(c->users), bad);
	return 0;
}

/* For --check: the file as it will be read. */
static int auth_file_inspect(const void *conf, struct kurir_arena *arena, const char **ret_option,
    struct kurir_str *ret_error)
{
	const struct auth_file_conf *c = conf;
	int fd = open(c->users.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct kurir_str text = KURIR_STR("");
	unsigned bad = 0;
	int r = fd < 0 ? -errno : read_all(fd, &text);

	if (fd >= 0)
		close(fd);
	*ret_option = "users";
	if (r == -ENOENT)
		*ret_error = kurir_format(arena,
		    "%.*s: there is no such file: \"kurirctl passwd %.*s USER\" makes it",
		    KURIR_ARG(c->users), KURIR_ARG(c->users));
	else if (r == -EFBIG)
		*ret_error = kurir_format(
		    arena, "%.*s: not a file, or larger than 256 MiB", KURIR_ARG(c->users));
	else if (r < 0)
		*ret_error = kurir_format(
		    arena, "%.*s: cannot be read: %s", KURIR_ARG(c->users), strerrordesc_np(-r));
	if (r < 0)
		return -EINVAL;
	(void)users_parse(arena, text, c->domain, &bad);
	OPENSSL_cleanse((void *)(uintptr_t)text.ptr, text.len);
	free((void *)(uintptr_t)text.ptr);
	if (bad > 0)
		*ret_error = kurir_format(arena,
		    "%.*s:%u: not user:hash, or a name for the second time: \"kurirctl passwd\" "
		    "writes such lines",
		    KURIR_ARG(c->users), bad);
	return bad > 0 ? -EINVAL : 0;
}

static void auth_file_refresh(struct kurir_self *self)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	struct stat st;
	int r;

	if (kurir_now() < a->look)
		return;
	a->look = kurir_now() + 500;
	if (stat(c->users.ptr, &st) < 0)
		return; /* between two renames; the old users stay */
	if (st.st_ino == a->inode && st.st_size == a->size &&
	    st.st_mtim.tv_sec == a->changed.tv_sec && st.st_mtim.tv_nsec == a->changed.tv_nsec)
		return;
	r = auth_file_load(self);
	if (r < 0)
		(void)kurir_log(self, KURIR_ERROR, r,
		    "cannot read %.*s again, going on with the users of before",
		    KURIR_ARG(c->users));
	else
		kurir_count(self, COUNT_RELOADS, 1);
}

static void keyed(const struct auth_file *a, struct kurir_str s, unsigned char ret[DIGEST])
{
	unsigned int len = DIGEST;

	(void)HMAC(EVP_sha256(), a->key, DIGEST, (const unsigned char *)s.ptr, s.len, ret, &len);
}

static uint64_t keyed_number(const struct auth_file *a, struct kurir_str s)
{
	unsigned char digest[DIGEST];
	uint64_t n;

	keyed(a, s, digest);
	memcpy(&n, digest, sizeof(n));
	return n == 0 ? 1 : n;
}

/* HMAC(process key, HMAC(process key, user) password): neither's length matters. */
static void cache_digest(const struct auth_file *a, struct kurir_str user,
    struct kurir_str password, unsigned char ret[DIGEST])
{
	unsigned char text[DIGEST + LOGIN_PASSWORD_MAX];
	size_t len = password.len < LOGIN_PASSWORD_MAX ? password.len : LOGIN_PASSWORD_MAX;

	keyed(a, user, text);
	memcpy(text + DIGEST, password.ptr, len);
	keyed(a, (struct kurir_str){ (const char *)text, DIGEST + len }, ret);
	OPENSSL_cleanse(text, sizeof(text));
}

static struct cache_entry *cache_set(
    const struct auth_file *a, const unsigned char digest[DIGEST])
{
	uint32_t n;

	memcpy(&n, digest, sizeof(n));
	return &a->cache[n % (CACHE_SLOTS / CACHE_WAYS) * CACHE_WAYS];
}

static bool cache_has(const struct auth_file *a, const unsigned char digest[DIGEST])
{
	const struct cache_entry *set = cache_set(a, digest);
	kurir_time now = kurir_now();
	bool has = false;

	for (unsigned i = 0; i < CACHE_WAYS; i++)
		has |= set[i].until > now && set[i].generation == a->generation &&
		    CRYPTO_memcmp(set[i].digest, digest, DIGEST) == 0;
	return has;
}

/* generation: of the file whose hash was compared; it may have been replaced meanwhile, and then
 * the password may be one of before. */
static void cache_put(struct auth_file *a, const unsigned char digest[DIGEST],
    uint64_t generation, kurir_time until)
{
	struct cache_entry *set = cache_set(a, digest), *e = set;

	for (unsigned i = 1; i < CACHE_WAYS; i++)
		if (set[i].until < e->until)
			e = &set[i];
	memcpy(e->digest, digest, DIGEST);
	e->until = until;
	e->generation = generation;
}

/* 1: right, 0: wrong, -EINVAL: no password can be right, or another -errno. */
KURIR_PARKS static int auth_file_hash(
    struct kurir_self *self, struct kurir_str password, struct kurir_str hash)
{
	struct auth_file *a = kurir_state(self);
	struct kurir_str decoy = users_decoy(a->users);

	if (decoy.len == 0 || decoy.len >= LOGIN_HASH_MAX || kurir_str_equal(decoy, hash))
		decoy = kurir_str_of(a->decoy);
	if (hash.len == 0 || hash.len >= LOGIN_HASH_MAX)
		hash = decoy;
	kurir_count(self, COUNT_HASHED, 1);
	return login_hash_check(password, hash, decoy);
}

struct auth_keys {
	uint64_t user, network, pair;
	bool praised; /* pair: the user has logged in from there */
	bool held;    /* network, and pair or else user */
};

static void auth_file_keys(const struct auth_file *a, struct kurir_str user,
    struct kurir_str peer, struct auth_keys *ret)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str net = backoff_network(arena, peer);

	ret->user = keyed_number(a, kurir_format(arena, "u %.*s", KURIR_ARG(user)));
	ret->network = keyed_number(a, kurir_format(arena, "n %.*s", KURIR_ARG(net)));
	ret->pair =
	    keyed_number(a, kurir_format(arena, "p %.*s %.*s", KURIR_ARG(net), KURIR_ARG(user)));
}

/* Who logged in from this network before is not locked out by strangers elsewhere who guess. */
static bool auth_file_locked(const struct auth_file *a, const struct auth_keys *k)
{
	kurir_time now = kurir_now();

	return backoff_locked(a->backoff, k->network, now) ||
	    backoff_locked(a->backoff, k->pair, now) ||
	    (!k->praised && backoff_locked(a->backoff, k->user, now));
}

static struct backoff_rule auth_file_rule(const struct auth_file_conf *c, int64_t free_failures)
{
	return (struct backoff_rule){ (uint32_t)free_failures, c->back_off, c->back_off_most,
		c->forget };
}

static void auth_file_release(struct auth_file *a, struct auth_keys *k)
{
	if (!k->held)
		return;
	k->held = false;
	backoff_release(a->backoff, k->network);
	backoff_release(a->backoff, k->praised ? k->pair : k->user);
	kurir_signal_raise(a->checked);
}

/* One more may be tried while others are: they may all be right. */
static bool auth_file_hold(
    const struct auth_file_conf *c, struct auth_file *a, struct auth_keys *k)
{
	struct backoff_rule user = auth_file_rule(c, c->failures);
	struct backoff_rule net = auth_file_rule(c, c->failures_network);
	uint64_t key = k->praised ? k->pair : k->user;
	kurir_time now = kurir_now();

	if (!backoff_has_room(a->backoff, k->network, &net, now) ||
	    !backoff_has_room(a->backoff, key, &user, now))
		return false;
	backoff_hold(a->backoff, k->network, now);
	backoff_hold(a->backoff, key, now);
	k->held = true;
	return true;
}

static void auth_file_wrong(
    const struct auth_file_conf *c, struct auth_file *a, const struct auth_keys *k)
{
	struct backoff_rule user = auth_file_rule(c, c->failures);
	struct backoff_rule net = auth_file_rule(c, c->failures_network);
	kurir_time now = kurir_now();

	backoff_fail(a->backoff, k->user, &user, now);
	backoff_fail(a->backoff, k->network, &net, now);
	if (k->praised)
		backoff_fail(a->backoff, k->pair, &user, now);
}

static void auth_file_right(struct auth_file *a, const struct auth_keys *k)
{
	backoff_clear(a->backoff, k->user);
	backoff_clear(a->backoff, k->pair);
	backoff_praise(a->backoff, k->pair, kurir_now());
}

/* Waits for its turn: 1 when the password was found to be right by another meanwhile, 0 when it
 * has to be hashed, or -errno.  Nothing parks after the last look at the table. */
KURIR_PARKS static int auth_file_turn(struct kurir_self *self, struct auth_keys *k,
    struct kurir_str name, const unsigned char digest[DIGEST])
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	kurir_time until = kurir_now() + LOGIN_CHECK_TIME;

	for (;;) {
		const struct users_user *u = users_find(a->users, name);
		int r;

		k->praised = backoff_praised(a->backoff, k->pair, kurir_now(), PRAISE);
		if (auth_file_locked(a, k)) {
			kurir_count(self, COUNT_LOCKED, 1);
			return -EAGAIN;
		}
		if (u != NULL && u->hash.ptr[0] == '$' && cache_has(a, digest))
			return 1;
		if (auth_file_hold(c, a, k))
			return 0;
		r = kurir_signal_wait(a->checked, until);
		if (r < 0)
			return r == -ETIMEDOUT ? -EAGAIN : r;
	}
}

/* 1: right, 0: wrong, or -errno. */
KURIR_PARKS static int auth_file_compare(struct kurir_self *self, struct auth_keys *k,
    struct kurir_str name, struct kurir_str password, bool *ret_exists)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	const struct users_user *u;
	struct kurir_str hash;
	unsigned char digest[DIGEST];
	uint64_t generation;
	bool usable;
	int r;

	cache_digest(a, name, password, digest);
	r = auth_file_turn(self, k, name, digest);
	if (r < 0) /* perhaps because all of it ends: the table may be gone */
		return r;
	u = users_find(a->users, name);
	*ret_exists = u != NULL;
	if (r == 1) {
		kurir_count(self, COUNT_CACHED, 1);
		return r;
	}
	usable = u != NULL && u->hash.ptr[0] == '$';
	/* Copied: the table may be replaced while the hash is computed. */
	hash = kurir_copy(kurir_scratch(), usable ? u->hash : users_decoy(a->users));
	generation = a->generation;
	r = auth_file_hash(self, password, hash);
	if (r == -EINVAL && usable)
		(void)kurir_log(self, KURIR_ERROR, 0, "the hash of %.*s is of no known kind",
		    KURIR_ARG(name));
	r = r == -EINVAL || (r == 1 && !usable) ? 0 : r;
	if (r == 1) {
		auth_file_right(a, k);
		kurir_count(self, COUNT_ACCEPTED, 1);
		if (c->cache > 0)
			cache_put(a, digest, generation, kurir_now() + c->cache);
	} else if (r == 0)
		auth_file_wrong(c, a, k);
	return r;
}

KURIR_PARKS static int auth_file_check(struct kurir_self *self,
    const struct kurir_credentials *cr, struct kurir_arena *arena, struct kurir_str *ret_account)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	struct kurir_str name;
	struct auth_keys keys = { 0 };
	bool exists = false;
	int r;

	if (cr->user.len > 512 || cr->password.len > LOGIN_PASSWORD_MAX)
		return -EACCES;
	if (a->waiting >= (unsigned)c->waiting) {
		kurir_count(self, COUNT_BUSY, 1);
		return -EAGAIN;
	}
	auth_file_refresh(self);
	name = users_name(arena, cr->user, c->domain);
	auth_file_keys(a, name, cr->peer, &keys);
	a->waiting++;
	r = auth_file_compare(self, &keys, name, cr->password, &exists);
	a->waiting--;
	auth_file_release(a, &keys);
	if (r == 1) {
		*ret_account = name;
		return 0;
	}
	if (r < 0)
		return r == -EAGAIN || r == -ECANCELED
		    ? r
		    : kurir_log(self, KURIR_ERROR, r, "cannot check the password of %.*s",
			  KURIR_ARG(name));
	kurir_count(self, exists ? COUNT_WRONG : COUNT_UNKNOWN, 1);
	return exists ? -EACCES : -ENOENT;
}

/* Of who has none, or may not get in: a decoy.  1, or 0 for a decoy. */
static int auth_file_scram_of(struct kurir_self *self, struct kurir_arena *arena,
    struct kurir_str name, struct scram_verifier *ret)
{
	struct auth_file *a = kurir_state(self);
	const struct users_user *u = users_find(a->users, name);
	struct kurir_str secret = users_scram_secret(a->users);

	if (secret.len == 0)
		secret = (struct kurir_str){ (const char *)a->key, sizeof(a->key) };
	scram_decoy(arena, secret, name, users_scram_iterations(a->users), ret);
	if (u == NULL || u->hash.ptr[0] != '$' || u->scram == NULL)
		return 0;
	*ret = *u->scram;
	ret->salt = kurir_copy(arena, ret->salt);
	return 1;
}

static int auth_file_salt(struct kurir_self *self, struct kurir_str user,
    struct kurir_arena *arena, struct kurir_str *ret_salt, uint32_t *ret_iterations)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct scram_verifier s;
	int r;

	auth_file_refresh(self);
	r = auth_file_scram_of(self, arena, users_name(arena, user, c->domain), &s);
	*ret_salt = s.salt;
	*ret_iterations = s.iterations;
	return r;
}

/* Nothing of it waits, so that one guess is over before the next begins. */
KURIR_PARKS static int auth_file_scram(struct kurir_self *self,
    const struct kurir_credentials *cr, struct kurir_str message, struct kurir_str proof,
    struct kurir_arena *arena, struct kurir_str *ret_account, struct kurir_str *ret_signature)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	unsigned char signature[SCRAM_KEY];
	struct auth_keys keys = { 0 };
	struct kurir_str name;
	struct scram_verifier s;
	int known;

	if (cr->user.len == 0 || cr->user.len > 512)
		return -EACCES;
	auth_file_refresh(self);
	name = users_name(arena, cr->user, c->domain);
	auth_file_keys(a, name, cr->peer, &keys);
	keys.praised = backoff_praised(a->backoff, keys.pair, kurir_now(), PRAISE);
	if (auth_file_locked(a, &keys)) {
		kurir_count(self, COUNT_LOCKED, 1);
		return -EAGAIN;
	}
	known = auth_file_scram_of(self, arena, name, &s);
	if (scram_check(&s, message, proof, signature) && known) {
		auth_file_right(a, &keys);
		kurir_count(self, COUNT_ACCEPTED, 1);
		*ret_account = name;
		*ret_signature = kurir_copy(
		    arena, (struct kurir_str){ (const char *)signature, sizeof(signature) });
		return 0;
	}
	auth_file_wrong(c, a, &keys);
	known = users_find(a->users, name) != NULL;
	kurir_count(self, known ? COUNT_WRONG : COUNT_UNKNOWN, 1);
	return known ? -EACCES : -ENOENT;
}

static int auth_file_start(struct kurir_self *self)
{
	const struct auth_file_conf *c = kurir_conf(self);
	struct auth_file *a = kurir_state(self);
	int r;

	if (getrandom(a->key, sizeof(a->key), 0) != (ssize_t)sizeof(a->key))
		return kurir_log(self, KURIR_ERROR, -EIO, "no random bytes");
	a->cache = kurir_alloc(kurir_self_arena(self), CACHE_SLOTS * sizeof(*a->cache));
	a->backoff = kurir_alloc(kurir_self_arena(self), sizeof(*a->backoff));
	a->checked = kurir_signal_new(kurir_self_arena(self));
	login_hash_decoy(a->decoy);
	r = auth_file_load(self);
	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r,
		    "cannot read %.*s: make it with \"kurirctl passwd\", owned by the user of \"auth\"",
		    KURIR_ARG(c->users));
	return 0;
}

static void auth_file_stop(struct kurir_self *self)
{
	struct auth_file *a = kurir_state(self);

	kurir_arena_free(a->arena);
	a->arena = NULL;
	OPENSSL_cleanse(a->key, sizeof(a->key));
}

static const struct kurir_auth_ops auth_file_ops = { .size = sizeof(auth_file_ops),
	.check = auth_file_check,
	.salt = auth_file_salt,
	.scram = auth_file_scram };
static const struct kurir_service auth_file_services[] = {
	{ .kind = "auth", .name = "auth_file", .ops = &auth_file_ops }, { 0 }
};
static const struct kurir_path auth_file_paths[] = {
	{ .option = "users", .read = KURIR_ROLE_AUTH }, { 0 }
};

KURIR_MODULE(auth_file, .version = "1", .summary = "Users and password hashes in a file",
    .roles = KURIR_ROLE_AUTH, .caps = KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct auth_file_conf), .self_size = sizeof(struct auth_file),
    .options = auth_file_options, .counters = auth_file_counters, .services = auth_file_services,
    .paths = auth_file_paths, .inspect = auth_file_inspect, .start = auth_file_start,
    .stop = auth_file_stop);
