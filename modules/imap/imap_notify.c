/* imap_notify.c - NOTIFY (RFC 5465).
 *
 * While the session waits for a command another fiber waits for the account, and says what the
 * client wants to hear; it has ended before the command is read.  What the client knows of other
 * mailboxes is a list as LIST has it, which is compared with the next one.  Before the first
 * NOTIFY, and of the selected mailbox in any case, a client hears with its commands what RFC 9051
 * wants it to hear. */

#include <errno.h>

#include "imap_body.h"
#include "imap_notify.h"

bool imap_can_notify(const struct imap *s)
{
	return imap_store_has(s, wait_account) && imap_has_ids(s);
}

static bool names_it(const struct imap_notify_group *g, struct kurir_str name)
{
	for (size_t i = 0; i < g->count; i++)
		if (kurir_str_equal(name, g->names[i]) ||
		    (g->filter == IMAP_FILTER_SUBTREE && imap_is_below(name, g->names[i])))
			return true;
	return false;
}

uint32_t imap_notify_events(const struct imap *s, const struct kurir_mailbox *m)
{
	const struct imap_notify_wish *w = &s->notify->wish;
	bool others = m->id.len > 0 && imap_is_others(m->name);
	uint32_t events = 0;

	for (size_t i = 0; i < w->count; i++) {
		const struct imap_notify_group *g = &w->groups[i];

		if ((g->filter == IMAP_FILTER_PERSONAL && !others) ||
		    (g->filter == IMAP_FILTER_SUBSCRIBED &&
			(m->flags & KURIR_MAILBOX_SUBSCRIBED)) ||
		    names_it(g, m->name))
			events |= g->events;
	}
	if (others) /* of their entries nobody else hears */
		events &= ~(uint32_t)IMAP_EVENT_METADATA;
	if ((m->flags & (KURIR_MAILBOX_NOSELECT | IMAP_MAILBOX_UNREADABLE)) ||
	    (s->state == IMAP_SELECTED && kurir_str_equal(m->name, s->box.name)))
		events &= ~(uint32_t)IMAP_EVENTS_MESSAGE;
	return events;
}

void imap_notify_end(struct imap *s)
{
	if (s->notify == NULL)
		return;
	kurir_arena_free(s->notify->seen.arena);
	kurir_arena_free(s->notify->wishes);
	s->notify = NULL;
}

bool imap_notify_server(const struct imap *s)
{
	const struct imap_notify_wish *w = &s->notify->wish;

	for (size_t i = 0; i < w->count; i++)
		if (w->groups[i].events & IMAP_EVENT_SERVER_METADATA)
			return true;
	return false;
}

void imap_notify_selected(struct imap *s)
{
	if (s->notify != NULL)
		s->notify->uid_next = s->view.uid_next;
}

static void keep_wish(struct imap_notify *n, const struct imap_notify_wish *w)
{
	n->wish = *w;
	n->wish.items = kurir_copy(n->wishes, w->items);
	for (size_t i = 0; i < w->count; i++) {
		const struct imap_notify_group *g = &w->groups[i];
		struct kurir_str *names = kurir_alloc(n->wishes, g->count * sizeof(*names));

		for (size_t k = 0; k < g->count; k++)
			names[k] = kurir_copy(n->wishes, g->names[k]);
		n->wish.groups[i].names = names;
	}
}

/* ---- the selected mailbox ---- */

KURIR_PARKS static int tell_selected(struct imap *s, bool expunge)
{
	struct imap_notify *n = s->notify;
	const struct imap_notify_wish *w = &n->wish;
	int r;

	if (s->state != IMAP_SELECTED || w->selected_events == 0)
		return 0;
	r = imap_update(s, (expunge || w->selected) && (w->selected_events & IMAP_EVENT_EXPUNGE));
	if (r >= 0 && w->items.len > 0 && (w->selected_events & IMAP_EVENT_NEW) &&
	    n->uid_next < s->view.uid_next)
		r = imap_put_new(s, n->uid_next, w->items);
	n->uid_next = s->view.uid_next;
	return r;
}

/* ---- while the client is silent ---- */

/* From now on as with NOTIFY NONE. */
KURIR_PARKS static void overflow(struct imap *s)
{
	imap_puts(s, "* OK [NOTIFICATIONOVERFLOW] Ask for yourself again\r\n");
	s->notify->wish = (struct imap_notify_wish){ .none = true, .items = KURIR_STR("") };
}

KURIR_PARKS static int tell(struct imap *s, bool idle)
{
	struct imap_notify *n = s->notify;
	struct imap_seen now;
	int r = tell_selected(s, idle);

	if (r < 0 || n->wish.count == 0)
		return r;
	r = imap_notify_look(s, &now);
	if (r < 0)
		return r;
	imap_notify_tell(s, &n->seen, &now);
	kurir_arena_free(n->seen.arena);
	n->seen = now;
	return 0;
}

KURIR_PARKS static int wait_for_account(struct imap_watch *w)
{
	struct imap *s = w->s;

	w->modseq = s->notify->modseq;
	return s->notify->wish.none ? -ECANCELED : imap_notify_wait(s, &w->modseq);
}

KURIR_PARKS static int tell_all(struct imap_watch *w)
{
	struct imap_notify *n = w->s->notify;
	int r = tell(w->s, w->idle);

	for (size_t i = 0; r >= 0 && i < n->owner_count; i++)
		n->owners[i].modseq = n->owners[i].now;
	if (r >= 0)
		n->modseq = w->modseq;
	else if (r != -ECANCELED && !w->s->over)
		overflow(w->s);
	return r == -ECANCELED ? r : 0;
}

KURIR_PARKS int imap_notify_while(struct imap *s, kurir_time until, bool idle)
{
	struct imap_watch w = {
		.s = s, .wait = wait_for_account, .tell = tell_all, .idle = idle
	};
	int r = kurir_flush(s->stream, imap_until(s));

	return r < 0 ? r : imap_watch(&w, until);
}

/* ---- the command ---- */

/* Section 3.1: what has to be known of a mailbox for its events to mean something. */
static uint32_t status_items(uint32_t events)
{
	uint32_t items = 0;

	if (events & IMAP_EVENT_NEW)
		items |= IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY;
	if (events & IMAP_EVENT_EXPUNGE)
		items |= IMAP_STATUS_MESSAGES;
	if (events & IMAP_EVENT_FLAGS)
		items |= IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_HIGHESTMODSEQ;
	return items;
}

KURIR_PARKS static int put_statuses(struct imap *s)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->notify->seen.count; i++) {
		const struct kurir_mailbox *m = &s->notify->seen.all[i];
		uint32_t items = status_items(imap_notify_events(s, m));

		if (items != 0)
			r = imap_put_counts(s, m, items);
	}
	return r;
}

KURIR_PARKS static int begin(struct imap *s, const struct imap_notify_wish *wish)
{
	struct kurir_arena *wishes = kurir_arena_new("imap notify");
	struct imap_notify *n = kurir_alloc(wishes, sizeof(*n));
	int r = 0;

	imap_notify_end(s);
	n->wishes = wishes;
	keep_wish(n, wish);
	s->notify = n;
	if (wish->none)
		return 0;
	/* First the number, then what it stands for: what comes between is told twice, not
	 * never. */
	n->modseq = UINT64_MAX;
	r = s->store->wait_account(s->store_self, s->account, &n->modseq, imap_until(s));
	if (r >= 0)
		r = imap_notify_find_owners(s);
	if (r >= 0 && wish->count > 0)
		r = imap_notify_look(s, &n->seen);
	if (r >= 0 && s->state == IMAP_SELECTED)
		r = imap_update(s, true);
	imap_notify_selected(s);
	return r >= 0 && wish->status ? put_statuses(s) : r;
}

KURIR_PARKS void imap_notify(struct imap *s, struct imap_args *a)
{
	struct imap_notify_wish *wish = kurir_alloc(kurir_scratch(), sizeof(*wish));
	int r = imap_can_notify(s) ? imap_notify_parse(a, wish) : -EOPNOTSUPP;

	if (r == -EBADMSG) {
		imap_bad(s, "NOTIFY takes NONE, or SET and groups of events");
		return;
	}
	if (r == -ENOTSUP) {
		imap_no(s, "[BADEVENT (" IMAP_EVENTS_KNOWN ")] No such event");
		return;
	}
	if (r >= 0)
		r = begin(s, wish);
	if (r < 0)
		imap_notify_end(s);
	if (r == -E2BIG)
		imap_no(s, "[NOTIFICATIONOVERFLOW] There are too many mailboxes");
	else
		imap_done(s, r);
}
