/* imap_mailbox.c - SELECT and its kin, STATUS, and the life of mailboxes (RFC 3501 sections
 * 6.3, 6.4). */

#include <errno.h>

#include "imap.h"

/* First unseen message's sequence number, or 0. */
static size_t first_unseen(const struct imap *s)
{
	for (size_t i = 0; i < s->view.count; i++)
		if (!(s->messages[i].flags & KURIR_MESSAGE_SEEN))
			return i + 1;
	return 0;
}

KURIR_PARKS static void open_mailbox(struct imap *s, struct imap_args *a, bool read_only)
{
	struct kurir_str name;
	size_t recent = 0, unseen;
	int r;

	if (imap_mailbox(a, &name) < 0 || !imap_end(a)) {
		imap_view_close(s);
		imap_bad(s, "This takes the name of a mailbox");
		return;
	}
	r = imap_view_open(s, name, read_only);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	for (size_t i = 0; i < s->view.count; i++)
		recent += (s->messages[i].flags & KURIR_MESSAGE_RECENT) != 0;
	imap_puts(s, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n");
	imap_puts(s,
	    read_only
		? "* OK [PERMANENTFLAGS ()] Nothing can be changed\r\n"
		: "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] "
		  "And keywords\r\n");
	kurir_printf(s->stream, "* %zu EXISTS\r\n* %zu RECENT\r\n", s->view.count, recent);
	unseen = first_unseen(s);
	if (unseen > 0)
		kurir_printf(s->stream, "* OK [UNSEEN %zu] The first unseen\r\n", unseen);
	kurir_printf(s->stream,
	    "* OK [UIDVALIDITY %u] UIDs are valid\r\n* OK [UIDNEXT %u] The next\r\n",
	    s->view.uid_validity, s->view.uid_next);
	imap_ok(s, read_only ? "[READ-ONLY] Done" : "[READ-WRITE] Done");
}

KURIR_PARKS void imap_select(struct imap *s, struct imap_args *a)
{
	open_mailbox(s, a, false);
}

KURIR_PARKS void imap_examine(struct imap *s, struct imap_args *a)
{
	open_mailbox(s, a, true);
}

KURIR_PARKS static void manage(struct imap *s, struct imap_args *a, enum kurir_manage_kind kind)
{
	struct kurir_str name, other = KURIR_STR(""), id;
	struct kurir_manage what;
	int r = imap_mailbox(a, &name);

	if (r >= 0 && kind == KURIR_MANAGE_RENAME &&
	    (!imap_space(a) || imap_mailbox(a, &other) < 0))
		r = -EBADMSG;
	if (r < 0 || !imap_end(a)) {
		imap_bad(s, "This takes the name of a mailbox");
		return;
	}
	/* A trailing separator says that mailboxes are to be made below; 6.3.3 */
	if (kind == KURIR_MANAGE_CREATE && name.len > 1 && name.ptr[name.len - 1] == '/')
		name.len--;
	what = (struct kurir_manage){ .kind = kind, .mailbox = name, .new_name = other };
	r = s->store->manage(
	    s->store_self, s->account, &what, imap_until(s), kurir_scratch(), &id);
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}

KURIR_PARKS void imap_create(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_CREATE);
}

KURIR_PARKS void imap_delete(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_DELETE);
}

KURIR_PARKS void imap_rename(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_RENAME);
}

KURIR_PARKS void imap_subscribe(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_SUBSCRIBE);
}

KURIR_PARKS void imap_unsubscribe(struct imap *s, struct imap_args *a)
{
	manage(s, a, KURIR_MANAGE_UNSUBSCRIBE);
}

/* status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" */
KURIR_PARKS static int put_status(
    struct imap *s, struct imap_args *a, const struct kurir_mailbox_view *v)
{
	size_t recent = 0, unseen = 0;
	const char *before = "";
	struct kurir_str item;

	for (size_t i = 0; i < v->count; i++) {
		recent += (v->messages[i].flags & KURIR_MESSAGE_RECENT) != 0;
		unseen += !(v->messages[i].flags & KURIR_MESSAGE_SEEN);
	}
	do {
		unsigned long long n;

		if (imap_atom(a, &item) < 0)
			return -EBADMSG;
		if (kurir_str_equal_nocase(item, KURIR_STR("MESSAGES")))
			n = v->count;
		else if (kurir_str_equal_nocase(item, KURIR_STR("RECENT")))
			n = recent;
		else if (kurir_str_equal_nocase(item, KURIR_STR("UIDNEXT")))
			n = v->uid_next;
		else if (kurir_str_equal_nocase(item, KURIR_STR("UIDVALIDITY")))
			n = v->uid_validity;
		else if (kurir_str_equal_nocase(item, KURIR_STR("UNSEEN")))
			n = unseen;
		else
			return -EBADMSG;
		kurir_printf(s->stream, "%s%.*s %llu", before, KURIR_ARG(item), n);
		before = " ";
	} while (imap_space(a));
	return imap_take(a, ')') && imap_end(a) ? 0 : -EBADMSG;
}

/* Whether the items can be answered; looks at a copy of the arguments. */
static bool status_items(struct imap_args a)
{
	static const char *const known[] = { "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY",
		"UNSEEN" };
	struct kurir_str item;

	do {
		bool found = false;

		if (imap_atom(&a, &item) < 0)
			return false;
		for (size_t i = 0; i < 5; i++)
			found |= kurir_str_equal_nocase(item, kurir_str_of(known[i]));
		if (!found)
			return false;
	} while (imap_space(&a));
	return imap_take(&a, ')') && imap_end(&a);
}

/* 6.3.10 */
KURIR_PARKS void imap_status(struct imap *s, struct imap_args *a)
{
	struct kurir_mailbox_view v;
	struct kurir_arena *box;
	struct kurir_str name;
	int r;

	if (imap_mailbox(a, &name) < 0 || !imap_space(a) || !imap_take(a, '(') ||
	    !status_items(*a)) {
		imap_bad(s, "STATUS takes a mailbox and a list of items");
		return;
	}
	box = kurir_arena_new("imap status");
	r = s->store->view(s->store_self, s->account, name, false, imap_until(s), box, &v);
	if (r >= 0) {
		imap_puts(s, "* STATUS ");
		imap_put_mailbox(s, name);
		imap_puts(s, " (");
		put_status(s, a, &v);
		imap_puts(s, ")\r\n");
	}
	kurir_arena_free(box);
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}

/* 6.4.1 */
KURIR_PARKS void imap_check(struct imap *s, struct imap_args *a)
{
	imap_noop(s, a);
}

/* 6.4.2: removes what is marked, and says nothing of it. */
KURIR_PARKS void imap_close(struct imap *s, struct imap_args *a)
{
	struct kurir_uid_range all = { 1, UINT32_MAX };
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = { 1, &all },
		.keywords = KURIR_STR(""),
		.target = KURIR_STR("") };
	struct kurir_changed changed;
	int r = 0;

	(void)a;
	if (!s->read_only)
		r = s->store->change(s->store_self, s->account, s->mailbox, &change,
		    imap_until(s), kurir_scratch(), &changed);
	imap_view_close(s);
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}

/* RFC 3691 */
KURIR_PARKS void imap_unselect(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_view_close(s);
	imap_ok(s, "Done");
}

/* 6.4.3, and UID EXPUNGE of RFC 4315 */
KURIR_PARKS void imap_expunge(struct imap *s, struct imap_args *a)
{
	struct kurir_uid_range all = { 1, UINT32_MAX };
	struct kurir_change change = { .kind = KURIR_CHANGE_EXPUNGE,
		.uids = { 1, &all },
		.keywords = KURIR_STR(""),
		.target = KURIR_STR("") };
	struct kurir_changed changed;
	int r;

	if ((s->by_uid && imap_set_arg(s, a, &change.uids) < 0) || !imap_end(a)) {
		imap_bad(s, "UID EXPUNGE takes a set, EXPUNGE nothing");
		return;
	}
	if (s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	r = s->store->change(s->store_self, s->account, s->mailbox, &change, imap_until(s),
	    kurir_scratch(), &changed);
	if (r >= 0)
		r = imap_update(s, true);
	kurir_count(s->self, IMAP_EXPUNGED, 1);
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}
