/* message.c - messages come and go, e-mails and their bytes with the last of them. */
#include "fact.h"
#include "sheet.h"

#include <errno.h>

void message_count(struct mailbox_row *m, int64_t flags, int64_t size, int sign)
{
	m->messages += sign;
	m->bytes += sign * size;
	m->unseen += (flags & KURIR_MESSAGE_SEEN) == 0 ? sign : 0;
	m->deleted += (flags & KURIR_MESSAGE_DELETED) != 0 ? sign : 0;
}

int message_insert(
    struct db *db, struct account_row *a, struct mailbox_row *m, struct message_row *msg)
{
	if (m->uid_next > UINT32_MAX)
		return -EDQUOT;
	if (msg->keywords.len > MODEL_KEYWORDS_MAX)
		return -EMSGSIZE;
	msg->uid = m->uid_next++;
	msg->modseq = m->modseq = a->modseq;
	message_count(m, msg->flags, msg->size, 1);
	a->messages++;
	a->bytes += msg->size;
	int r = db_exec(db, "INSERT INTO message(mailbox, uid, email) VALUES(?, ?, ?)", "iii",
	    m->id, msg->uid, msg->email);
	if (r == 0)
		r = mailbox_keywords(db, m, msg->keywords);
	return r < 0 ? r : sheet_add(db, m->id, msg);
}

int message_email(struct db *db, int64_t mailbox, int64_t uid, int64_t *ret)
{
	return db_number(db, ret, "SELECT email FROM message WHERE mailbox = ? AND uid = ?", "ii",
	    mailbox, uid);
}

int message_gone(
    struct db *db, int64_t mailbox, int64_t modseq, const struct message_row *msg, int64_t now)
{
	return db_exec(db,
	    "INSERT INTO gone(mailbox, modseq, uid, at, flags, keywords, size, date, email)"
	    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    "iiiiitiii", mailbox, modseq, msg->uid, now, msg->flags, msg->keywords, msg->size,
	    msg->date, msg->email);
}

int message_expunge(struct db *db, struct account_row *a, struct mailbox_row *m,
    const struct message_row *msg, int64_t now, bool kept)
{
	int r = kept
	    ? message_gone(db, m->id, a->modseq, msg, now)
	    : db_exec(db, "INSERT INTO gone(mailbox, modseq, uid, at) VALUES(?, ?, ?, ?)", "iiii",
		  m->id, a->modseq, msg->uid, now);
	if (r == 0)
		r = db_exec(db, "DELETE FROM message WHERE mailbox = ? AND uid = ?", "ii", m->id,
		    msg->uid);
	m->modseq = a->modseq;
	m->gone++;
	message_count(m, msg->flags, msg->size, -1);
	a->messages--;
	a->bytes -= msg->size;
	return r;
}

/* refs: messages, and those that are gone but may come back. */
static int email_insert(struct db *db, const struct account_row *a, int64_t blob, int64_t size,
    int64_t date, int64_t thread, int64_t *ret_id)
{
	int r = db_exec(db,
	    "INSERT INTO email(account, blob, thread, refs, size, date) VALUES(?, ?, ?, 1, ?, ?)",
	    "iiiii", a->id, blob, thread, size, date);
	if (r == 0)
		*ret_id = db_last_id(db);
	return r;
}

int email_make(struct db *db, const struct account_row *a, const struct blob_place *p,
    struct kurir_str fields, int64_t date, int64_t thread, int64_t *ret_blob, int64_t *ret_id)
{
	int r = db_exec(db,
	    "INSERT INTO segment(id, bytes, live) VALUES(?1, ?2, ?2) ON CONFLICT(id)"
	    " DO UPDATE SET bytes = bytes + ?2, live = live + ?2",
	    "ii", (int64_t)p->segment, (int64_t)p->record);
	if (r == 0)
		r = db_exec(db,
		    "INSERT INTO blob(segment, offset, length, record, refs, fields)"
		    " VALUES(?, ?, ?, ?, 1, ?)",
		    "iiiib", (int64_t)p->segment, (int64_t)p->offset, (int64_t)p->length,
		    (int64_t)p->record, fields);
	if (r < 0)
		return r;
	*ret_blob = db_last_id(db);
	return email_insert(db, a, *ret_blob, (int64_t)p->length, date, thread, ret_id);
}

int email_share(struct db *db, const struct account_row *a, int64_t blob, int64_t size,
    int64_t date, int64_t thread, int64_t *ret_id)
{
	int r = db_exec(db, "UPDATE blob SET refs = refs + 1 WHERE id = ?", "i", blob);
	if (r == 0 && db_changed(db) == 0)
		r = -ENOENT;
	return r < 0 ? r : email_insert(db, a, blob, size, date, thread, ret_id);
}

static int blob_unref(struct db *db, int64_t blob)
{
	int64_t refs;
	int r = db_exec(db, "UPDATE blob SET refs = refs - 1 WHERE id = ?", "i", blob);
	if (r == 0)
		r = db_number(db, &refs, "SELECT refs FROM blob WHERE id = ?", "i", blob);
	if (r < 0 || refs > 0)
		return r;
	r = db_exec(db,
	    "UPDATE segment SET live = live - (SELECT record FROM blob WHERE id = ?1)"
	    " WHERE id = (SELECT segment FROM blob WHERE id = ?1)",
	    "i", blob);
	if (r == 0)
		r = db_exec(db, "DELETE FROM fact WHERE blob = ?", "i", blob);
	return r < 0 ? r : db_exec(db, "DELETE FROM blob WHERE id = ?", "i", blob);
}

int email_unref(struct db *db, int64_t email)
{
	int64_t refs, blob, thread;
	int r = db_exec(db, "UPDATE email SET refs = refs - 1 WHERE id = ?", "i", email);
	if (r == 0)
		r = db_number(db, &refs, "SELECT refs FROM email WHERE id = ?", "i", email);
	if (r == 0 && refs == 0)
		r = db_number(db, &blob, "SELECT blob FROM email WHERE id = ?", "i", email);
	if (r == 0 && refs == 0)
		r = db_number(db, &thread, "SELECT thread FROM email WHERE id = ?", "i", email);
	if (r < 0 || refs > 0)
		return r;
	r = db_exec(db, "DELETE FROM email WHERE id = ?", "i", email);
	if (r == 0)
		r = thread_drop(db, email, thread);
	return r < 0 ? r : blob_unref(db, blob);
}
