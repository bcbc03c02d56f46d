/* tool_sheet.c - the sheets of a shard taken apart, so that all else can be compared with what
 * they say; and whether they keep their own rules. */
#include "sheet.h"
#include "tool.h"

#include <errno.h>
#include <string.h>

struct unpack {
	struct tool *tool;
	struct tool_shard *shard;
	int64_t mailbox, uid;	/* the last */
	struct kurir_buf words; /* that the mailbox says it had */
	bool all_words;
};

/* What a sheet says of all of its messages. */
struct sums {
	int64_t modseq, messages, unseen;
};

static void bad(struct unpack *u, int64_t id, const char *what)
{
	tool_problem(u->tool, "shard %02x: this sheet %s: %lld (mailbox %lld)", u->shard->number,
	    what, (long long)(id & UINT32_MAX), (long long)(id >> 32));
}

/* A mailbox that has so many that there was no room for another may lack some. */
static int next_mailbox(struct unpack *u, int64_t mailbox)
{
	int r;
	u->mailbox = mailbox;
	u->uid = 0;
	kurir_buf_clear(&u->words);
	sqlite3_stmt *s = db_query(
	    &u->shard->db, &r, "SELECT keywords FROM mailbox WHERE id = ?", "i", mailbox);
	if (r == 0 && (r = db_step(&u->shard->db, s)) == 1) {
		r = kurir_buf_add(&u->words, db_text(s, 0));
		db_done(s);
	}
	u->all_words = u->words.len + MODEL_KEYWORDS_MAX < MAILBOX_KEYWORDS_MAX;
	return r;
}

static bool words_known(const struct unpack *u, struct kurir_str words)
{
	while (words.len > 0)
		if (!keyword_in(kurir_buf_str(&u->words), keyword_next(&words)))
			return !u->all_words;
	return true;
}

static int put_row(struct unpack *u, int64_t id, const struct message_row *m, struct sums *sums)
{
	if (m->uid <= u->uid || m->uid < (id & UINT32_MAX) || m->uid > UINT32_MAX)
		return -EIO;
	u->uid = m->uid;
	sums->messages++;
	sums->unseen += (m->flags & KURIR_MESSAGE_SEEN) == 0;
	sums->modseq = m->modseq > sums->modseq ? m->modseq : sums->modseq;
	if (!words_known(u, m->keywords))
		bad(u, id, "has keywords that its mailbox does not know");
	return db_exec(&u->shard->db,
	    "INSERT INTO temp.unpacked(mailbox, uid, flags, size, date, modseq)"
	    " VALUES(?, ?, ?, ?, ?, ?)",
	    "iiiiii", u->mailbox, m->uid, m->flags, m->size, m->date, m->modseq);
}

static int unpack_sheet(
    struct unpack *u, int64_t id, const struct sums *said, struct kurir_str data)
{
	struct sheet_reader in;
	struct message_row row;
	struct sums sums = { .modseq = 0 };
	int r = u->mailbox == id >> 32 ? 0 : next_mailbox(u, id >> 32);
	if (r < 0)
		return r;
	sheet_begin(&in, id, data);
	while ((r = sheet_next(&in, &row)) == 1 && (r = put_row(u, id, &row, &sums)) == 0)
		;
	if (r == -EIO)
		bad(u, id, "is damaged");
	else if (memcmp(&sums, said, sizeof(sums)) != 0 || sums.messages > SHEET_ROWS)
		bad(u, id, "counts other messages than it has");
	return r == -EIO ? 0 : r;
}

int tool_unpack(struct tool *t, struct tool_shard *s)
{
	struct unpack u = { .tool = t, .shard = s, .words = KURIR_BUF(MAILBOX_KEYWORDS_MAX) };
	int r = db_text_run(&s->db,
	    "CREATE TEMP TABLE unpacked(mailbox INTEGER, uid INTEGER, flags INTEGER, size INTEGER,"
	    " date INTEGER, modseq INTEGER, PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;");
	sqlite3_stmt *q = NULL;
	if (r == 0)
		q = db_query(&s->db, &r,
		    "SELECT id, modseq, messages, unseen, data FROM sheet ORDER BY id", "");
	while (r >= 0 && (r = db_step(&s->db, q)) == 1) {
		struct sums said = { db_column(q, 1), db_column(q, 2), db_column(q, 3) };
		r = unpack_sheet(&u, db_column(q, 0), &said, db_blob(q, 4));
		if (r < 0)
			db_done(q);
	}
	kurir_buf_free(&u.words);
	return r;
}
