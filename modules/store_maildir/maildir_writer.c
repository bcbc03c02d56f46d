/* maildir_writer.c - the endpoint "store.maildir": the store role makes every change of a mailbox,
 * asked by access.  Request: u8 operation, text account, text mailbox, then as each says. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "maildir_private.h"

/* + u8 claim -> u32 first recent UID */
static int op_sync(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    struct kurir_reader *in, struct kurir_buf *reply)
{
	const struct maildir_conf *conf = kurir_conf(self);
	char account_path[MAILDIR_PATH_MAX], path[MAILDIR_PATH_MAX];
	bool claim = kurir_get_u8(in) != 0, changed = false;
	struct maildir_list list;
	uint32_t recent;
	int r = maildir_account_path(conf->root, account, account_path);

	if (r >= 0)
		r = maildir_mailbox_path(conf->root, account, mailbox, path);
	if (r >= 0 && strcmp(path, account_path) == 0)
		r = maildir_make(conf->root.ptr, path);
	if (r >= 0)
		r = maildir_sync(conf, account_path, path, kurir_scratch(), &list, &changed);
	if (r < 0)
		return r;
	kurir_count(self, MAILDIR_SYNCS, 1);
	recent = list.recent;
	if (claim && list.recent != list.next) {
		kurir_count(self, MAILDIR_UIDS, list.next - list.recent);
		list.recent = list.next;
		r = maildir_list_write(&list, path);
	}
	return r < 0 ? r : kurir_put_u32(reply, recent);
}

/* + packed change -> packed result */
static int op_change(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    struct kurir_reader *in, struct kurir_buf *reply)
{
	struct kurir_change change = { .kind = 0 };
	struct kurir_changed changed = { .target_validity = 0 };
	int r = kurir_get_change(in, kurir_scratch(), &change);

	if (r >= 0)
		r = maildir_change(self, account, mailbox, &change, kurir_scratch(), &changed);
	return r < 0 ? r : kurir_put_changed(reply, &changed);
}

/* The file written; now its UID, flags and keywords. */
static int list_appended(struct kurir_self *self, const struct maildir_file *f,
    struct kurir_str keywords, struct kurir_buf *reply)
{
	struct kurir_uid_range *range = kurir_alloc(kurir_scratch(), sizeof(*range));
	struct kurir_changed changed = { .target_validity = 0 };
	struct maildir_list list;
	bool any;
	int r =
	    maildir_sync(kurir_conf(self), f->account, f->mailbox, kurir_scratch(), &list, &any);

	if (r < 0)
		return r;
	for (size_t i = list.count; i > 0; i--) {
		struct maildir_entry *e = &list.entries[i - 1];

		if (!kurir_str_equal(e->file, kurir_str_of(f->made)))
			continue;
		*range = (struct kurir_uid_range){ e->uid, e->uid };
		if (keywords.len > 0) {
			e->keywords = keywords;
			r = maildir_list_write(&list, f->mailbox);
		}
		changed.target_validity = list.validity;
		changed.target = (struct kurir_uid_set){ 1, range };
		return r < 0 ? r : kurir_put_changed(reply, &changed);
	}
	return -EIO;
}

/* + u32 flags, text keywords, u64 date, u64 offset, u64 length, descriptor -> packed result */
KURIR_PARKS static int op_append(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, struct kurir_reader *in, const struct kurir_incoming *incoming,
    struct kurir_buf *reply)
{
	static unsigned serial;
	const struct maildir_conf *conf = kurir_conf(self);
	struct maildir_file *f = kurir_alloc(kurir_scratch(), sizeof(*f));
	struct kurir_str keywords;
	char probe[MAILDIR_PATH_MAX + 8];
	int r;

	f->flags = kurir_get_u32(in);
	keywords = kurir_get_text(in);
	f->date = (int64_t)kurir_get_u64(in);
	f->offset = kurir_get_u64(in);
	f->length = kurir_get_u64(in);
	r = in->error < 0 || incoming->fd < 0
	    ? -EBADMSG
	    : maildir_account_path(conf->root, account, f->account);
	if (r >= 0)
		r = maildir_mailbox_path(conf->root, account, mailbox, f->mailbox);
	if (r < 0)
		return r;
	snprintf(probe, sizeof(probe), "%s/cur", f->mailbox);
	if (strcmp(f->mailbox, f->account) != 0 && access(probe, F_OK) < 0)
		return -ENOENT;
	snprintf(f->name, sizeof(f->name), "%lld.A%ur%u.%.*s",
	    (long long)(kurir_wallclock() / 1000), (unsigned)getpid(), ++serial,
	    (int)(kurir_hostname().len % 100), kurir_hostname().ptr);
	f->to_cur = true;
	f->fd = dup(incoming->fd);
	if (f->fd < 0)
		return -errno;
	r = maildir_pending_write(self, f, KURIR_STR(""), f);
	if (r < 0)
		return r;
	kurir_count(self, MAILDIR_APPENDED, 1);
	return list_appended(self, f, keywords, reply);
}

/* INBOX is emptied into the new one and stays (RFC 9051 section 6.3.6).  When that fails the new
 * one stays if anything is in it. */
static int rename_inbox(struct kurir_self *self, struct kurir_str account, struct kurir_str to)
{
	const struct maildir_conf *conf = kurir_conf(self);
	struct kurir_uid_range all = { 1, UINT32_MAX };
	struct kurir_change move = { .kind = KURIR_CHANGE_MOVE,
		.uids = { 1, &all },
		.keywords = KURIR_STR(""),
		.target = to };
	struct kurir_str inbox = KURIR_STR("INBOX");
	char account_path[MAILDIR_PATH_MAX], path[MAILDIR_PATH_MAX];
	struct kurir_changed done;
	struct maildir_list list;
	bool any;
	int r = maildir_manage(conf, account, KURIR_MANAGE_CREATE, to, KURIR_STR(""));

	if (r < 0)
		return r;
	r = maildir_change(self, account, inbox, &move, kurir_scratch(), &done);
	if (r < 0 && maildir_account_path(conf->root, account, account_path) == 0 &&
	    maildir_mailbox_path(conf->root, account, to, path) == 0 &&
	    maildir_sync(conf, account_path, path, kurir_scratch(), &list, &any) == 0 &&
	    list.count == 0)
		(void)maildir_manage(conf, account, KURIR_MANAGE_DELETE, to, KURIR_STR(""));
	return r;
}

/* + u8 kind, text new name -> nothing */
static int op_manage(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    struct kurir_reader *in)
{
	enum kurir_manage_kind kind = kurir_get_u8(in);
	struct kurir_str new_name = kurir_get_text(in);

	if (in->error < 0)
		return -EBADMSG;
	if (kind == KURIR_MANAGE_RENAME && kurir_str_equal(mailbox, KURIR_STR("INBOX")))
		return rename_inbox(self, account, new_name);
	return maildir_manage(kurir_conf(self), account, kind, mailbox, new_name);
}

KURIR_PARKS int maildir_writer(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader reader = KURIR_READER(in->body);
	uint8_t op = kurir_get_u8(&reader);
	struct kurir_str account = kurir_get_text(&reader);
	struct kurir_str mailbox = kurir_get_text(&reader);
	int r = -EBADMSG;

	if (reader.error >= 0 && op == MAILDIR_OP_SYNC)
		r = op_sync(self, account, mailbox, &reader, reply);
	else if (reader.error >= 0 && op == MAILDIR_OP_CHANGE)
		r = op_change(self, account, mailbox, &reader, reply);
	else if (reader.error >= 0 && op == MAILDIR_OP_APPEND)
		r = op_append(self, account, mailbox, &reader, in, reply);
	else if (reader.error >= 0 && op == MAILDIR_OP_MANAGE)
		r = op_manage(self, account, mailbox, &reader);
	return r;
}
