/* maildir_access.c - the "store" service: reads the Maildir, asks the writer for changes. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "maildir_private.h"

static int begin(
    struct kurir_buf *b, enum maildir_op op, struct kurir_str account, struct kurir_str mailbox)
{
	*b = KURIR_BUF(KURIR_CALL_MAX);
	kurir_put_u8(b, (uint8_t)op);
	kurir_put_text(b, account);
	return kurir_put_text(b, mailbox);
}

/* Sends the request (freed) to the account's writer. */
KURIR_PARKS static int ask(struct kurir_self *self, struct kurir_str account, struct kurir_buf *b,
    int fd, kurir_time until, struct kurir_arena *arena, struct kurir_str *ret_reply)
{
	struct kurir_request request = { .endpoint = "store.maildir",
		.key = kurir_str_hash(account),
		.body = kurir_buf_str(b),
		.fd = fd };
	int r = kurir_call(self, &request, until, arena, ret_reply);

	kurir_buf_free(b);
	return r;
}

static void fill(const struct maildir_list *l, uint32_t recent, struct kurir_arena *arena,
    struct kurir_mailbox_view *ret)
{
	struct kurir_message *m = kurir_alloc(arena, (l->count + 1) * sizeof(*m));

	for (size_t i = 0; i < l->count; i++) {
		const struct maildir_entry *e = &l->entries[i];

		m[i] = (struct kurir_message){ .uid = e->uid,
			.flags = e->flags,
			.keywords = e->keywords,
			.size = e->size,
			.date = e->date,
			.modseq = e->modseq,
			.name = e->file };
		if (e->uid >= recent)
			m[i].flags |= KURIR_MESSAGE_RECENT;
	}
	*ret = (struct kurir_mailbox_view){ .uid_validity = l->validity,
		.uid_next = l->next,
		.modseq = l->modseq,
		.count = l->count,
		.messages = m };
}

KURIR_PARKS static int view(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, bool claim, kurir_time until, struct kurir_arena *arena,
    struct kurir_mailbox_view *ret)
{
	const struct maildir_conf *conf = kurir_conf(self);
	char path[MAILDIR_PATH_MAX];
	struct kurir_reader reply;
	struct kurir_str text;
	struct maildir_list l;
	struct kurir_buf b;
	uint32_t recent;
	int r = maildir_mailbox_path(conf->root, account, mailbox, path);

	if (r < 0)
		return r;
	begin(&b, MAILDIR_OP_SYNC, account, mailbox);
	kurir_put_u8(&b, claim);
	r = ask(self, account, &b, -1, until, arena, &text);
	if (r < 0)
		return r;
	reply = KURIR_READER(text);
	recent = kurir_get_u32(&reply);
	if (reply.error < 0)
		return reply.error;
	r = maildir_list_read(arena, path, conf->list_max, &l);
	if (r >= 0)
		fill(&l, recent, arena, ret);
	return r;
}

/* What the mailbox has, counted from its list, as others may have changed the folders. */
KURIR_PARKS static int count_messages(
    struct kurir_self *self, struct kurir_str account, kurir_time until, struct kurir_mailbox *m)
{
	struct kurir_arena *arena = kurir_arena_new("maildir counts");
	struct kurir_mailbox_view v;
	int r = view(self, account, m->name, false, until, arena, &v);

	if (r >= 0) {
		m->uid_validity = v.uid_validity;
		m->uid_next = v.uid_next;
		m->modseq = v.modseq;
		m->messages = (uint32_t)v.count;
	}
	for (size_t i = 0; r >= 0 && i < v.count; i++) {
		uint32_t flags = v.messages[i].flags;

		m->recent += (flags & KURIR_MESSAGE_RECENT) != 0;
		m->unseen += (flags & KURIR_MESSAGE_SEEN) == 0;
		m->deleted += (flags & KURIR_MESSAGE_DELETED) != 0;
		m->bytes += v.messages[i].size;
	}
	kurir_arena_free(arena);
	return r;
}

KURIR_PARKS static int list(struct kurir_self *self, struct kurir_str account, uint32_t want,
    kurir_time until, struct kurir_arena *arena, struct kurir_mailbox **ret, size_t *ret_count)
{
	int r = maildir_list_mailboxes(kurir_conf(self), account, arena, ret, ret_count);

	for (size_t i = 0; r >= 0 && (want & KURIR_LIST_COUNTS) && i < *ret_count; i++) {
		struct kurir_mailbox *m = &(*ret)[i];

		if (m->flags & KURIR_MAILBOX_NOSELECT)
			continue;
		r = count_messages(self, account, until, m);
		if (r == -ENOENT) /* somebody removed it meanwhile */
			r = 0;
	}
	return r;
}

/* The message's file under another name: its flags were changed by somebody else. */
static int find_again(const char *folder, struct kurir_str file, char *ret, size_t size)
{
	struct maildir_name name, other;
	DIR *d = opendir(folder);
	struct dirent *e;
	int r;

	if (!d)
		return -errno;
	maildir_name_parse(file, &name);
	while ((r = maildir_io.next(d, &e)) > 0) {
		maildir_name_parse(kurir_str_of(e->d_name), &other);
		if (!kurir_str_equal(name.base, other.base))
			continue;
		snprintf(ret, size, "%s/%s", folder, e->d_name);
		break;
	}
	closedir(d);
	return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

KURIR_PARKS static int open_message(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_message *m, kurir_time until,
    struct kurir_body *ret)
{
	const struct maildir_conf *conf = kurir_conf(self);
	char folder[MAILDIR_PATH_MAX + 8], path[MAILDIR_PATH_MAX + 600];
	int r = maildir_mailbox_path(conf->root, account, mailbox, folder);

	(void)until;
	if (r < 0)
		return r;
	memcpy(folder + strlen(folder), "/cur", 5);
	snprintf(path, sizeof(path), "%s/%.*s", folder, KURIR_ARG(m->name));
	r = maildir_open_wire(path, ret);
	if (r == -ENOENT && find_again(folder, m->name, path, sizeof(path)) == 0)
		r = maildir_open_wire(path, ret);
	return r;
}

KURIR_PARKS static int change(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_change *c, kurir_time until,
    struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct kurir_str text;
	struct kurir_buf b;
	int r;

	begin(&b, MAILDIR_OP_CHANGE, account, mailbox);
	r = kurir_put_change(&b, c);
	if (r < 0) {
		kurir_buf_free(&b);
		return r;
	}
	r = ask(self, account, &b, -1, until, arena, &text);
	if (r < 0)
		return r;
	struct kurir_reader reply = KURIR_READER(text);
	return kurir_get_changed(&reply, arena, ret);
}

KURIR_PARKS static int append_one(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_append *m, kurir_time until,
    struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct kurir_str text;
	struct kurir_buf b;
	int r;

	begin(&b, MAILDIR_OP_APPEND, account, mailbox);
	kurir_put_u32(&b, m->flags & ~(uint32_t)KURIR_MESSAGE_RECENT);
	kurir_put_text(&b, m->keywords);
	kurir_put_u64(&b, (uint64_t)m->date);
	kurir_put_u64(&b, m->offset);
	kurir_put_u64(&b, m->length);
	r = ask(self, account, &b, m->fd, until, arena, &text);
	if (r >= 0)
		r = kurir_get_changed(&(struct kurir_reader){ .rest = text }, arena, ret);
	return r >= 0 && ret->target.count == 0 ? -EIO : r;
}

/* All of them or none: those that were taken before one was refused go again. */
KURIR_PARKS static int append(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_append *all, size_t count, kurir_time until,
    struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct kurir_uid_range *made = kurir_alloc(arena, (count + 1) * sizeof(*made));
	struct kurir_changed one;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		uint32_t uid;

		r = append_one(self, account, mailbox, &all[i], until, arena, &one);
		if (r < 0)
			break;
		uid = one.target.ranges[0].first;
		if (n > 0 && made[n - 1].last + 1 == uid)
			made[n - 1].last = uid;
		else
			made[n++] = (struct kurir_uid_range){ uid, uid };
		ret->target_validity = one.target_validity;
	}
	if (r < 0 && n > 0) {
		struct kurir_change undo = { .kind = KURIR_CHANGE_EXPUNGE,
			.uids = { n, made },
			.keywords = KURIR_STR(""),
			.target = KURIR_STR(""),
			.force = true };

		(void)change(self, account, mailbox, &undo, until, arena, &one);
	}
	ret->uids = (struct kurir_uid_set){ 0, made };
	ret->target = (struct kurir_uid_set){ n, made };
	return r;
}

/* There is no place for special uses in a Maildir. */
KURIR_PARKS static int manage(struct kurir_self *self, struct kurir_str account,
    const struct kurir_manage *what, kurir_time until, struct kurir_arena *arena,
    struct kurir_str *ret_id)
{
	struct kurir_str text;
	struct kurir_buf b;
	int r;

	if (what->uses != 0)
		return -EINVAL;
	begin(&b, MAILDIR_OP_MANAGE, account, what->mailbox);
	kurir_put_u8(&b, (uint8_t)what->kind);
	kurir_put_text(&b, what->new_name);
	r = ask(self, account, &b, -1, until, arena, &text);
	if (r >= 0)
		*ret_id = KURIR_STR("");
	return r;
}

static void close_lock(void *arg)
{
	close((int)(intptr_t)arg);
}

/* A lock of the kernel's on the folder itself: it ends with the session, or with its process. */
KURIR_PARKS static int lock(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, struct kurir_arena *arena)
{
	const struct maildir_conf *conf = kurir_conf(self);
	struct kurir_mailbox_view unused;
	char path[MAILDIR_PATH_MAX];
	int fd, r = maildir_mailbox_path(conf->root, account, mailbox, path);

	if (r >= 0 && access(path, F_OK) < 0)
		r = view(self, account, mailbox, false, until, kurir_scratch(), &unused);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return r;
	}
	kurir_at_end(arena, close_lock, (void *)(intptr_t)fd);
	return 0;
}

const struct kurir_store_ops maildir_store = {
	.size = sizeof(maildir_store),
	.list = list,
	.view = view,
	.open = open_message,
	.change = change,
	.append = append,
	.manage = manage,
	.wait = maildir_wait,
	.lock = lock,
};
