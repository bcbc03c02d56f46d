/* tool_export.c - an account as Maildir++ or as mbox files, for other programs and for
 * tool_import.c.
 *
 * A Maildir gets "dovecot-uidlist" and "dovecot-keywords", so that who reads it next can keep
 * the UIDs. In an mbox lines that begin with any number of ">" and "From " get one more ">"
 * (mboxrd). */
#include "sheet.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEYWORDS 26 /* a Maildir has letters for so many */

struct export
{
	struct tool *tool;
	struct tool_shard shard;
	const char *folder;
	struct kurir_str words[KEYWORDS];
	unsigned word_count;
	struct kurir_arena *arena;
	FILE *mbox, *uidlist;
	char path[2 * TOOL_PATH];
};
struct exported {
	int64_t uid, flags, date;
	struct kurir_str keywords;
	struct blob_place place;
};

/* The message with LF at the ends of its lines. */
static int read_message(struct export *x, const struct exported *m, struct kurir_buf *ret)
{
	struct kurir_body body;
	int r = blob_open(x->shard.folder, &m->place, &body);
	if (r < 0)
		return r;
	size_t n = (size_t)m->place.length, out = 0;
	*ret = KURIR_BUF(n + 1);
	r = kurir_buf_reserve(ret, n);
	for (size_t at = 0; r == 0 && at < n;) {
		ssize_t done = pread(body.fd, ret->ptr + at, n - at, (off_t)(body.offset + at));
		if (done <= 0)
			r = done < 0 ? -errno : -EIO;
		else
			at += (size_t)done;
	}
	close(body.fd);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (ret->ptr[i] != '\r' || i + 1 == n || ret->ptr[i + 1] != '\n')
			ret->ptr[out++] = ret->ptr[i];
	ret->len = r == 0 ? out : 0;
	return r;
}

static int write_file(const char *path, struct kurir_str s, int64_t date)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)(date / 1000), .tv_nsec = (long)(date % 1000) * 1000000 } };
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno; /* from a run before */
	while (s.len > 0 && r == 0) {
		ssize_t n = write(fd, s.ptr, s.len);
		if (n < 0)
			r = -errno;
		else
			s = kurir_str_part(s, (size_t)n, s.len);
	}
	if (r == 0)
		(void)futimens(fd, times);
	close(fd);
	return r;
}

static char keyword_letter(struct export *x, struct kurir_str word)
{
	for (unsigned i = 0; i < x->word_count; i++)
		if (kurir_str_equal(x->words[i], word))
			return (char)('a' + i);
	if (x->word_count == KEYWORDS)
		return '\0';
	x->words[x->word_count] = kurir_copy(x->arena, word);
	return (char)('a' + x->word_count++);
}

/* "DFRST" as they stand behind ":2,", and letters for keywords. */
static void flag_letters(struct export *x, const struct exported *m, char ret[40])
{
	static const struct {
		uint32_t flag;
		char letter;
	} letters[] = { { KURIR_MESSAGE_DRAFT, 'D' }, { KURIR_MESSAGE_FLAGGED, 'F' },
		{ KURIR_MESSAGE_ANSWERED, 'R' }, { KURIR_MESSAGE_SEEN, 'S' },
		{ KURIR_MESSAGE_DELETED, 'T' } };
	struct kurir_str rest = m->keywords;
	size_t n = 0;
	for (size_t i = 0; i < 5; i++)
		if ((uint32_t)m->flags & letters[i].flag)
			ret[n++] = letters[i].letter;
	while (rest.len > 0 && n < 38) {
		ssize_t space = kurir_str_find(rest, ' ');
		size_t len = space < 0 ? rest.len : (size_t)space;
		char letter = keyword_letter(x, kurir_str_part(rest, 0, len));
		if (letter != '\0')
			ret[n++] = letter;
		rest = kurir_str_part(rest, space < 0 ? len : len + 1, rest.len);
	}
	ret[n] = '\0';
}

static int to_maildir(struct export *x, const struct exported *m, struct kurir_str text)
{
	char name[100], path[3 * TOOL_PATH], flags[40];
	flag_letters(x, m, flags);
	(void)snprintf(name, sizeof(name), "%lld.U%lldV.kurir,S=%zu", (long long)(m->date / 1000),
	    (long long)m->uid, text.len);
	(void)snprintf(path, sizeof(path), "%s/cur/%s:2,%s", x->path, name, flags);
	int r = write_file(path, text, m->date);
	if (r == 0 && fprintf(x->uidlist, "%lld :%s\n", (long long)m->uid, name) < 0)
		r = -errno;
	return r;
}

static int to_mbox(struct export *x, const struct exported *m, struct kurir_str text)
{
	char date[40];
	time_t t = (time_t)(m->date / 1000);
	struct tm tm;
	(void)strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", gmtime_r(&t, &tm));
	fprintf(x->mbox, "From MAILER-DAEMON %s\nStatus: %sO\nX-Status: %s%s%s%s\n", date,
	    m->flags & KURIR_MESSAGE_SEEN ? "R" : "",
	    m->flags & KURIR_MESSAGE_ANSWERED ? "A" : "",
	    m->flags & KURIR_MESSAGE_FLAGGED ? "F" : "",
	    m->flags & KURIR_MESSAGE_DRAFT ? "T" : "",
	    m->flags & KURIR_MESSAGE_DELETED ? "D" : "");
	if (m->keywords.len > 0)
		fprintf(x->mbox, "X-Keywords: %.*s\n", KURIR_ARG(m->keywords));
	while (text.len > 0) {
		ssize_t lf = kurir_str_find(text, '\n');
		size_t n = lf < 0 ? text.len : (size_t)lf + 1, quotes = 0;
		while (quotes < n && text.ptr[quotes] == '>')
			quotes++;
		if (kurir_str_starts(
			kurir_str_part(text, quotes, n - quotes), KURIR_STR("From ")))
			fputc('>', x->mbox);
		fwrite(text.ptr, 1, n, x->mbox);
		if (lf < 0)
			fputc('\n', x->mbox);
		text = kurir_str_part(text, n, text.len);
	}
	fputc('\n', x->mbox);
	return ferror(x->mbox) ? -EIO : 0;
}

static int export_message(struct export *x, struct exported *m)
{
	struct kurir_buf text;
	int r = read_message(x, m, &text);
	struct kurir_str s = kurir_buf_str(&text);
	if (r == 0)
		r = x->mbox != NULL ? to_mbox(x, m, s) : to_maildir(x, m, s);
	kurir_buf_free(&text);
	return r;
}

static int place_of(struct db *db, int64_t mailbox, int64_t uid, struct blob_place *ret)
{
	int r;
	sqlite3_stmt *q = db_query(db, &r,
	    "SELECT b.segment, b.offset, b.length, b.record FROM message m"
	    " JOIN email e ON e.id = m.email JOIN blob b ON b.id = e.blob"
	    " WHERE m.mailbox = ? AND m.uid = ?",
	    "ii", mailbox, uid);
	if (r == 0)
		r = db_step(db, q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = (struct blob_place){ (uint64_t)db_column(q, 0), (uint64_t)db_column(q, 1),
		(uint64_t)db_column(q, 2), (uint64_t)db_column(q, 3) };
	db_done(q);
	return 0;
}

static int export_sheet(struct export *x, int64_t id, struct kurir_str data)
{
	struct sheet_reader in;
	struct message_row row;
	int r;
	sheet_begin(&in, id, data);
	while ((r = sheet_next(&in, &row)) == 1) {
		struct exported m = { .uid = row.uid,
			.flags = row.flags,
			.date = row.date,
			.keywords = row.keywords };
		r = place_of(&x->shard.db, id >> 32, row.uid, &m.place);
		if (r == 0)
			r = export_message(x, &m);
		if (r < 0)
			tool_problem(x->tool, "message %lld: %s", (long long)m.uid, strerror(-r));
		x->tool->messages++;
		x->tool->bytes += m.place.length;
		tool_progress(x->tool, "messages", x->tool->messages, 0);
	}
	return r;
}

static int export_messages(struct export *x, int64_t mailbox)
{
	int r;
	sqlite3_stmt *q = db_query(&x->shard.db, &r,
	    "SELECT id, data FROM sheet WHERE id BETWEEN ? AND ? ORDER BY id", "ii",
	    sheet_id(mailbox, 0), sheet_end(mailbox));
	while (r >= 0 && (r = db_step(&x->shard.db, q)) == 1) {
		r = export_sheet(x, db_column(q, 0), db_blob(q, 1));
		if (r < 0)
			tool_problem(x->tool, "messages from %lld on: %s",
			    (long long)(db_column(q, 0) & UINT32_MAX), strerror(-r));
		r = 0;
	}
	return r;
}

static int make_folder(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Where the mailbox goes: "FOLDER", "FOLDER/.A.B"; "FOLDER/A.B.mbox". */
static int mailbox_path(struct export *x, struct kurir_str name, bool mbox)
{
	struct kurir_buf b = KURIR_BUF(TOOL_PATH);
	struct kurir_str rest = name;
	int r = 0;
	if (!mbox && kurir_str_equal(name, KURIR_STR("INBOX")))
		rest = KURIR_STR("");
	while (rest.len > 0 && r == 0) {
		ssize_t slash = kurir_str_find(rest, '/');
		size_t n = slash < 0 ? rest.len : (size_t)slash;
		if (!mbox || b.len > 0)
			r = kurir_buf_add(&b, KURIR_STR("."));
		if (r == 0)
			r = kurir_utf7_encode(&b, kurir_str_part(rest, 0, n), "./");
		rest = kurir_str_part(rest, slash < 0 ? n : n + 1, rest.len);
	}
	if (r == 0) {
		struct kurir_str s = kurir_buf_str(&b);
		(void)snprintf(x->path, sizeof(x->path), "%s%s%.*s%s", x->folder,
		    s.len > 0 ? "/" : "", (int)s.len, s.len > 0 ? s.ptr : "",
		    mbox ? ".mbox" : "");
	}
	kurir_buf_free(&b);
	return r;
}

static int open_in(const char *folder, const char *name, FILE **ret)
{
	char path[3 * TOOL_PATH];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	*ret = fopen(path, "we");
	return *ret == NULL ? -errno : 0;
}

static int close_file(FILE *f)
{
	return f != NULL && fclose(f) != 0 ? -errno : 0;
}

static int write_keywords(struct export *x)
{
	FILE *f;
	int r = open_in(x->path, "dovecot-keywords", &f);
	for (unsigned i = 0; r == 0 && i < x->word_count; i++)
		fprintf(f, "%u %.*s\n", i, KURIR_ARG(x->words[i]));
	return r < 0 ? r : close_file(f);
}

static int begin_maildir(struct export *x, int64_t validity, int64_t next)
{
	static const char *const parts[] = { "", "/cur", "/new", "/tmp" };
	char path[3 * TOOL_PATH];
	int r = 0;
	for (size_t i = 0; i < 4 && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", x->path, parts[i]);
		r = make_folder(path);
	}
	if (r == 0 && strcmp(x->path, x->folder) != 0) {
		(void)snprintf(path, sizeof(path), "%s/maildirfolder", x->path);
		r = write_file(path, KURIR_STR(""), 0);
	}
	if (r == 0)
		r = open_in(x->path, "dovecot-uidlist", &x->uidlist);
	if (r == 0)
		fprintf(x->uidlist, "3 V%lld N%lld\n", (long long)validity, (long long)next);
	return r;
}

static int export_mailbox(
    struct export *x, const struct mailbox_row *m, struct kurir_str name, bool mbox)
{
	int r = mailbox_path(x, name, mbox);
	x->word_count = 0;
	x->mbox = x->uidlist = NULL;
	if (r == 0 && mbox) {
		x->mbox = fopen(x->path, "we");
		r = x->mbox == NULL ? -errno : 0;
	} else if (r == 0) {
		r = begin_maildir(x, m->uid_validity, m->uid_next);
	}
	if (r == 0)
		r = export_messages(x, m->id);
	int closed = close_file(x->mbox != NULL ? x->mbox : x->uidlist);
	if (r == 0 && !mbox)
		r = write_keywords(x);
	return r < 0 ? r : closed;
}

static int export_all(struct export *x, const struct account_row *a, bool mbox)
{
	int r;
	FILE *f = NULL;
	sqlite3_stmt *q = db_query(&x->shard.db, &r,
	    "SELECT name, id, uid_validity, uid_next FROM mailbox WHERE account = ? ORDER BY name",
	    "i", a->id);
	while (r >= 0 && (r = db_step(&x->shard.db, q)) == 1) {
		struct mailbox_row m = { .id = db_column(q, 1),
			.uid_validity = db_column(q, 2),
			.uid_next = db_column(q, 3) };
		r = export_mailbox(x, &m, db_text(q, 0), mbox);
	}
	db_done(q);
	if (r == 0 && !mbox)
		r = open_in(x->folder, "subscriptions", &f);
	if (r == 0 && f != NULL)
		q = db_query(&x->shard.db, &r, "SELECT name FROM subscription WHERE account = ?",
		    "i", a->id);
	while (f != NULL && r >= 0 && (r = db_step(&x->shard.db, q)) == 1) {
		struct kurir_str name = db_text(q, 0);
		fprintf(f, "%.*s\n", KURIR_ARG(name));
	}
	int closed = close_file(f);
	return r < 0 ? r : closed;
}

int tool_export(struct tool *t, struct kurir_str account, const char *kind, const char *folder)
{
	static struct export x;
	struct account_row a;
	bool mbox = strcmp(kind, "mbox") == 0;
	if (!mbox && strcmp(kind, "maildir") != 0) {
		tool_say(t, "kurir-store: maildir or mbox, not %s", kind);
		return 2;
	}
	x.tool = t;
	x.folder = folder;
	int r = make_folder(folder);
	if (r < 0)
		return tool_fail(t, r, folder);
	r = tool_shard_open(t, tool_shard_of(t, account), &x.shard);
	if (r < 0)
		return tool_fail(t, r, t->root);
	x.arena = kurir_arena_new("export");
	r = db_exec(&x.shard.db, "BEGIN", "");
	if (r == 0)
		r = account_load(&x.shard.db, account, &a);
	if (r == 0)
		r = export_all(&x, &a, mbox);
	tool_shard_close(&x.shard);
	kurir_arena_free(x.arena);
	if (r < 0) {
		if (r == -ENOENT)
			tool_say(t, "kurir-store: there is no such account");
		return r == -ENOENT ? 2 : tool_fail(t, r, folder);
	}
	(void)kurir_buf_printf(&t->text,
	    t->json ? "{\"messages\": %llu, \"bytes\": %llu, \"problems\": %llu}\n"
		    : "%llu messages, %llu bytes exported, %llu problems\n",
	    (unsigned long long)t->messages, (unsigned long long)t->bytes,
	    (unsigned long long)t->problems);
	return t->problems > 0 ? 1 : 0;
}
