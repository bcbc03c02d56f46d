/* imap_store.c - STORE and UID STORE (RFC 9051 section 6.4.6; CONDSTORE, RFC 7162 section 3.1.3).
 *
 *   store           = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence ")"]
 *                     SP store-att-flags
 *   store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP
 *                     (flag-list / (flag *(SP flag))) */

#include <errno.h>

#include "imap.h"

struct store {
	struct kurir_change change;
	bool silent, conditional;
	uint32_t lowest; /* RFC 9738 */
};

static int condition(struct imap_args *a, struct store *q)
{
	if (!imap_take(a, '('))
		return 0;
	q->conditional = true;
	if (!imap_take_word(a, "UNCHANGEDSINCE") || !imap_space(a) ||
	    imap_number64(a, &q->change.unchanged_since) < 0 || !imap_take(a, ')') ||
	    !imap_space(a))
		return -EBADMSG;
	return 0;
}

static int parse(struct imap *s, struct imap_args *a, struct store *q)
{
	if (imap_set_arg(s, a, &q->change.uids) < 0 || !imap_space(a) || condition(a, q) < 0)
		return -EBADMSG;
	q->change.kind = KURIR_CHANGE_FLAGS_SET;
	if (imap_take(a, '+'))
		q->change.kind = KURIR_CHANGE_FLAGS_ADD;
	else if (imap_take(a, '-'))
		q->change.kind = KURIR_CHANGE_FLAGS_REMOVE;
	q->silent = imap_take_word(a, "FLAGS.SILENT");
	if ((!q->silent && !imap_take_word(a, "FLAGS")) || !imap_space(a) ||
	    imap_flags(a, &q->change.flags, &q->change.keywords) < 0)
		return -EBADMSG;
	return imap_end(a) ? 0 : -EBADMSG;
}

/* The words of a that are not in b. */
static struct kurir_str without(struct kurir_arena *arena, struct kurir_str a, struct kurir_str b)
{
	struct kurir_buf out = KURIR_BUF(a.len + 1);
	struct kurir_str rest = a;

	while (rest.len > 0) {
		ssize_t space = kurir_str_find(rest, ' ');
		size_t n = space < 0 ? rest.len : (size_t)space;
		struct kurir_str word = kurir_str_part(rest, 0, n);

		if (!imap_has_word(b, word))
			kurir_buf_printf(&out, "%s%.*s", out.len ? " " : "", KURIR_ARG(word));
		rest = kurir_str_part(rest, space < 0 ? n : n + 1, rest.len);
	}
	a = kurir_copy(arena, kurir_buf_str(&out));
	kurir_buf_free(&out);
	return a;
}

static struct kurir_str new_words(
    struct kurir_arena *arena, const struct kurir_change *c, struct kurir_str old)
{
	struct kurir_str more;

	if (c->kind == KURIR_CHANGE_FLAGS_SET)
		return c->keeps_keywords ? old : kurir_copy(arena, c->keywords);
	if (c->keywords.len == 0)
		return old;
	if (c->kind == KURIR_CHANGE_FLAGS_REMOVE)
		return without(arena, old, c->keywords);
	more = without(arena, c->keywords, old);
	return kurir_format(
	    arena, "%.*s%s%.*s", KURIR_ARG(old), old.len && more.len ? " " : "", KURIR_ARG(more));
}

/* What is known of one that was changed; whether it is another now. */
static bool set_one(struct imap *s, const struct kurir_change *c, struct kurir_message *m)
{
	uint32_t flags = m->flags;
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_str words = new_words(kurir_scratch(), c, m->keywords);
	bool same = kurir_str_equal(words, m->keywords);

	if (c->kind == KURIR_CHANGE_FLAGS_ADD)
		m->flags |= c->flags;
	else if (c->kind == KURIR_CHANGE_FLAGS_REMOVE)
		m->flags &= ~c->flags;
	else
		m->flags = (m->flags & (KURIR_MESSAGE_RECENT | c->keeps)) | c->flags;
	if (!same)
		imap_box_set_keywords(&s->box, m, words);
	kurir_rewind(kurir_scratch(), mark);
	return !same || m->flags != flags;
}

/* Silent: the client knows its own change, so that only those of others are told. */
static void set_locally(struct imap *s, const struct kurir_change *c, struct kurir_uid_set done)
{
	for (size_t i = imap_box_next(&s->box, &done, 0); i < s->box.count;
	     i = imap_box_next(&s->box, &done, i + 1))
		set_one(s, c, imap_at(s, i));
}

/* Nobody else changed anything meanwhile: what the messages are now is known without asking. */
KURIR_PARKS static int set_and_tell(
    struct imap *s, const struct store *q, const struct kurir_changed *changed)
{
	const struct kurir_uid_set *done = &changed->uids;
	int r = 0;

	for (size_t i = imap_box_next(&s->box, done, 0); i < s->box.count && r >= 0;
	     i = imap_box_next(&s->box, done, i + 1)) {
		struct kurir_message *m = imap_at(s, i);
		bool new = set_one(s, &q->change, m);

		if (new)
			m->modseq = changed->modseq;
		if (new || !q->silent)
			imap_tell_message(s, i, m, !q->silent);
		if (i % 256 == 255)
			r = kurir_yield();
	}
	s->view.modseq = changed->modseq;
	return r;
}

/* What the condition kept from being changed; as the client wrote the set. */
static struct kurir_uid_set modified(
    struct imap *s, const struct store *q, struct kurir_uid_set done)
{
	struct kurir_uid_range *ranges =
	    kurir_alloc(kurir_scratch(), (s->box.count + 1) * sizeof(*ranges));
	size_t count = 0;

	for (size_t i = imap_box_next(&s->box, &q->change.uids, 0); i < s->box.count;
	     i = imap_box_next(&s->box, &q->change.uids, i + 1)) {
		uint32_t uid = imap_box_uid(&s->box, i);

		if (!kurir_uid_set_has(&done, uid))
			imap_set_add(ranges, &count, s->by_uid ? uid : (uint32_t)i + 1);
	}
	return (struct kurir_uid_set){ count, ranges };
}

KURIR_PARKS static void finish(
    struct imap *s, const struct store *q, const struct kurir_uid_set *left)
{
	if (left->count == 0) {
		imap_limited_ok(s, q->lowest);
		return;
	}
	kurir_printf(s->stream, "%.*s OK [MODIFIED ", KURIR_ARG(s->tag));
	imap_put_uids(s, left);
	imap_puts(s, "] Done, but for these\r\n");
}

/* Leaves what the client may do (RFC 4314 section 4): what it may not change is not in the way of
 * what it may.  False: that is nothing of what it asked for. */
static bool narrow(const struct imap *s, struct kurir_change *c)
{
	uint32_t all = imap_flags_of(IMAP_RIGHTS_ALL), may = imap_flags_of(s->place.rights);
	bool any = c->flags != 0 || c->keywords.len > 0;

	if (may == all)
		return true;
	if (c->kind == KURIR_CHANGE_FLAGS_SET) {
		c->keeps = all & ~may;
		c->keeps_keywords = !(s->place.rights & IMAP_RIGHT_WRITE);
	}
	c->flags &= may;
	if (!(s->place.rights & IMAP_RIGHT_WRITE))
		c->keywords = KURIR_STR("");
	return c->flags != 0 || c->keywords.len > 0 || (!any && may != 0);
}

KURIR_PARKS void imap_store(struct imap *s, struct imap_args *a)
{
	struct store q = { .change.target = KURIR_STR("") };
	struct kurir_changed changed = { .uids = { 0, NULL } };
	struct kurir_uid_set left = { 0, NULL };
	int r = 0;

	if (parse(s, a, &q) < 0) {
		imap_bad(s, "STORE takes a set, FLAGS, and a list of flags");
		return;
	}
	if (s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	if (!narrow(s, &q.change)) {
		imap_failed(s, -EACCES);
		return;
	}
	if (q.conditional)
		imap_enable_condstore(s);
	imap_limit(s, &q.change.uids, &q.lowest);
	r = imap_need(s, &q.change.uids);
	/* Nothing is as old as 0, which the store takes for no condition. */
	if (r >= 0 && (!q.conditional || q.change.unchanged_since > 0))
		r = s->store->change(s->store_self, s->place.account, s->place.mailbox, &q.change,
		    imap_until(s), kurir_scratch(), &changed);
	if (r >= 0 && q.conditional)
		left = modified(s, &q, changed.uids);
	if (r >= 0 && changed.modseq > 0 && changed.before == s->view.modseq) {
		r = set_and_tell(s, &q, &changed);
	} else if (r >= 0) {
		if (q.silent)
			set_locally(s, &q.change, changed.uids);
		r = imap_update_telling(s, false, q.silent ? NULL : &changed.uids);
	}
	if (r < 0)
		imap_failed(s, r);
	else
		finish(s, &q, &left);
}
