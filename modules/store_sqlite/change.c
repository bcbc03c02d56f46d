/* change.c - flags, expunge, copy and move. */
#include "sheet.h"
#include "sqlite.h"

#include <errno.h>
#include <string.h>

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
	int64_t now, end; /* the highest UID that it is about */
	struct uids done, made;
	struct message_row *copies; /* of a sheet: those that are copied once it is in order */
	size_t aside;
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

static int new_keywords(
    const struct kurir_change *c, struct kurir_str before, struct kurir_buf *out)
{
	switch (c->kind) {
	case KURIR_CHANGE_FLAGS_SET:
		return keyword_add(out, c->keeps_keywords ? before : c->keywords, KURIR_STR(""));
	case KURIR_CHANGE_FLAGS_REMOVE:
		return keyword_add(out, before, c->keywords);
	default: {
		int r = keyword_add(out, before, KURIR_STR(""));
		return r < 0 ? r : keyword_add(out, c->keywords, before);
	}
	}
}

static int64_t new_flags(const struct kurir_change *c, int64_t before)
{
	int64_t flags = c->flags & (KURIR_MESSAGE_RECENT - 1);
	return c->kind == KURIR_CHANGE_FLAGS_ADD   ? before | flags
	    : c->kind == KURIR_CHANGE_FLAGS_REMOVE ? before & ~flags
						   : flags | (before & c->keeps);
}

static bool is_set(const struct kurir_change *c)
{
	return c->kind == KURIR_CHANGE_FLAGS_SET;
}

static bool adds_keywords(const struct kurir_change *c)
{
	return is_set(c) || c->kind == KURIR_CHANGE_FLAGS_ADD;
}

/* What the message has then; whether that is something else. */
static int set_flags(struct change *c, struct message_row *m)
{
	int64_t flags = new_flags(&c->what, m->flags);
	bool same = true;
	if (c->what.keywords.len > 0 || (is_set(&c->what) && m->keywords.len > 0)) {
		struct kurir_buf words = KURIR_BUF(MODEL_KEYWORDS_MAX);
		int r = new_keywords(&c->what, m->keywords, &words);
		same = r < 0 || kurir_str_equal(kurir_buf_str(&words), m->keywords);
		if (!same)
			m->keywords = kurir_copy(c->arena, kurir_buf_str(&words));
		kurir_buf_free(&words);
		if (r < 0)
			return r;
	}
	if (flags == m->flags && same)
		return 0;
	message_count(&c->source, m->flags, m->size, -1);
	message_count(&c->source, flags, m->size, 1);
	m->flags = flags;
	m->modseq = c->source.modseq = c->account->modseq;
	return 1;
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

/* Whether the message is to be copied, once its sheet is in order. */
static bool copies(const struct change *c)
{
	return c->what.kind == KURIR_CHANGE_COPY || c->what.kind == KURIR_CHANGE_MOVE;
}

enum outcome { SKIPPED, KEPT, CHANGED, WENT };

/* What becomes of a message in its own mailbox; or -errno. */
static int apply(struct change *c, struct message_row *m)
{
	struct db *db = &c->shard->db;
	bool moved = c->what.kind == KURIR_CHANGE_MOVE;
	int r;
	switch (c->what.kind) {
	case KURIR_CHANGE_FLAGS_ADD:
	case KURIR_CHANGE_FLAGS_REMOVE:
	case KURIR_CHANGE_FLAGS_SET:
		r = set_flags(c, m);
		return r < 0 ? r : r > 0 ? CHANGED : KEPT;
	case KURIR_CHANGE_EXPUNGE:
		if (!c->what.force && (m->flags & KURIR_MESSAGE_DELETED) == 0)
			return SKIPPED;
		break;
	case KURIR_CHANGE_COPY:
	case KURIR_CHANGE_MOVE:
		break;
	default:
		return -EINVAL;
	}
	r = message_email(db, c->source.id, m->uid, &m->email);
	if (r == 0 && c->what.kind == KURIR_CHANGE_COPY)
		return KEPT;
	if (r == 0)
		r = message_expunge(db, c->account, &c->source, m, c->now, !moved);
	return r < 0 ? r : WENT;
}

/* Those of a sheet that the set has, from its range *i on; those that are to be copied are kept
 * aside.  Whether the sheet is another now. */
static int apply_sheet(struct change *c, struct sheet *s, size_t *i)
{
	const struct kurir_uid_set *set = &c->what.uids;
	bool changed = false;
	size_t left = 0;
	c->aside = 0;
	for (size_t j = 0; j < s->count; j++) {
		struct message_row *m = &s->rows[j];
		int r = SKIPPED;
		while (*i < set->count && set->ranges[*i].last < m->uid)
			++*i;
		if (*i < set->count && set->ranges[*i].first <= m->uid && m->uid <= c->end &&
		    (c->what.unchanged_since == 0 ||
			(uint64_t)m->modseq <= c->what.unchanged_since))
			r = apply(c, m);
		if (r < 0)
			return r;
		if (r != SKIPPED)
			add_uid(c, &c->done, m->uid);
		if (r != SKIPPED && copies(c))
			c->copies[c->aside++] = *m;
		changed |= r == CHANGED || r == WENT;
		if (r != WENT && left++ != j)
			s->rows[left - 1] = *m;
	}
	s->count = left;
	return changed;
}

static int change_sheet(struct change *c, struct sheet *s, size_t *i)
{
	int r = apply_sheet(c, s, i);
	if (r > 0)
		r = sheet_save(&c->shard->db, s);
	for (size_t j = 0; r >= 0 && j < c->aside; j++) {
		if (c->what.kind == KURIR_CHANGE_COPY)
			r = over_quota(c->shard->conf, c->account, (uint64_t)c->copies[j].size);
		if (r >= 0)
			r = copy(c, &c->copies[j]);
	}
	return r < 0 ? r : 0;
}

/* Messages that the change itself makes are not its own concern: those before it began. */
static int change_all(struct change *c, struct sheet *s)
{
	const struct kurir_uid_set *set = &c->what.uids;
	int64_t last = 0;
	int r = 1;
	c->end = c->source.uid_next - 1;
	for (size_t i = 0; r == 1 && i < set->count && last < c->end;) {
		r = sheet_load(&c->shard->db, c->source.id, set->ranges[i].first, last, s);
		if (r != 1)
			break;
		last = s->rows[s->count - 1].uid;
		r = change_sheet(c, s, &i);
		r = r < 0 ? r : 1;
		while (i < set->count && set->ranges[i].last <= last)
			i++;
	}
	return r < 0 ? r : 0;
}

int change_run(struct shard *s, struct kurir_arena *arena, struct account_row *a,
    struct kurir_str mailbox, struct kurir_reader *in, int64_t now, struct kurir_buf *reply)
{
	struct change c = { .shard = s, .arena = arena, .account = a, .now = now };
	struct sheet *sheet = kurir_alloc(arena, sizeof(*sheet));
	int r = kurir_get_change(in, arena, &c.what);
	if (r == 0)
		r = mailbox_load(&s->db, a, mailbox, &c.source);
	c.to = copies(&c) && !kurir_str_equal(mailbox, c.what.target) ? &c.target : &c.source;
	if (r == 0 && c.to == &c.target)
		r = mailbox_load(&s->db, a, c.what.target, &c.target);
	if (copies(&c))
		c.copies = kurir_alloc(arena, SHEET_ROWS * sizeof(*c.copies));
	struct kurir_changed changed = { .before = (uint64_t)c.source.modseq };
	a->modseq++;
	if (r == 0)
		r = change_all(&c, sheet);
	sheet_free(sheet);
	if (r == 0 && c.done.count > 0 && adds_keywords(&c.what))
		r = mailbox_keywords(&s->db, &c.source, c.what.keywords);
	if (r == 0 && c.done.count > 0)
		r = mailbox_save(&s->db, &c.source);
	if (r == 0 && c.to == &c.target && c.made.count > 0)
		r = mailbox_save(&s->db, &c.target);
	if (r == 0 && c.done.count > 0)
		r = account_save(&s->db, a);
	changed.uids = (struct kurir_uid_set){ c.done.count, c.done.ranges };
	changed.target_validity = (uint32_t)c.to->uid_validity;
	changed.target = (struct kurir_uid_set){ c.made.count, c.made.ranges };
	changed.modseq = (uint64_t)c.source.modseq;
	return r < 0 ? r : kurir_put_changed(reply, &changed);
}
