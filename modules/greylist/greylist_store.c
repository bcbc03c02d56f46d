/* greylist_store.c - triplets and networks in a SQLite file.  Blocks: runs in helper threads.
 *
 * A triplet that waits goes when its client did not come back; one that has passed goes when it
 * was not used for long; a network likewise.  Nothing is lost when the file is: hosts wait once
 * more.  So a crash of the machine may cost the last seconds (synchronous = NORMAL). */
#include "greylist.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

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
	BEGIN,
	COMMIT,
	ROLLBACK,
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
	"BEGIN IMMEDIATE",
	"COMMIT",
	"ROLLBACK",
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

struct greylist_store {
	sqlite3 *sql;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t purged, size; /* when last; triplets, about */
};

static int error_of(int r)
{
	switch (r & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

static int store_try(const char *path, struct greylist_store *s)
{
	int r = sqlite3_open_v2(path, &s->sql,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_exec(s->sql, schema, NULL, NULL, NULL);
	for (int i = 0; i < STATEMENTS && r == SQLITE_OK; i++)
		r = sqlite3_prepare_v3(
		    s->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);
	return error_of(r);
}

static void store_reset(struct greylist_store *s)
{
	for (int i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(s->statements[i]);
	(void)sqlite3_close(s->sql);
	*s = (struct greylist_store){ .sql = NULL };
}

static void put_aside(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char from[1100], to[1100];

	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(from, sizeof(from), "%s%s", path, ends[i]);
		(void)snprintf(to, sizeof(to), "%s.damaged%s", path, ends[i]);
		(void)rename(from, to);
	}
}

int greylist_open(const char *path, struct greylist_store **ret, bool *ret_damaged)
{
	struct greylist_store *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = store_try(path, s);
	*ret_damaged = r == -EUCLEAN;
	if (r == -EUCLEAN) {
		store_reset(s);
		put_aside(path);
		r = store_try(path, s);
	}
	if (r < 0) {
		greylist_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void greylist_close(struct greylist_store *s)
{
	if (s == NULL)
		return;
	store_reset(s);
	free(s);
}

/* Binds up to three texts, then numbers; runs to the first row: 1, 0 when there is none. */
static int step(struct greylist_store *s, enum statement which, unsigned text_count,
    const struct kurir_str *keys, unsigned number_count, const int64_t *numbers)
{
	sqlite3_stmt *st = s->statements[which];
	int r = sqlite3_reset(st);

	(void)r; /* what the last use of it said */
	r = SQLITE_OK;
	for (unsigned i = 0; i < text_count && r == SQLITE_OK; i++)
		r = sqlite3_bind_text(
		    st, (int)i + 1, keys[i].ptr, (int)keys[i].len, SQLITE_TRANSIENT);
	for (unsigned i = 0; i < number_count && r == SQLITE_OK; i++)
		r = sqlite3_bind_int64(st, (int)(text_count + i) + 1, numbers[i]);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		return 1;
	(void)sqlite3_reset(st);
	return error_of(r);
}

static int64_t column(struct greylist_store *s, enum statement which, int n)
{
	return sqlite3_column_int64(s->statements[which], n);
}

/* Statements that give no rows. */
static int run(struct greylist_store *s, enum statement which, unsigned text_count,
    const struct kurir_str *keys, unsigned number_count, const int64_t *numbers)
{
	int r = step(s, which, text_count, keys, number_count, numbers);

	(void)sqlite3_reset(s->statements[which]);
	return r;
}

int greylist_begin(struct greylist_store *s)
{
	return run(s, BEGIN, 0, NULL, 0, NULL);
}

int greylist_end(struct greylist_store *s, bool good)
{
	return run(s, good ? COMMIT : ROLLBACK, 0, NULL, 0, NULL);
}

/* What is over goes; and the oldest when there are too many still. */
static int purge(struct greylist_store *s, int64_t now, uint32_t entries)
{
	int64_t more = PURGE_MORE;
	int r = 0;

	if (now - s->purged >= PURGE_EVERY || now < s->purged || s->purged == 0) {
		s->purged = now;
		r = run(s, PURGE_TRIPLETS, 0, NULL, 1, &now);
		if (r == 0)
			r = run(s, PURGE_NETWORKS, 0, NULL, 1, &now);
		if (r == 0 && (r = step(s, SIZE, 0, NULL, 0, NULL)) == 1) {
			s->size = column(s, SIZE, 0);
			(void)sqlite3_reset(s->statements[SIZE]);
			r = 0;
		}
	}
	if (r == 0 && s->size >= entries) {
		r = run(s, SHRINK, 0, NULL, 1, &more);
		s->size -= PURGE_MORE;
	}
	return r;
}

/* One that was seen before. */
static int seen_before(struct greylist_store *s, const struct greylist_question *q,
    const struct kurir_str keys[3], struct greylist_answer *ret)
{
	int64_t first = column(s, FIND, 0), over = q->now + q->keep, due = first + q->delay;
	bool passed = column(s, FIND, 1) != 0;
	int r;

	(void)sqlite3_reset(s->statements[FIND]);
	if (!passed && q->now < due) {
		/* A clock that was set back makes nobody wait for longer than the delay. */
		ret->wait = due - q->now < q->delay ? due - q->now : q->delay;
		ret->verdict = GREYLIST_WAIT;
		return 0;
	}
	r = run(s, PASS, 3, keys, 1, &over);
	if (r == 0)
		r = run(s, passed ? TOUCH : CREDIT, 1, keys, 1, &over);
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
	if (r == 0 && q->allow > 0 && (r = step(s, NETWORK, 1, keys, 1, &q->now)) == 1) {
		bool allowed = column(s, NETWORK, 0) >= q->allow;

		(void)sqlite3_reset(s->statements[NETWORK]);
		r = 0;
		if (allowed) {
			*ret = (struct greylist_answer){ GREYLIST_ALLOWED, 0 };
			return run(s, EXTEND, 1, keys, 1, &over);
		}
	}
	if (r == 0)
		r = step(s, FIND, 3, keys, 1, &q->now);
	if (r == 1)
		return seen_before(s, q, keys, ret);
	if (r == 0)
		r = run(s, INSERT, 3, keys, 2, fresh);
	s->size += r == 0;
	return r;
}

int greylist_count(struct greylist_store *s, int64_t now, struct greylist_counts *ret)
{
	int r = step(s, COUNT, 0, NULL, 1, &now);

	if (r != 1)
		return r < 0 ? r : -EIO;
	ret->waiting = column(s, COUNT, 0);
	ret->passed = column(s, COUNT, 1);
	ret->networks = column(s, COUNT, 2);
	(void)sqlite3_reset(s->statements[COUNT]);
	return 0;
}

int greylist_forget(struct greylist_store *s, struct kurir_str network)
{
	int r = run(s, FORGET_TRIPLETS, 1, &network, 0, NULL), n = sqlite3_changes(s->sql);

	if (r == 0)
		r = run(s, FORGET_NETWORK, 1, &network, 0, NULL);
	return r < 0 ? r : n;
}

int greylist_allow(struct greylist_store *s, struct kurir_str network, int64_t until)
{
	return run(s, ALLOW, 1, &network, 1, &until);
}
