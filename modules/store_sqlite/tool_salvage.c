/* tool_salvage.c - what a database that was set aside still says, for the one that is made again.
 *
 * If all of it can be read, its rows are copied with their ids.  Then they are settled with the
 * segments, which have the last word: what names bytes that are not there goes, what the sheets
 * do not tell of goes, and all that is counted is counted again.  Bytes of which no row is left
 * become messages anew. */
#include "schema.h"
#include "sheet.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024

static const struct {
	const char *name, *order;
} tables[] = {
	{ "account", "id" },
	{ "mailbox", "id" },
	{ "gone_mailbox", "id" },
	{ "subscription", "account, name" },
	{ "entry", "account, mailbox, name" },
	{ "blob", "id" },
	{ "email", "id" },
	{ "reference", "account, key" },
	{ "fact", "blob" },
	{ "message", "mailbox, uid" },
	{ "sheet", "id" },
	{ "gone", "mailbox, modseq, uid" },
	{ "delivered", "id" },
	{ "searched", "account" },
};

/* The statements that read a table there and write it here. */
struct copy {
	sqlite3_stmt *from, *to;
	int columns;
};

static void copy_end(struct copy *c)
{
	(void)sqlite3_finalize(c->from);
	(void)sqlite3_finalize(c->to);
}

/* Columns by their names, as an upgraded database may have them in another order. */
static int copy_begin(struct db *db, const char *name, const char *order, struct copy *ret)
{
	char text[TEXT_MAX], columns[TEXT_MAX / 3] = "", marks[TEXT_MAX / 3] = "";
	sqlite3_stmt *like = NULL;
	*ret = (struct copy){ .columns = 0 };
	(void)snprintf(text, sizeof(text), "SELECT * FROM main.%s LIMIT 0", name);
	int e = sqlite3_prepare_v2(db->sql, text, -1, &like, NULL);
	ret->columns = like != NULL ? sqlite3_column_count(like) : 0;
	for (int i = 0; i < ret->columns; i++) {
		size_t at = strlen(columns), mark = strlen(marks);
		(void)snprintf(columns + at, sizeof(columns) - at, "%s\"%s\"", i > 0 ? "," : "",
		    sqlite3_column_name(like, i));
		(void)snprintf(marks + mark, sizeof(marks) - mark, "%s?", i > 0 ? "," : "");
	}
	(void)sqlite3_finalize(like);
	if (e != SQLITE_OK)
		return db_error(db, e);
	(void)snprintf(text, sizeof(text), "INSERT OR IGNORE INTO main.%s(%s) VALUES(%s)", name,
	    columns, marks);
	e = sqlite3_prepare_v2(db->sql, text, -1, &ret->to, NULL);
	if (e != SQLITE_OK)
		return db_error(db, e);
	(void)snprintf(
	    text, sizeof(text), "SELECT %s FROM old.%s ORDER BY %s", columns, name, order);
	return sqlite3_prepare_v2(db->sql, text, -1, &ret->from, NULL) == SQLITE_OK ? 1 : 0;
}

/* Of a page that was overwritten something may be read that nobody wrote. */
static bool fits(sqlite3_stmt *from, int i)
{
	const char *declared = sqlite3_column_decltype(from, i);
	int type = sqlite3_column_type(from, i);
	if (type == SQLITE_NULL || declared == NULL)
		return true;
	return type ==
	    (strcmp(declared, "INTEGER") == 0	    ? SQLITE_INTEGER
		    : strcmp(declared, "TEXT") == 0 ? SQLITE_TEXT
						    : SQLITE_BLOB);
}

/* 1; 0: this row makes no sense, and is left out. */
static int copy_row(struct db *db, const struct copy *c)
{
	for (int i = 0; i < c->columns; i++) {
		if (!fits(c->from, i))
			return 0;
		(void)sqlite3_bind_value(c->to, i + 1, sqlite3_column_value(c->from, i));
	}
	int e = sqlite3_step(c->to);
	(void)sqlite3_reset(c->to);
	return e == SQLITE_DONE ? 1 : db_error(db, e);
}

/* 1: all of it; 0: some of it cannot be read. */
static int copy_table(struct db *db, const char *name, const char *order)
{
	struct copy c;
	bool whole = true;
	int r = copy_begin(db, name, order, &c), e = SQLITE_ROW;
	if (r == 0)
		whole = false;
	while (r > 0 && (e = sqlite3_step(c.from)) == SQLITE_ROW) {
		int done = copy_row(db, &c);
		whole = whole && done > 0;
		r = done < 0 ? done : 1;
	}
	copy_end(&c);
	return r < 0 ? r : whole && e == SQLITE_DONE;
}

int salvage_open(struct tool_shard *s, const char *path)
{
	int64_t version = 0;
	int r = db_exec(&s->db, "ATTACH DATABASE ? AS old", "t", kurir_str_of(path));
	if (r == 0)
		r = db_number(&s->db, &version, "PRAGMA old.user_version", "");
	if (r == 0)
		r = db_text_run(&s->db, "PRAGMA old.cell_size_check = 1");
	return r == -ENOMEM || r == -ENOSPC ? r : r == 0 && version == SCHEMA_VERSION;
}

int salvage_copy(struct tool_shard *s)
{
	int r = 1;
	for (size_t i = 0; r == 1 && i < sizeof(tables) / sizeof(tables[0]); i++)
		r = copy_table(&s->db, tables[i].name, tables[i].order);
	if (r != 1)
		return r;
	/* Ids of what went before are not given again. */
	(void)db_text_run(&s->db,
	    "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM"
	    " old.sqlite_sequence o WHERE o.name = sqlite_sequence.name), 0))");
	r = db_text_run(&s->db,
	    "CREATE TEMP TABLE good(blob INTEGER PRIMARY KEY);"
	    "CREATE TEMP TABLE unknown(segment, at, PRIMARY KEY(segment, at)) WITHOUT ROWID;"
	    "CREATE TEMP TABLE file(segment INTEGER PRIMARY KEY, bytes);"
	    "CREATE TEMP TABLE renewed(mailbox INTEGER PRIMARY KEY);"
	    "CREATE TEMP TABLE was AS SELECT mailbox, count(*) AS n FROM message"
	    " GROUP BY mailbox;");
	return r < 0 ? r : 1;
}

int salvage_record(
    struct tool_shard *s, uint64_t segment, uint64_t at, const struct blob_record *record)
{
	const struct blob_source *b = &record->source;
	int64_t blob, last;
	int r = db_number(&s->db, &blob,
	    "SELECT id FROM blob WHERE segment = ? AND offset = ? AND length = ?", "iii",
	    (int64_t)segment, (int64_t)record->body, (int64_t)b->length);
	if (r == 0)
		r = db_exec(&s->db, "INSERT INTO temp.good(blob) VALUES(?)", "i", blob);
	if (r == 0)
		return db_exec(&s->db,
		    "INSERT OR IGNORE INTO temp.seen(crc, length, date, account, mailbox, blob)"
		    " VALUES(?, ?, ?, ?, ?, ?)",
		    "iiitti", (int64_t)record->crc, (int64_t)b->length, b->date, b->account,
		    b->mailbox, blob);
	if (r != -ENOENT)
		return r;
	r = db_number(&s->db, &last,
	    "SELECT coalesce(max(offset), 0) FROM blob WHERE segment = ?", "i", (int64_t)segment);
	if (r < 0 || (int64_t)record->body < last)
		return r; /* the database knew that it went */
	return db_exec(&s->db, "INSERT INTO temp.unknown(segment, at) VALUES(?, ?)", "ii",
	    (int64_t)segment, (int64_t)at);
}

/* What names something that is not there. */
static const char loose[] =
    "DELETE FROM blob WHERE id NOT IN (SELECT blob FROM temp.good);"
    "DELETE FROM mailbox WHERE account NOT IN (SELECT id FROM account);"
    "DELETE FROM email WHERE blob NOT IN (SELECT id FROM blob)"
    " OR account NOT IN (SELECT id FROM account);"
    "DELETE FROM message WHERE email NOT IN (SELECT id FROM email)"
    " OR mailbox NOT IN (SELECT id FROM mailbox);"
    "DELETE FROM gone WHERE mailbox NOT IN (SELECT id FROM mailbox)"
    " AND mailbox NOT IN (SELECT id FROM gone_mailbox);"
    "UPDATE gone SET flags = NULL, keywords = NULL, size = NULL, date = NULL, email = NULL"
    " WHERE email NOT IN (SELECT id FROM email);"
    "CREATE TEMP TABLE sheets AS SELECT id FROM sheet;";

/* What nobody needs, and what has to be looked for again. */
static const char unused[] =
    "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM temp.unpacked u"
    " WHERE u.mailbox = message.mailbox AND u.uid = message.uid);"
    "CREATE TEMP TABLE uses(email INTEGER PRIMARY KEY, n);"
    "INSERT INTO temp.uses SELECT email, count(*) FROM (SELECT email FROM message UNION ALL"
    " SELECT email FROM gone WHERE email IS NOT NULL) GROUP BY email;"
    "DELETE FROM email WHERE id NOT IN (SELECT email FROM temp.uses);"
    "UPDATE email SET refs = (SELECT n FROM temp.uses u WHERE u.email = email.id);"
    "CREATE TEMP TABLE owners(blob INTEGER PRIMARY KEY, n);"
    "INSERT INTO temp.owners SELECT blob, count(*) FROM email GROUP BY blob;"
    "INSERT OR IGNORE INTO temp.unknown SELECT segment, ((offset + length + 7) & ~7) - record"
    " FROM blob WHERE id NOT IN (SELECT blob FROM temp.owners);"
    "DELETE FROM temp.seen WHERE blob NOT IN (SELECT blob FROM temp.owners);"
    "DELETE FROM blob WHERE id NOT IN (SELECT blob FROM temp.owners);"
    "UPDATE blob SET refs = (SELECT n FROM temp.owners o WHERE o.blob = blob.id);"
    "DELETE FROM fact WHERE blob NOT IN (SELECT id FROM blob);"
    "DELETE FROM reference WHERE thread NOT IN (SELECT id FROM email)"
    " AND thread NOT IN (SELECT thread FROM email WHERE thread > 0);"
    "DELETE FROM segment;"
    "INSERT INTO segment(id, bytes, live) SELECT segment, max(sum(record),"
    " coalesce((SELECT bytes FROM temp.file f WHERE f.segment = blob.segment), 0)), sum(record)"
    " FROM blob GROUP BY segment;";

/* Who was away is not told of what is missing now: it looks at all of such a mailbox. */
static const char counts[] =
    "UPDATE mailbox AS b SET (messages, unseen, deleted, bytes) ="
    " (SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0),"
    " coalesce(sum(size), 0) FROM temp.unpacked WHERE mailbox = b.id),"
    " gone = (SELECT count(*) FROM gone WHERE mailbox = b.id),"
    " uid_next = max(uid_next, 1 + coalesce((SELECT max(uid) FROM temp.unpacked"
    " WHERE mailbox = b.id), 0), 1 + coalesce((SELECT max(uid) FROM gone"
    " WHERE mailbox = b.id), 0)),"
    " modseq = max(modseq, coalesce((SELECT max(modseq) FROM temp.unpacked"
    " WHERE mailbox = b.id), 0));"
    "UPDATE account AS a SET messages = (SELECT coalesce(sum(messages), 0) FROM mailbox"
    " WHERE account = a.id), bytes = (SELECT coalesce(sum(bytes), 0) FROM mailbox"
    " WHERE account = a.id), modseq = 1 + max(modseq, coalesce((SELECT max(modseq)"
    " FROM mailbox WHERE account = a.id), 0)), uid_validity = max(uid_validity,"
    " coalesce((SELECT max(uid_validity) FROM mailbox WHERE account = a.id), 0));"
    "UPDATE mailbox AS b SET modseq = (SELECT modseq FROM account WHERE id = b.account),"
    " forgotten = (SELECT modseq FROM account WHERE id = b.account)"
    " WHERE id IN (SELECT mailbox FROM temp.was WHERE n <> (SELECT count(*)"
    " FROM temp.unpacked u WHERE u.mailbox = was.mailbox));";

/* Those of a sheet that are messages, in the order of their UIDs. */
static int pick(struct db *db, struct sheet *s)
{
	struct sheet_reader in;
	struct message_row row;
	int64_t there, last = (s->id & UINT32_MAX) - 1;
	int r;
	s->count = 0;
	sheet_begin(&in, s->id, kurir_buf_str(&s->data));
	while (s->count < SHEET_ROWS && (r = sheet_next(&in, &row)) == 1) {
		if (row.uid <= last || row.uid > UINT32_MAX)
			break;
		last = row.uid;
		r = db_number(db, &there,
		    "SELECT 1 FROM message JOIN email e ON e.id = email"
		    " WHERE mailbox = ? AND uid = ? AND e.size = ? AND e.date = ?",
		    "iiii", s->id >> 32, row.uid, row.size, row.date);
		if (r == 0)
			s->rows[s->count++] = row;
		else if (r != -ENOENT)
			return r;
	}
	return 0;
}

static int settle_sheet(struct db *db, int64_t id, struct sheet *s)
{
	int r;
	sqlite3_stmt *q = db_query(db, &r, "SELECT data FROM sheet WHERE id = ?", "i", id);
	s->id = id;
	s->data = KURIR_BUF((size_t)1 << 24);
	if (r == 0 && (r = db_step(db, q)) == 1) {
		r = kurir_buf_add(&s->data, db_blob(q, 0));
		db_done(q);
	}
	if (r == 0)
		r = pick(db, s);
	if (r == 0)
		r = sheet_save(db, s);
	kurir_buf_free(&s->data);
	return r;
}

static int settle_sheets(struct db *db)
{
	struct sheet *sheet = calloc(1, sizeof(*sheet));
	int r = sheet == NULL ? -ENOMEM : 0;
	sqlite3_stmt *q = NULL;
	if (r == 0)
		q = db_query(db, &r, "SELECT id FROM temp.sheets ORDER BY id", "");
	while (r >= 0 && (r = db_step(db, q)) == 1) {
		r = settle_sheet(db, db_column(q, 0), sheet);
		if (r < 0)
			db_done(q);
	}
	free(sheet);
	return r;
}

/* Nobody could deliver to an account without one. */
static int make_inboxes(struct db *db)
{
	struct account_row a;
	struct mailbox_row m;
	for (;;) {
		char name[MODEL_NAME_MAX + 1];
		int r;
		sqlite3_stmt *q = db_query(db, &r,
		    "SELECT name FROM account a WHERE NOT EXISTS (SELECT 1 FROM mailbox"
		    " WHERE account = a.id AND name = 'INBOX') AND length(name) <= 1000 LIMIT 1",
		    "");
		if (r == 0)
			r = db_step(db, q);
		if (r <= 0)
			return r;
		(void)snprintf(name, sizeof(name), "%.*s", KURIR_ARG(db_text(q, 0)));
		db_done(q);
		r = account_load(db, kurir_str_of(name), &a);
		if (r == 0)
			r = mailbox_make(db, &a, KURIR_STR("INBOX"), 0, &m);
		if (r == 0)
			r = account_save(db, &a);
		if (r < 0)
			return r;
	}
}

int salvage_settle(struct tool *t, struct tool_shard *s, uint64_t *ret_kept)
{
	int64_t before, after;
	int r = db_number(&s->db, &before, "SELECT count(*) FROM message", "");
	if (r == 0)
		r = db_text_run(&s->db, loose);
	if (r == 0)
		r = settle_sheets(&s->db);
	if (r == 0)
		r = tool_unpack(t, s);
	if (r == 0)
		r = db_text_run(&s->db, unused);
	if (r == 0)
		r = db_text_run(&s->db, counts);
	if (r == 0)
		r = make_inboxes(&s->db);
	if (r == 0)
		r = db_number(&s->db, &after, "SELECT count(*) FROM message", "");
	if (r < 0)
		return r;
	if (after < before)
		tool_problem(t, "shard %02x: %lld messages are not where they were", s->number,
		    (long long)(before - after));
	*ret_kept = (uint64_t)after;
	return 0;
}
