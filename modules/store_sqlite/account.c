/* account.c - accounts come to be when the first message or mailbox does. */
#include "model.h"

#include <errno.h>

int account_load(struct db *db, struct kurir_str name, struct account_row *ret)
{
	int r;
	sqlite3_stmt *s = db_query(db, &r,
	    "SELECT id, modseq, uid_validity, bytes, messages FROM account WHERE name = ?", "t",
	    name);
	if (r == 0)
		r = db_step(db, s);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = (struct account_row){ .id = db_column(s, 0),
		.modseq = db_column(s, 1),
		.uid_validity = db_column(s, 2),
		.bytes = db_column(s, 3),
		.messages = db_column(s, 4) };
	db_done(s);
	return 0;
}

/* UIDVALIDITY begins with the clock, so that an account that is made again does not repeat it. */
int account_make(struct db *db, struct kurir_str name, int64_t now, struct account_row *ret)
{
	struct mailbox_row inbox;
	int r = db_exec(db, "INSERT INTO account(name, modseq, uid_validity) VALUES(?, 1, ?)",
	    "ti", name, now / 1000 & 0x7fffffff);
	if (r == 0)
		r = account_load(db, name, ret);
	if (r == 0)
		r = mailbox_make(db, ret, KURIR_STR("INBOX"), 0, &inbox);
	return r == 0 ? account_save(db, ret) : r;
}

int account_save(struct db *db, const struct account_row *a)
{
	return db_exec(db,
	    "UPDATE account SET modseq = ?, uid_validity = ?, bytes = ?, messages = ?"
	    " WHERE id = ?",
	    "iiiii", a->modseq, a->uid_validity, a->bytes, a->messages, a->id);
}
