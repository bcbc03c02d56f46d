/* imap_update.c - the snapshot of the selected mailbox, and telling the client how it changed.
 *
 * Removals may be told only where RFC 9051 section 7.5.1 allows; until then a removed message
 * keeps
 * its place in the snapshot, so that sequence numbers mean the same on both sides. */

#include <errno.h>
#include <string.h>

#include "imap.h"

#define KEYWORDS_MAX 4096

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
	static const char system[] = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
	const char *space = s->keywords.len ? " " : "";

	kurir_printf(s->stream, "* FLAGS (%s%s%.*s)\r\n", system, space,
	    KURIR_ARG(kurir_buf_str(&s->keywords)));
	if (s->read_only)
		imap_puts(s, "* OK [PERMANENTFLAGS ()] Nothing can be changed\r\n");
	else
		kurir_printf(s->stream,
		    "* OK [PERMANENTFLAGS (%s%s%.*s \\*)] And more keywords\r\n", system, space,
		    KURIR_ARG(kurir_buf_str(&s->keywords)));
}

/* The session's snapshot from now on.  It may stand for hours, so it has nothing but these
 * messages in it, while what the store needed to find them goes. */
static void keep(struct imap *s, struct kurir_str mailbox, const struct kurir_mailbox_view *v,
    const struct kurir_message *all, size_t n)
{
	struct kurir_arena *box = kurir_arena_new("imap mailbox"), *before = s->box;
	struct kurir_message *m = kurir_alloc(box, (n + 1) * sizeof(*m));

	for (size_t i = 0; i < n; i++) {
		m[i] = all[i];
		m[i].keywords = kurir_copy(box, m[i].keywords);
		m[i].name = kurir_copy(box, m[i].name);
	}
	s->mailbox = kurir_copy(box, mailbox);
	s->view = *v;
	s->view.count = n;
	s->view.messages = m;
	s->messages = m;
	s->box = box;
	kurir_arena_free(before);
}

KURIR_PARKS int imap_view_open(struct imap *s, struct kurir_str mailbox, bool read_only)
{
	struct kurir_arena *found = kurir_arena_new("imap view");
	struct kurir_mailbox_view view;
	int r = s->store->view(
	    s->store_self, s->account, mailbox, !read_only, imap_until(s), found, &view);

	imap_view_close(s);
	imap_saved_clear(s);
	if (r >= 0) {
		keep(s, mailbox, &view, view.messages, view.count);
		s->keywords = KURIR_BUF(KEYWORDS_MAX);
		for (size_t i = 0; i < view.count; i++)
			learn(s, view.messages[i].keywords);
		s->read_only = read_only;
		s->state = IMAP_SELECTED;
	}
	kurir_arena_free(found);
	return r < 0 ? r : 0;
}

void imap_view_close(struct imap *s)
{
	kurir_arena_free(s->box);
	s->box = NULL;
	s->view = (struct kurir_mailbox_view){ .count = 0 };
	s->messages = NULL;
	kurir_buf_free(&s->keywords);
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTHENTICATED;
}

/* EXPUNGE for each, or one VANISHED (RFC 9586 section 3.4). */
KURIR_PARKS static void put_removals(
    struct imap *s, const struct kurir_uid_range *numbers, size_t count)
{
	struct kurir_uid_set uids = { count, numbers };

	if (count == 0)
		return;
	imap_puts(s, "* VANISHED ");
	imap_put_uids(s, &uids);
	imap_puts(s, "\r\n");
}

/* The old snapshot's messages that the new one lacks. */
KURIR_PARKS static void tell_removals(
    struct imap *s, struct kurir_arena *arena, const struct kurir_mailbox_view *new)
{
	struct kurir_uid_range *gone = NULL;
	size_t kept = 0, j = 0, count = 0;

	if (s->enabled & IMAP_UIDONLY)
		gone = kurir_alloc(arena, (s->view.count + 1) * sizeof(*gone));
	for (size_t i = 0; i < s->view.count; i++) {
		uint32_t uid = s->messages[i].uid;

		while (j < new->count &&new->messages[j].uid < uid)
			j++;
		if (j < new->count &&new->messages[j].uid == uid)
			s->messages[kept++] = s->messages[i];
		else if (gone)
			imap_set_add(gone, &count, uid);
		else
			kurir_printf(s->stream, "* %zu EXPUNGE\r\n", kept + 1);
	}
	s->view.count = kept;
	put_removals(s, gone, count);
}

/* What changed of one message, as a FETCH reply that was not asked for. */
KURIR_PARKS static void tell_change(struct imap *s, size_t index, const struct kurir_message *old,
    const struct kurir_message *m, bool asked)
{
	bool flags =
	    asked || m->flags != old->flags || !kurir_str_equal(m->keywords, old->keywords);
	bool modseq = (s->enabled & IMAP_CONDSTORE) && (flags || m->modseq != old->modseq);

	if (!flags && !modseq)
		return;
	if (learn(s, m->keywords))
		imap_put_keywords(s);
	imap_put_fetch(s, index, m->uid);
	if (!(s->enabled & IMAP_UIDONLY))
		kurir_printf(s->stream, "UID %u ", m->uid);
	if (flags)
		imap_put_flags(s, m);
	if (modseq)
		kurir_printf(s->stream, "%sMODSEQ (%llu)", flags ? " " : "",
		    (unsigned long long)m->modseq);
	imap_puts(s, ")\r\n");
}

/* Flags that others changed, and what of the old has to stay in its place (ghosts). */
KURIR_PARKS static size_t merge(struct imap *s, const struct kurir_mailbox_view *new,
    const struct kurir_uid_set *asked, struct kurir_message *out)
{
	size_t n = 0, j = 0;

	for (size_t i = 0; i < s->view.count; i++) {
		struct kurir_message *m = &s->messages[i];

		while (j < new->count &&new->messages[j].uid < m->uid)
			j++;
		out[n] = *m;
		if (j < new->count &&new->messages[j].uid == m->uid) {
			out[n] = new->messages[j];
			out[n].flags |= m->flags & KURIR_MESSAGE_RECENT;
			tell_change(s, n, m, &out[n], asked && kurir_uid_set_has(asked, m->uid));
			j++;
		}
		n++;
	}
	return n;
}

/* Messages that the client does not know yet; how many. */
static size_t add_fresh(struct imap *s, const struct kurir_mailbox_view *new, uint32_t last,
    struct kurir_message *all, size_t n, bool *words)
{
	size_t fresh = 0;

	for (size_t j = 0; j < new->count; j++)
		if (new->messages[j].uid > last &&new->messages[j].uid >= s->view.uid_next) {
			all[n + fresh++] = new->messages[j];
			*words |= learn(s, new->messages[j].keywords);
		}
	return fresh;
}

KURIR_PARKS static void tell_recent(struct imap *s, const struct kurir_message *all, size_t n)
{
	size_t recent = 0;

	if (s->enabled & IMAP_REV2)
		return;
	for (size_t i = 0; i < n; i++)
		recent += (all[i].flags & KURIR_MESSAGE_RECENT) != 0;
	kurir_printf(s->stream, "* %zu RECENT\r\n", recent);
}

KURIR_PARKS int imap_update_telling(
    struct imap *s, bool expunge, const struct kurir_uid_set *asked)
{
	struct kurir_arena *found = kurir_arena_new("imap view");
	struct kurir_mailbox_view new;
	struct kurir_message *all;
	uint32_t last = s->view.count ? s->messages[s->view.count - 1].uid : 0;
	size_t before = s->view.count, n, fresh;
	bool words = false;
	int r = s->store->view(
	    s->store_self, s->account, s->mailbox, !s->read_only, imap_until(s), found, &new);

	if (r >= 0 && new.uid_validity != s->view.uid_validity) {
		imap_puts(s, "* BYE The mailbox was made anew\r\n");
		s->over = true;
		r = -ECANCELED;
	}
	if (r < 0) {
		kurir_arena_free(found);
		return r;
	}
	if (expunge)
		tell_removals(s, found, &new);
	all = kurir_alloc(found, (s->view.count + new.count + 1) * sizeof(*all));
	n = merge(s, &new, asked, all);
	fresh = add_fresh(s, &new, last, all, n, &words);
	if (words)
		imap_put_keywords(s);
	n += fresh;
	if (fresh > 0 || n != before)
		kurir_printf(s->stream, "* %zu EXISTS\r\n", n);
	if (fresh > 0)
		tell_recent(s, all, n);
	keep(s, s->mailbox, &new, all, n);
	kurir_arena_free(found);
	return 0;
}

KURIR_PARKS int imap_update(struct imap *s, bool expunge)
{
	return imap_update_telling(s, expunge, NULL);
}
