/* change.c - flags, expunge, copy and move. */
#include "sqlite.h"

#include <errno.h>
#include <string.h>

#define CHUNK 256 /* rows that are read before they are changed */

struct uids {
	struct kurir_uid_range *ranges;
	size_t count, room;
};
struct change {
	struct shard *shard;
	struct kurir_arena *arena;
	struct account_row *account;
	struct mailbox_row source, target;
	struct mailbox_row *to; /* &target, or &source when they are one */
	struct kurir_change what;
	int64_t now;
	struct uids done, made;
};

static void add_uid(struct change *c, struct uids *list, int64_t uid)
{
	if (list->count > 0 && list->ranges[list->count - 1].last + 1 == uid) {
		list->ranges[list->count - 1].last++;
		return;
	}
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 16 : list->room * 2;
		struct kurir_uid_range *p = kurir_alloc(c->arena, room * sizeof(*p));
		if (list->count > 0)
			memcpy(p, list->ranges, list->count * sizeof(*p));
		list->ranges = p;
		list->room = room;
	}
	list->ranges[list->count++] = (struct kurir_uid_range){ (uint32_t)uid, (uint32_t)uid };
}

/* The first word of *list, which goes on behind it; empty at the end. */
static struct kurir_str next_word(struct kurir_str *list)
{
	ssize_t space = kurir_str_find(*list, ' ');
	size_t n = space < 0 ? list->len : (size_t)space;
	struct kurir_str word = kurir_str_part(*list, 0, n);
	*list = kurir_str_part(*list, space < 0 ? n : n + 1, list->len);
	return word;
}

static bool has_word(struct kurir_str list, struct kurir_str word)
{
	while (list.len > 0)
		if (kurir_str_equal_nocase(next_word(&list), word))
			return true;
	return false;
}

static int add_words(
    struct kurir_buf *out, struct kurir_str list, struct kurir_str without, bool drop)
{
	int r = 0;
	while (list.len > 0 && r == 0) {
		struct kurir_str word = next_word(&list);
		if (word.len == 0 || (drop && has_word(without, word)))
			continue;
		if (out->len > 0)
			r = kurir_buf_add(out, KURIR_STR(" "));
		if (r == 0)
			r = kurir_buf_add(out, word);
	}
	return r;
}

static int new_keywords(
    const struct kurir_change *c, struct kurir_str before, struct kurir_buf *out)
{
	switch (c->kind) {
	case KURIR_CHANGE_FLAGS_SET:
		return add_words(out, c->keywords, KURIR_STR(""), false);
	case KURIR_CHANGE_FLAGS_REMOVE:
		return add_words(out, before, c->keywords, true);
	default: {
		int r = add_words(out, before, KURIR_STR(""), false);
		return r < 0 ? r : add_words(out, c->keywords, before, true);
	}
	}
}

static int64_t new_flags(const struct kurir_change *c, int64_t before)
{
	int64_t flags = c->flags & (KURIR_MESSAGE_RECENT - 1);
	return c->kind == KURIR_CHANGE_FLAGS_ADD   ? before | flags
	    : c->kind == KURIR_CHANGE_FLAGS_REMOVE ? before & ~flags
						   : flags;
}

/* Whether a change is of nothing but flags, so that what a row becomes is an expression. */
static bool is_plain(const struct kurir_change *c)
{
	return c->keywords.len == 0 &&
	    (c->kind == KURIR_CHANGE_FLAGS_ADD || c->kind == KURIR_CHANGE_FLAGS_REMOVE ||
		c->kind == KURIR_CHANGE_FLAGS_SET);
}

/* All messages of a range, in one statement; before it, whom it concerns and what it does to the
 * counts. */
static int set_plain(struct change *c, int64_t first, int64_t last)
{
	struct db *db = &c->shard->db;
	bool whole = c->what.kind == KURIR_CHANGE_FLAGS_SET; /* keywords go */
	int64_t upto = c->what.unchanged_since > 0 && c->what.unchanged_since < INT64_MAX
	    ? (int64_t)c->what.unchanged_since
	    : INT64_MAX;
	int64_t set = new_flags(&c->what, 0), keep = new_flags(&c->what, -1) & ~set;
	bool any = false;
	int r;
	sqlite3_stmt *s = db_query(db, &r,
	    "SELECT uid, flags, size, keywords <> '' FROM message"
	    " WHERE mailbox = ? AND uid BETWEEN ? AND ? AND +modseq <= ? ORDER BY uid",
	    "iiii", c->source.id, first, last, upto);
	while (r >= 0 && (r = db_step(db, s)) == 1) {
		int64_t before = db_column(s, 1), after = (before & keep) | set;
		add_uid(c, &c->done, db_column(s, 0));
		if (after == before && !(whole && db_column(s, 3)))
			continue;
		any = true;
		message_count(&c->source, before, db_column(s, 2), -1);
		message_count(&c->source, after, db_column(s, 2), 1);
	}
	if (r < 0 || !any)
		return r;
	c->source.modseq = c->account->modseq;
	/* Keywords that are not named keep out of their index. */
	return db_exec(db,
	    whole ? "UPDATE message SET flags = ?2, keywords = '', modseq = ?3"
		    " WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 AND +modseq <= ?7"
		    " AND (flags <> ?2 OR keywords <> '')"
		  : "UPDATE message SET flags = (flags & ?1) | ?2, modseq = ?3"
		    " WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 AND +modseq <= ?7"
		    " AND flags <> ((flags & ?1) | ?2)",
	    "iiiiiii", keep, set, c->account->modseq, c->source.id, first, last, upto);
}

static int set_flags(struct change *c, const struct message_row *m)
{
	struct kurir_buf keywords = KURIR_BUF(MODEL_KEYWORDS_MAX);
	int64_t flags = new_flags(&c->what, m->flags);
	int r = new_keywords(&c->what, m->keywords, &keywords);
	struct kurir_str words = kurir_buf_str(&keywords);
	if (words.ptr == NULL)
		words = KURIR_STR("");
	if (r == 0 && (flags != m->flags || !kurir_str_equal(words, m->keywords))) {
		message_count(&c->source, m->flags, m->size, -1);
		message_count(&c->source, flags, m->size, 1);
		c->source.modseq = c->account->modseq;
		r = db_exec(&c->shard->db,
		    "UPDATE message SET flags = ?, keywords = ?, modseq = ?"
		    " WHERE mailbox = ? AND uid = ?",
		    "itiii", flags, words, c->account->modseq, c->source.id, m->uid);
	}
	kurir_buf_free(&keywords);
	return r;
}

/* Another message of the same e-mail; one that is moved gives it up to that. */
static int copy(struct change *c, const struct message_row *m)
{
	struct message_row new = *m;
	new.saved = c->now;
	int r = 0;
	if (c->what.kind == KURIR_CHANGE_COPY)
		r = db_exec(&c->shard->db, "UPDATE email SET refs = refs + 1 WHERE id = ?", "i",
		    m->email);
	if (r == 0)
		r = message_insert(&c->shard->db, c->account, c->to, &new);
	if (r == 0)
		add_uid(c, &c->made, new.uid);
	return r;
}

static int apply(struct change *c, const struct message_row *m)
{
	struct db *db = &c->shard->db;
	int r;
	switch (c->what.kind) {
	case KURIR_CHANGE_FLAGS_ADD:
	case KURIR_CHANGE_FLAGS_REMOVE:
	case KURIR_CHANGE_FLAGS_SET:
		return set_flags(c, m);
	case KURIR_CHANGE_EXPUNGE:
		if (!c->what.force && (m->flags & KURIR_MESSAGE_DELETED) == 0)
			return 1;
		return message_expunge(db, c->account, &c->source, m, c->now, true);
	case KURIR_CHANGE_COPY:
		r = over_quota(c->shard->conf, c->account, (uint64_t)m->size);
		return r < 0 ? r : copy(c, m);
	case KURIR_CHANGE_MOVE:
		r = copy(c, m);
		return r < 0 ? r : message_expunge(db, c->account, &c->source, m, c->now, false);
	}
	return -EINVAL;
}

struct chunk {
	struct message_row rows[CHUNK];
	size_t count;
};

/* Rows of one range, read to their end before any is changed. */
static int chunk_read(
    struct change *c, int64_t first, int64_t last, int64_t end, struct chunk *ret)
{
	int r;
	sqlite3_stmt *s = db_query(&c->shard->db, &r,
	    "SELECT uid, flags, size, date, saved, modseq, email, keywords FROM message"
	    " WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid",
	    "iii", c->source.id, first, last < end ? last : end);
	ret->count = 0;
	while (r == 0 && ret->count < CHUNK && (r = db_step(&c->shard->db, s)) == 1) {
		ret->rows[ret->count++] = (struct message_row){ .uid = db_column(s, 0),
			.flags = db_column(s, 1),
			.size = db_column(s, 2),
			.date = db_column(s, 3),
			.saved = db_column(s, 4),
			.modseq = db_column(s, 5),
			.email = db_column(s, 6),
			.keywords = kurir_copy(c->arena, db_text(s, 7)) };
		r = 0;
	}
	db_done(s);
	return r < 0 ? r : 0;
}

static int chunk_apply(struct change *c, struct chunk *k)
{
	int r = 0;
	for (size_t i = 0; i < k->count; i++) {
		const struct message_row *m = &k->rows[i];
		bool skip =
		    c->what.unchanged_since > 0 && (uint64_t)m->modseq > c->what.unchanged_since;
		if (r >= 0 && !skip) {
			r = apply(c, m);
			if (r == 0)
				add_uid(c, &c->done, m->uid);
		}
	}
	return r < 0 ? r : 0;
}

/* Messages that the change itself makes are not its own concern: those before it began. */
static int change_all(struct change *c)
{
	int64_t end = c->source.uid_next - 1;
	struct chunk *k = kurir_alloc(c->arena, sizeof(*k));
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->what.uids.count; i++) {
		int64_t first = c->what.uids.ranges[i].first, last = c->what.uids.ranges[i].last;
		if (is_plain(&c->what)) {
			r = set_plain(c, first, last < end ? last : end);
			continue;
		}
		do {
			r = chunk_read(c, first, last, end, k);
			if (k->count > 0)
				first = k->rows[k->count - 1].uid + 1;
			bool more = k->count == CHUNK;
			int applied = chunk_apply(c, k);
			r = r < 0 ? r : applied;
			if (!more)
				break;
		} while (r == 0);
	}
	return r;
}

int change_run(struct shard *s, struct kurir_arena *arena, struct account_row *a,
    struct kurir_str mailbox, struct kurir_reader *in, int64_t now, struct kurir_buf *reply)
{
	struct change c = { .shard = s, .arena = arena, .account = a, .now = now };
	int r = kurir_get_change(in, arena, &c.what);
	bool copies = c.what.kind == KURIR_CHANGE_COPY || c.what.kind == KURIR_CHANGE_MOVE;
	if (r == 0)
		r = mailbox_load(&s->db, a, mailbox, &c.source);
	c.to = copies && !kurir_str_equal(mailbox, c.what.target) ? &c.target : &c.source;
	if (r == 0 && c.to == &c.target)
		r = mailbox_load(&s->db, a, c.what.target, &c.target);
	a->modseq++;
	if (r == 0)
		r = change_all(&c);
	if (r == 0 && c.done.count > 0)
		r = mailbox_save(&s->db, &c.source);
	if (r == 0 && c.to == &c.target && c.made.count > 0)
		r = mailbox_save(&s->db, &c.target);
	if (r == 0 && c.done.count > 0)
		r = account_save(&s->db, a);
	struct kurir_changed changed = { .uids = { c.done.count, c.done.ranges },
		.target_validity = (uint32_t)c.to->uid_validity,
		.target = { c.made.count, c.made.ranges } };
	return r < 0 ? r : kurir_put_changed(reply, &changed);
}
