/* upgrade.c - a database of an older format becomes one of ours, when an administrator says so
 * (tool_upgrade.c).
 *
 * Version 1 had all of a message in a row of "message", and indices of its mod-sequence and its
 * keywords.  Version 2 kept no fields of headers: those of its messages stay unknown. */
#include "schema.h"
#include "sheet.h"

#include <errno.h>

#define BEFORE_1 \
	"CREATE TABLE sheet(id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL," \
	" messages INTEGER NOT NULL, unseen INTEGER NOT NULL, data BLOB NOT NULL);" \
	"ALTER TABLE mailbox ADD COLUMN keywords TEXT NOT NULL DEFAULT '';" \
	"CREATE TABLE IF NOT EXISTS searched(account INTEGER PRIMARY KEY);" \
	"DROP INDEX IF EXISTS message_keywords;" \
	"DROP INDEX message_modseq;" \
	"ALTER TABLE message RENAME TO message_1;" \
	"CREATE TABLE message(mailbox INTEGER NOT NULL, uid INTEGER NOT NULL," \
	" email INTEGER NOT NULL, PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;"
#define AFTER_1 \
	"INSERT INTO message SELECT mailbox, uid, email FROM message_1;" \
	"DROP TABLE message_1;"
#define FROM_2 "ALTER TABLE blob ADD COLUMN fields BLOB;"

/* In the order of their UIDs, into sheets that are begun when one is full. */
static int fill_sheets(struct db *db)
{
	struct mailbox_row m;
	int r;
	sqlite3_stmt *s = db_query(db, &r,
	    "SELECT mailbox, uid, flags, keywords, size, date, saved, modseq FROM message_1"
	    " ORDER BY mailbox, uid",
	    "");
	while (r >= 0 && (r = db_step(db, s)) == 1) {
		struct message_row row = { .uid = db_column(s, 1),
			.flags = db_column(s, 2),
			.keywords = db_text(s, 3),
			.size = db_column(s, 4),
			.date = db_column(s, 5),
			.saved = db_column(s, 6),
			.modseq = db_column(s, 7) };
		m.id = db_column(s, 0);
		r = row.keywords.len > MODEL_KEYWORDS_MAX || m.id > SHEET_MAILBOXES
		    ? -EMSGSIZE
		    : mailbox_keywords(db, &m, row.keywords);
		if (r == 0)
			r = sheet_add(db, m.id, &row);
		if (r < 0)
			db_done(s);
	}
	return r;
}

static int from_1(struct db *db)
{
	int r = db_text_run(db, BEFORE_1);
	if (r == 0)
		r = fill_sheets(db);
	return r < 0 ? r : db_text_run(db, AFTER_1);
}

static int from_2(struct db *db)
{
	return db_text_run(db, FROM_2);
}

/* Each from the version that is its place, counted from 1, to the next. */
static int (*const steps[])(struct db *) = { from_1, from_2 };
_Static_assert(sizeof(steps) / sizeof(steps[0]) == SCHEMA_VERSION - 1, "a step to each version");

int schema_upgrade(struct db *db, int64_t version)
{
	if (version < 1 || version >= SCHEMA_VERSION)
		return -EPROTONOSUPPORT;
	int r = db_exec(db, "BEGIN IMMEDIATE", "");
	if (r < 0)
		return r;
	for (int64_t v = version; r == 0 && v < SCHEMA_VERSION; v++)
		r = steps[v - 1](db);
	if (r == 0)
		r = db_text_run(db, "PRAGMA user_version = " SCHEMA_VERSION_TEXT);
	if (r == 0)
		return db_exec(db, "COMMIT", "");
	(void)db_exec(db, "ROLLBACK", "");
	return r;
}
