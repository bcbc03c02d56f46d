/* imap_list.c - LIST (RFC 9051 section 6.3.9, its replies in section 7.3.1; CHILDREN, RFC 3348;
 * SPECIAL-USE, RFC 6154; LIST-STATUS, RFC 5819; LIST-METADATA, RFC 9590; LIST-MYRIGHTS, RFC
 * 8440).
 *
 *   mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
 *                  [SP mbox-list-extended]
 *   childinfo-extended-item = "CHILDINFO" SP "(" "SUBSCRIBED" / "SPECIAL-USE" ")" */

#include <errno.h>

#include "imap_list.h"

static const struct {
	uint32_t flag;
	const char *name;
} special[] = {
	{ KURIR_MAILBOX_ALL, " \\All" },
	{ KURIR_MAILBOX_FLAGGED, " \\Flagged" },
	{ KURIR_MAILBOX_IMPORTANT, " \\Important" },
	{ KURIR_MAILBOX_DRAFTS, " \\Drafts" },
	{ KURIR_MAILBOX_SENT, " \\Sent" },
	{ KURIR_MAILBOX_TRASH, " \\Trash" },
	{ KURIR_MAILBOX_JUNK, " \\Junk" },
	{ KURIR_MAILBOX_ARCHIVE, " \\Archive" },
};

KURIR_PARKS int imap_put_list(struct imap *s, const char *verb, const struct kurir_mailbox *m,
    uint32_t options, bool child_info)
{
	bool modern = (options & IMAP_LIST_EXTENDED) || (s->enabled & IMAP_REV2);

	kurir_printf(s->stream, "* %s (%s", verb,
	    m->flags & KURIR_MAILBOX_CHILDREN ? "\\HasChildren" : "\\HasNoChildren");
	if (m->flags & KURIR_MAILBOX_NOSELECT)
		imap_puts(s, modern ? " \\NonExistent" : " \\Noselect");
	if ((options & IMAP_LIST_SAY_SUBSCRIBED) && (m->flags & KURIR_MAILBOX_SUBSCRIBED))
		imap_puts(s, " \\Subscribed");
	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
		if (m->flags & special[i].flag)
			imap_puts(s, special[i].name);
	imap_puts(s, ") \"/\" ");
	imap_put_mailbox(s, m->name);
	if (child_info)
		imap_puts(s,
		    options & IMAP_LIST_SUBSCRIBED ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))"
						   : " (\"CHILDINFO\" (\"SPECIAL-USE\"))");
	return imap_puts(s, "\r\n");
}

bool imap_is_below(struct kurir_str name, struct kurir_str parent)
{
	return name.len > parent.len && name.ptr[parent.len] == '/' &&
	    kurir_str_starts(name, parent);
}

/* A name that is subscribed and is no mailbox is shown to who asks for subscriptions. */
static bool hidden(const struct imap_list *l, const struct kurir_mailbox *m)
{
	return (m->flags & KURIR_MAILBOX_NOSELECT) && !(m->flags & KURIR_MAILBOX_CHILDREN) &&
	    !(l->options & IMAP_LIST_SUBSCRIBED);
}

/* Whether a mailbox is one of those that were asked for. */
static bool chosen(const struct imap_list *l, const struct kurir_mailbox *m)
{
	if ((l->options & IMAP_LIST_SUBSCRIBED) && !(m->flags & KURIR_MAILBOX_SUBSCRIBED))
		return false;
	return !(l->options & IMAP_LIST_SPECIAL) || (m->flags & KURIR_MAILBOX_USES);
}

/* Such a mailbox below it, that the client does not hear of because of the patterns. */
static bool chosen_below(const struct imap_list *l, const struct kurir_mailbox *all, size_t count,
    const struct kurir_mailbox *m)
{
	for (size_t i = 0; i < count; i++)
		if (imap_is_below(all[i].name, m->name) && chosen(l, &all[i]) &&
		    !imap_list_matches(l, all[i].name))
			return true;
	return false;
}

/* Rights that were taken away meanwhile are none to tell of. */
KURIR_PARKS static int put_rights(struct imap *s, struct kurir_str mailbox)
{
	struct imap_place place;
	int r = imap_place_find(s, mailbox, 0, &place);

	return r == -ENOENT ? 0 : r < 0 ? r : imap_put_myrights(s, &place);
}

KURIR_PARKS static int put_matching(
    struct imap *s, const struct imap_list *l, const struct kurir_mailbox *all, size_t count)
{
	uint64_t longest = 0;
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		bool below = false;

		if (!imap_list_matches(l, all[i].name) || hidden(l, &all[i]))
			continue;
		if (l->options & IMAP_LIST_RECURSIVE)
			below = chosen_below(l, all, count, &all[i]);
		if (!below && !chosen(l, &all[i]))
			continue;
		r = imap_put_list(s, "LIST", &all[i], l->options, below);
		if ((l->options & IMAP_LIST_SAY_STATUS) &&
		    !(all[i].flags & (KURIR_MAILBOX_NOSELECT | IMAP_MAILBOX_UNREADABLE)))
			r = imap_put_counts(s, &all[i], l->status);
		if (r >= 0 && (l->options & IMAP_LIST_SAY_RIGHTS) &&
		    !(all[i].flags & KURIR_MAILBOX_NOSELECT))
			r = put_rights(s, all[i].name);
		if (r >= 0 && l->metadata && !(all[i].flags & KURIR_MAILBOX_NOSELECT) &&
		    !imap_is_others(all[i].name))
			r = imap_put_metadata(s, all[i].name, l->metadata, &longest);
	}
	return r;
}

KURIR_PARKS void imap_list(struct imap *s, struct imap_args *a)
{
	struct imap_list *l = kurir_alloc(kurir_scratch(), sizeof(*l));
	struct kurir_mailbox *all;
	size_t count;
	int r;

	if (imap_list_parse(a, l) < 0 || (l->metadata && !imap_has_metadata(s)) ||
	    ((l->options & IMAP_LIST_SAY_RIGHTS) && !imap_has_acl(s))) {
		imap_bad(s, "LIST takes a reference and patterns");
		return;
	}
	if (l->count == 1 && l->patterns[0].len == 0 && !(l->options & IMAP_LIST_EXTENDED)) {
		imap_puts(s, "* LIST (\\Noselect) \"/\" \"\"\r\n");
		imap_ok(s, "Done");
		return;
	}
	r = s->store->list(s->store_self, s->account,
	    l->options & IMAP_LIST_SAY_STATUS ? KURIR_LIST_COUNTS : 0, imap_until(s),
	    kurir_scratch(), &all, &count);
	if (r >= 0)
		r = imap_others_add(s, l, &all, &count);
	if (r >= 0)
		r = put_matching(s, l, all, count);
	imap_done(s, r);
}

KURIR_PARKS int imap_put_list_of(struct imap *s, struct kurir_str mailbox)
{
	struct kurir_mailbox *all;
	size_t count;
	int r;

	if (imap_is_others(mailbox)) {
		struct kurir_mailbox m = { .name = mailbox };

		return imap_put_list(s, "LIST", &m, IMAP_LIST_EXTENDED, false);
	}
	r = s->store->list(
	    s->store_self, s->account, 0, imap_until(s), kurir_scratch(), &all, &count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (kurir_str_equal(all[i].name, mailbox))
			r = imap_put_list(s, "LIST", &all[i], IMAP_LIST_EXTENDED, false);
	return r;
}
