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

static struct kurir_message *own_copy(
    struct kurir_arena *arena, const struct kurir_mailbox_view *v)
{
	struct kurir_message *m = kurir_alloc(arena, (v->count + 1) * sizeof(*m));

	if (v->count > 0)
		memcpy(m, v->messages, v->count * sizeof(*m));
	return m;
}

KURIR_PARKS int imap_view_open(struct imap *s, struct kurir_str mailbox, bool read_only)
{
	struct kurir_arena *box = kurir_arena_new("imap mailbox");
	struct kurir_mailbox_view view;
	int r = s->store->view(
	    s->store_self, s->account, mailbox, !read_only, imap_until(s), box, &view);

	imap_view_close(s);
	if (r < 0) {
		kurir_arena_free(box);
		return r;
	}
	s->box = box;
	s->view = view;
	s->messages = own_copy(box, &view);
	s->mailbox = kurir_copy(box, mailbox);
	s->read_only = read_only;
	s->state = IMAP_SELECTED;
	return 0;
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

/* Texts of ghosts move to the new snapshot's arena. */
static void adopt(struct kurir_arena *box, struct kurir_message *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		m[i].keywords = kurir_copy(box, m[i].keywords);
		m[i].name = kurir_copy(box, m[i].name);
	}
}

KURIR_PARKS int imap_update(struct imap *s, bool expunge)
{
	struct kurir_arena *box = kurir_arena_new("imap mailbox");
	struct kurir_mailbox_view new;
	struct kurir_message *all;
	uint32_t last = s->view.count ? s->messages[s->view.count - 1].uid : 0;
	size_t before = s->view.count, n, fresh = 0;
	int r = s->store->view(
	    s->store_self, s->account, s->mailbox, !s->read_only, imap_until(s), box, &new);

	if (r >= 0 && new.uid_validity != s->view.uid_validity) {
		imap_puts(s, "* BYE The mailbox was made anew\r\n");
		s->over = true;
		r = -ECANCELED;
	}
	if (r < 0) {
		kurir_arena_free(box);
		return r;
	}
	if (expunge)
		tell_removals(s, &new);
	all = kurir_alloc(box, (s->view.count + new.count + 1) * sizeof(*all));
	n = merge(s, &new, all);
	adopt(box, all, n);
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
	s->mailbox = kurir_copy(box, s->mailbox);
	kurir_arena_free(s->box);
	s->box = box;
	s->view = new;
	s->view.count = n;
	s->messages = all;
	return 0;
}
