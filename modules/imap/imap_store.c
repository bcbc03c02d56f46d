/* imap_store.c - STORE, COPY and MOVE with their UID forms (RFC 3501 sections 6.4.6, 6.4.7; RFC
 * 6851;
 * UIDPLUS, RFC 4315). */

#include <errno.h>

#include "imap.h"

/* store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP flag-list */
static int parse_store(struct imap *s, struct imap_args *a, struct kurir_change *c, bool *silent)
{
	struct kurir_str name;

	if (imap_set_arg(s, a, &c->uids) < 0 || !imap_space(a))
		return -EBADMSG;
	c->kind = KURIR_CHANGE_FLAGS_SET;
	if (imap_take(a, '+'))
		c->kind = KURIR_CHANGE_FLAGS_ADD;
	else if (imap_take(a, '-'))
		c->kind = KURIR_CHANGE_FLAGS_REMOVE;
	if (imap_atom(a, &name) < 0 || !imap_space(a))
		return -EBADMSG;
	*silent = kurir_str_equal_nocase(name, KURIR_STR("FLAGS.SILENT"));
	if (!*silent && !kurir_str_equal_nocase(name, KURIR_STR("FLAGS")))
		return -EBADMSG;
	if (imap_flags(a, &c->flags, &c->keywords) < 0 || !imap_end(a))
		return -EBADMSG;
	return 0;
}

static void set_locally(struct imap *s, const struct kurir_change *c)
{
	for (size_t i = 0; i < s->view.count; i++) {
		struct kurir_message *m = &s->messages[i];

		if (!kurir_uid_set_has(&c->uids, m->uid))
			continue;
		if (c->kind == KURIR_CHANGE_FLAGS_ADD)
			m->flags |= c->flags;
		else if (c->kind == KURIR_CHANGE_FLAGS_REMOVE)
			m->flags &= ~c->flags;
		else
			m->flags = (m->flags & KURIR_MESSAGE_RECENT) | c->flags;
		if (c->kind == KURIR_CHANGE_FLAGS_SET)
			m->keywords = kurir_copy(s->box, c->keywords);
	}
}

KURIR_PARKS void imap_store(struct imap *s, struct imap_args *a)
{
	struct kurir_change change = { .target = KURIR_STR("") };
	struct kurir_changed changed;
	bool silent = false;
	int r;

	if (parse_store(s, a, &change, &silent) < 0) {
		imap_bad(s, "STORE takes a set, FLAGS, and a list of flags");
		return;
	}
	if (s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	r = s->store->change(s->store_self, s->account, s->mailbox, &change, imap_until(s),
	    kurir_scratch(), &changed);
	/* Silent: the client knows its own change, so that only those of others are told. */
	if (r >= 0 && silent)
		set_locally(s, &change);
	if (r >= 0)
		r = imap_update(s, false);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	imap_ok(s, "Done");
}

KURIR_PARKS static void copy(struct imap *s, struct imap_args *a, enum kurir_change_kind kind)
{
	struct kurir_change change = { .kind = kind, .keywords = KURIR_STR("") };
	struct kurir_changed changed;
	int r;

	if (imap_set_arg(s, a, &change.uids) < 0 || !imap_space(a) ||
	    imap_mailbox(a, &change.target) < 0 || !imap_end(a)) {
		imap_bad(s, "This takes a set and a mailbox");
		return;
	}
	if (kind == KURIR_CHANGE_MOVE && s->read_only) {
		imap_no(s, "[READ-ONLY] Nothing can be changed");
		return;
	}
	r = s->store->change(s->store_self, s->account, s->mailbox, &change, imap_until(s),
	    kurir_scratch(), &changed);
	if (r == -ENOENT) {
		imap_no(s, "[TRYCREATE] No such mailbox");
		return;
	}
	if (r >= 0 && kind == KURIR_CHANGE_MOVE && changed.uids.count > 0) {
		kurir_printf(s->stream, "* OK [COPYUID %u ", changed.target_validity);
		imap_put_uids(s, &changed.uids);
		imap_puts(s, " ");
		imap_put_uids(s, &changed.target);
		imap_puts(s, "] Moved\r\n");
	}
	if (r >= 0)
		r = imap_update(s, kind == KURIR_CHANGE_MOVE);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	if (kind == KURIR_CHANGE_MOVE || changed.uids.count == 0) {
		imap_ok(s, "Done");
		return;
	}
	kurir_printf(
	    s->stream, "%.*s OK [COPYUID %u ", KURIR_ARG(s->tag), changed.target_validity);
	imap_put_uids(s, &changed.uids);
	imap_puts(s, " ");
	imap_put_uids(s, &changed.target);
	imap_puts(s, "] Done\r\n");
}

KURIR_PARKS void imap_copy(struct imap *s, struct imap_args *a)
{
	copy(s, a, KURIR_CHANGE_COPY);
}

KURIR_PARKS void imap_move(struct imap *s, struct imap_args *a)
{
	copy(s, a, KURIR_CHANGE_MOVE);
}
