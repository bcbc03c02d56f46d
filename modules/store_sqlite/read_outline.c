/* read_outline.c - a mailbox without its messages: counts come from its row, UIDs mostly from
 * the first and the last of them. */
#include "read.h"

#include <errno.h>

/* Without a gap they are what lies between two; else all are read, from small rows. */
static int outline_uids(struct read *r)
{
	const struct mailbox_row *m = &r->mailbox_row;
	struct kurir_uid_range *all = kurir_alloc(r->arena, sizeof(*all));
	int64_t first, last;
	int e = db_number(r->db, &first,
	    "SELECT ifnull(min(uid), 0) FROM message WHERE mailbox = ?", "i", m->id);
	if (e == 0)
		e = db_number(r->db, &last,
		    "SELECT ifnull(max(uid), 0) FROM message WHERE mailbox = ?", "i", m->id);
	if (e < 0 || first == 0)
		return e;
	if (last - first + 1 == m->messages) {
		*all = (struct kurir_uid_range){ (uint32_t)first, (uint32_t)last };
		r->outline.uids = (struct kurir_uid_set){ 1, all };
		return 0;
	}
	if (r->few > 0 && m->messages > r->few)
		return -E2BIG;
	sqlite3_stmt *s = db_query(
	    r->db, &e, "SELECT uid FROM message WHERE mailbox = ? ORDER BY uid", "i", m->id);
	return e < 0 ? e : read_uids(r, s, &r->outline.uids);
}

static int outline_unseen(struct read *r)
{
	const struct mailbox_row *m = &r->mailbox_row;
	int64_t uid = 0, most = r->few > 0 ? r->few : m->messages;
	if (m->unseen == 0)
		return 0;
	int e = db_number(r->db, &uid,
	    "SELECT uid FROM (SELECT uid, flags FROM message WHERE mailbox = ?1 ORDER BY uid"
	    " LIMIT ?2) WHERE (flags & ?3) = 0 LIMIT 1",
	    "iii", m->id, most, (int64_t)KURIR_MESSAGE_SEEN);
	r->outline.unseen = (uint32_t)uid;
	return e != -ENOENT ? e : r->few > 0 && most < m->messages ? -E2BIG : 0;
}

static int outline_keywords(struct read *r)
{
	int e;
	struct kurir_buf words = KURIR_BUF(MODEL_KEYWORDS_MAX * 4); /* more are not told */
	sqlite3_stmt *s = db_query(r->db, &e,
	    "SELECT DISTINCT keywords FROM message WHERE mailbox = ? AND keywords <> ''", "i",
	    r->mailbox_row.id);
	while (e >= 0 && (e = db_step(r->db, s)) == 1) {
		struct kurir_str some = db_text(s, 0);
		(void)kurir_buf_printf(
		    &words, "%s%.*s", words.len > 0 ? " " : "", KURIR_ARG(some));
	}
	r->outline.keywords = kurir_copy(r->arena, kurir_buf_str(&words));
	kurir_buf_free(&words);
	return e;
}

int read_outline(struct read *r)
{
	int e = read_mailbox(r);
	if (e == 0)
		e = outline_uids(r);
	if (e == 0)
		e = outline_unseen(r);
	if (e == 0)
		e = outline_keywords(r);
	r->view.count = (size_t)r->mailbox_row.messages;
	r->outline.view = r->view;
	if (r->mailbox_row.recent < r->mailbox_row.uid_next)
		r->outline.recent = (uint32_t)r->mailbox_row.recent;
	return e;
}
