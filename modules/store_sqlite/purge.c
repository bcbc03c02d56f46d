/* purge.c - what nobody can bring back any more gives its room back.
 *
 * Expunged messages after their time of grace, ids of deliveries that no queue repeats any more,
 * segments in which nothing lives.  A little at a time: mail is not to wait for it. */
#include "schema.h"
#include "sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#define AT_ONCE	  200
#define DELIVERED ((int64_t)14 * 24 * 3600 * 1000) /* longer than any queue tries */

/* The row stays, as its mod-sequence is still asked for; the e-mail goes. */
static int purge_gone(struct shard *s, int64_t now)
{
	int64_t mailbox, modseq, uid, email;
	int r = 0;
	for (unsigned n = 0; n < AT_ONCE && r == 0; n++) {
		sqlite3_stmt *q = db_query(&s->db, &r,
		    "SELECT mailbox, modseq, uid, email FROM gone"
		    " WHERE email IS NOT NULL AND at <= ? ORDER BY at LIMIT 1",
		    "i", now - s->conf->grace);
		if (r == 0)
			r = db_step(&s->db, q);
		if (r <= 0)
			return r;
		mailbox = db_column(q, 0);
		modseq = db_column(q, 1);
		uid = db_column(q, 2);
		email = db_column(q, 3);
		db_done(q);
		r = email_unref(&s->db, email);
		if (r == 0)
			r = db_exec(&s->db,
			    "UPDATE gone SET flags = NULL, keywords = NULL, size = NULL, date = NULL,"
			    " email = NULL WHERE mailbox = ? AND modseq = ? AND uid = ?",
			    "iii", mailbox, modseq, uid);
	}
	return r;
}

/* Nobody is told of it any more: who asks for what happened before is sent to look at all. */
static int forget(struct shard *s, int64_t mailbox, int64_t modseq, int64_t uid)
{
	int r = db_exec(&s->db, "DELETE FROM gone WHERE mailbox = ? AND modseq = ? AND uid = ?",
	    "iii", mailbox, modseq, uid);
	return r < 0 ? r
		     : db_exec(&s->db,
			   "UPDATE mailbox SET gone = gone - 1, forgotten = max(forgotten, ?)"
			   " WHERE id = ?",
			   "ii", modseq, mailbox);
}

/* What was remembered long enough, and, of mailboxes that remember too much, the oldest. */
static int purge_memory(struct shard *s, int64_t now)
{
	static const char *const oldest[] = {
		"SELECT mailbox, modseq, uid FROM gone WHERE email IS NULL AND at < ?"
		" ORDER BY at LIMIT 1",
		"SELECT mailbox, modseq, uid FROM gone WHERE email IS NULL AND ? > 0 AND mailbox ="
		" (SELECT id FROM mailbox WHERE gone > " SCHEMA_REMEMBERED " LIMIT 1)"
		" ORDER BY modseq LIMIT 1",
	};
	int r = 0;
	for (unsigned kind = 0; kind < 2; kind++)
		for (unsigned n = 0; n < AT_ONCE && r == 0; n++) {
			sqlite3_stmt *q =
			    db_query(&s->db, &r, oldest[kind], "i", now - s->conf->remember);
			if (r == 0)
				r = db_step(&s->db, q);
			if (r < 0)
				return r;
			if (r == 0)
				break;
			int64_t row[3] = { db_column(q, 0), db_column(q, 1), db_column(q, 2) };
			db_done(q);
			r = forget(s, row[0], row[1], row[2]);
		}
	return r;
}

/* Files that no row names any more, or never did.  A row goes in one purge and its file in the
 * next, so that no file is deleted that the durable database still needs. */
static int purge_files(struct shard *s)
{
	DIR *d = opendir(s->folder);
	if (d == NULL)
		return -errno;
	int r = 0;
	for (struct dirent *e = readdir(d); e != NULL && r == 0; e = readdir(d)) {
		uint64_t id = blob_name_id(e->d_name);
		int64_t known;
		if (id == 0 || segment_finished(dirfd(d), e->d_name) == 0)
			continue;
		r = db_number(&s->db, &known, "SELECT count(*) FROM segment WHERE id = ?", "i",
		    (int64_t)id);
		if (r == 0 && known == 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return r;
}

/* What is behind its time; a row for each kind of thing. */
static int purge_rows(struct shard *s, int64_t now)
{
	int64_t writing = s->blobs.fd >= 0 ? (int64_t)s->blobs.segment : 0;
	int r = purge_gone(s, now);
	if (r == 0)
		r = purge_memory(s, now);
	if (r == 0)
		r = db_exec(&s->db,
		    "DELETE FROM gone_mailbox WHERE at < ? AND NOT EXISTS (SELECT 1 FROM gone"
		    " WHERE mailbox = gone_mailbox.id AND email IS NOT NULL)",
		    "i", now - s->conf->grace);
	if (r == 0)
		r = db_exec(&s->db,
		    "DELETE FROM delivered WHERE id IN (SELECT id FROM delivered WHERE at < ?"
		    " ORDER BY at LIMIT 1000)",
		    "i", now - DELIVERED);
	if (r == 0)
		r = db_exec(&s->db,
		    "DELETE FROM segment WHERE NOT EXISTS"
		    " (SELECT 1 FROM blob WHERE blob.segment = segment.id) AND id <> ?",
		    "i", writing);
	return r;
}

int purge_run(struct shard *s, int64_t now, struct kurir_buf *reply)
{
	if (s->held)
		return kurir_put_u8(reply, false);
	int64_t before = sqlite3_total_changes(s->db.sql);
	int r = s->purged ? 0 : purge_files(s), copied;
	s->purged = true;
	if (r == 0)
		r = purge_rows(s, now);
	if (r < 0)
		return r;
	bool more = sqlite3_total_changes(s->db.sql) != before;
	copied = compact_step(s);
	return copied < 0 ? copied : kurir_put_u8(reply, more || copied > 0);
}
