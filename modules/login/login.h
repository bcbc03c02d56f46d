/* login.h - what modules have in common that check passwords: hashes of crypt(5), and who failed
 * too often.  Linked into each of them; not a part of the contract. */
#ifndef LOGIN_H
#define LOGIN_H

#include <kurir/module.h>

#define LOGIN_PASSWORD_MAX 511 /* what libcrypt takes */
#define LOGIN_HASH_MAX	   384
#define LOGIN_CHECK_TIME   60000

/* In a helper thread: 1 right, 0 wrong, -EINVAL: the hash is of no kind that is known (it takes
 * as long as for the decoy), or -errno.  NUL follows all texts. */
int login_hash_check(struct kurir_str password, struct kurir_str hash, struct kurir_str decoy)
    KURIR_PARKS;
/* A hash that nobody has a password for; blocks for as long as one takes. */
void login_hash_decoy(char ret[LOGIN_HASH_MAX]);

/* Failures by key.  Of fixed size: when full, the entry that failed longest ago is forgotten. */
#define BACKOFF_SLOTS 16384
#define BACKOFF_WAYS  8
struct backoff_entry {
	uint64_t key; /* 0: free */
	kurir_time last, until;
	uint32_t failures, held;
};
struct backoff_rule {
	uint32_t free_failures; /* so many cost nothing */
	kurir_time first, most; /* how long one more locks; doubles each time */
	kurir_time forget;	/* without a failure */
};
struct backoff {
	struct backoff_entry entries[BACKOFF_SLOTS];
};
bool backoff_locked(const struct backoff *, uint64_t key, kurir_time now);
/* An attempt whose outcome is not known yet holds one of the free failures of its key, so that
 * many guesses at once are no more than one by one; it is no failure.  When all are held, or used
 * up and one is being tried, it has to wait for the others. */
bool backoff_has_room(
    const struct backoff *, uint64_t key, const struct backoff_rule *, kurir_time now);
void backoff_hold(struct backoff *, uint64_t key, kurir_time now);
void backoff_release(struct backoff *, uint64_t key);
void backoff_fail(struct backoff *, uint64_t key, const struct backoff_rule *, kurir_time now);
/* Of failures; what is held stays held. */
void backoff_clear(struct backoff *, uint64_t key);
/* Remembers that key did well (a user from a network); until it is forgotten or pushed out. */
void backoff_praise(struct backoff *, uint64_t key, kurir_time now);
bool backoff_praised(const struct backoff *, uint64_t key, kurir_time now, kurir_time span);
/* "192.0.2.77" -> "192.0.2.0/24", "2001:db8::1" -> "2001:db8::/64"; else the text itself. */
struct kurir_str backoff_network(struct kurir_arena *, struct kurir_str peer);

#endif
