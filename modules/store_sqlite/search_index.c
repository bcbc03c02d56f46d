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

#define FORMAT	   1
#define BODY_MAX   ((size_t)1 << 20) /* of an e-mail's text; what is longer is looked at itself */
#define HEAD_MAX   ((size_t)256 << 10)
#define STEP_MANY  50
#define STEP_BYTES ((uint64_t)1 << 20)
#define ADDRESSES  200
#define STALE	   10000 /* rows without e-mails that do not matter yet */

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE VIRTUAL TABLE words USING fts5(account, head, body, content = '', columnsize = 0,"
    " tokenize = 'trigram');"
    "CREATE TABLE partial(email INTEGER PRIMARY KEY);"
    "CREATE TABLE state(upto INTEGER NOT NULL, rows INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0, 0);"
    "PRAGMA user_version = 1;"
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
	struct kurir_buf head, body;
	bool partial;
};

/* A NUL would end the text. */
static void add(struct texts *t, struct kurir_buf *b, struct kurir_str s)
{
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
static void add_addresses(struct texts *t, struct kurir_buf *b, struct kurir_str value)
{
	struct mime_address *list = kurir_alloc(t->arena, ADDRESSES * sizeof(*list));
	size_t n = mime_addresses(t->arena, value, list, ADDRESSES);
	t->partial |= n == ADDRESSES;
	for (size_t i = 0; i < n; i++) {
		if (list[i].mailbox.ptr == NULL || list[i].host.ptr == NULL)
			continue;
		add(t, b, list[i].mailbox);
		add(t, b, KURIR_STR("@"));
		add(t, b, list[i].host);
		add(t, b, KURIR_STR("\n"));
	}
}

static void see(void *arg, enum mime_text what, const struct mime_part *part, bool within,
    struct kurir_str name, struct kurir_str text)
{
	struct texts *t = arg;
	struct kurir_buf *b = what == MIME_TEXT_FIELD && !within ? &t->head : &t->body;
	struct kurir_mark mark = kurir_mark(t->arena);
	(void)part;
	if (what == MIME_TEXT_FIELD) {
		add(t, b, name);
		add(t, b, KURIR_STR(": "));
	}
	if (what != MIME_TEXT_BODY_END)
		add(t, b, text);
	if (what != MIME_TEXT_BODY)
		add(t, b, KURIR_STR("\n"));
	if (what == MIME_TEXT_FIELD && has_addresses(name))
		add_addresses(t, b, text);
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
		.head = KURIR_BUF(HEAD_MAX),
		.body = KURIR_BUF(BODY_MAX) };
	char account[SEARCH_ACCOUNT];
	search_account(e->account, account);
	add(&t, &t.head, KURIR_STR("\n"));
	add(&t, &t.body, KURIR_STR("\n"));
	int r = read_texts(x->folder, &e->place, &t);
	if (r == -EIO || r == -EBADMSG) { /* who looks for something will hear of it */
		t.partial = true;
		r = 0;
	}
	if (r == 0)
		r = db_exec(&x->to,
		    "INSERT INTO words(rowid, account, head, body) VALUES(?, ?, ?, ?)", "ittt",
		    e->email, kurir_str_of(account), kurir_buf_str(&t.head),
		    kurir_buf_str(&t.body));
	if (r == 0 && t.partial)
		r = db_exec(
		    &x->to, "INSERT OR IGNORE INTO partial(email) VALUES(?)", "i", e->email);
	kurir_buf_free(&t.head);
	kurir_buf_free(&t.body);
	kurir_arena_free(t.arena);
	return r;
}

static int next_entries(
    struct search_index *x, int64_t upto, struct entry *ret, size_t *ret_count)
{
	int r;
	size_t n = 0;
	sqlite3_stmt *q = db_query(&x->from, &r,
	    "SELECT e.id, e.account, b.segment, b.offset, b.length, b.record FROM email e"
	    " JOIN blob b ON b.id = e.blob WHERE e.id > ? ORDER BY e.id LIMIT ?",
	    "ii", upto, (int64_t)STEP_MANY);
	while (r >= 0 && (r = db_step(&x->from, q)) == 1)
		ret[n++] = (struct entry){ db_column(q, 0), db_column(q, 1),
			{ (uint64_t)db_column(q, 2), (uint64_t)db_column(q, 3),
			    (uint64_t)db_column(q, 4), (uint64_t)db_column(q, 5) } };
	*ret_count = n;
	return r;
}

static int add_some(struct search_index *x)
{
	struct entry *entries = calloc(STEP_MANY, sizeof(*entries));
	int64_t upto = 0, done = 0;
	uint64_t bytes = 0;
	size_t count = 0, i = 0;
	int r =
	    entries == NULL ? -ENOMEM : db_number(&x->to, &upto, "SELECT upto FROM state", "");
	if (r == 0)
		r = next_entries(x, upto, entries, &count);
	for (; r == 0 && i < count && bytes < STEP_BYTES; i++) {
		r = add_email(x, &entries[i]);
		if (r == 0) {
			upto = entries[i].email;
			done++;
			bytes += entries[i].place.length;
		}
	}
	free(entries);
	if (r == -ESTALE) /* it is somewhere else now: again */
		r = 0;
	if (r == 0 && done > 0)
		r = db_exec(
		    &x->to, "UPDATE state SET upto = ?, rows = rows + ?", "ii", upto, done);
	return r < 0 ? r : count > 0;
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
		r = db_number(&x->from, &emails, "SELECT count(*) FROM email", "");
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

static int open_index(struct search_index *x)
{
	char path[1100];
	int64_t version = 0;
	(void)snprintf(path, sizeof(path), "%s/index.db", x->folder);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	int r = db_open_reader(&x->from, path, true);
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
		r = db_exec(&x->to, "BEGIN IMMEDIATE", "");
	if (r == 0)
		r = add_some(x);
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
