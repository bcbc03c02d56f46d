/* limits.h - private to the module: what is counted, for whom, and how much of it is too much.
 *
 * The edge sends what a client is about to do to the endpoint "limits"; the control process, of
 * which there is one, adds it up in a file and says whether it is too much. */
#ifndef LIMITS_H
#define LIMITS_H

#include <kurir/call.h>
#include <kurir/module.h>
#include <kurir/network.h>

#include <sqlfile/sqlfile.h>

#define LIMITS_KEY_MAX 400 /* bytes of an address or account */
#define LIMITS_ENTRIES 64  /* counters that one thing a client does may touch */
#define LIMITS_SLOTS   16  /* a window slides by a sixteenth of itself */

enum limits_who {
	LIMITS_ADDRESS,
	LIMITS_NETWORK,
	LIMITS_ACCOUNT,
	LIMITS_SENDER,
	LIMITS_SENDER_DOMAIN,
	LIMITS_RECIPIENT,
	LIMITS_RECIPIENT_DOMAIN,
};
enum limits_what { LIMITS_CONNECTIONS, LIMITS_MESSAGES, LIMITS_RECIPIENTS, LIMITS_BYTES };

struct limits_rate {
	enum limits_who who;
	enum limits_what what;
	uint64_t amount;
	int64_t window; /* milliseconds */
	struct kurir_str text;
};
struct limits_rates {
	size_t count;
	struct limits_rate *items;
};
/* rates: { "account": ["100 messages/1h", ...], ... }; -EINVAL with *error set. */
int limits_rates_parse(
    struct kurir_arena *, struct kurir_map, struct limits_rates *ret, struct kurir_str *error);
/* The words of a rate: -EINVAL with *why set. */
int limits_rate_parse(struct kurir_str, struct limits_rate *ret, const char **why);
extern const char *const limits_who_names[];

/* One counter that shall grow. */
struct limits_entry {
	struct kurir_str key; /* "instance|who|what|window|value" */
	uint64_t limit, amount;
	int64_t window;
	bool holds; /* when this is too much the account is put on hold */
};
struct limits_question {
	struct kurir_str account; /* asked whether it is on hold; empty: nobody */
	int64_t now;
	bool trial; /* of a session that is simulated: nothing is counted */
	size_t count;
	struct limits_entry entries[LIMITS_ENTRIES];
};
int limits_put_question(struct kurir_buf *, const struct limits_question *);
int limits_get_question(struct kurir_str, struct limits_question *ret); /* 0, -EBADMSG */

enum limits_verdict { LIMITS_FINE = 1, LIMITS_TOO_MUCH, LIMITS_HELD, LIMITS_NOW_HELD };
struct limits_answer {
	enum limits_verdict verdict;
	uint32_t which; /* entry that is too much */
};

/* The file; blocks.  All but the first in a transaction. */
struct limits_store {
	struct sqlfile file;
	int64_t purged;
};
int limits_open(const char *path, struct limits_store *, bool *ret_damaged);
int limits_take(struct limits_store *, const struct limits_question *, struct limits_answer *ret);
int limits_hold(
    struct limits_store *, struct kurir_str account, struct kurir_str why, int64_t now);
int limits_release(struct limits_store *, struct kurir_str account); /* how many: 0 or 1 */
/* Calls fn for each; 0 or -errno. */
int limits_holds(struct limits_store *,
    void (*fn)(void *arg, struct kurir_str account, struct kurir_str why, int64_t since),
    void *arg);

#endif
