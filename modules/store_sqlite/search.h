/* search.h - the full-text index of a shard: the file search.db beside index.db.
 *
 * Each e-mail is a row with its headers and the text of its bodies as people read it, cut into
 * trigrams, without regard to case.  The index knows which rows have a trigram, not where: so
 * what it finds has all of those that are looked for, and may have them apart, and is looked at
 * itself.  That makes it a sixth of the size.
 *
 * It has the accounts that were searched once (in index.db, "searched").  It is made behind
 * deliveries by a fiber of its own, with connections of its own; it is not durable at each step,
 * can be deleted at any time, and is then made again.
 *
 * state.upto: all accounts of the index have their e-mails up to this one, but for accounts that
 * joined later: those have theirs up to account.upto, until that is account.until. */
#ifndef STORE_SQLITE_SEARCH_H
#define STORE_SQLITE_SEARCH_H

#include "db.h"

#include <kurir/store.h>

#define SEARCH_ACCOUNT 10 /* bytes of the text that stands for an account */
#define SEARCH_LEAST   3  /* characters that can be looked for */

/* The one trigram that all rows of an account have. */
void search_account(int64_t account, char ret[SEARCH_ACCOUNT]);

struct search_index {
	const char *folder;
	struct db from, to;
	bool open;
};
/* In a helper thread. 1: there is more to do; 0; -errno. */
int search_step(struct search_index *);
void search_close(struct search_index *);

/* What FTS5 is asked for; its rows may have it. -ENOTSUP: the index cannot tell. */
int search_expression(
    struct kurir_arena *, int64_t account, const struct kurir_find *, struct kurir_str *ret);

#endif
