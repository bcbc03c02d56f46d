/* search_index.c - e-mails go into the index, in the order of their numbers. */
#include "blob.h"
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <mime/mime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT	   2
#define TEXT_MAX   ((size_t)1 << 20) /* of an e-mail; what is longer is looked at itself */
#define STEP_MANY  200		     /* into the index */
#define STEP_ALL   10000	     /* that are looked at, also those of other accounts */
#define STEP_BYTES ((uint64_t)4 << 20)
#define ADDRESSES  200
#define STALE	   10000 /* rows without e-mails that do not matter yet */

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE VIRTUAL TABLE words USING fts5(text, content = '', columnsize = 0,"
    " detail = none, tokenize = 'trigram');"
    "INSERT INTO words(words, rank) VALUES('hashsize', 4194304);"
    "CREATE TABLE partial(email INTEGER PRIMARY KEY);"
    "CREATE TABLE account(id INTEGER PRIMARY KEY, upto INTEGER NOT NULL,"
    " until INTEGER NOT NULL);"
    "CREATE TABLE state(upto INTEGER NOT NULL, rows INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0, 0);"
    "PRAGMA user_version = 2;"
    "COMMIT;";

void search_account(int64_t account, char ret[SEARCH_ACCOUNT])
{
	/* Three characters of U+E000 to U+EFFF, which stand for nothing else. */
	for (unsigned i = 0; i < 3; i++) {
		unsigned code = 0xe000 + (unsigned)(account >> 12 * i & 0xfff);
		ret[3 * i] = (char)(0xe0 | code >> 12);
		ret[3 * i + 1] = (char)(0x80 | (code >> 6 & 0x3f));
		ret[3 * i + 2] = (char)(0x80 | (code & 0x3f));
	}
	ret[9] = '\0';
}

struct texts {
	struct kurir_arena *arena;
	struct kurir_buf text;
	bool partial;
};

/* A NUL would end the text. */
static void add(struct texts *t, struct kurir_str s)
{
	struct kurir_buf *b = &t->text;
	size_t from = b->len;
	if (kurir_buf_add(b, s) < 0) {
		t->partial = true;
		return;
	}
	for (size_t i = from; i < b->len; i++)
		if (b->ptr[i] == '\0')
			b->ptr[i] = ' ';
}

static bool has_addresses(struct kurir_str field)
{
	static const char *const names[] = { "From", "To", "Cc", "Bcc", "Sender", "Reply-To" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (kurir_str_equal_nocase(field, kurir_str_of(names[i])))
			return true;
	return false;
}

/* Addresses also without what may stand between their parts. */
static void add_addresses(struct texts *t, struct kurir_str value)
{
	struct mime_address *list = kurir_alloc(t->arena, ADDRESSES * sizeof(*list));
	size_t n = mime_addresses(t->arena, value, list, ADDRESSES);
	t->partial |= n == ADDRESSES;
	for (size_t i = 0; i < n; i++) {
		if (list[i].mailbox.ptr == NULL || list[i].host.ptr == NULL)
			continue;
		add(t, list[i].mailbox);
		add(t, KURIR_STR("@"));
		add(t, list[i].host);
		add(t, KURIR_STR("\n"));
	}
}

static void see(void *arg, enum mime_text what, const struct mime_part *part, bool within,
    struct kurir_str name, struct kurir_str text)
{
	struct texts *t = arg;
	struct kurir_mark mark = kurir_mark(t->arena);
	(void)part;
	(void)within;
	if (what == MIME_TEXT_FIELD) {
		add(t, name);
		add(t, KURIR_STR(": "));
	}
	if (what != MIME_TEXT_BODY_END)
		add(t, text);
	if (what != MIME_TEXT_BODY)
		add(t, KURIR_STR("\n"));
	if (what == MIME_TEXT_FIELD && has_addresses(name))
		add_addresses(t, text);
	kurir_rewind(t->arena, mark);
}

struct entry {
	int64_t email, account;
	struct blob_place place;
};

/* The bytes are mapped: they may be many. */
static int read_texts(const char *folder, const struct blob_place *p, struct texts *t)
{
	struct kurir_body body;
	const struct mime_options options = { .text = see, .arg = t };
	struct stat st;
	int r = blob_open(folder, p, &body);
	if (r < 0 || p->length == 0) {
		if (r == 0)
			close(body.fd);
		return r;
	}
	size_t before = (size_t)(body.offset % 4096), size = (size_t)p->length + before;
	char *map =
	    mmap(NULL, size, PROT_READ, MAP_PRIVATE, body.fd, (off_t)(body.offset - before));
	if (map == MAP_FAILED)
		r = -errno;
	/* To read behind the end of a file that was cut is a signal. */
	if (r == 0 &&
	    (fstat(body.fd, &st) < 0 || (uint64_t)st.st_size < body.offset + p->length)) {
		(void)munmap(map, size);
		r = -EBADMSG;
	}
	close(body.fd);
	if (r < 0)
		return r;
	struct mime_parser *parser = mime_begin(t->arena, &options);
	mime_feed(parser, (struct kurir_str){ map + before, (size_t)p->length });
	(void)mime_end(parser);
	(void)munmap(map, size);
	return 0;
}

static int add_email(struct search_index *x, const struct entry *e)
{
	struct texts t = { .arena = kurir_arena_new("store search"),
		.text = KURIR_BUF(TEXT_MAX) };
	char account[SEARCH_ACCOUNT];
	search_account(e->account, account);
	add(&t, kurir_str_of(account));
	add(&t, KURIR_STR("\n"));
	int r = read_texts(x->folder, &e->place, &t);
	if (r == -EIO || r == -EBADMSG) { /* who looks for something will hear of it */
		t.partial = true;
		r = 0;
	}
	if (r == 0)
		r = db_exec(&x->to, "INSERT INTO words(rowid, text) VALUES(?, ?)", "it", e->email,
		    kurir_buf_str(&t.text));
	if (r == 0 && t.partial)
		r = db_exec(
		    &x->to, "INSERT OR IGNORE INTO partial(email) VALUES(?)", "i", e->email);
	kurir_buf_free(&t.text);
	kurir_arena_free(t.arena);
	return r;
}

/* Accounts that the index did not have come to those that have all up to state.upto. */
static int join(struct search_index *x)
{
	int r;
	sqlite3_stmt *q = db_query(&x->from, &r, "SELECT account FROM searched", "");
	while (r >= 0 && (r = db_step(&x->from, q)) == 1)
		r = db_exec(&x->to,
		    "INSERT OR IGNORE INTO account(id, upto, until) SELECT ?, 0, upto FROM state",
		    "i", db_column(q, 0));
	if (r < 0)
		db_done(q);
	return r;
}

/* What a step is for: one account that joined, or (0) all; e-mails after upto, up to end. */
struct stretch {
	int64_t account, upto, end;
};

static int next_stretch(struct search_index *x, struct stretch *ret)
{
	int r;
	sqlite3_stmt *q = db_query(
	    &x->to, &r, "SELECT id, upto, until FROM account WHERE upto < until LIMIT 1", "");
	if (r == 0 && (r = db_step(&x->to, q)) == 1) {
		*ret = (struct stretch){ db_column(q, 0), db_column(q, 1), db_column(q, 2) };
		db_done(q);
	} else if (r == 0) {
		*ret = (struct stretch){ .account = 0 };
		r = db_number(&x->to, &ret->upto, "SELECT upto FROM state", "");
		if (r == 0)
			r = db_number(
			    &x->from, &ret->end, "SELECT ifnull(max(id), 0) FROM email", "");
	}
	if (ret->end > ret->upto + STEP_ALL)
		ret->end = ret->upto + STEP_ALL;
	return r < 0 ? r : 0;
}

/* Those of the stretch, which is then as long as they are many. */
static int next_entries(
    struct search_index *x, struct stretch *at, struct entry *ret, size_t *ret_count)
{
	int r;
	size_t n = 0;
	sqlite3_stmt *q = db_query(&x->from, &r,
	    "SELECT e.id, e.account, b.segment, b.offset, b.length, b.record FROM email e"
	    " JOIN blob b ON b.id = e.blob WHERE e.id > ?1 AND e.id <= ?2 AND"
	    " CASE ?3 WHEN 0 THEN e.account IN (SELECT account FROM searched)"
	    " ELSE e.account = ?3 END ORDER BY e.id LIMIT ?4",
	    "iiii", at->upto, at->end, at->account, (int64_t)STEP_MANY);
	while (r >= 0 && (r = db_step(&x->from, q)) == 1)
		ret[n++] = (struct entry){ db_column(q, 0), db_column(q, 1),
			{ (uint64_t)db_column(q, 2), (uint64_t)db_column(q, 3),
			    (uint64_t)db_column(q, 4), (uint64_t)db_column(q, 5) } };
	*ret_count = n;
	if (n == STEP_MANY)
		at->end = ret[n - 1].email;
	return r;
}

static int add_entries(
    struct search_index *x, struct stretch *at, const struct entry *entries, size_t count)
{
	uint64_t bytes = 0;
	int64_t done = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = bytes < STEP_BYTES ? add_email(x, &entries[i]) : -ESTALE;
		if (r == -ESTALE) { /* it is somewhere else now: again */
			at->end = entries[i].email - 1;
			break;
		}
		done++;
		bytes += entries[i].place.length;
	}
	if (r == -ESTALE)
		r = 0;
	return r < 0 ? r : db_exec(&x->to, "UPDATE state SET rows = rows + ?", "i", done);
}

/* 1: there was something to do. */
static int add_some(struct search_index *x)
{
	struct entry *entries = calloc(STEP_MANY, sizeof(*entries));
	struct stretch at;
	size_t count = 0;
	int r = entries == NULL ? -ENOMEM : join(x);
	if (r == 0)
		r = next_stretch(x, &at);
	bool any = r == 0 && at.upto < at.end;
	if (any)
		r = next_entries(x, &at, entries, &count);
	if (any && r == 0)
		r = add_entries(x, &at, entries, count);
	free(entries);
	if (any && r == 0)
		r = at.account == 0 ? db_exec(&x->to, "UPDATE state SET upto = ?", "i", at.end)
				    : db_exec(&x->to, "UPDATE account SET upto = ? WHERE id = ?",
					  "ii", at.end, at.account);
	return r < 0 ? r : any;
}

/* Rows of e-mails that went cannot be taken out: with too many of them it is made again.  So
 * it is when it knows more than there ever was, which is then another shard's. */
static int is_good(struct search_index *x)
{
	int64_t upto, rows, last = 0, emails = INT64_MAX / 4;
	int r = db_number(&x->to, &upto, "SELECT upto FROM state", "");
	if (r == 0)
		r = db_number(&x->to, &rows, "SELECT rows FROM state", "");
	if (r == 0)
		r = db_number(
		    &x->from, &last, "SELECT seq FROM sqlite_sequence WHERE name = 'email'", "");
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && rows > STALE)
		r = db_number(&x->from, &emails,
		    "SELECT count(*) FROM email WHERE account IN (SELECT account FROM searched)",
		    "");
	return r < 0 ? r : upto <= last && rows <= 2 * emails + STALE;
}

static void remove_index(const char *folder)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char path[1100];
	for (size_t i = 0; i < 3; i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/search.db%s", folder, parts[i]) <
		    sizeof(path))
			(void)unlink(path);
}

/* -ENOENT: it is to have no account.  A file that nobody wrote since has no such table. */
static int is_wanted(struct search_index *x)
{
	int64_t any = 0;
	if (db_number(&x->from, &any, "SELECT EXISTS(SELECT 1 FROM searched)", "") < 0)
		any = 0;
	return any ? 0 : -ENOENT;
}

static int open_index(struct search_index *x)
{
	char path[1100];
	int64_t version = 0;
	(void)snprintf(path, sizeof(path), "%s/index.db", x->folder);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	int r = db_open_reader(&x->from, path, true);
	if (r == 0)
		r = is_wanted(x);
	(void)snprintf(path, sizeof(path), "%s/search.db", x->folder);
	if (r == 0)
		r = db_open_cache(&x->to, path);
	if (r < 0) {
		if (x->from.sql != NULL)
			db_close(&x->from);
		return r;
	}
	x->open = true;
	r = db_number(&x->to, &version, "PRAGMA user_version", "");
	if (r == 0 && version == 0)
		r = db_text_run(&x->to, schema);
	if (r == 0 && version != 0 && version != FORMAT)
		r = -EIO;
	if (r == 0)
		r = is_good(x);
	return r < 0 ? r : r == 0 ? -EIO : 0;
}

void search_close(struct search_index *x)
{
	if (!x->open)
		return;
	db_close(&x->from);
	db_close(&x->to);
	x->open = false;
}

int search_step(struct search_index *x)
{
	int r = x->open ? 0 : open_index(x);
	if (r == 0)
		r = db_exec(&x->from, "BEGIN", "");
	if (r == 0)
		r = db_exec(&x->to, "BEGIN IMMEDIATE", "");
	if (r == 0)
		r = add_some(x);
	if (x->open)
		(void)db_exec(&x->from, "COMMIT", "");
	if (r >= 0) {
		int done = db_exec(&x->to, "COMMIT", "");
		r = done < 0 ? done : r;
	}
	if (r >= 0)
		return r;
	search_close(x);
	if (r == -EIO) /* damaged, or no longer of this shard: it is made again */
		remove_index(x->folder);
	return r == -ENOENT ? 0 : r;
}
