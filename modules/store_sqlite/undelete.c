/* undelete.c - what was expunged comes back while its time of grace lasts: as new messages,
 * with new UIDs, since the old ones are known to have gone. */
#include "sqlite.h"

#include <errno.h>

struct kept {
	int64_t modseq;
	struct message_row row;
};

/* The oldest that went after since; 1, or 0 when there is none. */
static int next_kept(
    struct db *db, struct kurir_arena *arena, int64_t from, int64_t since, struct kept *ret)
{
	int r;
	sqlite3_stmt *q = db_query(db, &r,
	    "SELECT modseq, uid, flags, keywords, size, date, email FROM gone"
	    " WHERE mailbox = ? AND email IS NOT NULL AND at >= ? ORDER BY modseq, uid LIMIT 1",
	    "ii", from, since);
	if (r == 0)
		r = db_step(db, q);
	if (r <= 0)
		return r;
	*ret = (struct kept){ .modseq = db_column(q, 0),
		.row = { .uid = db_column(q, 1),
		    .flags = db_column(q, 2) & ~(int64_t)KURIR_MESSAGE_DELETED,
		    .keywords = kurir_copy(arena, db_text(q, 3)),
		    .size = db_column(q, 4),
		    .date = db_column(q, 5),
		    .email = db_column(q, 6) } };
	db_done(q);
	return 1;
}

/* The e-mail is the new message's; that the old one went is remembered. */
static int bring_back(struct shard *s, struct kurir_arena *arena, struct account_row *a,
    int64_t from, struct mailbox_row *to, int64_t since, int64_t now, uint32_t *count)
{
	struct kept k;
	int r;
	while ((r = next_kept(&s->db, arena, from, since, &k)) == 1) {
		int64_t uid = k.row.uid;
		k.row.saved = now;
		r = message_insert(&s->db, a, to, &k.row);
		if (r == 0)
			r = db_exec(&s->db,
			    "UPDATE gone SET flags = NULL, keywords = NULL, size = NULL, date = NULL,"
			    " email = NULL WHERE mailbox = ? AND modseq = ? AND uid = ?",
			    "iii", from, k.modseq, uid);
		if (r < 0)
			return r;
		++*count;
	}
	return r;
}

/* A mailbox of that name that was deleted, the first one first. */
static int find_deleted(
    struct shard *s, const struct account_row *a, struct kurir_str name, int64_t *ret)
{
	return db_number(&s->db, ret,
	    "SELECT id FROM gone_mailbox WHERE account = ? AND name = ? ORDER BY at, id LIMIT 1",
	    "it", a->id, name);
}

/* All that were deleted under that name, into one. */
static int bring_back_deleted(struct shard *s, struct kurir_arena *arena, struct account_row *a,
    struct kurir_str name, int64_t since, int64_t now, struct mailbox_row *to, uint32_t *count)
{
	int64_t from;
	int r = find_deleted(s, a, name, &from);
	if (r < 0)
		return r;
	r = mailbox_load(&s->db, a, name, to);
	if (r == -ENOENT)
		r = mailbox_make(&s->db, a, name, 0, to);
	while (r == 0) {
		r = bring_back(s, arena, a, from, to, since, now, count);
		if (r == 0)
			r = db_exec(&s->db, "DELETE FROM gone_mailbox WHERE id = ?", "i", from);
		if (r == 0)
			r = find_deleted(s, a, name, &from);
	}
	return r == -ENOENT ? 0 : r;
}

int undelete_run(struct shard *s, struct kurir_arena *arena, struct account_row *a,
    struct kurir_str mailbox, struct kurir_reader *in, int64_t now, struct kurir_buf *reply)
{
	int64_t since = (int64_t)kurir_get_u64(in);
	bool deleted = kurir_get_u8(in) != 0;
	struct mailbox_row to;
	uint32_t count = 0;
	if (in->error < 0)
		return -EBADMSG;
	a->modseq++;
	int r = deleted ? bring_back_deleted(s, arena, a, mailbox, since, now, &to, &count)
			: mailbox_load(&s->db, a, mailbox, &to);
	if (r == 0 && !deleted)
		r = bring_back(s, arena, a, to.id, &to, since, now, &count);
	if (r == 0)
		r = mailbox_save(&s->db, &to);
	if (r == 0)
		r = account_save(&s->db, a);
	return r < 0 ? r : kurir_put_u32(reply, count);
}
