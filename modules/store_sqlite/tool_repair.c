/* tool_repair.c - the database of a shard made again from its segments.
 *
 * What the old database says, if it can be read, is kept where the segments bear it out
 * (tool_salvage.c).  Any other whole record becomes a message in the mailbox that it was first
 * put into, with its date; those after it in a damaged segment are looked for.  Of such a message
 * is lost what only the database knew: flags, keywords, where it was copied or moved to, that it
 * was expunged, and all recipients but the first of several in one shard.
 *
 * The old database is "repair-index.db" until the new one is done, so that a repair that was killed
 * begins again with the same; and then stays beside it. */
#include "email.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH	 500
#define REPAIRED "repair-index.db" /* the old database, until it is done */

struct repair {
	struct tool *tool;
	struct tool_shard shard;
	unsigned batch;
	bool salvaged; /* there are rows of the old database */
	bool adding;   /* those that it did not know */
	uint64_t kept; /* messages of which it knew all */
};

/* Compaction copies a record as it is: of two that are equal one is enough. */
static int is_new(struct repair *r, const struct blob_record *record)
{
	const struct blob_source *s = &record->source;
	int e = db_exec(&r->shard.db,
	    "INSERT INTO temp.seen(crc, length, date, account, mailbox) VALUES(?, ?, ?, ?, ?)",
	    "iiitt", (int64_t)record->crc, (int64_t)s->length, s->date, s->account, s->mailbox);
	return e == -EEXIST ? 0 : e < 0 ? e : 1;
}

static int mailbox_of(
    struct db *db, struct account_row *a, struct kurir_str name, struct mailbox_row *ret)
{
	struct kurir_manage what = { .kind = KURIR_MANAGE_CREATE, .mailbox = name };
	int64_t id;
	int r = mailbox_load(db, a, name, ret);
	if (r != -ENOENT)
		return r;
	r = mailbox_manage(db, a, &what, 0, &id);
	/* In the course of time there may have been more names than mailboxes at once. */
	if (r == -EDQUOT || r == -EINVAL)
		return mailbox_load(db, a, KURIR_STR("INBOX"), ret);
	return r < 0 ? r : mailbox_load(db, a, name, ret);
}

/* It gets messages that its clients may know by other UIDs, or others by these. */
static int renew(struct db *db, struct account_row *a, const struct mailbox_row *m)
{
	int r = db_exec(db, "INSERT OR IGNORE INTO temp.renewed(mailbox) VALUES(?)", "i", m->id);
	if (r < 0 || db_changed(db) == 0)
		return r;
	if (a->uid_validity >= UINT32_MAX)
		return -EDQUOT;
	return db_exec(db, "UPDATE mailbox SET uid_validity = ? WHERE id = ?", "ii",
	    ++a->uid_validity, m->id);
}

static int add_record(struct repair *r, uint64_t segment, uint64_t at,
    const struct blob_record *record, struct fact_reader *facts)
{
	struct db *db = &r->shard.db;
	const struct blob_source *s = &record->source;
	struct account_row a;
	struct mailbox_row m;
	struct message_row row = { .size = (int64_t)s->length,
		.date = s->date,
		.saved = s->date,
		.keywords = KURIR_STR("") };
	struct email mail = { .id = 0 };
	struct blob_place place = { segment, record->body, s->length, record->next - at };
	int e = account_load(db, s->account, &a);
	if (e == -ENOENT)
		e = account_make(db, s->account, kurir_wallclock(), &a);
	if (e == 0)
		e = mailbox_of(db, &a, s->mailbox, &m);
	if (e == 0 && r->salvaged)
		e = renew(db, &a, &m);
	if (e == 0)
		e = email_keep(db, &a, &place, s->date, facts, &mail);
	row.email = mail.id;
	a.modseq++;
	if (e == 0)
		e = message_insert(db, &a, &m, &row);
	if (e == 0)
		e = mailbox_save(db, &m);
	if (e == 0)
		e = account_save(db, &a);
	r->tool->messages++;
	r->tool->bytes += s->length;
	tool_progress(r->tool, "messages", r->tool->messages, 0);
	if (e == 0 && ++r->batch == BATCH) {
		r->batch = 0;
		e = db_exec(db, "COMMIT", "");
		if (e == 0)
			e = db_exec(db, "BEGIN IMMEDIATE", "");
	}
	return e;
}

/* The next record, which is shown to who reads facts as it is checked. */
static int next_record(
    struct repair *r, int fd, uint64_t segment, uint64_t at, struct blob_record *record)
{
	struct fact_reader facts;
	int e = blob_record_read(fd, at, record);
	if (e < 0)
		return e;
	fact_begin(&facts);
	record->source.see = fact_see;
	record->source.arg = &facts;
	e = blob_record_check(record);
	if (e == 0)
		e = r->salvaged && !r->adding ? salvage_record(&r->shard, segment, at, record)
					      : is_new(r, record);
	if (e == 1)
		e = add_record(r, segment, at, record, &facts);
	fact_free(&facts);
	return e;
}

static int read_segment(struct repair *r, int fd, uint64_t segment, uint64_t size)
{
	struct blob_record *record = malloc(sizeof(*record));
	bool lost = false;
	int e = record == NULL ? -ENOMEM : 0;
	for (uint64_t at = BLOB_FIRST; e == 0 && at < size;) {
		e = next_record(r, fd, segment, at, record);
		if (e == -EBADMSG) {
			e = 0;
			if (!lost)
				tool_problem(r->tool,
				    "shard %02x: segment %016llx is damaged at %llu, looking on",
				    r->shard.number, (unsigned long long)segment,
				    (unsigned long long)at);
			lost = true;
			at += 8;
		} else {
			lost = false;
			at = record->next;
		}
	}
	free(record);
	return e;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static int list_segments(const char *folder, uint64_t **ret, size_t *ret_count)
{
	size_t n = 0, room = 0;
	uint64_t *all = NULL;
	DIR *d = opendir(folder);
	if (d == NULL)
		return -errno;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		uint64_t id = blob_name_id(e->d_name);
		if (id == 0)
			continue;
		if (n == room) {
			room = room == 0 ? 64 : 2 * room;
			uint64_t *more = realloc(all, room * sizeof(*all));
			if (more == NULL) {
				free(all);
				closedir(d);
				return -ENOMEM;
			}
			all = more;
		}
		all[n++] = id;
	}
	closedir(d);
	if (n > 0)
		qsort(all, n, sizeof(*all), by_id);
	*ret = all;
	*ret_count = n;
	return 0;
}

static int read_all(struct repair *r)
{
	uint64_t *all = NULL;
	size_t n = 0;
	int e = list_segments(r->shard.folder, &all, &n);
	for (size_t i = 0; e == 0 && i < n; i++) {
		char name[BLOB_NAME], path[TOOL_PATH + BLOB_NAME + 1];
		struct stat st;
		blob_name(name, all[i]);
		(void)snprintf(path, sizeof(path), "%s/%s", r->shard.folder, name);
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		e = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
		if (e == 0 && r->salvaged)
			e = db_exec(&r->shard.db,
			    "INSERT INTO temp.file(segment, bytes) VALUES(?, ?)", "ii",
			    (int64_t)all[i], (int64_t)st.st_size - BLOB_FIRST);
		if (e == 0)
			e = read_segment(r, fd, all[i], (uint64_t)st.st_size);
		if (fd >= 0)
			close(fd);
	}
	free(all);
	return e;
}

/* The records of which the old database knew nothing. */
static int add_unknown(struct repair *r)
{
	struct blob_record *record = malloc(sizeof(*record));
	int e = record == NULL ? -ENOMEM : 0;
	sqlite3_stmt *q = NULL;
	r->adding = true;
	if (e == 0)
		q = db_query(&r->shard.db, &e,
		    "SELECT segment, at FROM temp.unknown ORDER BY segment, at", "");
	while (e >= 0 && (e = db_step(&r->shard.db, q)) == 1) {
		uint64_t segment = (uint64_t)db_column(q, 0), at = (uint64_t)db_column(q, 1);
		struct blob_place place = { .segment = segment };
		struct kurir_body body;
		e = blob_open(r->shard.folder, &place, &body);
		if (e == 0) {
			e = next_record(r, body.fd, segment, at, record);
			close(body.fd);
		}
		if (e < 0)
			db_done(q);
	}
	free(record);
	return e;
}

/* The database and what belongs to it, under another name; its log first, which it needs. */
static int rename_all(const char *folder, const char *from, const char *to)
{
	static const char *const parts[] = { "-wal", "-shm", "" };
	char old[TOOL_PATH + 64], new[TOOL_PATH + 64];
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(old, sizeof(old), "%s/%s%s", folder, from, parts[i]);
		(void)snprintf(new, sizeof(new), "%s/%s%s", folder, to, parts[i]);
		if (rename(old, new) < 0 && errno != ENOENT)
			return -errno;
	}
	return blob_sync_folder(folder);
}

static void remove_all(const char *folder, const char *name)
{
	static const char *const parts[] = { "-wal", "-shm", "" };
	char path[TOOL_PATH + 64];
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s%s", folder, name, parts[i]);
		(void)unlink(path);
	}
}

/* One that is there already is what a repair that was killed began with. */
static int set_aside(const char *folder)
{
	char path[TOOL_PATH + 64];
	(void)snprintf(path, sizeof(path), "%s/" REPAIRED, folder);
	remove_all(folder, "search.db"); /* of the old one */
	if (access(path, F_OK) < 0)
		return rename_all(folder, "index.db", REPAIRED);
	remove_all(folder, "index.db");
	return 0;
}

static int keep_old(const char *folder)
{
	char name[64];
	(void)snprintf(
	    name, sizeof(name), "old-%lld-index.db", (long long)(kurir_wallclock() / 1000));
	return rename_all(folder, REPAIRED, name);
}

/* All of it in one transaction.  1; 0: nothing is taken of it, as it cannot be read, or makes no
 * sense. */
static int use_old(struct repair *r)
{
	uint64_t problems = r->tool->problems;
	int e = salvage_copy(&r->shard);
	if (e == 1)
		e = read_all(r);
	else if (e == 0)
		e = -EIO;
	if (e == 0)
		e = salvage_settle(r->tool, &r->shard, &r->kept);
	if (e == 0)
		return 1;
	tool_say(r->tool, "shard %02x: the old database cannot be used", r->shard.number);
	tool_rollback(&r->shard);
	r->tool->problems = problems;
	return e == -ENOMEM || e == -ENOSPC ? e : tool_begin(&r->shard);
}

static int make_again(struct repair *r)
{
	char path[TOOL_PATH + 64];
	struct db *db = &r->shard.db;
	(void)snprintf(path, sizeof(path), "%s/" REPAIRED, r->shard.folder);
	int e = access(path, F_OK) == 0 ? salvage_open(&r->shard, path) : 0;
	r->salvaged = e == 1;
	if (e >= 0)
		e = db_text_run(db,
		    "CREATE TEMP TABLE seen(crc, length, date, account, mailbox, blob,"
		    " PRIMARY KEY(crc, length, date, account, mailbox)) WITHOUT ROWID");
	if (e == 0)
		e = tool_begin(&r->shard);
	if (e == 0 && r->salvaged) {
		e = use_old(r);
		r->salvaged = e == 1;
	}
	if (e >= 0)
		e = r->salvaged ? add_unknown(r) : read_all(r);
	return e < 0 ? e : tool_commit(&r->shard);
}

int tool_repair(struct tool *t, unsigned shard)
{
	static struct repair r;
	char folder[TOOL_PATH];
	int lock = tool_lock_all(t), e = tool_path(t, shard, "", folder);
	if (lock == -EWOULDBLOCK) {
		tool_say(
		    t, "kurir-store: a server or an import uses these shards: stop it first");
		return 2;
	}
	if (lock < 0)
		return tool_fail(t, lock, folder);
	r.tool = t;
	e = e < 0 ? e : set_aside(folder);
	if (e == 0)
		e = tool_shard_open(t, shard, &r.shard);
	if (e == 0) {
		e = make_again(&r);
		if (e < 0)
			tool_rollback(&r.shard);
		tool_shard_close(&r.shard);
	}
	if (e == 0)
		e = keep_old(folder);
	close(lock);
	if (e < 0)
		return tool_fail(t, e, folder);
	(void)kurir_buf_printf(&t->text,
	    t->json ? "{\"messages\": %llu, \"kept\": %llu, \"bytes\": %llu, \"damaged\": %llu}\n"
		    : "%llu messages are there, %llu of them as they were; %llu bytes of others;"
		      " damaged places: %llu\n",
	    (unsigned long long)(t->messages + r.kept), (unsigned long long)r.kept,
	    (unsigned long long)t->bytes, (unsigned long long)t->problems);
	return t->problems > 0 ? 1 : 0;
}
