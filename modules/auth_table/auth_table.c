/* auth_table.c - users of a table (kurir/table.h): the service "auth".
 *
 * Either the table has hashes, and a password is compared with one here; or it verifies passwords
 * itself, as a directory does by a bind.  Who fails too often waits, user by user and network by
 * network, whether or not there is such a user. */
#include <kurir/auth.h>
#include <kurir/table.h>
#include <login/login.h>

#include <openssl/crypto.h>
#include <string.h>
#include <sys/random.h>

#define USER_MAX 512
#define PRAISE	 (24 * 3600 * 1000LL)

enum { COUNT_ACCEPTED, COUNT_WRONG, COUNT_UNKNOWN, COUNT_LOCKED, COUNT_BUSY, COUNT_FAILED };
static const char *const counters[] = { "accepted", "wrong", "unknown", "locked", "busy",
	"failed", NULL };

struct conf {
	struct kurir_str table, map, domain;
	bool verify;
	int64_t failures, failures_network, waiting;
	kurir_time back_off, back_off_most, forget;
};
struct state {
	const char *endpoint;
	char decoy[LOGIN_HASH_MAX];
	struct backoff *backoff;
	struct kurir_signal *checked; /* one of those that were being checked */
	uint64_t salt;		      /* so that nobody can choose places in it */
	unsigned waiting;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("table", struct conf, table, NULL,
	    "Which table has the users: \"pgsql\", \"ldap\", \"sqlite\", \"cdb\", or another module's."),
	KURIR_OPT_TEXT("map", struct conf, map, "passwords",
	    "Its map from users to hashes, as crypt(5) has them."),
	KURIR_OPT_BOOL("verify", struct conf, verify, "false",
	    "Let the table verify passwords, as a directory does by a bind: it gives no hashes."),
	KURIR_OPT_RANGE("domain", KURIR_TEXT, struct kurir_str, struct conf, domain, "", 0, 255,
	    "Added with an @ to names without a domain."),
	KURIR_OPT_RANGE("failures", KURIR_INT, int64_t, struct conf, failures, "5", 0, 1000,
	    "Wrong passwords of a user that cost no waiting."),
	KURIR_OPT_RANGE("failures-network", KURIR_INT, int64_t, struct conf, failures_network,
	    "20", 0, 100000, "The same for all users together, from one /24 or /64."),
	KURIR_OPT_RANGE("back-off", KURIR_SPAN, kurir_time, struct conf, back_off, "1s", 1,
	    86400000, "How long the next failure locks; doubles with each further one."),
	KURIR_OPT_RANGE("back-off-maximum", KURIR_SPAN, kurir_time, struct conf, back_off_most,
	    "5m", 1, 86400000, "The longest time a failure locks."),
	KURIR_OPT_SPAN("forget", struct conf, forget, "15m",
	    "Failures are forgotten after so long without one."),
	KURIR_OPT_RANGE("waiting", KURIR_INT, int64_t, struct conf, waiting, "256", 1, 65536,
	    "Checks that may be going on at once; more are told to try later."),
	{ 0 },
};

struct keys {
	uint64_t user, network, pair;
	bool praised; /* pair: the user has logged in from there */
};

static uint64_t key_of(const struct state *s, char kind, struct kurir_str name)
{
	return kurir_str_hash(kurir_format(kurir_scratch(), "%c%016llx%.*s", kind,
	    (unsigned long long)s->salt, KURIR_ARG(name)));
}

static struct backoff_rule rule_of(const struct conf *c, int64_t free_failures)
{
	return (struct backoff_rule){ (uint32_t)free_failures, c->back_off, c->back_off_most,
		c->forget };
}

static void find_keys(
    const struct state *s, struct kurir_str name, struct kurir_str peer, struct keys *ret)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str net = backoff_network(arena, peer);

	ret->user = key_of(s, 'u', name);
	ret->network = key_of(s, 'n', net);
	ret->pair =
	    key_of(s, 'p', kurir_format(arena, "%.*s %.*s", KURIR_ARG(net), KURIR_ARG(name)));
	ret->praised = backoff_praised(s->backoff, ret->pair, kurir_now(), PRAISE);
}

/* Whose failures count: strangers elsewhere who guess lock nobody out of where he is known. */
static uint64_t key_that_counts(const struct keys *k)
{
	return k->praised ? k->pair : k->user;
}

/* Guesses that are being checked count, so that many at once are no more than one by one. */
static int try_now(const struct conf *c, struct state *s, const struct keys *k)
{
	struct backoff_rule user = rule_of(c, c->failures), net = rule_of(c, c->failures_network);
	uint64_t key = key_that_counts(k);
	kurir_time now = kurir_now();

	if (backoff_locked(s->backoff, key, now) || backoff_locked(s->backoff, k->network, now))
		return -EAGAIN;
	if (!backoff_has_room(s->backoff, key, &user, now) ||
	    !backoff_has_room(s->backoff, k->network, &net, now))
		return 0;
	backoff_hold(s->backoff, key, now);
	backoff_hold(s->backoff, k->network, now);
	return 1;
}

/* Others of the user, or of the network, may be right: what is free is waited for.  0; -EAGAIN:
 * there were too many failures. */
KURIR_PARKS static int take_turn(const struct conf *c, struct state *s, const struct keys *k)
{
	kurir_time until = kurir_now() + LOGIN_CHECK_TIME;
	int r;

	while ((r = try_now(c, s, k)) == 0)
		if ((r = kurir_signal_wait(s->checked, until)) < 0)
			break;
	return r == -ETIMEDOUT ? -EAGAIN : r < 0 ? r : 0;
}

static void learn(const struct conf *c, struct state *s, const struct keys *k, int r)
{
	struct backoff_rule user = rule_of(c, c->failures), net = rule_of(c, c->failures_network);
	kurir_time now = kurir_now();

	backoff_release(s->backoff, key_that_counts(k));
	backoff_release(s->backoff, k->network);
	if (r == 0) {
		backoff_clear(s->backoff, k->user);
		backoff_clear(s->backoff, k->pair);
		backoff_praise(s->backoff, k->pair, now);
	} else if (r == -EACCES || r == -ENODATA) {
		backoff_fail(s->backoff, k->user, &user, now);
		backoff_fail(s->backoff, k->network, &net, now);
		if (k->praised)
			backoff_fail(s->backoff, k->pair, &user, now);
	}
}

/* The table's word: 0, -EACCES, -ENODATA, or -errno. */
KURIR_PARKS static int ask_verify(
    struct kurir_self *self, struct kurir_str name, struct kurir_str password)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct kurir_buf body = KURIR_BUF(8192);
	struct kurir_request request = { .endpoint = s->endpoint, .fd = -1 };
	struct kurir_str reply;
	/* Reserved at once, so that no copy of the password stays behind where it grew. */
	int r = kurir_buf_reserve(&body, 8192);

	if (r == 0)
		r = kurir_table_put(&body, KURIR_TABLE_VERIFY, c->map, name);
	if (r == 0)
		r = kurir_put_text(&body, password);
	request.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(
		    self, &request, kurir_now() + LOGIN_CHECK_TIME, kurir_scratch(), &reply);
	if (body.len > 0)
		OPENSSL_cleanse(body.ptr, body.len);
	kurir_buf_free(&body);
	return r > 0 ? 0 : r;
}

/* Hashes of the table's own kind take as long as that of a user who is there. */
static void keep_decoy(struct state *s, struct kurir_str hash)
{
	if (hash.len >= LOGIN_HASH_MAX)
		return;
	memcpy(s->decoy, hash.ptr, hash.len);
	s->decoy[hash.len] = '\0';
}

/* Of a user who is not there the decoy's time is spent. */
KURIR_PARKS static int ask_hash(
    struct kurir_self *self, struct kurir_str name, struct kurir_str password)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct kurir_str decoy, hash;
	struct kurir_texts found = { 0 };
	int r = kurir_table_find(self, s->endpoint, c->map, name, kurir_now() + LOGIN_CHECK_TIME,
		kurir_scratch(), &found),
	    e;

	if (r < 0 && r != -ENODATA)
		return r;
	decoy = kurir_copy(kurir_scratch(), kurir_str_of(s->decoy));
	/* "{CRYPT}" is how directories mark such a hash (RFC 2307). */
	hash = r == 0 ? found.items[0] : decoy;
	if (kurir_str_starts(hash, KURIR_STR("{CRYPT}")))
		hash = kurir_str_part(hash, 7, hash.len);
	hash = kurir_copy(kurir_scratch(), hash);
	e = login_hash_check(password, hash, decoy);
	if (r == 0 && e == -EINVAL) {
		(void)kurir_log(self, KURIR_ERROR, 0, "the hash of %.*s is of no known kind",
		    KURIR_ARG(name));
		return -EACCES;
	}
	if (r == 0 && (e == 0 || e == 1))
		keep_decoy(s, hash);
	return r < 0 ? r : e == 1 ? 0 : e == 0 ? -EACCES : e;
}

static struct kurir_str name_of(
    const struct conf *c, struct kurir_arena *arena, struct kurir_str user)
{
	if (c->domain.len > 0 && kurir_str_find(user, '@') < 0)
		user = kurir_format(arena, "%.*s@%.*s", KURIR_ARG(user), KURIR_ARG(c->domain));
	return kurir_lower(arena, user);
}

/* To a directory "a" and " a" are one user: who may write him in many ways has as many accounts,
 * and may guess as many times as often. */
static bool is_name(struct kurir_str user)
{
	for (size_t i = 0; i < user.len; i++)
		if ((unsigned char)user.ptr[i] <= ' ' || user.ptr[i] == 0x7f)
			return false;
	return user.len > 0 && user.len <= USER_MAX;
}

static void count_it(struct kurir_self *self, int r)
{
	kurir_count(self,
	    r == 0		? COUNT_ACCEPTED
		: r == -EACCES	? COUNT_WRONG
		: r == -ENODATA ? COUNT_UNKNOWN
				: COUNT_FAILED,
	    1);
}

KURIR_PARKS static int check(struct kurir_self *self, const struct kurir_credentials *cr,
    struct kurir_arena *arena, struct kurir_str *ret_account)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct kurir_str name;
	struct keys k;
	int r;

	if (!is_name(cr->user) || cr->password.len == 0 || cr->password.len > LOGIN_PASSWORD_MAX)
		return -EACCES;
	if (s->waiting >= (unsigned)c->waiting) {
		kurir_count(self, COUNT_BUSY, 1);
		return -EAGAIN;
	}
	name = name_of(c, arena, cr->user);
	find_keys(s, name, cr->peer, &k);
	s->waiting++;
	r = take_turn(c, s, &k);
	if (r < 0) {
		s->waiting--;
		kurir_count(self, r == -EAGAIN ? COUNT_LOCKED : COUNT_FAILED, 1);
		return r;
	}
	r = c->verify ? ask_verify(self, name, cr->password) : ask_hash(self, name, cr->password);
	s->waiting--;
	learn(c, s, &k, r);
	kurir_signal_raise(s->checked);
	count_it(self, r);
	if (r == 0)
		*ret_account = name;
	if (r == -ENOENT)
		return kurir_log(self, KURIR_ERROR, -ENXIO,
		    "there is no \"%s\": no module has the table of that name", s->endpoint);
	return r == -ENODATA ? -ENOENT : r;
}

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *s = kurir_state(self);
	struct kurir_arena *arena = kurir_self_arena(self);

	if (getrandom(&s->salt, sizeof(s->salt), 0) != (ssize_t)sizeof(s->salt))
		return kurir_log(self, KURIR_ERROR, -EIO, "no random bytes");
	s->endpoint = kurir_format(arena, "table.%.*s", KURIR_ARG(c->table)).ptr;
	s->backoff = kurir_alloc(arena, sizeof(*s->backoff));
	s->checked = kurir_signal_new(arena);
	login_hash_decoy(s->decoy);
	return 0;
}

static const struct kurir_auth_ops ops = { .size = sizeof(ops), .check = check };
static const struct kurir_service services[] = {
	{ .kind = "auth", .name = "auth_table", .ops = &ops, .roles = KURIR_ROLE_AUTH }, { 0 }
};

KURIR_MODULE(auth_table, .version = "1.0", .summary = "Checks passwords of users in a table",
    .roles = KURIR_ROLE_AUTH, .caps = KURIR_CAP_SPAWN, .conf_size = sizeof(struct conf),
    .self_size = sizeof(struct state), .options = options, .counters = counters,
    .services = services, .start = start);
