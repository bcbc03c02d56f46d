/* imap_update.c - the snapshot of the selected mailbox, and telling the client how it changed.
 *
 * Removals may be told only where RFC 3501 section 7.4.1 allows; until then a removed message
 * keeps
 * its place in the snapshot, so that sequence numbers mean the same on both sides. */

#include <errno.h>
#include <string.h>

#include "imap.h"

kurir_time imap_until(const struct imap *s)
{
	return kurir_now() + s->conf->login;
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
	if (r >= 0) {
		keep(s, mailbox, &view, view.messages, view.count);
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
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTHENTICATED;
}

/* The old snapshot's messages that the new one lacks. */
KURIR_PARKS static void tell_removals(struct imap *s, const struct kurir_mailbox_view *new)
{
	size_t kept = 0, j = 0;

	for (size_t i = 0; i < s->view.count; i++) {
		uint32_t uid = s->messages[i].uid;

		while (j < new->count &&new->messages[j].uid < uid)
			j++;
		if (j < new->count &&new->messages[j].uid == uid)
			s->messages[kept++] = s->messages[i];
		else
			kurir_printf(s->stream, "* %zu EXPUNGE\r\n", kept + 1);
	}
	s->view.count = kept;
}

/* Flags that others changed, and what of the old has to stay in its place (ghosts). */
KURIR_PARKS static size_t merge(
    struct imap *s, const struct kurir_mailbox_view *new, struct kurir_message *out)
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
			if (out[n].flags != m->flags ||
			    !kurir_str_equal(out[n].keywords, m->keywords)) {
				kurir_printf(s->stream, "* %zu FETCH (UID %u ", n + 1, m->uid);
				imap_put_flags(s, &out[n]);
				imap_puts(s, ")\r\n");
			}
			j++;
		}
		n++;
	}
	return n;
}

KURIR_PARKS int imap_update(struct imap *s, bool expunge)
{
	struct kurir_arena *found = kurir_arena_new("imap view");
	struct kurir_mailbox_view new;
	struct kurir_message *all;
	uint32_t last = s->view.count ? s->messages[s->view.count - 1].uid : 0;
	size_t before = s->view.count, n, fresh = 0;
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
		tell_removals(s, &new);
	all = kurir_alloc(found, (s->view.count + new.count + 1) * sizeof(*all));
	n = merge(s, &new, all);
	for (size_t j = 0; j < new.count; j++)
		if (new.messages[j].uid > last &&new.messages[j].uid >= s->view.uid_next) {
			all[n++] = new.messages[j];
			fresh++;
		}
	if (fresh > 0 || n != before)
		kurir_printf(s->stream, "* %zu EXISTS\r\n", n);
	if (fresh > 0) {
		size_t recent = 0;

		for (size_t i = 0; i < n; i++)
			recent += (all[i].flags & KURIR_MESSAGE_RECENT) != 0;
		kurir_printf(s->stream, "* %zu RECENT\r\n", recent);
	}
	keep(s, s->mailbox, &new, all, n);
	kurir_arena_free(found);
	return 0;
}
