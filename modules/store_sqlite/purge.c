/* purge.c - what nobody can bring back any more gives its room back.
 *
 * Expunged messages after their time of grace, ids of deliveries that no queue repeats any more,
 * segments in which nothing lives.  A little at a time: mail is not to wait for it. */
#include "sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
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
		    " WHERE email IS NOT NULL AND at < ? ORDER BY at LIMIT 1",
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

/* A segment that somebody writes to is locked. */
static bool finished(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	bool unlocked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return unlocked;
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
		if (id == 0 || !finished(dirfd(d), e->d_name))
			continue;
		r = db_number(&s->db, &known, "SELECT count(*) FROM segment WHERE id = ?", "i",
		    (int64_t)id);
		if (r == 0 && known == 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return r;
}

int purge_run(struct shard *s, int64_t now)
{
	int r = purge_files(s);
	if (r == 0)
		r = purge_gone(s, now);
	if (r == 0)
		r = db_exec(&s->db,
		    "DELETE FROM delivered WHERE id IN (SELECT id FROM delivered WHERE at < ?"
		    " ORDER BY at LIMIT 1000)",
		    "i", now - DELIVERED);
	if (r == 0)
		r = db_exec(&s->db,
		    "DELETE FROM segment WHERE NOT EXISTS"
		    " (SELECT 1 FROM blob WHERE blob.segment = segment.id) AND id <> ?",
		    "i", (int64_t)(s->blobs.fd >= 0 ? s->blobs.segment : 0));
	return r;
}
