/* limits_store.c - counters and holds in a SQLite file.  Blocks: runs in helper threads.
 *
 * A counter is a row for each sixteenth of its window in which something was counted; the sum of
 * those that are not older than the window is what counts now. */
#include "limits.h"

#define PURGE_EVERY 60000 /* milliseconds */

enum statement { SUM, ADD, PURGE, FIND, HOLD, RELEASE, LIST, STATEMENTS };
static const char *const texts[STATEMENTS] = {
	"SELECT coalesce(sum(amount), 0) FROM counter WHERE key = ?1 AND slot > ?2",
	("INSERT INTO counter(key, slot, amount, expires) VALUES(?1, ?2, ?3, ?4)"
	 " ON CONFLICT(key, slot) DO UPDATE SET amount = amount + ?3"),
	"DELETE FROM counter WHERE expires <= ?1",
	"SELECT 1 FROM hold WHERE account = ?1",
	"INSERT OR IGNORE INTO hold(account, why, since) VALUES(?1, ?2, ?3)",
	"DELETE FROM hold WHERE account = ?1",
	"SELECT account, why, since FROM hold ORDER BY since, account",
};
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS counter(key TEXT NOT NULL, slot INTEGER NOT NULL,"
    " amount INTEGER NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY(key, slot)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS counter_expires ON counter(expires);"
    "CREATE TABLE IF NOT EXISTS hold(account TEXT PRIMARY KEY, why TEXT NOT NULL,"
    " since INTEGER NOT NULL) WITHOUT ROWID;";

int limits_open(const char *path, struct limits_store *s, bool *ret_damaged)
{
	*s = (struct limits_store){ .purged = 0 };
	return sqlfile_open(&s->file, path, schema, texts, STATEMENTS, ret_damaged);
}

static int64_t slot_of(const struct limits_entry *e, int64_t now, int64_t *ret_span)
{
	int64_t span = e->window / LIMITS_SLOTS;

	*ret_span = span > 0 ? span : 1;
	return now / *ret_span;
}

/* 1: with it there is too much. */
static int too_much(struct limits_store *s, const struct limits_entry *e, int64_t now)
{
	int64_t span, oldest = slot_of(e, now, &span) - LIMITS_SLOTS;
	int r = sqlfile_step(&s->file, SUM, 1, &e->key, 1, &oldest);
	int64_t sum;

	if (r != 1)
		return r;
	sum = sqlfile_number(&s->file, SUM, 0);
	sqlfile_reset(&s->file, SUM);
	return sum < 0 || (uint64_t)sum + e->amount > e->limit;
}

static int add(struct limits_store *s, const struct limits_entry *e, int64_t now)
{
	int64_t span, slot = slot_of(e, now, &span);
	const int64_t numbers[] = { slot, (int64_t)e->amount, now + e->window + span };

	return e->amount == 0 ? 0 : sqlfile_run(&s->file, ADD, 1, &e->key, 3, numbers);
}

int limits_take(
    struct limits_store *s, const struct limits_question *q, struct limits_answer *ret)
{
	int r = 0;

	*ret = (struct limits_answer){ LIMITS_FINE, 0 };
	if (q->now - s->purged >= PURGE_EVERY || q->now < s->purged) {
		s->purged = q->now;
		r = sqlfile_run(&s->file, PURGE, 0, NULL, 1, &q->now);
	}
	if (r == 0 && q->account.len > 0)
		r = sqlfile_step(&s->file, FIND, 1, &q->account, 0, NULL);
	if (r == 1) {
		sqlfile_reset(&s->file, FIND);
		ret->verdict = LIMITS_HELD;
		return 0;
	}
	for (size_t i = 0; i < q->count && r == 0; i++) {
		r = too_much(s, &q->entries[i], q->now);
		if (r == 1)
			*ret = (struct limits_answer){ LIMITS_TOO_MUCH, (uint32_t)i };
	}
	if (r == 1 && q->entries[ret->which].holds) {
		ret->verdict = LIMITS_NOW_HELD;
		return limits_hold(s, q->account, KURIR_STR("too much was sent"), q->now);
	}
	for (size_t i = 0; i < q->count && r == 0; i++)
		r = add(s, &q->entries[i], q->now);
	return r < 0 ? r : 0;
}

int limits_hold(
    struct limits_store *s, struct kurir_str account, struct kurir_str why, int64_t now)
{
	const struct kurir_str keys[] = { account, why };

	return sqlfile_run(&s->file, HOLD, 2, keys, 1, &now);
}

int limits_release(struct limits_store *s, struct kurir_str account)
{
	int r = sqlfile_run(&s->file, RELEASE, 1, &account, 0, NULL);

	return r < 0 ? r : sqlite3_changes(s->file.sql);
}

int limits_holds(struct limits_store *s,
    void (*fn)(void *arg, struct kurir_str account, struct kurir_str why, int64_t since),
    void *arg)
{
	int r = sqlfile_step(&s->file, LIST, 0, NULL, 0, NULL);

	while (r == 1) {
		fn(arg, sqlfile_text(&s->file, LIST, 0), sqlfile_text(&s->file, LIST, 1),
		    sqlfile_number(&s->file, LIST, 2));
		r = sqlfile_next(&s->file, LIST);
	}
	return r;
}
