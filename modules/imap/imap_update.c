/* imap_update.c - telling the client how the selected mailbox changed.
 *
 * A store with a log of changes is asked for what is new since the mod-sequence that the client
 * knows; of another, a whole view is taken and compared.
 * Removals may be told only where RFC 9051 section 7.5.1 allows; until then a removed message
 * keeps its place in the snapshot, so that sequence numbers mean the same on both sides. */

#include <errno.h>
#include <string.h>

#include "imap_piece.h"

#define KEYWORDS_MAX 4096
#define KNOWN_MAX    8 /* messages, of a session that waits */

kurir_time imap_until(const struct imap *s)
{
	return kurir_now() + s->conf->login;
}

/* Keywords that were not seen before; whether there were any. */
static bool learn(struct imap *s, struct kurir_str words)
{
	bool any = false;

	while (words.len > 0) {
		ssize_t space = kurir_str_find(words, ' ');
		size_t n = space < 0 ? words.len : (size_t)space;
		struct kurir_str word = kurir_str_part(words, 0, n);

		words = kurir_str_part(words, space < 0 ? n : n + 1, words.len);
		if (imap_has_word(kurir_buf_str(&s->keywords), word))
			continue;
		/* Those that are too many are not told of before they are used. */
		if (s->keywords.len + 1 + n <= KEYWORDS_MAX)
			any |= kurir_buf_printf(&s->keywords, "%s%.*s",
				   s->keywords.len ? " " : "", KURIR_ARG(word)) >= 0;
	}
	return any;
}

KURIR_PARKS void imap_put_keywords(struct imap *s)
{
	const char *space = s->keywords.len ? " " : "";
	struct kurir_str words = kurir_buf_str(&s->keywords);
	uint32_t may = s->read_only ? 0 : s->place.rights;

	kurir_printf(s->stream,
	    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft%s%.*s)\r\n", space,
	    KURIR_ARG(words));
	if (!(may & IMAP_RIGHTS_CHANGE)) {
		imap_puts(s, "* OK [PERMANENTFLAGS ()] Nothing can be changed\r\n");
		return;
	}
	/* Those that the client may change, as RFC 4314 section 5.1.1 asks for. */
	imap_puts(s, "* OK [PERMANENTFLAGS (");
	imap_puts(s, may & IMAP_RIGHT_WRITE ? "\\Answered \\Flagged" : "");
	if (may & IMAP_RIGHT_DELETE)
		imap_puts(s, may & IMAP_RIGHT_WRITE ? " \\Deleted" : "\\Deleted");
	if (may & IMAP_RIGHT_SEEN)
		imap_puts(s, may & (IMAP_RIGHT_WRITE | IMAP_RIGHT_DELETE) ? " \\Seen" : "\\Seen");
	if (may & IMAP_RIGHT_WRITE)
		kurir_printf(s->stream, " \\Draft%s%.*s \\*", space, KURIR_ARG(words));
	imap_puts(s, ")] And more keywords\r\n");
}

/* What became of the mailbox. */
struct delta {
	struct kurir_mailbox_view now;
	const struct kurir_message *all; /* those that changed or came, and perhaps others */
	size_t count;
	struct kurir_uid_set vanished;
	bool whole; /* all messages: from a view */
};

/* What is recent is so until its owner looks (RFC 3501 section 2.3.2): others leave it so. */
static bool claims(const struct imap *s, const struct imap_place *place, bool read_only)
{
	return !read_only && kurir_str_equal(place->account, s->account);
}

KURIR_PARKS static int ask_store(struct imap *s, struct kurir_arena *arena, struct delta *d)
{
	struct kurir_uid_set all = imap_box_all(&s->box), there;
	struct kurir_mailbox_changes c;
	int r = -ESTALE;

	if (imap_store_has(s, changes))
		r = s->store->changes(s->store_self, s->place.account, s->place.mailbox,
		    s->view.modseq, claims(s, &s->place, s->read_only), imap_until(s), arena, &c);
	if (r >= 0)
		*d = (struct delta){ .now = c.now, .vanished = c.vanished };
	if (r == -ESTALE) {
		d->whole = true;
		r = s->store->view(s->store_self, s->place.account, s->place.mailbox,
		    claims(s, &s->place, s->read_only), imap_until(s), arena, &d->now);
	}
	if (r < 0)
		return r;
	d->all = d->now.messages;
	d->count = d->now.count;
	if (d->whole) {
		there = imap_uids_of(arena, d->all, d->count);
		d->vanished = imap_uids_combine(arena, &all, &there, IMAP_IN_FIRST_ONLY);
	}
	return 0;
}

/* All messages, of a store that has no outlines. */
KURIR_PARKS static int look(struct imap *s, const struct imap_place *place, bool read_only,
    struct kurir_arena *arena, struct kurir_mailbox_outline *ret)
{
	struct kurir_mailbox_view *v = &ret->view;
	int r = s->store->view(s->store_self, place->account, place->mailbox,
	    claims(s, place, read_only), imap_until(s), arena, v);

	for (size_t i = r < 0 ? 0 : v->count; i > 0; i--)
		if (!(v->messages[i - 1].flags & KURIR_MESSAGE_SEEN))
			ret->unseen = v->messages[i - 1].uid;
	return r;
}

/* What is known of messages comes with the outline, or later. */
static void take(struct imap *s, struct kurir_str mailbox, const struct kurir_mailbox_outline *o)
{
	const struct kurir_mailbox_view *v = &o->view;

	imap_box_begin(&s->box, mailbox, v->id);
	s->keywords = KURIR_BUF(KEYWORDS_MAX);
	if (v->messages) {
		imap_box_fill(&s->box, v->messages, v->count);
		for (size_t i = 0; i < v->count; i++)
			learn(s, v->messages[i].keywords);
	} else {
		imap_box_outline(&s->box, &o->uids, o->recent);
		learn(s, o->keywords);
	}
	s->view = *v;
	s->view.messages = NULL;
	s->view.id = KURIR_STR("");
}

static void keep_place(struct imap *s, const struct imap_place *place)
{
	s->place_arena = kurir_arena_new("imap place");
	s->place.account = kurir_copy(s->place_arena, place->account);
	s->place.mailbox = kurir_copy(s->place_arena, place->mailbox);
	s->place.name = kurir_copy(s->place_arena, place->name);
	s->place.rights = place->rights;
}

/* Opens the one mailbox and lets go of the other, also when that fails. */
KURIR_PARKS int imap_view_open(
    struct imap *s, struct kurir_str mailbox, bool read_only, uint32_t *ret_unseen)
{
	struct kurir_arena *found = kurir_arena_new("imap view");
	struct kurir_mailbox_outline o = { .unseen = 0 };
	struct imap_place place;
	int r = imap_place_find(s, mailbox, IMAP_RIGHT_READ, &place);

	if (r >= 0) {
		read_only = read_only || !(place.rights & IMAP_RIGHTS_CHANGE);
		r = imap_store_has(s, outline)
		    ? s->store->outline(s->store_self, place.account, place.mailbox,
			  claims(s, &place, read_only), imap_until(s), found, &o)
		    : look(s, &place, read_only, found, &o);
	}
	imap_view_close(s);
	imap_saved_clear(s);
	if (r >= 0) {
		take(s, mailbox, &o);
		keep_place(s, &place);
		*ret_unseen = o.unseen;
		s->read_only = read_only;
		s->state = IMAP_SELECTED;
	}
	kurir_arena_free(found);
	return r < 0 ? r : 0;
}

void imap_view_close(struct imap *s)
{
	imap_box_end(&s->box);
	kurir_arena_free(s->place_arena);
	s->place_arena = NULL;
	s->place = (struct imap_place){ .rights = 0 };
	s->view = (struct kurir_mailbox_view){ .count = 0 };
	kurir_buf_free(&s->keywords);
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTHENTICATED;
}

/* EXPUNGE for each, or one VANISHED (RFC 7162 section 3.2.10, RFC 9586 section 3.4). */
KURIR_PARKS static void tell_removals(struct imap *s)
{
	const struct kurir_uid_set *gone = &s->box.gone;
	size_t told = 0;

	if (gone->count > 0 && (s->enabled & (IMAP_UIDONLY | IMAP_QRESYNC))) {
		imap_puts(s, "* VANISHED ");
		imap_put_uids(s, gone);
		imap_puts(s, "\r\n");
	} else {
		for (size_t i = imap_box_next(&s->box, gone, 0); i < s->box.count;
		     i = imap_box_next(&s->box, gone, i + 1))
			kurir_printf(s->stream, "* %zu EXPUNGE\r\n", i + 1 - told++);
	}
	imap_box_remove_gone(&s->box);
}

KURIR_PARKS void imap_tell_message(
    struct imap *s, size_t index, const struct kurir_message *m, bool flags)
{
	bool modseq = (s->enabled & IMAP_CONDSTORE) != 0;
	struct imap_piece p;

	p.len = 0;
	if (!flags && !modseq)
		return;
	if (learn(s, m->keywords))
		imap_put_keywords(s);
	imap_piece_fetch(s, &p, index, m->uid);
	if (!(s->enabled & IMAP_UIDONLY)) {
		imap_piece_text(&p, "UID ");
		imap_piece_number(&p, m->uid);
		imap_piece_text(&p, " ");
	}
	if (flags)
		imap_piece_flags(s, &p, m);
	if (modseq) {
		imap_piece_text(&p, flags ? " MODSEQ (" : "MODSEQ (");
		imap_piece_number(&p, m->modseq);
		imap_piece_text(&p, ")");
	}
	imap_piece_text(&p, ")\r\n");
	imap_piece_write(s, &p);
}

/* One that the client knows, as it is now. */
KURIR_PARKS static void tell_change(
    struct imap *s, size_t index, struct kurir_message *m, bool asked)
{
	const struct kurir_message *old = imap_box_known(&s->box, m->uid);
	bool modseq = m->modseq != (old ? old->modseq : s->view.modseq);
	bool flags = asked || (!old && m->modseq > s->view.modseq);

	if (!old && !flags)
		return;
	if (kurir_uid_set_has(&s->box.recent, m->uid))
		m->flags |= KURIR_MESSAGE_RECENT;
	else
		m->flags &= ~(uint32_t)KURIR_MESSAGE_RECENT;
	if (old)
		flags = flags || m->flags != old->flags ||
		    !kurir_str_equal(m->keywords, old->keywords);
	if (flags || modseq)
		imap_tell_message(s, index, m, flags);
	if (old)
		imap_box_learn(&s->box, m, 1);
}

/* Flags that others changed, and those that were asked for, by UID. */
KURIR_PARKS static void tell_changes(
    struct imap *s, const struct delta *d, const struct kurir_uid_set *asked)
{
	static const struct kurir_uid_set none = { 0, NULL };
	const struct kurir_uid_set *also = asked ? asked : &none;
	size_t i = imap_box_next(&s->box, also, 0), j = 0;

	while (i < s->box.count || j < d->count) {
		struct kurir_message m;
		size_t at = s->box.count;

		if (j < d->count)
			at = imap_box_index(&s->box, d->all[j].uid);
		if (j < d->count && at == s->box.count) { /* new */
			j++;
			continue;
		}
		if (i < at) { /* no change since; or it went */
			m = *imap_at(s, i);
			imap_tell_message(s, i, &m, true);
			i = imap_box_next(&s->box, also, i + 1);
			continue;
		}
		m = d->all[j++];
		tell_change(s, at, &m, i == at && i < s->box.count);
		if (i == at)
			i = imap_box_next(&s->box, also, i + 1);
	}
}

/* Messages that the client does not know yet; how many. */
KURIR_PARKS static size_t tell_fresh(struct imap *s, const struct delta *d)
{
	uint32_t last = s->box.count ? imap_box_uid(&s->box, s->box.count - 1) : 0;
	size_t fresh = 0;
	bool words = false;

	for (size_t j = 0; j < d->count; j++)
		if (d->all[j].uid > last && d->all[j].uid >= s->view.uid_next) {
			imap_box_add(&s->box, &d->all[j]);
			words |= learn(s, d->all[j].keywords);
			fresh++;
		}
	if (words)
		imap_put_keywords(s);
	return fresh;
}

KURIR_PARKS void imap_put_recent(struct imap *s)
{
	size_t recent = 0;

	if (s->enabled & IMAP_REV2)
		return;
	for (size_t i = 0; i < s->box.recent.count; i++)
		recent += s->box.recent.ranges[i].last - s->box.recent.ranges[i].first + 1;
	kurir_printf(s->stream, "* %zu RECENT\r\n", recent);
}

KURIR_PARKS int imap_update_telling(
    struct imap *s, bool expunge, const struct kurir_uid_set *asked)
{
	struct kurir_arena *found = kurir_arena_new("imap view");
	struct delta d = { .whole = false };
	size_t before = s->box.count, fresh;
	int r = imap_place_still(s);

	if (r >= 0)
		r = ask_store(s, found, &d);
	if (r >= 0 && d.now.uid_validity != s->view.uid_validity) {
		imap_puts(s, "* BYE The mailbox was made anew\r\n");
		s->over = true;
		r = -ECANCELED;
	}
	if (r < 0) {
		kurir_arena_free(found);
		return r;
	}
	imap_box_gone(&s->box, &d.vanished);
	if (expunge)
		tell_removals(s);
	tell_changes(s, &d, asked);
	fresh = tell_fresh(s, &d);
	if (fresh > 0 || s->box.count != before)
		kurir_printf(s->stream, "* %zu EXISTS\r\n", s->box.count);
	if (fresh > 0)
		imap_put_recent(s);
	s->view.uid_next = d.now.uid_next;
	s->view.modseq = d.now.modseq;
	imap_box_tidy(&s->box);
	kurir_arena_free(found);
	return 0;
}

KURIR_PARKS int imap_update(struct imap *s, bool expunge)
{
	return imap_update_telling(s, expunge, NULL);
}

KURIR_PARKS bool imap_tell_appended(
    struct imap *s, const struct kurir_append *all, size_t count, const struct kurir_changed *c)
{
	bool words = false;

	if (s->read_only || c->modseq == 0 || c->before != s->view.modseq ||
	    c->target_validity != s->view.uid_validity || c->target.count != 1)
		return false;
	tell_removals(s);
	for (size_t i = 0; i < count; i++)
		words |= learn(s, all[i].keywords);
	if (words)
		imap_put_keywords(s);
	imap_box_came(&s->box, c->target.ranges[0]);
	kurir_printf(s->stream, "* %zu EXISTS\r\n", s->box.count);
	imap_put_recent(s);
	s->view.uid_next = c->target.ranges[0].last + 1;
	s->view.modseq = c->modseq;
	imap_box_tidy(&s->box);
	return true;
}

/* One that is looked at for the first time. */
KURIR_PARKS static void see(struct imap *s, struct kurir_message *m)
{
	if (m->modseq > s->view.modseq)
		m->flags |= IMAP_MESSAGE_UNTOLD;
	if (learn(s, m->keywords))
		imap_put_keywords(s);
}

/* What the store has of the messages of a set; of those that went, nothing but their UIDs. */
KURIR_PARKS static int load(
    struct imap *s, const struct kurir_uid_set *want, struct kurir_arena *arena)
{
	struct kurir_mailbox_view v;
	struct kurir_message *all;
	size_t n = 0, j = 0, count = 0;
	int r = imap_store_has(s, part) ? s->store->part(s->store_self, s->place.account,
					      s->place.mailbox, want, imap_until(s), arena, &v)
					: s->store->view(s->store_self, s->place.account,
					      s->place.mailbox, false, imap_until(s), arena, &v);

	if (r >= 0 && v.uid_validity != s->view.uid_validity)
		r = -ENOENT;
	if (r < 0)
		return r;
	for (size_t i = 0; i < want->count; i++)
		count += want->ranges[i].last - want->ranges[i].first + 1;
	if (v.count == count) { /* those, and no others */
		all = (struct kurir_message *)(uintptr_t)v.messages;
		for (size_t i = 0; i < count; i++)
			see(s, &all[i]);
		imap_box_learn(&s->box, all, count);
		return 0;
	}
	all = kurir_alloc(arena, count * sizeof(*all));
	for (size_t i = imap_box_next(&s->box, want, 0); i < s->box.count;
	     i = imap_box_next(&s->box, want, i + 1), n++) {
		uint32_t uid = imap_box_uid(&s->box, i);

		while (j < v.count && v.messages[j].uid < uid)
			j++;
		all[n] = (struct kurir_message){
			.uid = uid, .keywords = KURIR_STR(""), .name = KURIR_STR("")
		};
		if (j == v.count || v.messages[j].uid != uid)
			continue;
		all[n] = v.messages[j];
		see(s, &all[n]);
	}
	imap_box_learn(&s->box, all, n);
	return 0;
}

void imap_rest(struct imap *s)
{
	if (s->box.known_count > KNOWN_MAX)
		imap_box_pack(&s->box, false);
}

KURIR_PARKS int imap_need(struct imap *s, const struct kurir_uid_set *set)
{
	struct kurir_uid_set all = imap_box_all(&s->box), want = set ? *set : all, known;
	struct kurir_arena *found;
	int r = 0;

	if (s->box.known_count == s->box.count)
		return 0;
	found = kurir_arena_new("imap view");
	known = imap_uids_of(found, s->box.known, s->box.known_count);
	want = imap_uids_combine(found, &want, &all, IMAP_IN_BOTH);
	want = imap_uids_combine(found, &want, &known, IMAP_IN_FIRST_ONLY);
	if (want.count > 0)
		r = load(s, &want, found);
	imap_box_tidy(&s->box);
	kurir_arena_free(found);
	return r;
}

struct kurir_message *imap_at(const struct imap *s, size_t index)
{
	return s->box.known_count == s->box.count
	    ? &s->box.known[index]
	    : imap_box_known(&s->box, imap_box_uid(&s->box, index));
}
