/* imap_notify_tell.c - what became of the mailboxes of an account since they were looked at
 * (RFC 5465 section 5): LIST for names and subscriptions, STATUS for messages, METADATA for
 * entries. */

#include <errno.h>
#include <stdlib.h>

#include "imap_notify.h"

/* By id, as that stays when a mailbox is renamed; names that are no mailboxes have none. */
static int compare(const void *a, const void *b)
{
	const struct kurir_mailbox *x = a, *y = b;
	int r = kurir_str_compare(x->id, y->id);

	return r != 0 ? r : x->id.len > 0 ? 0 : kurir_str_compare(x->name, y->name);
}

KURIR_PARKS static int entries_of(struct imap *s, struct kurir_str mailbox,
    struct kurir_arena *arena, struct imap_seen_entries *ret)
{
	size_t left = 0;
	int r;

	if (!imap_has_metadata(s))
		return 0;
	r = s->store->entries(
	    s->store_self, s->account, mailbox, imap_until(s), arena, &ret->all, &ret->count);
	for (size_t i = 0; r >= 0 && i < ret->count; i++) /* not those of imap_place.h */
		if (kurir_str_starts(ret->all[i].name, KURIR_STR("/")))
			ret->all[left++] = ret->all[i];
	ret->count = r < 0 ? 0 : left;
	return r;
}

KURIR_PARKS static int look_at_entries(struct imap *s, struct imap_seen *seen)
{
	size_t wanted = 0;
	int r = 0;

	seen->entries = kurir_alloc(seen->arena, (seen->count + 1) * sizeof(*seen->entries));
	for (size_t i = 0; r >= 0 && i < seen->count; i++) {
		const struct kurir_mailbox *m = &seen->all[i];

		if ((m->flags & KURIR_MAILBOX_NOSELECT) ||
		    !(imap_notify_events(s, m) & IMAP_EVENT_METADATA))
			continue;
		r = ++wanted > IMAP_NOTIFY_MOST_ENTRIES
		    ? -E2BIG
		    : entries_of(s, m->name, seen->arena, &seen->entries[i]);
		if (r == -ENOENT) /* it has just gone */
			r = 0;
	}
	if (r >= 0 && imap_notify_server(s))
		r = entries_of(s, KURIR_STR(""), seen->arena, &seen->entries[seen->count]);
	return r < 0 ? r : 0;
}

KURIR_PARKS int imap_notify_look(struct imap *s, struct imap_seen *ret)
{
	struct imap_seen seen = { .arena = kurir_arena_new("imap notify") };
	int r = s->store->list(s->store_self, s->account, KURIR_LIST_COUNTS, imap_until(s),
	    seen.arena, &seen.all, &seen.count);

	if (r >= 0)
		r = imap_notify_look_at_others(s, &seen);
	if (r >= 0 && seen.count > IMAP_NOTIFY_MOST)
		r = -E2BIG;
	if (r >= 0 && seen.count > 0)
		qsort(seen.all, seen.count, sizeof(*seen.all), compare);
	if (r >= 0)
		r = look_at_entries(s, &seen);
	if (r < 0)
		kurir_arena_free(seen.arena);
	else
		*ret = seen;
	return r < 0 ? r : 0;
}

/* ---- names ---- */

/* One that is there no more. */
KURIR_PARKS static void put_gone(struct imap *s, struct kurir_str name)
{
	imap_puts(s, "* LIST (\\NonExistent) \"/\" ");
	imap_put_mailbox(s, name);
	imap_puts(s, "\r\n");
}

KURIR_PARKS static void put_renamed(
    struct imap *s, const struct kurir_mailbox *m, struct kurir_str old)
{
	kurir_printf(s->stream, "* LIST (%s%s) \"/\" ",
	    m->flags & KURIR_MAILBOX_CHILDREN ? "\\HasChildren" : "\\HasNoChildren",
	    m->flags & KURIR_MAILBOX_SUBSCRIBED ? " \\Subscribed" : "");
	imap_put_mailbox(s, m->name);
	imap_puts(s, " (\"OLDNAME\" (");
	imap_put_mailbox(s, old);
	imap_puts(s, "))\r\n");
}

/* It went along with one above it, which is told of. */
static bool went_along(struct kurir_str old, struct kurir_str now)
{
	ssize_t a = kurir_str_find_last(old, '/'), b = kurir_str_find_last(now, '/');

	return a > 0 && b > 0 &&
	    kurir_str_equal(kurir_str_part(old, (size_t)a, old.len),
		kurir_str_part(now, (size_t)b, now.len)) &&
	    !kurir_str_equal(
		kurir_str_part(old, 0, (size_t)a), kurir_str_part(now, 0, (size_t)b));
}

/* One that came or went: its direct parent is affected, too (section 5.4). */
KURIR_PARKS static void tell_parent(
    struct imap *s, struct kurir_str name, const struct imap_seen *now)
{
	ssize_t slash = kurir_str_find_last(name, '/');
	struct kurir_str parent = kurir_str_part(name, 0, slash < 0 ? 0 : (size_t)slash);

	for (size_t i = 0; parent.len > 0 && i < now->count; i++)
		if (kurir_str_equal(now->all[i].name, parent) &&
		    (imap_notify_events(s, &now->all[i]) & IMAP_EVENT_NAME))
			imap_put_list(s, "LIST", &now->all[i],
			    IMAP_LIST_EXTENDED | IMAP_LIST_SAY_SUBSCRIBED, false);
}

KURIR_PARKS static void tell_came(
    struct imap *s, const struct kurir_mailbox *m, const struct imap_seen *now)
{
	uint32_t events = imap_notify_events(s, m);

	if (events & (m->id.len > 0 ? IMAP_EVENT_NAME : IMAP_EVENT_SUBSCRIPTION))
		imap_put_list(s, "LIST", m, IMAP_LIST_EXTENDED | IMAP_LIST_SAY_SUBSCRIBED, false);
	if (m->id.len > 0)
		tell_parent(s, m->name, now);
}

KURIR_PARKS static void tell_went(
    struct imap *s, const struct kurir_mailbox *m, const struct imap_seen *now)
{
	uint32_t events = imap_notify_events(s, m);

	/* A name that was subscribed, and that a mailbox has now. */
	for (size_t i = 0; m->id.len == 0 && i < now->count; i++)
		if (kurir_str_equal(now->all[i].name, m->name))
			return;
	if (events & (m->id.len > 0 ? IMAP_EVENT_NAME : IMAP_EVENT_SUBSCRIPTION))
		put_gone(s, m->name);
	if (m->id.len > 0)
		tell_parent(s, m->name, now);
}

/* ---- messages ---- */

KURIR_PARKS static void tell_messages(struct imap *s, const struct kurir_mailbox *was,
    const struct kurir_mailbox *m, uint32_t events)
{
	uint32_t items = 0;
	bool condstore = (s->enabled & (IMAP_CONDSTORE | IMAP_QRESYNC)) != 0;

	if (m->modseq == was->modseq && m->uid_validity == was->uid_validity)
		return;
	if (((events & IMAP_EVENT_NEW) && m->uid_next != was->uid_next) ||
	    ((events & IMAP_EVENT_EXPUNGE) &&
		m->messages != was->messages + (m->uid_next - was->uid_next)))
		items |= IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT;
	if (m->uid_validity != was->uid_validity)
		items |= IMAP_STATUS_UIDVALIDITY;
	if ((events & IMAP_EVENT_FLAGS) && (items != 0 || condstore || m->unseen != was->unseen))
		items |= IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_UNSEEN;
	if (items == 0)
		return;
	if (condstore)
		items |= IMAP_STATUS_HIGHESTMODSEQ;
	imap_put_counts(s, m, items);
}

KURIR_PARKS static void tell_both(
    struct imap *s, const struct kurir_mailbox *was, const struct kurir_mailbox *m)
{
	uint32_t events = imap_notify_events(s, m) | imap_notify_events(s, was);
	uint32_t subscribed = (was->flags ^ m->flags) & KURIR_MAILBOX_SUBSCRIBED;

	if (!kurir_str_equal(was->name, m->name)) {
		if ((events & IMAP_EVENT_NAME) && !went_along(was->name, m->name))
			put_renamed(s, m, was->name);
	} else if (subscribed && (events & IMAP_EVENT_SUBSCRIPTION)) {
		imap_put_list(s, "LIST", m, IMAP_LIST_EXTENDED | IMAP_LIST_SAY_SUBSCRIBED, false);
	}
	if (events & IMAP_EVENTS_MESSAGE)
		tell_messages(s, was, m, events);
}

/* ---- entries ---- */

/* The names of those that came, went, or have another value (RFC 5464 section 4.4.2). */
KURIR_PARKS static void tell_entries(struct imap *s, struct kurir_str mailbox,
    const struct imap_seen_entries *was, const struct imap_seen_entries *now)
{
	size_t i = 0, j = 0;
	bool begun = false;

	while (i < was->count || j < now->count) {
		int order = i == was->count ? 1
		    : j == now->count	    ? -1
				      : kurir_str_compare(was->all[i].name, now->all[j].name);
		struct kurir_str name = order < 0 ? was->all[i].name : now->all[j].name;
		bool same = order == 0 && kurir_str_equal(was->all[i].value, now->all[j].value);

		i += order <= 0;
		j += order >= 0;
		if (same)
			continue;
		if (!begun) {
			imap_puts(s, "* METADATA ");
			imap_put_mailbox(s, mailbox);
		}
		begun = true;
		imap_puts(s, " ");
		imap_string(s, name);
	}
	if (begun)
		imap_puts(s, "\r\n");
}

/* ---- all of it ---- */

KURIR_PARKS void imap_notify_tell(
    struct imap *s, const struct imap_seen *was, const struct imap_seen *now)
{
	size_t i = 0, j = 0;

	while (i < was->count || j < now->count) {
		int order = i == was->count ? 1
		    : j == now->count	    ? -1
					    : compare(&was->all[i], &now->all[j]);

		if (order < 0) {
			tell_went(s, &was->all[i++], now);
		} else if (order > 0) {
			tell_came(s, &now->all[j++], now);
		} else {
			tell_both(s, &was->all[i], &now->all[j]);
			tell_entries(s, now->all[j].name, &was->entries[i], &now->entries[j]);
			i++;
			j++;
		}
	}
	tell_entries(s, KURIR_STR(""), &was->entries[was->count], &now->entries[now->count]);
}
