/* imap_others.c - mailboxes of others in LIST and LSUB: those for which there is the right "l"
 * (RFC 4314 section 4).
 *
 * Owners are looked at who gave rights to this account, and those whom a pattern names: so who
 * knows the name finds what is for anyone.  All mailboxes of an owner are asked for rights. */

#include <errno.h>

#include "imap_list.h"

#define OWNERS_MAX 1032 /* entries of an account, and patterns */
#define FOUND_MAX  4096

struct search {
	struct imap *s;
	struct kurir_str owners[OWNERS_MAX];
	size_t owner_count, words; /* so many of them are entries */
	struct kurir_mailbox *found;
	size_t count, room;
	bool shown; /* something of the owner that is looked at */
};

static void add_owner(struct search *f, struct kurir_str owner)
{
	for (size_t i = 0; i < f->owner_count; i++)
		if (kurir_str_equal(f->owners[i], owner))
			return;
	if (f->owner_count < OWNERS_MAX && !kurir_str_equal(owner, f->s->account))
		f->owners[f->owner_count++] = owner;
}

static bool is_wild(char c)
{
	return c == '*' || c == '%';
}

/* "user/OWNER/..." without wildcards so far. */
static void add_named(struct search *f, struct kurir_str pattern)
{
	size_t begin = sizeof(IMAP_OTHERS) - 1, end = begin;

	if (!imap_is_others(pattern))
		return;
	while (end < pattern.len && pattern.ptr[end] != '/' && !is_wild(pattern.ptr[end]))
		end++;
	if (end < pattern.len && pattern.ptr[end] == '/')
		add_owner(f, kurir_str_part(pattern, begin, end - begin));
}

/* Whether a name below "user" can match. */
static bool may_match(struct kurir_str pattern)
{
	struct kurir_str others = KURIR_STR(IMAP_OTHERS);

	for (size_t i = 0; i < pattern.len && i < others.len; i++) {
		if (is_wild(pattern.ptr[i]))
			return true;
		if (pattern.ptr[i] != others.ptr[i])
			return false;
	}
	return pattern.len + 1 >= others.len;
}

KURIR_PARKS static int find_owners(struct search *f, const struct imap_list *l)
{
	struct imap *s = f->s;
	struct kurir_entry *all;
	size_t count;
	bool may = false;
	int r;

	for (size_t i = 0; i < l->count; i++)
		may |= may_match(l->patterns[i]);
	if (!may)
		return 0;
	r = s->store->entries(s->store_self, s->account, KURIR_STR(""), imap_until(s),
	    kurir_scratch(), &all, &count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (kurir_str_starts(all[i].name, KURIR_STR(IMAP_OWNER_ENTRY)))
			add_owner(f,
			    kurir_str_part(
				all[i].name, sizeof(IMAP_OWNER_ENTRY) - 1, all[i].name.len));
	f->words = f->owner_count;
	for (size_t i = 0; i < l->count; i++)
		add_named(f, l->patterns[i]);
	return r < 0 ? r : 0;
}

static void add_found(struct search *f, struct kurir_mailbox m)
{
	if (f->count == FOUND_MAX)
		return;
	if (f->count == f->room) {
		struct kurir_mailbox *old = f->found;

		f->room = f->room * 2 + 16;
		f->found = kurir_alloc(kurir_scratch(), f->room * sizeof(*f->found));
		for (size_t i = 0; i < f->count; i++)
			f->found[i] = old[i];
	}
	f->found[f->count++] = m;
}

static void add_level(struct search *f, struct kurir_str name)
{
	add_found(f,
	    (struct kurir_mailbox){ .name = name,
		.id = KURIR_STR(""),
		.flags = KURIR_MAILBOX_NOSELECT | KURIR_MAILBOX_CHILDREN });
}

/* One of the owner's, if the client may know of it; the first has the levels above in front. */
KURIR_PARKS static int look_at(struct search *f, struct kurir_str owner, struct kurir_mailbox m)
{
	int r = m.flags & KURIR_MAILBOX_NOSELECT
	    ? 0
	    : imap_rights_of(f->s, f->s->account, owner, m.name);

	if (r <= 0 || !(r & IMAP_RIGHT_LOOKUP))
		return r < 0 && r != -ENOENT ? r : 0; /* it may have just gone */
	if (f->count == 0)
		add_level(f, KURIR_STR("user"));
	if (!f->shown)
		add_level(f, kurir_format(kurir_scratch(), IMAP_OTHERS "%.*s", KURIR_ARG(owner)));
	f->shown = true;
	m.flags = r & IMAP_RIGHT_READ ? 0 : IMAP_MAILBOX_UNREADABLE;
	m.name = kurir_format(
	    kurir_scratch(), IMAP_OTHERS "%.*s/%.*s", KURIR_ARG(owner), KURIR_ARG(m.name));
	add_found(f, m);
	return 0;
}

/* A word of an owner who shows nothing any more is not needed. */
KURIR_PARKS static int look_at_owner(struct search *f, struct kurir_str owner, bool word)
{
	struct imap *s = f->s;
	struct kurir_mailbox *all;
	size_t count;
	int r = imap_account_exists(s, owner);

	f->shown = false;
	if (r < 0)
		return r;
	if (r == 0) /* the owner is gone */
		return word ? imap_word_remove(s, s->account, owner) : 0;
	r = s->store->list(s->store_self, owner, KURIR_LIST_COUNTS, imap_until(s),
	    kurir_scratch(), &all, &count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = look_at(f, owner, all[i]);
	if (r >= 0 && word && !f->shown)
		r = imap_word_tidy(s, s->account, owner);
	return r < 0 ? r : 0;
}

/* What is below it, and whether the name is subscribed, is known once all are there. */
static void complete(struct search *f, struct kurir_mailbox *own, size_t *own_count)
{
	size_t left = 0;

	for (size_t i = 0; i < *own_count; i++) {
		bool shown = false;

		for (size_t j = 0; j < f->count && imap_is_others(own[i].name); j++)
			if (kurir_str_equal(f->found[j].name, own[i].name)) {
				f->found[j].flags |= own[i].flags & KURIR_MAILBOX_SUBSCRIBED;
				shown = true;
			}
		if (!shown)
			own[left++] = own[i];
	}
	*own_count = left;
	for (size_t i = 0; i < f->count; i++)
		if (i + 1 < f->count && imap_is_below(f->found[i + 1].name, f->found[i].name))
			f->found[i].flags |= KURIR_MAILBOX_CHILDREN;
}

KURIR_PARKS int imap_others_add(
    struct imap *s, const struct imap_list *l, struct kurir_mailbox **all, size_t *count)
{
	struct search *f = kurir_alloc(kurir_scratch(), sizeof(*f));
	struct kurir_mailbox *both;
	int r = 0;

	if (!imap_has_acl(s))
		return 0;
	f->s = s;
	r = find_owners(f, l);
	for (size_t i = 0; r >= 0 && i < f->owner_count; i++)
		r = look_at_owner(f, f->owners[i], i < f->words);
	if (r < 0 || f->count == 0)
		return r;
	complete(f, *all, count);
	both = kurir_alloc(kurir_scratch(), (*count + f->count) * sizeof(*both));
	for (size_t i = 0; i < *count + f->count; i++)
		both[i] = i < *count ? (*all)[i] : f->found[i - *count];
	*all = both;
	*count += f->count;
	return 0;
}
