/* imap_notify_others.c - mailboxes of others that a client wants to hear of by name (RFC 5465).
 * It hears of those that it may look up, and of their messages where it may read (RFC 4314). */

#include <errno.h>

#include "imap_notify.h"

#define TRIES 10 /* while mailboxes are renamed */

static int add_owner(struct imap_notify *n, const struct imap *s, struct kurir_str name)
{
	struct kurir_str owner;

	if (!imap_others_owner(name, &owner) || kurir_str_equal(owner, s->account))
		return 0;
	for (size_t i = 0; i < n->owner_count; i++)
		if (kurir_str_equal(n->owners[i].account, owner))
			return 0;
	if (n->owner_count == IMAP_NOTIFY_OWNERS)
		return -E2BIG;
	n->owners[n->owner_count++].account = kurir_copy(n->wishes, owner);
	return 0;
}

/* First the number, then what it stands for.  The store is asked for something before, as it may
 * not have an account yet to which nothing was written. */
KURIR_PARKS static int begin(struct imap *s, struct imap_notify_owner *o)
{
	struct kurir_entry *none;
	size_t count;
	int r = s->store->entries(s->store_self, o->account, KURIR_STR(""), imap_until(s),
	    kurir_scratch(), &none, &count);

	o->modseq = UINT64_MAX;
	return r < 0
	    ? r
	    : s->store->wait_account(s->store_self, o->account, &o->modseq, imap_until(s));
}

KURIR_PARKS int imap_notify_find_owners(struct imap *s)
{
	struct imap_notify *n = s->notify;
	size_t there = 0;
	int r = 0;

	for (size_t i = 0; imap_has_acl(s) && i < n->wish.count; i++)
		for (size_t k = 0; r >= 0 && k < n->wish.groups[i].count; k++)
			r = add_owner(n, s, n->wish.groups[i].names[k]);
	for (size_t i = 0; r >= 0 && i < n->owner_count; i++) {
		r = imap_account_exists(s, n->owners[i].account);
		if (r > 0)
			n->owners[there++] = n->owners[i];
	}
	n->owner_count = there;
	for (size_t i = 0; r >= 0 && i < there; i++)
		r = begin(s, &n->owners[i]);
	return r < 0 ? r : 0;
}

/* As the client knows it: 1; 0: it does not, or does not want to; -ENOENT: it has just got
 * another name, or has gone. */
KURIR_PARKS static int look_at(
    struct imap *s, struct kurir_str owner, struct imap_seen *seen, struct kurir_mailbox *m)
{
	struct kurir_str name = m->name;
	int r;

	m->flags &= KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_CHILDREN;
	m->name =
	    kurir_format(seen->arena, IMAP_OTHERS "%.*s/%.*s", KURIR_ARG(owner), KURIR_ARG(name));
	m->id = kurir_format(seen->arena, "%.*s/%.*s", KURIR_ARG(owner), KURIR_ARG(m->id));
	if ((m->flags & KURIR_MAILBOX_NOSELECT) || imap_notify_events(s, m) == 0)
		return 0;
	r = imap_rights_of(s, s->account, owner, name);
	if (r < 0)
		return r;
	if (!(r & IMAP_RIGHT_READ)) {
		m->flags |= IMAP_MAILBOX_UNREADABLE;
		m->uid_validity = m->uid_next = m->messages = m->unseen = 0;
		m->modseq = 0;
	}
	return r & IMAP_RIGHT_LOOKUP ? 1 : 0;
}

/* Those of the owner, as they are called now. */
KURIR_PARKS static int list(struct imap *s, struct kurir_str owner, struct imap_seen *seen,
    struct kurir_mailbox **ret, size_t *ret_count)
{
	size_t count;
	int r = s->store->list(
	    s->store_self, owner, KURIR_LIST_COUNTS, imap_until(s), seen->arena, ret, &count);

	*ret_count = 0;
	if (r >= 0 && count > IMAP_NOTIFY_MOST)
		r = -E2BIG;
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());

		r = look_at(s, owner, seen, &(*ret)[i]);
		if (r > 0)
			(*ret)[(*ret_count)++] = (*ret)[i];
		kurir_rewind(kurir_scratch(), mark);
	}
	return r;
}

KURIR_PARKS static int look_at_owner(
    struct imap *s, struct kurir_str owner, struct imap_seen *seen)
{
	struct kurir_mailbox *all, *both;
	size_t kept = 0;
	int r = imap_account_exists(s, owner);

	if (r <= 0)
		return r;
	r = -ENOENT;
	for (unsigned n = 0; r == -ENOENT && n < TRIES; n++)
		r = list(s, owner, seen, &all, &kept);
	if (r < 0 || kept == 0)
		return r < 0 ? r : 0;
	both = kurir_alloc(seen->arena, (seen->count + kept) * sizeof(*both));
	for (size_t i = 0; i < seen->count + kept; i++)
		both[i] = i < seen->count ? seen->all[i] : all[i - seen->count];
	seen->all = both;
	seen->count += kept;
	return 0;
}

KURIR_PARKS int imap_notify_look_at_others(struct imap *s, struct imap_seen *seen)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->notify->owner_count; i++)
		r = look_at_owner(s, s->notify->owners[i].account, seen);
	return r;
}
