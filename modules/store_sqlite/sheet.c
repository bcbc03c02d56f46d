/* sheet.c - messages of a mailbox, some hundred in one row (sheet.h). */
#include "sheet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX 3900 /* of a sheet: with what a page of the database needs, it fits into one */
#define BYTES_NEW 3300 /* to which one is filled with what comes: the rest is for changes */
#define NUMBER	  10   /* octets, at most */

enum keywords { KEYWORDS_NONE, KEYWORDS_HERE, KEYWORDS_SAME };

static uint64_t fold(int64_t n)
{
	return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static int64_t unfold(uint64_t n)
{
	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

/* Differences may pass the end of the numbers, and come back the same way. */
static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* At its end, or where it is damaged: 0, and at stays behind the end. */
static uint64_t get(struct sheet_reader *s)
{
	uint64_t n = 0;
	for (unsigned shift = 0; s->at < s->end && shift < 64; shift += 7) {
		unsigned char c = *s->at++;
		n |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return n;
	}
	s->at = s->end + 1;
	return 0;
}

void sheet_begin(struct sheet_reader *s, int64_t id, struct kurir_str data)
{
	*s = (struct sheet_reader){ .at = (const unsigned char *)data.ptr,
		.end = (const unsigned char *)data.ptr + data.len,
		.uid = id & UINT32_MAX,
		.keywords = KURIR_STR("") };
	s->modseq = (int64_t)get(s);
	s->date = unfold(get(s));
}

static struct kurir_str get_keywords(struct sheet_reader *s, enum keywords which)
{
	if (which == KEYWORDS_NONE)
		return KURIR_STR("");
	if (which == KEYWORDS_SAME)
		return s->keywords;
	uint64_t n = get(s);
	if (s->at > s->end || n > (uint64_t)(s->end - s->at)) {
		s->at = s->end + 1;
		return KURIR_STR("");
	}
	s->keywords = (struct kurir_str){ (const char *)s->at, (size_t)n };
	s->at += n;
	return s->keywords;
}

int sheet_next(struct sheet_reader *s, struct message_row *ret)
{
	if (s->at == s->end)
		return 0;
	ret->uid = plus(s->uid, (int64_t)get(s));
	uint64_t head = get(s);
	ret->flags = (int64_t)(head & 31);
	ret->keywords = get_keywords(s, head >> 5 & 3);
	ret->size = (int64_t)get(s);
	ret->date = plus(s->date, unfold(get(s)));
	ret->saved = plus(ret->date, unfold(get(s)));
	ret->modseq = plus(s->modseq, unfold(get(s)));
	ret->email = 0;
	return s->at > s->end ? -EIO : 1;
}

/* One that is written.  Behind BYTES_MAX there is room for a message more. */
struct sheet_writer {
	int64_t id, modseq, date;
	struct sums {
		size_t len;
		int64_t highest, messages, unseen;
		struct kurir_str keywords; /* those that came last */
	} now;
	unsigned char bytes[BYTES_MAX + 8 * NUMBER + MODEL_KEYWORDS_MAX];
};

static void put(struct sheet_writer *w, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		w->bytes[w->now.len++] = (unsigned char)(n | 0x80);
	w->bytes[w->now.len++] = (unsigned char)n;
}

static void put_begin(struct sheet_writer *w, int64_t id, const struct message_row *first)
{
	w->id = id;
	w->modseq = first->modseq;
	w->date = first->date;
	w->now = (struct sums){ .keywords = KURIR_STR("") };
	put(w, (uint64_t)w->modseq);
	put(w, fold(w->date));
}

static void put_message(struct sheet_writer *w, const struct message_row *m)
{
	enum keywords which = m->keywords.len == 0	    ? KEYWORDS_NONE
	    : kurir_str_equal(m->keywords, w->now.keywords) ? KEYWORDS_SAME
							    : KEYWORDS_HERE;
	put(w, (uint64_t)(m->uid - (w->id & UINT32_MAX)));
	put(w, (uint64_t)(m->flags & 31) | (uint64_t)which << 5);
	if (which == KEYWORDS_HERE) {
		put(w, m->keywords.len);
		memcpy(w->bytes + w->now.len, m->keywords.ptr, m->keywords.len);
		w->now.len += m->keywords.len;
		w->now.keywords = m->keywords;
	}
	put(w, (uint64_t)m->size);
	put(w, fold(minus(m->date, w->date)));
	put(w, fold(minus(m->saved, m->date)));
	put(w, fold(minus(m->modseq, w->modseq)));
	w->now.messages++;
	w->now.unseen += (m->flags & KURIR_MESSAGE_SEEN) == 0;
	if (m->modseq > w->now.highest)
		w->now.highest = m->modseq;
}

static int put_end(struct sheet_writer *w, struct db *db)
{
	return db_exec(db,
	    "REPLACE INTO sheet(id, modseq, messages, unseen, data)"
	    " VALUES(?, ?, ?, ?, ?)",
	    "iiiib", w->id, w->now.highest, w->now.messages, w->now.unseen,
	    (struct kurir_str){ (const char *)w->bytes, w->now.len });
}

#define START_SQL \
	"SELECT id, data FROM sheet WHERE id BETWEEN max(?4, ifnull((SELECT max(id) FROM sheet" \
	" WHERE id BETWEEN ?1 AND ?2), ?2)) AND ?3 ORDER BY id LIMIT 1"

int sheet_load(struct db *db, int64_t mailbox, int64_t uid, int64_t after, struct sheet *ret)
{
	struct sheet_reader in;
	int r;
	sqlite3_stmt *s = db_query(db, &r, START_SQL, "iiii", sheet_id(mailbox, 0),
	    sheet_id(mailbox, uid), sheet_end(mailbox), sheet_id(mailbox, after) + 1);
	if (r == 0)
		r = db_step(db, s);
	if (r <= 0)
		return r;
	ret->id = db_column(s, 0);
	ret->count = 0;
	ret->data.len = 0;
	ret->data.limit = SIZE_MAX / 2;
	r = kurir_buf_add(&ret->data, db_blob(s, 1));
	db_done(s);
	if (r < 0)
		return r;
	sheet_begin(&in, ret->id, kurir_buf_str(&ret->data));
	while (ret->count < SHEET_ROWS && (r = sheet_next(&in, &ret->rows[ret->count])) == 1)
		ret->count++;
	return r < 0 || in.at != in.end || ret->count == 0 ? -EIO : 1;
}

void sheet_free(struct sheet *s)
{
	kurir_buf_free(&s->data);
}

/* As many as fit, but one in any case. */
static size_t put_some(
    struct sheet_writer *w, int64_t id, const struct message_row *rows, size_t count)
{
	put_begin(w, id, rows);
	for (size_t n = 0; n < count; n++) {
		struct sums before = w->now;
		put_message(w, &rows[n]);
		if (n > 0 && w->now.len > BYTES_MAX) {
			w->now = before;
			return n;
		}
	}
	return count;
}

/* One that has become too large becomes two of the same size, so that both have room. */
int sheet_save(struct db *db, const struct sheet *s)
{
	struct sheet_writer *w = malloc(sizeof(*w));
	int64_t id = s->id, mailbox = s->id >> 32;
	int r = w == NULL ? -ENOMEM : 0;
	if (r == 0 && s->count == 0)
		r = db_exec(db, "DELETE FROM sheet WHERE id = ?", "i", id);
	for (size_t at = 0, n; r == 0 && at < s->count; at += n) {
		size_t left = s->count - at;
		if (at > 0)
			id = sheet_id(mailbox, s->rows[at].uid);
		n = put_some(w, id, s->rows + at, left);
		if (n < left && at == 0 && n > left / 2)
			n = put_some(w, id, s->rows, left / 2);
		r = put_end(w, db);
	}
	free(w);
	return r;
}

/* What the last sheet has, with room for a message more: 1; 0: one has to be begun. */
static int put_last(struct sheet_writer *w, struct db *db, int64_t mailbox)
{
	struct sheet_reader in;
	int r;
	sqlite3_stmt *s = db_query(db, &r,
	    "SELECT id, modseq, messages, unseen, data FROM sheet WHERE id BETWEEN ? AND ?"
	    " ORDER BY id DESC LIMIT 1",
	    "ii", sheet_id(mailbox, 0), sheet_end(mailbox));
	if (r == 0)
		r = db_step(db, s);
	if (r <= 0)
		return r;
	struct kurir_str data = db_blob(s, 4);
	bool room = data.len <= BYTES_NEW && db_column(s, 2) < SHEET_ROWS;
	if (room) {
		w->id = db_column(s, 0);
		w->now = (struct sums){ .len = data.len,
			.highest = db_column(s, 1),
			.messages = db_column(s, 2),
			.unseen = db_column(s, 3),
			.keywords = KURIR_STR("") };
		sheet_begin(&in, w->id, data);
		w->modseq = in.modseq;
		w->date = in.date;
		memcpy(w->bytes, data.ptr, data.len);
	}
	db_done(s);
	return room;
}

int sheet_add(struct db *db, int64_t mailbox, const struct message_row *m)
{
	struct sheet_writer *w = malloc(sizeof(*w));
	int r = w == NULL ? -ENOMEM : put_last(w, db, mailbox);
	if (r == 0)
		put_begin(w, sheet_id(mailbox, m->uid), m);
	if (r >= 0) {
		put_message(w, m);
		r = put_end(w, db);
	}
	free(w);
	return r;
}
