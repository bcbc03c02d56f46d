/* imap_select.c - SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3; CONDSTORE, RFC 7162).
 *
 *   select        = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]
 *   select-param  = "CONDSTORE" / "QRESYNC" SP "(" ... ")"      ; imap_qresync.c */

#include <errno.h>

#include "imap_notify.h"
#include "imap_qresync.h"

/* One that needs something of us in every reply from now on; not before it was enabled. */
static int parameter(struct imap *s, struct imap_args *a, struct imap_qresync *q)
{
	if (imap_take_word(a, "CONDSTORE"))
		return 0;
	if (q->given || !(s->enabled & IMAP_QRESYNC) || !imap_take_word(a, "QRESYNC"))
		return -EBADMSG;
	return imap_qresync_parse(a, q);
}

static int parse(
    struct imap *s, struct imap_args *a, struct kurir_str *ret, struct imap_qresync *q)
{
	if (imap_mailbox(a, ret) < 0)
		return -EBADMSG;
	if (imap_end(a))
		return 0;
	if (!imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	do
		if (parameter(s, a, q) < 0)
			return -EBADMSG;
	while (imap_space(a));
	if (!imap_take(a, ')') || !imap_end(a))
		return -EBADMSG;
	s->enabled |= IMAP_CONDSTORE;
	return 0;
}

/* IMAP4rev1 only: how many are recent, and which is the first unseen. */
KURIR_PARKS static void put_counts(struct imap *s, uint32_t unseen)
{
	imap_put_recent(s);
	if (unseen > 0 && !(s->enabled & IMAP_UIDONLY))
		kurir_printf(s->stream, "* OK [UNSEEN %zu] The first unseen\r\n",
		    imap_box_index(&s->box, unseen) + 1);
}

KURIR_PARKS static void open_mailbox(struct imap *s, struct imap_args *a, bool read_only)
{
	bool selected = s->state == IMAP_SELECTED;
	struct imap_qresync resync = { .given = false };
	struct kurir_str name;
	uint32_t unseen = 0;
	int r = parse(s, a, &name, &resync);

	if (r < 0)
		imap_view_close(s);
	else
		r = imap_view_open(s, name, read_only, &unseen);
	if (selected && (s->enabled & (IMAP_REV2 | IMAP_CONDSTORE)))
		imap_puts(s, "* OK [CLOSED] The other mailbox is closed\r\n");
	if (r == -EBADMSG) {
		imap_bad(s, "This takes the name of a mailbox");
		return;
	}
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	imap_notify_selected(s);
	imap_put_keywords(s);
	kurir_printf(s->stream, "* %zu EXISTS\r\n", s->box.count);
	if (!(s->enabled & IMAP_REV2))
		put_counts(s, unseen);
	kurir_printf(s->stream,
	    "* OK [UIDVALIDITY %u] UIDs are valid\r\n* OK [UIDNEXT %u] The next\r\n",
	    s->view.uid_validity, s->view.uid_next);
	kurir_printf(s->stream, "* OK [HIGHESTMODSEQ %llu] The last change\r\n",
	    (unsigned long long)s->view.modseq);
	if (s->box.id.len > 0)
		kurir_printf(
		    s->stream, "* OK [MAILBOXID (%.*s)] Its id\r\n", KURIR_ARG(s->box.id));
	if (s->enabled & IMAP_REV2)
		imap_put_list_of(s, s->box.name);
	if (resync.given && (r = imap_put_resync(s, &resync)) < 0) {
		imap_view_close(s);
		imap_failed(s, r);
		return;
	}
	imap_ok(s, s->read_only ? "[READ-ONLY] Done" : "[READ-WRITE] Done");
}

KURIR_PARKS void imap_select(struct imap *s, struct imap_args *a)
{
	open_mailbox(s, a, false);
}

KURIR_PARKS void imap_examine(struct imap *s, struct imap_args *a)
{
	open_mailbox(s, a, true);
}
