/* tool_check.c - whether the database of each shard says what is so: its own pages, the
 * counts, the references, and each record's checksum.  Each shard is looked at in one
 * transaction: a server may run meanwhile. */
#include "fact.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a statement finds is wrong; its first two columns say where. */
static const struct {
	const char *what, *text;
} laws[] = {
	{ "this account counts other messages or bytes than it has",
	    "SELECT name, messages FROM account a WHERE (messages, bytes) <>"
	    " (SELECT count(*), coalesce(sum(u.size), 0) FROM mailbox"
	    " JOIN temp.unpacked u ON mailbox.id = u.mailbox WHERE mailbox.account = a.id)" },
	{ "this mailbox counts other messages than it has",
	    "SELECT name, id FROM mailbox b WHERE (messages, unseen, deleted, bytes) <>"
	    " (SELECT count(*), coalesce(sum(flags & 1 = 0), 0),"
	    " coalesce(sum(flags & 8 <> 0), 0), coalesce(sum(size), 0)"
	    " FROM temp.unpacked WHERE mailbox = b.id)" },
	{ "this mailbox counts other messages that went than it remembers",
	    "SELECT name, id FROM mailbox b WHERE gone <>"
	    " (SELECT count(*) FROM gone WHERE mailbox = b.id)" },
	{ "this mailbox has a message with a UID or mod-sequence that is yet to come",
	    "SELECT name, id FROM mailbox b WHERE EXISTS (SELECT 1 FROM temp.unpacked m"
	    " WHERE m.mailbox = b.id AND (m.uid >= b.uid_next OR m.modseq > b.modseq))" },
	{ "this message, of this mailbox, is in no sheet",
	    "SELECT uid, mailbox FROM message EXCEPT SELECT uid, mailbox FROM temp.unpacked" },
	{ "this message, of this mailbox, is in a sheet and nowhere else",
	    "SELECT uid, mailbox FROM temp.unpacked EXCEPT SELECT uid, mailbox FROM message" },
	{ "this message, of this mailbox, has another size or date than its e-mail",
	    "SELECT uid, mailbox FROM temp.unpacked u JOIN message USING(mailbox, uid)"
	    " JOIN email e ON e.id = email WHERE (u.size, u.date) <> (e.size, e.date)" },
	{ "this message, of this mailbox, has no e-mail",
	    "SELECT uid, mailbox FROM message WHERE email NOT IN (SELECT id FROM email)" },
	{ "this message is in a mailbox that is none",
	    "SELECT uid, mailbox FROM message WHERE mailbox NOT IN (SELECT id FROM mailbox)" },
	{ "this e-mail has not as many references as there are",
	    "SELECT e.id, e.refs FROM email e LEFT JOIN (SELECT email, count(*) AS n FROM"
	    " (SELECT email FROM message UNION ALL SELECT email FROM gone WHERE email IS NOT NULL)"
	    " GROUP BY email) u ON u.email = e.id WHERE e.refs <> coalesce(u.n, 0)" },
	{ "this e-mail has no bytes",
	    "SELECT id, blob FROM email WHERE blob NOT IN (SELECT id FROM blob)" },
	{ "these bytes have not as many references as there are",
	    "SELECT b.id, b.refs FROM blob b LEFT JOIN (SELECT blob, count(*) AS n FROM email"
	    " GROUP BY blob) u ON u.blob = b.id WHERE b.refs <> coalesce(u.n, 0)" },
	{ "this segment counts other bytes than are needed",
	    "SELECT printf('%016x', id), live FROM segment s WHERE live <>"
	    " (SELECT coalesce(sum(record), 0) FROM blob WHERE segment = s.id)" },
};

static int check_rows(struct tool *t, struct tool_shard *s)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(laws) / sizeof(laws[0]); i++) {
		sqlite3_stmt *q = db_query(&s->db, &r, laws[i].text, "");
		while (r >= 0 && (r = db_step(&s->db, q)) == 1) {
			struct kurir_str a = db_text(q, 0), b = db_text(q, 1);
			tool_problem(t, "shard %02x: %s: %.*s (%.*s)", s->number, laws[i].what,
			    KURIR_ARG(a), KURIR_ARG(b));
		}
	}
	return r;
}

static int check_pages(struct tool *t, struct tool_shard *s)
{
	int r;
	sqlite3_stmt *q = db_query(&s->db, &r, "PRAGMA integrity_check(20)", "");
	while (r >= 0 && (r = db_step(&s->db, q)) == 1) {
		struct kurir_str said = db_text(q, 0);
		if (!kurir_str_equal(said, KURIR_STR("ok")))
			tool_problem(
			    t, "shard %02x: the database: %.*s", s->number, KURIR_ARG(said));
	}
	return r;
}

/* The segment whose record is to be read, kept open. */
struct open_segment {
	int64_t id;
	int fd;
};

static int segment_open(const struct tool_shard *s, struct open_segment *o, int64_t id)
{
	char name[BLOB_NAME], path[TOOL_PATH + BLOB_NAME + 1];
	if (o->id == id)
		return o->fd;
	if (o->fd >= 0)
		close(o->fd);
	blob_name(name, (uint64_t)id);
	(void)snprintf(path, sizeof(path), "%s/%s", s->folder, name);
	o->id = id;
	o->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return o->fd;
}

/* What the database says of its header, too. */
static int check_record(int fd, const struct blob_place *p, const struct kurir_str *fields)
{
	struct blob_record record;
	struct fact_reader facts;
	int r = fd < 0 ? -ENOENT : blob_record_read(fd, blob_record_start(p), &record);
	if (r == 0 && (record.body != p->offset || record.source.length != p->length))
		r = -EBADMSG;
	if (r < 0)
		return r;
	fact_begin(&facts);
	record.source.see = fact_see;
	record.source.arg = &facts;
	r = blob_record_check(&record);
	fact_end(&facts);
	if (r == 0 && fields != NULL && !kurir_str_equal(fact_fields(&facts), *fields))
		r = -EUCLEAN;
	fact_free(&facts);
	return r;
}

static int check_records(struct tool *t, struct tool_shard *s)
{
	struct open_segment open = { .fd = -1 };
	int64_t count = 0;
	int r = db_number(&s->db, &count, "SELECT count(*) FROM blob", "");
	sqlite3_stmt *q = NULL;
	if (r == 0)
		q = db_query(&s->db, &r,
		    "SELECT segment, offset, length, record, fields FROM blob"
		    " ORDER BY segment, offset",
		    "");
	for (uint64_t n = 0; r >= 0 && (r = db_step(&s->db, q)) == 1; n++) {
		struct blob_place p = { (uint64_t)db_column(q, 0), (uint64_t)db_column(q, 1),
			(uint64_t)db_column(q, 2), (uint64_t)db_column(q, 3) };
		struct kurir_str fields = db_blob(q, 4);
		bool known = sqlite3_column_type(q, 4) != SQLITE_NULL;
		int bad = check_record(
		    segment_open(s, &open, (int64_t)p.segment), &p, known ? &fields : NULL);
		if (bad < 0)
			tool_problem(t, "shard %02x: segment %016llx, record at %llu: %s",
			    s->number, (unsigned long long)p.segment,
			    (unsigned long long)p.offset,
			    bad == -EBADMSG	  ? "damaged"
				: bad == -EUCLEAN ? "has other fields than are kept of it"
						  : strerror(-bad));
		t->bytes += p.length;
		tool_progress(t, "messages", n, (uint64_t)count);
	}
	if (open.fd >= 0)
		close(open.fd);
	return r;
}

static int check_shard(struct tool *t, unsigned number)
{
	char path[TOOL_PATH];
	struct tool_shard s;
	int64_t messages = 0;
	int r = tool_path(t, number, "index.db", path);
	if (r == 0 && access(path, F_OK) < 0) /* nobody is in it yet */
		return 0;
	if (r == 0)
		r = tool_shard_open(t, number, &s);
	if (r < 0)
		return r;
	r = db_text_run(&s.db, "PRAGMA temp_store = FILE; BEGIN");
	if (r == 0)
		r = check_pages(t, &s);
	if (r == 0)
		r = tool_unpack(t, &s);
	if (r == 0)
		r = check_rows(t, &s);
	if (r == 0)
		r = db_number(&s.db, &messages, "SELECT count(*) FROM message", "");
	if (r == 0)
		r = check_records(t, &s);
	t->messages += (uint64_t)messages;
	tool_shard_close(&s);
	return r;
}

int tool_check(struct tool *t)
{
	for (unsigned i = 0; i < t->shards; i++) {
		int r = check_shard(t, i);
		if (r < 0)
			tool_problem(t, "shard %02x: cannot be read: %s", i, strerror(-r));
	}
	(void)kurir_buf_printf(&t->text,
	    t->json
		? "{\"shards\": %u, \"messages\": %llu, \"bytes\": %llu, \"problems\": %llu}\n"
		: "%u shards, %llu messages, %llu bytes: %llu problems\n",
	    t->shards, (unsigned long long)t->messages, (unsigned long long)t->bytes,
	    (unsigned long long)t->problems);
	return t->problems > 0 ? 1 : 0;
}
