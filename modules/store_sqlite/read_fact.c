/* read_fact.c - what is known of messages without their bytes, many at a time. */
#include "fact.h"
#include "read.h"

#include <errno.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)1024 * 1024) /* bytes, and one more: the rest is asked for again */
#define WANT(fact) (1u << KURIR_FACT_##fact)

#define IDS_SQL \
	"SELECT m.uid, m.email, e.thread FROM message m JOIN email e ON e.id = m.email" \
	" WHERE m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid"
/* A column that is not wanted is not read. */
#define TEXTS_SQL \
	"SELECT m.uid, m.email, e.thread, f.header, b.segment, b.offset, b.length," \
	" CASE WHEN ?4 & 1 THEN f.envelope END, CASE WHEN ?4 & 2 THEN f.body END," \
	" CASE WHEN ?4 & 4 THEN f.structure END, CASE WHEN ?4 & 8 THEN f.preview END" \
	" FROM message m JOIN email e ON e.id = m.email JOIN blob b ON b.id = e.blob" \
	" LEFT JOIN fact f ON f.blob = e.blob" \
	" WHERE m.mailbox = ?1 AND m.uid BETWEEN ?2 AND ?3 ORDER BY m.uid"
_Static_assert(
    WANT(ENVELOPE) == 1 && WANT(BODY) == 2 && WANT(STRUCTURE) == 4 && WANT(PREVIEW) == 8,
    "TEXTS_SQL says so");

struct answer {
	struct read *r;
	struct kurir_body segment; /* the one that was read last, to be closed */
	uint64_t segment_id;
	size_t bytes;
};

/* In the order of their coming, messages are side by side in few segments. */
static int open_segment(struct answer *a, const struct blob_place *p)
{
	if (a->segment.fd >= 0 && a->segment_id == p->segment)
		return 0;
	if (a->segment.fd >= 0)
		close(a->segment.fd);
	a->segment.fd = -1;
	a->segment_id = p->segment;
	return blob_open(a->r->folder, p, &a->segment);
}

/* Not known when it cannot be read, or was moved just now: who opens the message hears why. */
static struct kurir_str header(struct answer *a, const struct blob_place *p, uint64_t length)
{
	char *to;
	if (length > FACT_TEXT_MAX || length > p->length || open_segment(a, p) < 0)
		return (struct kurir_str){ NULL, 0 };
	to = kurir_alloc(a->r->arena, length + 1);
	for (size_t at = 0; at < length;) {
		ssize_t n = pread(a->segment.fd, to + at, length - at, (off_t)(p->offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (struct kurir_str){ NULL, 0 };
		at += (size_t)n;
	}
	return (struct kurir_str){ to, length };
}

static void put(
    struct answer *a, struct kurir_message_facts *f, enum kurir_fact what, struct kurir_str text)
{
	f->texts[what] = text;
	a->bytes += text.len;
}

static void put_texts(struct answer *a, sqlite3_stmt *s, struct kurir_message_facts *f)
{
	struct blob_place place = { .segment = (uint64_t)db_column(s, 4),
		.offset = (uint64_t)db_column(s, 5),
		.length = (uint64_t)db_column(s, 6) };
	if (sqlite3_column_type(s, 3) == SQLITE_NULL)
		return;
	for (int i = 0; i < 4; i++)
		if ((a->r->want & 1u << i) && sqlite3_column_type(s, 7 + i) != SQLITE_NULL)
			put(a, f, (enum kurir_fact)i, kurir_copy(a->r->arena, db_text(s, 7 + i)));
	if (a->r->want & WANT(HEADER))
		put(a, f, KURIR_FACT_HEADER, header(a, &place, (uint64_t)db_column(s, 3)));
}

static void put_row(struct answer *a, sqlite3_stmt *s, bool texts)
{
	struct read *r = a->r;
	struct kurir_message_facts *f = &r->facts[r->count++];
	int64_t email = db_column(s, 1), thread = db_column(s, 2);
	f->uid = (uint32_t)db_column(s, 0);
	if (r->want & WANT(EMAIL_ID))
		put(a, f, KURIR_FACT_EMAIL_ID, read_id(r->arena, 'M', email));
	if (r->want & WANT(THREAD_ID))
		put(a, f, KURIR_FACT_THREAD_ID,
		    read_id(r->arena, 'T', thread > 0 ? thread : email));
	if (texts)
		put_texts(a, s, f);
}

static bool has_room(const struct answer *a)
{
	return a->r->count < KURIR_FACTS_MAX && a->bytes < ANSWER_MAX;
}

int read_facts(struct read *r)
{
	struct answer a = { .r = r, .segment = { .fd = -1 } };
	bool texts = (r->want & ~(WANT(EMAIL_ID) | WANT(THREAD_ID))) != 0;
	int e = read_mailbox(r);
	r->facts = kurir_alloc(r->arena, KURIR_FACTS_MAX * sizeof(*r->facts));
	for (size_t i = 0; e == 0 && i < r->uids->count && has_room(&a); i++) {
		int64_t box = r->mailbox_row.id, first = r->uids->ranges[i].first,
			last = r->uids->ranges[i].last;
		sqlite3_stmt *s = texts
		    ? db_query(r->db, &e, TEXTS_SQL, "iiii", box, first, last, (int64_t)r->want)
		    : db_query(r->db, &e, IDS_SQL, "iii", box, first, last);
		while (e == 0 && has_room(&a) && (e = db_step(r->db, s)) == 1) {
			put_row(&a, s, texts);
			e = 0;
		}
		db_done(s);
	}
	if (a.segment.fd >= 0)
		close(a.segment.fd);
	return e;
}
