/* search.h - the full-text index of a shard: the file search.db beside index.db.
 *
 * Each e-mail is a row with its headers and the text of its bodies as people read it, cut into
 * trigrams: what is found is any part of a word, without regard to case.  The index is made
 * behind deliveries by a fiber of its own, with connections of its own, and says up to which
 * e-mail it has come; it is not durable at each step, can be deleted at any time, and is then
 * made again. */
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

/* What FTS5 is asked for; -ENOTSUP: the index cannot tell. */
int search_expression(struct kurir_arena *, int64_t account, const struct kurir_find *,
    bool *exact, struct kurir_str *ret);

#endif
