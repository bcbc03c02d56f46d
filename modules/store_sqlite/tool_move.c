/* tool_move.c - an account from this folder of shards into another one, with all that it has:
 * UIDs, UIDVALIDITY, mod-sequences, flags, what may be brought back, and its index is made again
 * there.
 *
 * Three steps, each whole or not at all, so that it can be killed anywhere and run again:
 *
 *   1. the account is made there, with a note that it comes from here;
 *   2. it is removed here;
 *   3. the note is removed.
 *
 * With a note the copy is whole, and only what is left is done.  No server uses either shard
 * meanwhile.  Numbers of rows are others there: each kind has a table old -> new. */
#include "fact.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE "'moved'" /* an entry's name, which is none that a client can ask for */

struct move {
	struct tool *tool, to_tool;
	struct kurir_str account;
	struct tool_shard from, to;
	int from_lock, to_lock;
	uint64_t messages;
};

#define OLD "(SELECT old FROM temp.moved)"
#define NEW "(SELECT new FROM temp.moved)"
#define NEXT_ID(table) \
	"coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = '" table "'), 0)" \
	" + row_number() OVER (ORDER BY id)"

/* temp.moved has the account; then what its rows will be called. */
static const char numbers[] =
    "CREATE TEMP TABLE boxes(old INTEGER PRIMARY KEY, new INTEGER);"
    "CREATE TEMP TABLE mails(old INTEGER PRIMARY KEY, new INTEGER);"
    "CREATE TEMP TABLE blobs(old INTEGER PRIMARY KEY, new INTEGER, refs INTEGER);"
    "INSERT INTO temp.boxes SELECT id, " NEXT_ID(
	"mailbox") " FROM"
		   " (SELECT id FROM old.mailbox WHERE account = " OLD
		   " UNION SELECT id FROM old.gone_mailbox WHERE account = " OLD ");"
		   "INSERT INTO temp.mails SELECT id, " NEXT_ID(
		       "email") " FROM"
				" (SELECT id FROM old.email WHERE account = " OLD
				" UNION SELECT thread FROM old.email WHERE account = " OLD
				" AND thread > 0"
				" UNION SELECT thread FROM old.reference WHERE account = " OLD
				");"
				"INSERT INTO temp.blobs SELECT blob, 0, count(*) FROM old.email WHERE account = " OLD
				" GROUP BY blob;";

/* All but the bytes, which are there by then. */
static const char rows[] =
    "INSERT INTO main.mailbox(id, account, name, flags, uid_validity, uid_next, recent, modseq,"
    " messages, unseen, deleted, bytes, gone, forgotten, keywords)"
    " SELECT b.new, " NEW ", name, flags, uid_validity, uid_next, recent, modseq,"
    " messages, unseen, deleted, bytes, gone, forgotten, keywords"
    " FROM old.mailbox JOIN temp.boxes b ON b.old = id;"
    "INSERT INTO main.gone_mailbox(id, account, name, flags, at)"
    " SELECT b.new, " NEW
    ", name, flags, at FROM old.gone_mailbox JOIN temp.boxes b ON b.old = id;"
    "UPDATE main.sqlite_sequence SET seq = max(seq, (SELECT max(new) FROM temp.boxes))"
    " WHERE name = 'mailbox';"
    "INSERT INTO main.email(id, account, blob, thread, refs, size, date)"
    " SELECT m.new, " NEW ", b.new, coalesce(t.new, 0), e.refs, e.size, e.date FROM old.email e"
    " JOIN temp.mails m ON m.old = e.id JOIN temp.blobs b ON b.old = e.blob"
    " LEFT JOIN temp.mails t ON t.old = e.thread AND e.thread > 0 WHERE e.account = " OLD ";"
    "UPDATE main.sqlite_sequence SET seq = max(seq, (SELECT max(new) FROM temp.mails))"
    " WHERE name = 'email';"
    "INSERT INTO main.fact(blob, header, envelope, body, structure, preview)"
    " SELECT b.new, header, envelope, body, structure, preview FROM old.fact"
    " JOIN temp.blobs b ON b.old = blob;"
    "INSERT INTO main.reference(account, key, thread) SELECT " NEW ", key, m.new"
    " FROM old.reference JOIN temp.mails m ON m.old = thread WHERE account = " OLD ";"
    "INSERT INTO main.message(mailbox, uid, email) SELECT b.new, uid, m.new FROM old.message"
    " JOIN temp.boxes b ON b.old = mailbox JOIN temp.mails m ON m.old = email;"
    "INSERT INTO main.sheet(id, modseq, messages, unseen, data)"
    " SELECT b.new << 32 | (id & 0xffffffff), modseq, messages, unseen, data FROM temp.boxes b"
    " CROSS JOIN old.sheet ON id BETWEEN b.old << 32 AND b.old << 32 | 0xffffffff;"
    "INSERT INTO main.gone(mailbox, modseq, uid, at, flags, keywords, size, date, email)"
    " SELECT b.new, modseq, uid, at, flags, keywords, size, date, m.new FROM old.gone"
    " JOIN temp.boxes b ON b.old = mailbox LEFT JOIN temp.mails m ON m.old = email;"
    "INSERT INTO main.subscription(account, name)"
    " SELECT " NEW ", name FROM old.subscription WHERE account = " OLD ";"
    "INSERT INTO main.entry(mailbox, account, name, value)"
    " SELECT coalesce(b.new, 0), " NEW ", name, value FROM old.entry"
    " LEFT JOIN temp.boxes b ON b.old = mailbox WHERE account = " OLD ";"
    "INSERT INTO main.searched(account) SELECT " NEW " FROM old.searched WHERE account = " OLD ";"
    "INSERT OR IGNORE INTO main.delivered(id, at) SELECT id, at FROM old.delivered,"
    " (SELECT 'import ' || name || ' ' AS mine FROM main.account WHERE id = " NEW ")"
    " WHERE substr(id, 1, length(mine)) = mine;"
    "INSERT INTO main.entry(mailbox, account, name, value) SELECT 0, new, " NOTE
    ", old FROM temp.moved;";

/* 0, when all messages have their bytes, and their sheets are those that they had. */
static const char difference[] =
    "SELECT"
    " (SELECT count(*) FROM old.message JOIN temp.boxes ON old = mailbox) <>"
    " (SELECT count(*) FROM main.message JOIN temp.boxes ON new = mailbox"
    "  JOIN main.email e ON e.id = email JOIN main.blob b ON b.id = e.blob"
    "  WHERE b.length = e.size)"
    " OR (SELECT messages FROM main.account WHERE id = " NEW ") <>"
    " (SELECT coalesce(sum(s.messages), 0) FROM temp.boxes b"
    "  CROSS JOIN main.sheet s ON s.id BETWEEN b.new << 32 AND b.new << 32 | 0xffffffff)"
    " OR (SELECT count(*) FROM old.email WHERE account = " OLD ") <>"
    " (SELECT count(*) FROM main.email WHERE account = " NEW ")";

/* Under the name of who has it now: who else has these bytes here is no concern there. */
static int copy_record(struct move *m, int fd, const struct blob_place *old, int64_t blob)
{
	static struct blob_record record;
	struct blob_place new;
	struct db *db = &m->to.db;
	int r = fd < 0 ? -EBADMSG : blob_record_read(fd, blob_record_start(old), &record);
	if (r == 0 && (record.body != old->offset || record.source.length != old->length))
		r = -EBADMSG;
	if (r == 0)
		r = blob_record_check(&record);
	struct blob_source from = record.source;
	if (!kurir_str_equal(from.account, m->account))
		from.mailbox = KURIR_STR("INBOX");
	from.account = m->account;
	from.crc = NULL;
	if (r == 0)
		r = blob_append(&m->to.blobs, &from, &new);
	if (r == 0)
		r = db_exec(db,
		    "INSERT INTO segment(id, bytes, live) VALUES(?1, ?2, ?2) ON CONFLICT(id)"
		    " DO UPDATE SET bytes = bytes + ?2, live = live + ?2",
		    "ii", (int64_t) new.segment, (int64_t) new.record);
	if (r == 0)
		r = db_exec(db,
		    "INSERT INTO main.blob(segment, offset, length, record, refs, fields)"
		    " SELECT ?, ?, ?, ?, n.refs, b.fields FROM old.blob b JOIN temp.blobs n"
		    " ON n.old = b.id WHERE b.id = ?",
		    "iiiii", (int64_t) new.segment, (int64_t) new.offset, (int64_t) new.length,
		    (int64_t) new.record, blob);
	if (r == 0)
		r = db_exec(db, "UPDATE temp.blobs SET new = last_insert_rowid() WHERE old = ?",
		    "i", blob);
	m->tool->bytes += old->length;
	return r;
}

/* In the order in which they lie in the segments. */
static int copy_bytes(struct move *m)
{
	int64_t segment = 0;
	int fd = -1, r;
	sqlite3_stmt *q = db_query(&m->to.db, &r,
	    "SELECT id, segment, offset, length, record FROM old.blob"
	    " JOIN temp.blobs ON old = id ORDER BY segment, offset",
	    "");
	while (r >= 0 && (r = db_step(&m->to.db, q)) == 1) {
		struct blob_place at = { (uint64_t)db_column(q, 1), (uint64_t)db_column(q, 2),
			(uint64_t)db_column(q, 3), (uint64_t)db_column(q, 4) };
		if (segment != db_column(q, 1)) {
			char name[BLOB_NAME], path[TOOL_PATH + BLOB_NAME + 1];
			if (fd >= 0)
				close(fd);
			segment = db_column(q, 1);
			blob_name(name, at.segment);
			(void)snprintf(path, sizeof(path), "%s/%s", m->from.folder, name);
			fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		}
		r = copy_record(m, fd, &at, db_column(q, 0));
		tool_progress(m->tool, "messages", m->tool->messages++, 0);
		if (r < 0)
			db_done(q);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int copy_account(struct move *m, int64_t old)
{
	struct db *db = &m->to.db;
	int64_t differs = 0;
	int r = db_exec(db,
	    "INSERT INTO main.account(name, modseq, uid_validity, bytes, messages)"
	    " SELECT name, modseq, uid_validity, bytes, messages FROM old.account WHERE id = ?",
	    "i", old);
	if (r == 0)
		r = db_text_run(db, "CREATE TEMP TABLE moved(old INTEGER, new INTEGER)");
	if (r == 0)
		r = db_exec(
		    db, "INSERT INTO temp.moved VALUES(?, last_insert_rowid())", "i", old);
	if (r == 0)
		r = db_text_run(db, numbers);
	if (r == 0)
		r = copy_bytes(m);
	if (r == 0)
		r = db_text_run(db, rows);
	if (r == 0)
		r = db_number(db, &differs, difference, "");
	return r == 0 && differs != 0 ? -EIO : r;
}

/* Its rows, and the bytes that nobody else has. */
static int remove_account(struct db *db, int64_t id)
{
	int r = db_exec(db,
	    "CREATE TEMP TABLE removed AS SELECT id, id AS mailbox FROM email WHERE account = ?1",
	    "i", id);
	if (r == 0)
		r = db_exec(db, "UPDATE email SET refs = 1 WHERE account = ?", "i", id);
	sqlite3_stmt *q = r < 0 ? NULL : db_query(db, &r, "SELECT id FROM temp.removed", "");
	while (r >= 0 && q != NULL && (r = db_step(db, q)) == 1)
		if ((r = email_unref(db, db_column(q, 0))) < 0)
			db_done(q);
	static const char *const of_boxes[] = {
		"DELETE FROM message WHERE mailbox IN (SELECT id FROM mailbox WHERE account = ?)",
		("DELETE FROM gone WHERE mailbox IN (SELECT id FROM mailbox WHERE account = ?1"
		 " UNION SELECT id FROM gone_mailbox WHERE account = ?1)"),
		"DELETE FROM sheet WHERE id >> 32 IN (SELECT id FROM mailbox WHERE account = ?)",
		"DELETE FROM mailbox WHERE account = ?",
		"DELETE FROM gone_mailbox WHERE account = ?",
		"DELETE FROM subscription WHERE account = ?",
		"DELETE FROM entry WHERE account = ?",
		"DELETE FROM reference WHERE account = ?",
		"DELETE FROM searched WHERE account = ?",
		"DELETE FROM account WHERE id = ?",
	};
	for (size_t i = 0; r == 0 && i < sizeof(of_boxes) / sizeof(of_boxes[0]); i++)
		r = db_exec(db, of_boxes[i], "i", id);
	return r < 0 ? r : db_text_run(db, "DROP TABLE temp.removed");
}

/* What the note there says: which account it was here; 0: there is none. */
static int read_note(struct move *m, int64_t account, int64_t *ret)
{
	int r = db_number(&m->to.db, ret,
	    "SELECT value FROM entry WHERE mailbox = 0 AND account = ? AND name = " NOTE, "i",
	    account);
	if (r == -ENOENT)
		*ret = 0;
	return r == -ENOENT ? 0 : r;
}

/* Nothing was ever in it: it came to be when somebody logged in. */
static int is_unused(struct db *db, int64_t account)
{
	int64_t used = 0;
	int r = db_number(db, &used,
	    "SELECT count(*) <> 1 OR max(uid_next) <> 1 FROM mailbox WHERE account = ?", "i",
	    account);
	return r < 0 ? r : used == 0;
}

static int make_there(
    struct move *m, const struct account_row *here, const struct account_row *there)
{
	int r = db_exec(&m->to.db, "BEGIN", ""); /* IMMEDIATE: to write here as well */
	if (r == 0 && there->id != 0)
		r = remove_account(&m->to.db, there->id);
	if (r == 0)
		r = copy_account(m, here->id);
	return r < 0 ? r : tool_commit(&m->to);
}

static int remove_here(struct move *m, const struct account_row *here)
{
	int r = tool_begin(&m->from);
	if (r == 0)
		r = remove_account(&m->from.db, here->id);
	return r < 0 ? r : tool_commit(&m->from);
}

static int remove_note(struct move *m)
{
	struct account_row there;
	int r = tool_begin(&m->to);
	if (r == 0)
		r = account_load(&m->to.db, m->account, &there);
	if (r == 0)
		r = db_exec(&m->to.db, "DELETE FROM entry WHERE account = ? AND name = " NOTE,
		    "i", there.id);
	m->messages = (uint64_t)there.messages;
	return r < 0 ? r : tool_commit(&m->to);
}

static int move(struct move *m)
{
	struct account_row here = { .id = 0 }, there = { .id = 0 };
	int64_t note = 0;
	int r = account_load(&m->from.db, m->account, &here);
	if (r == 0 || r == -ENOENT)
		r = account_load(&m->to.db, m->account, &there);
	if (r == 0)
		r = read_note(m, there.id, &note);
	if (r < 0 && r != -ENOENT)
		return r;
	if (here.id == 0 && note == 0)
		return -ENOENT;
	if (there.id != 0 && note != here.id && here.id != 0) {
		r = note == 0 ? is_unused(&m->to.db, there.id) : 0;
		if (r <= 0)
			return r < 0 ? r : -EEXIST;
	}
	r = 0;
	if (here.id != 0 && note != here.id)
		r = make_there(m, &here, &there);
	if (r == 0 && here.id != 0)
		r = remove_here(m, &here);
	return r < 0 ? r : remove_note(m);
}

static int open_both(struct move *m)
{
	char path[TOOL_PATH + 16];
	struct tool *t = m->tool;
	unsigned from = tool_shard_of(t, m->account), to = tool_shard_of(&m->to_tool, m->account);
	m->from_lock = tool_lock_all(t);
	if (m->from_lock < 0)
		return m->from_lock;
	m->to_lock = tool_lock_all(&m->to_tool);
	if (m->to_lock < 0)
		return m->to_lock;
	int r = tool_shard_open(t, from, &m->from);
	if (r == 0)
		r = tool_shard_open(&m->to_tool, to, &m->to);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/index.db", m->from.folder);
	return db_exec(&m->to.db, "ATTACH DATABASE ? AS old", "t", kurir_str_of(path));
}

static void close_both(struct move *m)
{
	if (m->to.db.sql != NULL) {
		tool_rollback(&m->to);
		tool_shard_close(&m->to);
	}
	if (m->from.db.sql != NULL) {
		tool_rollback(&m->from);
		tool_shard_close(&m->from);
	}
	if (m->from_lock >= 0)
		close(m->from_lock);
	if (m->to_lock >= 0)
		close(m->to_lock);
}

static int explain(struct move *m, int r, const char *root)
{
	if (r == -EWOULDBLOCK)
		tool_say(m->tool,
		    "kurir-store: a server or an import uses these shards: stop it first");
	else if (r == -ENOENT)
		tool_say(m->tool, "kurir-store: there is no such account");
	else if (r == -EEXIST)
		tool_say(m->tool, "kurir-store: %s has another account of this name", root);
	else if (r == -EBADMSG)
		tool_say(m->tool,
		    "kurir-store: a message is damaged, see \"check\"; nothing was moved");
	else
		return tool_fail(m->tool, r, root);
	return 2;
}

int tool_move(struct tool *t, struct kurir_str account, const char *root)
{
	static struct move m;
	struct stat here, there;
	m = (struct move){ .tool = t, .account = account, .from_lock = -1, .to_lock = -1 };
	m.to_tool = (struct tool){ .root = root };
	int r = tool_read_format(&m.to_tool);
	if (r < 0) {
		tool_say(t, "kurir-store: %s is no folder of shards: start a server with it once",
		    root);
		return 2;
	}
	if (stat(t->root, &here) < 0 || stat(root, &there) < 0)
		return tool_fail(t, -errno, root);
	if (here.st_dev == there.st_dev && here.st_ino == there.st_ino) {
		tool_say(t, "kurir-store: that is the same folder");
		return 2;
	}
	r = open_both(&m);
	if (r == 0)
		r = move(&m);
	close_both(&m);
	if (r < 0)
		return explain(&m, r, root);
	(void)kurir_buf_printf(&t->text,
	    t->json ? "{\"messages\": %llu, \"bytes\": %llu}\n"
		    : "%llu messages are there; %llu bytes were copied\n",
	    (unsigned long long)m.messages, (unsigned long long)t->bytes);
	return 0;
}
