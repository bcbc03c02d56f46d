/* greylist_store.c - triplets and networks in a SQLite file.  Blocks: runs in helper threads.
 *
 * A triplet that waits goes when its client did not come back; one that has passed goes when it
 * was not used for long; a network likewise.  Nothing is lost when the file is: hosts wait once
 * more. */
#include "greylist.h"

#include <errno.h>

#define PURGE_EVERY 60000 /* milliseconds */
#define PURGE_MORE  1000  /* triplets, when there are too many */

enum statement {
	FIND,
	INSERT,
	PASS,
	NETWORK,
	CREDIT,
	TOUCH,
	EXTEND,
	ALLOW,
	FORGET_TRIPLETS,
	FORGET_NETWORK,
	PURGE_TRIPLETS,
	PURGE_NETWORKS,
	SIZE,
	SHRINK,
	COUNT,
	STATEMENTS
};
static const char *const texts[STATEMENTS] = {
	"SELECT first, passed FROM triplet WHERE network = ?1 AND sender = ?2 AND recipient = ?3"
	" AND expires > ?4",
	"INSERT OR REPLACE INTO triplet(network, sender, recipient, first, passed, expires)"
	" VALUES(?1, ?2, ?3, ?4, 0, ?5)",
	"UPDATE triplet SET passed = 1, expires = ?4 WHERE network = ?1 AND sender = ?2 AND"
	" recipient = ?3",
	"SELECT passes FROM network WHERE network = ?1 AND expires > ?2",
	"INSERT INTO network(network, passes, expires) VALUES(?1, 1, ?2) ON CONFLICT(network) DO"
	" UPDATE SET passes = passes + 1, expires = ?2",
	"UPDATE network SET expires = ?2 WHERE network = ?1",
	"UPDATE network SET expires = ?2 WHERE network = ?1 AND expires < ?2",
	"INSERT INTO network(network, passes, expires) VALUES(?1, 1000000000, ?2) ON"
	" CONFLICT(network) DO UPDATE SET passes = 1000000000, expires = ?2",
	"DELETE FROM triplet WHERE network = ?1",
	"DELETE FROM network WHERE network = ?1",
	"DELETE FROM triplet WHERE expires <= ?1",
	"DELETE FROM network WHERE expires <= ?1",
	"SELECT count(*) FROM triplet",
	"DELETE FROM triplet WHERE id IN (SELECT id FROM triplet ORDER BY expires LIMIT ?1)",
	"SELECT (SELECT count(*) FROM triplet WHERE passed = 0 AND expires > ?1),"
	" (SELECT count(*) FROM triplet WHERE passed = 1 AND expires > ?1),"
	" (SELECT count(*) FROM network WHERE expires > ?1)",
};
static const char schema[] =
    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA trusted_schema = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;"
    "CREATE TABLE IF NOT EXISTS triplet(id INTEGER PRIMARY KEY, network TEXT NOT NULL,"
    " sender TEXT NOT NULL, recipient TEXT NOT NULL, first INTEGER NOT NULL,"
    " passed INTEGER NOT NULL, expires INTEGER NOT NULL, UNIQUE(network, sender, recipient));"
    "CREATE INDEX IF NOT EXISTS triplet_expires ON triplet(expires);"
    "CREATE TABLE IF NOT EXISTS network(network TEXT PRIMARY KEY, passes INTEGER NOT NULL,"
    " expires INTEGER NOT NULL) WITHOUT ROWID;";

int greylist_open(const char *path, struct greylist_store *s, bool *ret_damaged)
{
	*s = (struct greylist_store){ .size = 0 };
	return sqlfile_open(&s->file, path, schema, texts, STATEMENTS, ret_damaged);
}

/* What is over goes; and the oldest when there are too many still. */
static int purge(struct greylist_store *s, int64_t now, uint32_t entries)
{
	int64_t more = PURGE_MORE;
	int r = 0;

	if (now - s->purged >= PURGE_EVERY || now < s->purged || s->purged == 0) {
		s->purged = now;
		r = sqlfile_run(&s->file, PURGE_TRIPLETS, 0, NULL, 1, &now);
		if (r == 0)
			r = sqlfile_run(&s->file, PURGE_NETWORKS, 0, NULL, 1, &now);
		if (r == 0 && (r = sqlfile_step(&s->file, SIZE, 0, NULL, 0, NULL)) == 1) {
			s->size = sqlfile_number(&s->file, SIZE, 0);
			sqlfile_reset(&s->file, SIZE);
			r = 0;
		}
	}
	if (r == 0 && s->size >= entries) {
		r = sqlfile_run(&s->file, SHRINK, 0, NULL, 1, &more);
		s->size -= PURGE_MORE;
	}
	return r;
}

/* One that was seen before. */
static int seen_before(struct greylist_store *s, const struct greylist_question *q,
    const struct kurir_str keys[3], struct greylist_answer *ret)
{
	int64_t first = sqlfile_number(&s->file, FIND, 0), over = q->now + q->keep,
		due = first + q->delay;
	bool passed = sqlfile_number(&s->file, FIND, 1) != 0;
	int r;

	sqlfile_reset(&s->file, FIND);
	if (!passed && q->now < due) {
		/* A clock that was set back makes nobody wait for longer than the delay. */
		ret->wait = due - q->now < q->delay ? due - q->now : q->delay;
		ret->verdict = GREYLIST_WAIT;
		return 0;
	}
	r = sqlfile_run(&s->file, PASS, 3, keys, 1, &over);
	if (r == 0)
		r = sqlfile_run(&s->file, passed ? TOUCH : CREDIT, 1, keys, 1, &over);
	ret->verdict = passed ? GREYLIST_KNOWN : GREYLIST_PASSED;
	return r;
}

int greylist_ask(
    struct greylist_store *s, const struct greylist_question *q, struct greylist_answer *ret)
{
	const struct kurir_str keys[3] = { q->network, q->sender, q->recipient };
	const int64_t fresh[2] = { q->now, q->now + q->window }, over = q->now + q->keep;
	int r = purge(s, q->now, q->entries);

	*ret = (struct greylist_answer){ GREYLIST_NEW, q->delay };
	if (r == 0 && q->allow > 0 &&
	    (r = sqlfile_step(&s->file, NETWORK, 1, keys, 1, &q->now)) == 1) {
		bool allowed = sqlfile_number(&s->file, NETWORK, 0) >= q->allow;

		sqlfile_reset(&s->file, NETWORK);
		r = 0;
		if (allowed) {
			*ret = (struct greylist_answer){ GREYLIST_ALLOWED, 0 };
			return sqlfile_run(&s->file, EXTEND, 1, keys, 1, &over);
		}
	}
	if (r == 0)
		r = sqlfile_step(&s->file, FIND, 3, keys, 1, &q->now);
	if (r == 1)
		return seen_before(s, q, keys, ret);
	if (r == 0)
		r = sqlfile_run(&s->file, INSERT, 3, keys, 2, fresh);
	s->size += r == 0;
	return r;
}

int greylist_count(struct greylist_store *s, int64_t now, struct greylist_counts *ret)
{
	int r = sqlfile_step(&s->file, COUNT, 0, NULL, 1, &now);

	if (r != 1)
		return r < 0 ? r : -EIO;
	ret->waiting = sqlfile_number(&s->file, COUNT, 0);
	ret->passed = sqlfile_number(&s->file, COUNT, 1);
	ret->networks = sqlfile_number(&s->file, COUNT, 2);
	sqlfile_reset(&s->file, COUNT);
	return 0;
}

int greylist_forget(struct greylist_store *s, struct kurir_str network)
{
	int r = sqlfile_run(&s->file, FORGET_TRIPLETS, 1, &network, 0, NULL),
	    n = sqlite3_changes(s->file.sql);

	if (r == 0)
		r = sqlfile_run(&s->file, FORGET_NETWORK, 1, &network, 0, NULL);
	return r < 0 ? r : n;
}

int greylist_allow(struct greylist_store *s, struct kurir_str network, int64_t until)
{
	return sqlfile_run(&s->file, ALLOW, 1, &network, 1, &until);
}
