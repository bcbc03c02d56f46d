/* read.c - what the readers ask the database: lists, snapshots, changes, places of bytes.
 *
 * Each is one read transaction, so that what it says is of one moment.  It runs in a helper
 * thread: a mailbox may be large, and its pages on a disk. */
#include "read.h"
#include "sheet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_SQL \
	"SELECT m.name, m.flags, m.id, m.uid_validity, m.uid_next, m.recent, m.modseq," \
	" m.messages, m.unseen, m.deleted, m.bytes, s.name IS NOT NULL" \
	" FROM mailbox m LEFT JOIN subscription s ON s.account = m.account AND s.name = m.name" \
	" WHERE m.account = ? ORDER BY m.name"

#define SUBSCRIBED_SQL \
	"SELECT name FROM subscription s WHERE account = ?1 AND NOT EXISTS" \
	" (SELECT 1 FROM mailbox m WHERE m.account = ?1 AND m.name = s.name)"

struct kurir_str read_id(struct kurir_arena *arena, char kind, int64_t id)
{
	return kurir_format(arena, "%c%llx", kind, (unsigned long long)id);
}

static struct kurir_mailbox *list_room(struct read *r)
{
	if (r->count == r->room) {
		size_t room = r->room == 0 ? 32 : r->room * 2;
		struct kurir_mailbox *p = kurir_alloc(r->arena, room * sizeof(*p));
		if (r->count > 0)
			memcpy(p, r->mailboxes, r->count * sizeof(*p));
		r->mailboxes = p;
		r->room = room;
	}
	return &r->mailboxes[r->count++];
}

/* By the bytes of their names, as the database sorts them. */
static int by_name(const void *left, const void *right)
{
	const struct kurir_mailbox *a = left, *b = right;
	return kurir_str_compare(a->name, b->name);
}

/* All levels above that mailbox have children; those that were deleted, or never made, are added
 * behind the count that there were, and may be there several times. */
static void mark_levels(struct read *r, struct kurir_str name, size_t count)
{
	for (size_t n = 1; n < name.len; n++) {
		struct kurir_mailbox level = { .name = { name.ptr, n },
			.flags = KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_CHILDREN,
			.id = KURIR_STR("") };
		if (name.ptr[n] != '/')
			continue;
		struct kurir_mailbox *found =
		    bsearch(&level, r->mailboxes, count, sizeof(level), by_name);
		if (found != NULL)
			found->flags |= KURIR_MAILBOX_CHILDREN;
		else if (r->count == count || by_name(&r->mailboxes[r->count - 1], &level) != 0)
			*list_room(r) = level;
	}
}

static void add_levels(struct read *r)
{
	size_t count = r->count, kept = 0;
	for (size_t i = 0; i < count; i++)
		if (!(r->mailboxes[i].flags & KURIR_MAILBOX_NOSELECT))
			mark_levels(r, r->mailboxes[i].name, count);
	if (r->count == count)
		return;
	qsort(r->mailboxes, r->count, sizeof(*r->mailboxes), by_name);
	for (size_t i = 0; i < r->count; i++)
		if (kept == 0 || by_name(&r->mailboxes[kept - 1], &r->mailboxes[i]) != 0)
			r->mailboxes[kept++] = r->mailboxes[i];
	r->count = kept;
}

/* INBOX comes first. */
static void inbox_first(struct read *r)
{
	for (size_t i = 1; i < r->count; i++)
		if (kurir_str_equal(r->mailboxes[i].name, KURIR_STR("INBOX"))) {
			struct kurir_mailbox inbox = r->mailboxes[i];
			memmove(r->mailboxes + 1, r->mailboxes, i * sizeof(inbox));
			r->mailboxes[0] = inbox;
			return;
		}
}

/* A name may be subscribed without a mailbox. */
static int add_subscribed(struct read *r, const struct account_row *a)
{
	size_t count = r->count;
	int e;
	sqlite3_stmt *s = db_query(r->db, &e, SUBSCRIBED_SQL, "i", a->id);
	while (e >= 0 && (e = db_step(r->db, s)) == 1)
		*list_room(r) =
		    (struct kurir_mailbox){ .name = kurir_copy(r->arena, db_text(s, 0)),
			    .flags = KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_SUBSCRIBED,
			    .id = KURIR_STR("") };
	if (r->count > count)
		qsort(r->mailboxes, r->count, sizeof(*r->mailboxes), by_name);
	return e;
}

int read_list(struct read *r)
{
	struct account_row a;
	int e = account_load(r->db, r->account, &a);
	sqlite3_stmt *s = e < 0 ? NULL : db_query(r->db, &e, LIST_SQL, "i", a.id);
	while (e >= 0 && (e = db_step(r->db, s)) == 1)
		*list_room(r) =
		    (struct kurir_mailbox){ .name = kurir_copy(r->arena, db_text(s, 0)),
			    .flags = (uint32_t)db_column(s, 1) |
				(db_column(s, 11) ? KURIR_MAILBOX_SUBSCRIBED : 0),
			    .id = read_id(r->arena, 'F', db_column(s, 2)),
			    .uid_validity = (uint32_t)db_column(s, 3),
			    .uid_next = (uint32_t)db_column(s, 4),
			    .recent = (uint32_t)(db_column(s, 4) - db_column(s, 5)),
			    .modseq = (uint64_t)db_column(s, 6),
			    .messages = (uint32_t)db_column(s, 7),
			    .unseen = (uint32_t)db_column(s, 8),
			    .deleted = (uint32_t)db_column(s, 9),
			    .bytes = (uint64_t)db_column(s, 10) };
	if (e == 0)
		e = add_subscribed(r, &a);
	if (e < 0)
		return e;
	add_levels(r);
	inbox_first(r);
	return 0;
}

/* Room for so many messages more than the answer has. */
static struct kurir_message *messages_room(struct read *r, size_t more)
{
	struct kurir_message *all = (struct kurir_message *)(uintptr_t)r->view.messages;
	size_t count = r->view.count;
	if (count + more > r->room) {
		r->room = count + more > 2 * count ? count + more : 2 * count;
		struct kurir_message *p = kurir_alloc(r->arena, (r->room + 1) * sizeof(*p));
		if (count > 0)
			memcpy(p, all, count * sizeof(*p));
		r->view.messages = all = p;
	}
	return all + count;
}

/* What is asked of sheets: messages of a set (NULL: all) that were changed after since. */
struct wanted {
	const struct kurir_uid_set *set;
	size_t range; /* of the set: those in front are done */
	uint64_t since;
	int64_t last; /* the UID to which sheets were read */
};

static bool wants(struct wanted *w, const struct message_row *row)
{
	const struct kurir_uid_set *set = w->set;
	while (set != NULL && w->range < set->count && set->ranges[w->range].last < row->uid)
		w->range++;
	return (uint64_t)row->modseq > w->since &&
	    (set == NULL || (w->range < set->count && set->ranges[w->range].first <= row->uid));
}

static int messages_of(struct read *r, struct wanted *w, int64_t id, struct kurir_str data)
{
	struct sheet_reader in;
	struct message_row row;
	struct kurir_str last = KURIR_STR(""), words = KURIR_STR("");
	struct kurir_message *m = messages_room(r, SHEET_ROWS), *first = m;
	int e;
	sheet_begin(&in, id, data);
	for (size_t n = 0; (e = sheet_next(&in, &row)) == 1 && n < SHEET_ROWS; n++) {
		w->last = row.uid;
		if (!wants(w, &row))
			continue;
		if (row.keywords.len > 0 && row.keywords.ptr != last.ptr)
			words = kurir_copy(r->arena, last = row.keywords);
		*m = (struct kurir_message){ .uid = (uint32_t)row.uid,
			.flags = (uint32_t)row.flags,
			.keywords = row.keywords.len > 0 ? words : KURIR_STR(""),
			.size = (uint64_t)row.size,
			.date = row.date,
			.saved = row.saved,
			.modseq = (uint64_t)row.modseq,
			.name = KURIR_STR("") };
		if (m->uid >= r->mailbox_row.recent)
			m->flags |= KURIR_MESSAGE_RECENT;
		m++;
	}
	r->view.count += (size_t)(m - first);
	return e;
}

int read_mailbox(struct read *r)
{
	struct account_row a;
	struct mailbox_row *m = &r->mailbox_row;
	int e = account_load(r->db, r->account, &a);
	if (e == 0)
		e = mailbox_load(r->db, &a, r->mailbox, m);
	if (e < 0)
		return e;
	r->account_row = a;
	r->view = (struct kurir_mailbox_view){ .uid_validity = (uint32_t)m->uid_validity,
		.uid_next = (uint32_t)m->uid_next,
		.modseq = (uint64_t)m->modseq,
		.id = read_id(r->arena, 'F', m->id) };
	return 0;
}

/* The sheets with messages between two UIDs that have one that was changed after since. */
#define SHEETS_SQL \
	"SELECT id, data FROM sheet WHERE id BETWEEN max(?5, ifnull((SELECT max(id) FROM sheet" \
	" WHERE id BETWEEN ?1 AND ?2), ?2)) AND ?3 AND modseq > ?4 ORDER BY id"

static int read_sheets(struct read *r, struct wanted *w, int64_t first, int64_t last)
{
	int64_t box = r->mailbox_row.id;
	int e;
	sqlite3_stmt *s =
	    db_query(r->db, &e, SHEETS_SQL, "iiiii", sheet_id(box, 0), sheet_id(box, first),
		sheet_id(box, last), (int64_t)w->since, sheet_id(box, w->last) + 1);
	while (e >= 0 && (e = db_step(r->db, s)) == 1) {
		e = messages_of(r, w, db_column(s, 0), db_blob(s, 1));
		if (e == 0 && r->few > 0 && r->view.count > (size_t)r->few)
			e = -E2BIG;
		if (e < 0)
			db_done(s);
	}
	return e;
}

int read_view(struct read *r)
{
	struct wanted all = { .set = NULL };
	int e = read_mailbox(r);
	if (e == 0)
		messages_room(r, (size_t)r->mailbox_row.messages + SHEET_ROWS);
	return e < 0 ? e : read_sheets(r, &all, 0, UINT32_MAX);
}

/* So many the answer has at most. */
static size_t most_of(const struct read *r)
{
	size_t all = (size_t)r->mailbox_row.messages, n = 0;
	for (size_t i = 0; i < r->uids->count && n < all; i++)
		n += (size_t)(r->uids->ranges[i].last - r->uids->ranges[i].first) + 1;
	return n < all ? n : all;
}

/* Those of the ranges of a set that the same sheet has are read with the first of them. */
int read_part(struct read *r)
{
	struct wanted w = { .set = r->uids };
	int e = read_mailbox(r);
	if (e == 0)
		messages_room(r, most_of(r) + SHEET_ROWS);
	while (e == 0 && w.range < r->uids->count) {
		struct kurir_uid_range range = r->uids->ranges[w.range];
		e = read_sheets(r, &w, range.first, range.last);
		while (w.range < r->uids->count &&
		    (r->uids->ranges[w.range].last <= w.last ||
			r->uids->ranges[w.range].last <= range.last))
			w.range++;
	}
	return e;
}

int read_status(struct read *r)
{
	int e = read_mailbox(r);
	const struct mailbox_row *m = &r->mailbox_row;
	r->mailboxes = list_room(r);
	*r->mailboxes = (struct kurir_mailbox){ .name = r->mailbox,
		.id = r->view.id,
		.uid_validity = (uint32_t)m->uid_validity,
		.uid_next = (uint32_t)m->uid_next,
		.recent = (uint32_t)(m->uid_next - m->recent),
		.modseq = (uint64_t)m->modseq,
		.messages = (uint32_t)m->messages,
		.unseen = (uint32_t)m->unseen,
		.deleted = (uint32_t)m->deleted,
		.bytes = (uint64_t)m->bytes };
	return e;
}

void read_uid(struct read *r, struct read_uids *to, uint32_t uid)
{
	if (to->count > 0 && to->ranges[to->count - 1].last + 1 >= uid) {
		to->ranges[to->count - 1].last = uid;
		return;
	}
	if (to->count == to->room) {
		size_t room = to->room == 0 ? 16 : 2 * to->room;
		struct kurir_uid_range *p = kurir_alloc(r->arena, room * sizeof(*p));
		if (to->count > 0)
			memcpy(p, to->ranges, to->count * sizeof(*p));
		to->ranges = p;
		to->room = room;
	}
	to->ranges[to->count++] = (struct kurir_uid_range){ uid, uid };
}

int read_uids(struct read *r, sqlite3_stmt *s, struct kurir_uid_set *ret)
{
	struct read_uids all = { .count = 0 };
	int e;
	while ((e = db_step(r->db, s)) == 1)
		read_uid(r, &all, (uint32_t)db_column(s, 0));
	*ret = (struct kurir_uid_set){ all.count, all.ranges };
	return e;
}

#define LOOKED_THROUGH 20000 /* messages in passing, by their sheets */

/* Whether it is too much to be read in passing. */
static int too_many(struct read *r)
{
	int64_t n = 0;
	if (r->few == 0)
		return 0;
	int e = r->mailbox_row.messages > LOOKED_THROUGH
	    ? -E2BIG
	    : db_number(r->db, &n,
		  "SELECT count(*) FROM (SELECT 1 FROM gone WHERE mailbox = ? AND modseq > ?"
		  " LIMIT ?)",
		  "iii", r->mailbox_row.id, (int64_t)r->since, r->few + 1);
	return e < 0 ? e : n > r->few ? -E2BIG : 0;
}

int read_changes(struct read *r)
{
	struct wanted changed = { .since = r->since };
	int e = read_mailbox(r);
	sqlite3_stmt *s = NULL;
	if (e == 0 && r->since < (uint64_t)r->mailbox_row.forgotten)
		e = -ESTALE;
	if (e < 0 || r->since >= (uint64_t)r->mailbox_row.modseq)
		return e;
	e = too_many(r);
	if (e == 0)
		e = read_sheets(r, &changed, 0, UINT32_MAX);
	if (e == 0)
		s = db_query(r->db, &e,
		    "SELECT uid FROM gone WHERE mailbox = ? AND modseq > ? ORDER BY uid", "ii",
		    r->mailbox_row.id, (int64_t)r->since);
	return e < 0 ? e : read_uids(r, s, &r->vanished);
}

bool read_is_place(const struct read *r, const struct read_place *p)
{
	return p->uid == r->uid &&
	    (r->date == 0 || (r->date == p->date && r->size == p->place.length));
}

/* What the rows say: segment, offset, length, record, UID and date. */
static int take_places(struct read *r, sqlite3_stmt *s, size_t most)
{
	int e = 0;
	r->count = 0;
	while (e == 0 && r->count < most && (e = db_step(r->db, s)) == 1) {
		r->places[r->count++] =
		    (struct read_place){ (uint32_t)db_column(s, 4), db_column(s, 5),
			    { (uint64_t)db_column(s, 0), (uint64_t)db_column(s, 1),
				(uint64_t)db_column(s, 2), (uint64_t)db_column(s, 3) } };
		e = 0;
	}
	db_done(s);
	return e;
}

#define WENT_JUST_NOW "4096" /* messages of a mailbox */

/* One that went: who has not heard of it yet may read it while its bytes are kept. */
static int read_gone_place(struct read *r)
{
	int e;
	sqlite3_stmt *s = db_query(r->db, &e,
	    "SELECT b.segment, b.offset, b.length, b.record, g.uid, e.date FROM"
	    " (SELECT uid, email FROM gone WHERE mailbox = ? ORDER BY modseq DESC, uid DESC"
	    " LIMIT " WENT_JUST_NOW
	    ") g JOIN email e ON e.id = g.email JOIN blob b ON b.id = e.blob"
	    " WHERE g.uid = ? LIMIT 1",
	    "ii", r->mailbox_row.id, (int64_t)r->uid);
	return e < 0 ? e : take_places(r, s, 1);
}

int read_places(struct read *r)
{
	int e = read_mailbox(r);
	sqlite3_stmt *s = NULL;
	if (e == 0)
		s = db_query(r->db, &e,
		    "SELECT b.segment, b.offset, b.length, b.record, m.uid, e.date FROM message m"
		    " JOIN email e ON e.id = m.email JOIN blob b ON b.id = e.blob"
		    " WHERE m.mailbox = ? AND m.uid >= ? ORDER BY m.uid LIMIT ?",
		    "iii", r->mailbox_row.id, (int64_t)r->uid, (int64_t)r->room);
	if (e == 0)
		e = take_places(r, s, r->room);
	if (e == 0 && (r->count == 0 || r->places[0].uid != r->uid))
		e = read_gone_place(r);
	if (e < 0)
		return e;
	return r->count > 0 && read_is_place(r, &r->places[0]) ? 0 : -ENOENT;
}

int read_account(struct read *r)
{
	return account_load(r->db, r->account, &r->account_row);
}

int read_entries(struct read *r)
{
	struct account_row a;
	struct mailbox_row m = { .id = 0 };
	int e = account_load(r->db, r->account, &a);
	sqlite3_stmt *s = NULL;
	size_t room = 100;
	if (e == 0 && r->mailbox.len > 0)
		e = mailbox_load(r->db, &a, r->mailbox, &m);
	if (e == 0)
		s = db_query(r->db, &e,
		    "SELECT name, value FROM entry WHERE account = ? AND mailbox = ? ORDER BY name"
		    " LIMIT 100",
		    "ii", a.id, m.id);
	r->entries = kurir_alloc(r->arena, room * sizeof(*r->entries));
	while (e >= 0 && r->count < room && (e = db_step(r->db, s)) == 1)
		r->entries[r->count++] =
		    (struct kurir_entry){ .name = kurir_copy(r->arena, db_text(s, 0)),
			    .value = kurir_copy(r->arena, db_text(s, 1)) };
	db_done(s);
	return e < 0 ? e : 0;
}
