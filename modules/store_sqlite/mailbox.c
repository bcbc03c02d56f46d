/* mailbox.c - mailboxes are made, renamed, removed, subscribed. */
#include "sheet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS \
	"id, account, flags, uid_validity, uid_next, recent, modseq, messages, unseen, deleted," \
	" bytes, gone, forgotten"

/* UTF-8 is looked at by the protocols; here: levels that are not empty, nothing that controls. */
bool model_name_valid(struct kurir_str name)
{
	unsigned depth = 1;
	if (name.len == 0 || name.len > MODEL_NAME_MAX || name.ptr[0] == '/' ||
	    name.ptr[name.len - 1] == '/')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (c < ' ' || c == 127 || (c == '/' && name.ptr[i + 1] == '/'))
			return false;
		depth += c == '/';
	}
	return depth <= MODEL_DEPTH;
}

static void mailbox_columns(sqlite3_stmt *s, struct mailbox_row *ret)
{
	*ret = (struct mailbox_row){ .id = db_column(s, 0),
		.account = db_column(s, 1),
		.flags = db_column(s, 2),
		.uid_validity = db_column(s, 3),
		.uid_next = db_column(s, 4),
		.recent = db_column(s, 5),
		.modseq = db_column(s, 6),
		.messages = db_column(s, 7),
		.unseen = db_column(s, 8),
		.deleted = db_column(s, 9),
		.bytes = db_column(s, 10),
		.gone = db_column(s, 11),
		.forgotten = db_column(s, 12) };
}

int mailbox_load(
    struct db *db, const struct account_row *a, struct kurir_str name, struct mailbox_row *ret)
{
	int r;
	sqlite3_stmt *s = db_query(db, &r,
	    "SELECT " COLUMNS " FROM mailbox WHERE account = ? AND name = ?", "it", a->id, name);
	if (r == 0)
		r = db_step(db, s);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	mailbox_columns(s, ret);
	db_done(s);
	return 0;
}

int mailbox_save(struct db *db, const struct mailbox_row *m)
{
	return db_exec(db,
	    "UPDATE mailbox SET flags = ?, uid_next = ?, recent = ?, modseq = ?, messages = ?,"
	    " unseen = ?, deleted = ?, bytes = ?, gone = ? WHERE id = ?",
	    "iiiiiiiiii", m->flags, m->uid_next, m->recent, m->modseq, m->messages, m->unseen,
	    m->deleted, m->bytes, m->gone, m->id);
}

int mailbox_keywords(struct db *db, const struct mailbox_row *m, struct kurir_str words)
{
	struct kurir_buf all = KURIR_BUF(MAILBOX_KEYWORDS_MAX);
	int r = 0;
	if (words.len == 0)
		return 0;
	sqlite3_stmt *s =
	    db_query(db, &r, "SELECT keywords FROM mailbox WHERE id = ?", "i", m->id);
	if (r == 0 && (r = db_step(db, s)) == 1) {
		r = kurir_buf_add(&all, db_text(s, 0));
		db_done(s);
	}
	size_t before = all.len;
	while (r == 0 && words.len > 0) {
		struct kurir_str word = keyword_next(&words);
		if (!keyword_in(kurir_buf_str(&all), word))
			(void)keyword_add(&all, word, KURIR_STR("")); /* if there is room */
	}
	if (r == 0 && all.len > before)
		r = db_exec(db, "UPDATE mailbox SET keywords = ? WHERE id = ?", "ti",
		    kurir_buf_str(&all), m->id);
	kurir_buf_free(&all);
	return r;
}

static int subscribe(struct db *db, struct account_row *a, struct kurir_str name, bool on)
{
	a->modseq++;
	return on ? db_exec(db, "INSERT OR IGNORE INTO subscription(account, name) VALUES(?, ?)",
			"it", a->id, name)
		  : db_exec(db, "DELETE FROM subscription WHERE account = ? AND name = ?", "it",
			a->id, name);
}

int mailbox_make(struct db *db, struct account_row *a, struct kurir_str name, uint32_t uses,
    struct mailbox_row *ret)
{
	int64_t count;
	int r =
	    db_number(db, &count, "SELECT count(*) FROM mailbox WHERE account = ?", "i", a->id);
	if (r < 0 || count >= MODEL_MAILBOXES)
		return r < 0 ? r : -EDQUOT;
	if (a->uid_validity >= UINT32_MAX)
		return -EDQUOT;
	r = db_number(db, &count,
	    "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'mailbox'", "");
	if (r < 0 || count >= SHEET_MAILBOXES)
		return r < 0 ? r : -EDQUOT;
	a->uid_validity++;
	a->modseq++;
	r = db_exec(db,
	    "INSERT INTO mailbox(account, name, flags, uid_validity, modseq)"
	    " VALUES(?, ?, ?, ?, ?)",
	    "itiii", a->id, name, (int64_t)uses, a->uid_validity, a->modseq);
	return r < 0 ? r : mailbox_load(db, a, name, ret);
}

/* Names below name: "name/..." sorts before "name0", as '0' follows '/'. */
#define BELOW "account = ?1 AND name > ?2 || '/' AND name < ?2 || '0'"

/* All levels above that are none yet (RFC 9051 sections 6.3.4 and 6.3.6). */
static int make_levels(struct db *db, struct account_row *a, struct kurir_str name)
{
	struct mailbox_row m;
	int r = 0;
	for (size_t i = 1; i < name.len && r == 0; i++) {
		struct kurir_str level = { name.ptr, i };
		if (name.ptr[i] != '/')
			continue;
		r = mailbox_load(db, a, level, &m);
		if (r == -ENOENT)
			r = mailbox_make(db, a, level, 0, &m);
	}
	return r;
}

static int create(
    struct db *db, struct account_row *a, const struct kurir_manage *what, int64_t *ret_id)
{
	struct mailbox_row m;
	int r = make_levels(db, a, what->mailbox);
	if (r == 0)
		r = mailbox_make(db, a, what->mailbox, what->uses & KURIR_MAILBOX_USES, &m);
	if (r == 0)
		*ret_id = m.id;
	return r;
}

/* All of a sheet is remembered as what went. */
static int sheet_gone(struct db *db, const struct account_row *a, const struct mailbox_row *m,
    int64_t id, struct kurir_str data, int64_t now)
{
	struct sheet_reader in;
	struct message_row row;
	int r;
	sheet_begin(&in, id, data);
	while ((r = sheet_next(&in, &row)) == 1 &&
	    (r = message_email(db, m->id, row.uid, &row.email)) == 0 &&
	    (r = message_gone(db, m->id, a->modseq, &row, now)) == 0)
		;
	return r;
}

/* Its messages go as if they were expunged one by one. */
static int empty(struct db *db, struct account_row *a, struct mailbox_row *m, int64_t now)
{
	int r = 0;
	sqlite3_stmt *s =
	    db_query(db, &r, "SELECT id, data FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id",
		"ii", sheet_id(m->id, 0), sheet_end(m->id));
	while (r >= 0 && (r = db_step(db, s)) == 1) {
		r = sheet_gone(db, a, m, db_column(s, 0), db_blob(s, 1), now);
		if (r < 0)
			db_done(s);
	}
	if (r == 0)
		r = db_exec(db, "DELETE FROM message WHERE mailbox = ?", "i", m->id);
	if (r == 0)
		r = db_exec(db, "DELETE FROM sheet WHERE id BETWEEN ? AND ?", "ii",
		    sheet_id(m->id, 0), sheet_end(m->id));
	a->messages -= m->messages;
	a->bytes -= m->bytes;
	return r;
}

/* What is below it stays. */
static int delete (struct db *db, struct account_row *a, struct kurir_str name, int64_t now)
{
	struct mailbox_row m;
	int r = mailbox_load(db, a, name, &m);
	if (r == 0 && kurir_str_equal(name, KURIR_STR("INBOX")))
		r = -EINVAL;
	if (r < 0)
		return r;
	a->modseq++;
	r = empty(db, a, &m, now);
	if (r == 0)
		r = db_exec(db,
		    "INSERT INTO gone_mailbox(id, account, name, flags, at) VALUES(?, ?, ?, ?, ?)",
		    "iitii", m.id, a->id, name, m.flags, now);
	if (r == 0)
		r = db_exec(
		    db, "DELETE FROM entry WHERE account = ? AND mailbox = ?", "ii", a->id, m.id);
	return r < 0 ? r : db_exec(db, "DELETE FROM mailbox WHERE id = ?", "i", m.id);
}

/* All of them, as changed by that. */
static int move_sheets(struct db *db, int64_t from, int64_t to, int64_t modseq)
{
	struct sheet *s = calloc(1, sizeof(*s));
	int64_t last = 0;
	int r = s == NULL ? -ENOMEM : 1;
	while (r == 1 && (r = sheet_load(db, from, 0, last, s)) == 1) {
		last = s->rows[s->count - 1].uid;
		for (size_t i = 0; i < s->count; i++)
			s->rows[i].modseq = modseq;
		s->id = sheet_id(to, s->id & UINT32_MAX);
		r = sheet_save(db, s);
		r = r < 0 ? r : 1;
	}
	if (s != NULL)
		sheet_free(s);
	free(s);
	return r < 0 ? r
		     : db_exec(db, "DELETE FROM sheet WHERE id BETWEEN ? AND ?", "ii",
			   sheet_id(from, 0), sheet_end(from));
}

/* INBOX is emptied into the new one and stays (RFC 9051 section 6.3.6). */
static int rename_inbox(struct db *db, struct account_row *a, struct kurir_str to, int64_t now)
{
	struct kurir_manage what = { .kind = KURIR_MANAGE_CREATE, .mailbox = to };
	struct mailbox_row inbox, made;
	int64_t id;
	int r = mailbox_load(db, a, KURIR_STR("INBOX"), &inbox);
	if (r == 0)
		r = create(db, a, &what, &id);
	if (r == 0)
		r = mailbox_load(db, a, to, &made);
	if (r == 0)
		r = db_exec(db,
		    "INSERT INTO gone(mailbox, modseq, uid, at)"
		    " SELECT mailbox, ?, uid, ? FROM message WHERE mailbox = ?",
		    "iii", a->modseq, now, inbox.id);
	if (r == 0)
		r = db_exec(db, "UPDATE message SET mailbox = ? WHERE mailbox = ?", "ii", made.id,
		    inbox.id);
	if (r == 0)
		r = move_sheets(db, inbox.id, made.id, a->modseq);
	if (r == 0)
		r = db_exec(db,
		    "UPDATE mailbox SET keywords = (SELECT keywords FROM mailbox WHERE id = ?)"
		    " WHERE id = ?",
		    "ii", inbox.id, made.id);
	if (r < 0)
		return r;
	made.messages = inbox.messages;
	made.unseen = inbox.unseen;
	made.deleted = inbox.deleted;
	made.bytes = inbox.bytes;
	made.uid_next = inbox.uid_next;
	made.recent = inbox.recent;
	inbox.gone += inbox.messages;
	inbox.messages = inbox.unseen = inbox.deleted = inbox.bytes = 0;
	inbox.recent = inbox.uid_next;
	inbox.modseq = a->modseq;
	r = mailbox_save(db, &inbox);
	return r < 0 ? r : mailbox_save(db, &made);
}

static int rename_mailbox(
    struct db *db, struct account_row *a, struct kurir_str from, struct kurir_str to, int64_t now)
{
	struct mailbox_row m;
	int r = mailbox_load(db, a, from, &m);
	if (r < 0)
		return r;
	if (to.len > from.len && memcmp(to.ptr, from.ptr, from.len) == 0 &&
	    to.ptr[from.len] == '/')
		return -EINVAL; /* into itself */
	if (mailbox_load(db, a, to, &m) == 0)
		return -EEXIST;
	if (kurir_str_equal(from, KURIR_STR("INBOX")))
		return rename_inbox(db, a, to, now);
	a->modseq++;
	r = make_levels(db, a, to);
	if (r < 0)
		return r;
	r = db_exec(db,
	    "UPDATE mailbox SET name = ?3 || substr(name, length(?2) + 1) WHERE " BELOW, "itt",
	    a->id, from, to);
	if (r == 0)
		r = db_exec(db, "UPDATE mailbox SET name = ? WHERE account = ? AND name = ?",
		    "tit", to, a->id, from);
	return r;
}

int mailbox_manage(struct db *db, struct account_row *a, const struct kurir_manage *what,
    int64_t now, int64_t *ret_id)
{
	*ret_id = 0;
	if (!model_name_valid(what->mailbox))
		return -EINVAL;
	switch (what->kind) {
	case KURIR_MANAGE_CREATE:
		return create(db, a, what, ret_id);
	case KURIR_MANAGE_DELETE:
		return delete (db, a, what->mailbox, now);
	case KURIR_MANAGE_RENAME:
		return model_name_valid(what->new_name)
		    ? rename_mailbox(db, a, what->mailbox, what->new_name, now)
		    : -EINVAL;
	case KURIR_MANAGE_SUBSCRIBE:
	case KURIR_MANAGE_UNSUBSCRIBE:
		return subscribe(db, a, what->mailbox, what->kind == KURIR_MANAGE_SUBSCRIBE);
	}
	return -EINVAL;
}
