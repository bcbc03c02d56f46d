/* read_outline.c - a mailbox without its messages: counts come from its row, UIDs mostly from
 * the first of its sheets and the last. */
#include "read.h"
#include "sheet.h"

#include <errno.h>

/* One sheet: the UID of its first message, of its last, and of its first that is not seen; not
 * the last when that was not looked for. */
struct ends {
	int64_t first, last, unseen; /* 0: none */
};

static int ends_of(int64_t id, struct kurir_str data, bool last, struct ends *ret)
{
	struct sheet_reader in;
	struct message_row row;
	int e = 0;
	*ret = (struct ends){ .first = 0 };
	sheet_begin(&in, id, data);
	while ((last || ret->unseen == 0) && (e = sheet_next(&in, &row)) == 1) {
		if (ret->first == 0)
			ret->first = row.uid;
		if (ret->unseen == 0 && (row.flags & KURIR_MESSAGE_SEEN) == 0)
			ret->unseen = row.uid;
		ret->last = row.uid;
	}
	return e < 0 ? e : 0;
}

/* The sheet that a statement has found; all 0: there is none. */
static int ends_found(struct read *r, sqlite3_stmt *s, int e, bool last, struct ends *ret)
{
	*ret = (struct ends){ .first = 0 };
	if (e == 0)
		e = db_step(r->db, s);
	if (e == 1) {
		e = ends_of(db_column(s, 0), db_blob(s, 1), last, ret);
		db_done(s);
	}
	return e;
}

#define ONE_SQL "SELECT id, data FROM sheet WHERE id BETWEEN ? AND ? "

static int all_uids(struct read *r)
{
	int64_t box = r->mailbox_row.id;
	struct read_uids uids = { .count = 0 };
	struct sheet_reader in;
	struct message_row row;
	int e;
	sqlite3_stmt *s =
	    db_query(r->db, &e, ONE_SQL "ORDER BY id", "ii", sheet_id(box, 0), sheet_end(box));
	while (e >= 0 && (e = db_step(r->db, s)) == 1) {
		sheet_begin(&in, db_column(s, 0), db_blob(s, 1));
		while ((e = sheet_next(&in, &row)) == 1)
			read_uid(r, &uids, (uint32_t)row.uid);
		if (e < 0)
			db_done(s);
	}
	r->outline.uids = (struct kurir_uid_set){ uids.count, uids.ranges };
	return e;
}

/* Without a gap they are what lies between two; else all are read. */
static int outline_uids(struct read *r, struct ends *first)
{
	const struct mailbox_row *m = &r->mailbox_row;
	struct read_uids uids = { .count = 0 };
	struct ends last;
	int e;
	sqlite3_stmt *s = db_query(
	    r->db, &e, ONE_SQL "ORDER BY id LIMIT 1", "ii", sheet_id(m->id, 0), sheet_end(m->id));
	e = ends_found(r, s, e, false, first);
	if (e < 0 || first->first == 0)
		return e;
	last.last = m->uid_next - 1;
	if (last.last - first->first + 1 != m->messages) { /* the last ones went, or others */
		s = db_query(r->db, &e, ONE_SQL "ORDER BY id DESC LIMIT 1", "ii",
		    sheet_id(m->id, 0), sheet_end(m->id));
		e = ends_found(r, s, e, true, &last);
	}
	if (e < 0)
		return e;
	if (last.last - first->first + 1 != m->messages)
		return r->few > 0 && m->messages > r->few ? -E2BIG : all_uids(r);
	read_uid(r, &uids, (uint32_t)first->first);
	uids.ranges[0].last = (uint32_t)last.last;
	r->outline.uids = (struct kurir_uid_set){ uids.count, uids.ranges };
	return 0;
}

static int outline_unseen(struct read *r, const struct ends *first)
{
	const struct mailbox_row *m = &r->mailbox_row;
	struct ends found = *first;
	int e = 0;
	if (m->unseen == 0)
		return 0;
	if (found.unseen == 0 && r->few > 0 && m->messages > r->few)
		return -E2BIG;
	if (found.unseen == 0) {
		sqlite3_stmt *s =
		    db_query(r->db, &e, ONE_SQL "AND unseen > 0 ORDER BY id LIMIT 1", "ii",
			sheet_id(m->id, 0), sheet_end(m->id));
		e = ends_found(r, s, e, false, &found);
	}
	r->outline.unseen = (uint32_t)found.unseen;
	return e;
}

static int outline_keywords(struct read *r)
{
	int e;
	sqlite3_stmt *s = db_query(
	    r->db, &e, "SELECT keywords FROM mailbox WHERE id = ?", "i", r->mailbox_row.id);
	r->outline.keywords = KURIR_STR("");
	if (e == 0 && (e = db_step(r->db, s)) == 1) {
		r->outline.keywords = kurir_copy(r->arena, db_text(s, 0));
		db_done(s);
		e = 0;
	}
	return e;
}

int read_outline(struct read *r)
{
	struct ends first;
	int e = read_mailbox(r);
	if (e == 0)
		e = outline_uids(r, &first);
	if (e == 0)
		e = outline_unseen(r, &first);
	if (e == 0)
		e = outline_keywords(r);
	r->view.count = (size_t)r->mailbox_row.messages;
	r->outline.view = r->view;
	if (r->mailbox_row.recent < r->mailbox_row.uid_next)
		r->outline.recent = (uint32_t)r->mailbox_row.recent;
	return e;
}
