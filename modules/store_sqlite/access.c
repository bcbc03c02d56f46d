/* access.c - the service "store": reads the database itself, asks the writer for changes. */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TRIES	 10
#define FEW	 32  /* changes */
#define FEW_ROWS 256 /* of a mailbox */

static int read_run(void *arg)
{
	struct read *r = arg;
	r->result = db_exec(r->db, "BEGIN", "");
	if (r->result == 0)
		r->result = r->run(r);
	(void)db_exec(r->db, "COMMIT", "");
	return 0;
}

KURIR_PARKS static int touch(struct kurir_self *self, struct kurir_str account, kurir_time until)
{
	struct kurir_str reply;
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_TOUCH, account, KURIR_STR("INBOX"));
	return sqlite_ask(self, account, &b, -1, until, kurir_scratch(), &reply);
}

/* Without a helper thread, which would cost more: what is little, and was just written. */
static int read_here(struct kurir_self *self, struct read *r)
{
	int e;
	r->db = reader_take(self, r->account, &e);
	if (r->db == NULL)
		return e;
	(void)read_run(r);
	if (r->result == -EAGAIN || r->result == -EIO)
		reader_drop(self, r->account, r->db);
	else
		reader_give(self, r->account, r->db);
	return r->result;
}

/* A connection that failed is not used again. */
KURIR_PARKS static int read_once(struct kurir_self *self, struct read *r, kurir_time until)
{
	int e;
	r->db = reader_wait(self, r->account, until, &e);
	if (r->db == NULL)
		return e;
	e = kurir_offload(read_run, r, until);
	if (e >= 0)
		e = r->result;
	if (e == -EAGAIN || e == -EIO)
		reader_drop(self, r->account, r->db);
	else
		reader_give(self, r->account, r->db);
	return e;
}

/* The account, or all of the shard, may not be there yet, or the writer has died and nobody has
 * brought the database in order since: then a word to the writer helps. */
KURIR_PARKS int sqlite_read(struct kurir_self *self, struct read *r, kurir_time until)
{
	struct read again = *r;
	bool inbox = r->mailbox.len == 0 || kurir_str_equal(r->mailbox, KURIR_STR("INBOX"));
	int e = read_once(self, r, until);
	for (unsigned n = 0; n < TRIES && (e == -EAGAIN || (e == -ENOENT && inbox && n == 0));
	     n++) {
		e = touch(self, r->account, until);
		*r = again;
		if (e >= 0)
			e = read_once(self, r, until);
	}
	return e;
}

KURIR_PARKS int sqlite_exists(struct kurir_self *self, struct kurir_str account, kurir_time until)
{
	struct read r = { .run = read_account, .arena = kurir_scratch(), .account = account };
	int e = read_once(self, &r, until);
	return e == -EAGAIN ? -ENOENT : e;
}

KURIR_PARKS static int list(struct kurir_self *self, struct kurir_str account, uint32_t want,
    kurir_time until, struct kurir_arena *arena, struct kurir_mailbox **ret, size_t *ret_count)
{
	struct read r = { .run = read_list, .arena = arena, .account = account };
	int e = sqlite_read(self, &r, until);
	(void)want; /* the counts cost nothing here */
	if (e < 0)
		return e;
	*ret = r.mailboxes;
	*ret_count = r.count;
	return 0;
}

/* Takes the RECENT flags: of two that ask at once only one gets them. */
KURIR_PARKS static int claim_from(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, uint32_t *ret_first)
{
	struct kurir_str text;
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_CLAIM, account, mailbox);
	int e = sqlite_ask(self, account, &b, -1, until, kurir_scratch(), &text);
	if (e < 0)
		return e;
	struct kurir_reader in = KURIR_READER(text);
	*ret_first = kurir_get_u32(&in);
	return in.error;
}

KURIR_PARKS static int claim(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, struct kurir_mailbox_view *v)
{
	struct kurir_message *all = (struct kurir_message *)(uintptr_t)v->messages;
	uint32_t first;
	int e = claim_from(self, account, mailbox, until, &first);
	if (e < 0)
		return e;
	for (size_t i = 0; i < v->count; i++)
		if (all[i].uid < first)
			all[i].flags &= ~(uint32_t)KURIR_MESSAGE_RECENT;
	return 0;
}

KURIR_PARKS static int view(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, bool claim_recent, kurir_time until, struct kurir_arena *arena,
    struct kurir_mailbox_view *ret)
{
	struct read r = {
		.run = read_view, .arena = arena, .account = account, .mailbox = mailbox
	};
	int e = sqlite_read(self, &r, until);
	if (e == 0 && claim_recent && r.mailbox_row.recent < r.mailbox_row.uid_next)
		e = claim(self, account, mailbox, until, &r.view);
	if (e == 0)
		*ret = r.view;
	return e;
}

KURIR_PARKS static int outline(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, bool claim_recent, kurir_time until, struct kurir_arena *arena,
    struct kurir_mailbox_outline *ret)
{
	struct read r = {
		.run = read_outline, .arena = arena, .account = account, .mailbox = mailbox
	};
	struct read in_passing = r;
	in_passing.few = FEW_ROWS;
	int e = reader_is_warm(self, account) ? read_here(self, &in_passing) : -EAGAIN;
	if (e == 0)
		r = in_passing;
	else
		e = sqlite_read(self, &r, until);
	if (e == 0)
		ahead_want(self, account, mailbox, r.mailbox_row.id);
	if (e == 0 && claim_recent && r.outline.recent > 0)
		e = claim_from(self, account, mailbox, until, &r.outline.recent);
	if (e == 0)
		*ret = r.outline;
	return e;
}

KURIR_PARKS static int changes(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, uint64_t since, bool claim_recent, kurir_time until,
    struct kurir_arena *arena, struct kurir_mailbox_changes *ret)
{
	struct read r = { .run = read_changes,
		.arena = arena,
		.account = account,
		.mailbox = mailbox,
		.since = since };
	struct read in_passing = r;
	in_passing.few = FEW;
	int e = read_here(self, &in_passing);
	if (e == 0 || e == -ESTALE)
		r = in_passing;
	else
		e = sqlite_read(self, &r, until);
	if (e == 0 && claim_recent && r.mailbox_row.recent < r.mailbox_row.uid_next)
		e = claim(self, account, mailbox, until, &r.view);
	if (e == 0)
		*ret = (struct kurir_mailbox_changes){ .now = r.view, .vanished = r.vanished };
	return e;
}

KURIR_PARKS static int part(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_uid_set *uids, kurir_time until,
    struct kurir_arena *arena, struct kurir_mailbox_view *ret)
{
	struct read r = { .run = read_part,
		.arena = arena,
		.account = account,
		.mailbox = mailbox,
		.uids = uids };
	int e = sqlite_read(self, &r, until);
	if (e == 0)
		*ret = r.view;
	return e;
}

KURIR_PARKS static int status(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, struct kurir_arena *arena,
    struct kurir_mailbox *ret)
{
	struct read r = {
		.run = read_status, .arena = arena, .account = account, .mailbox = mailbox
	};
	int e = sqlite_read(self, &r, until);
	if (e == 0)
		*ret = r.mailboxes[0];
	return e;
}

KURIR_PARKS static int open_message(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_message *m, kurir_time until,
    struct kurir_body *ret)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	struct read r = { .run = read_places,
		.arena = kurir_scratch(),
		.account = account,
		.mailbox = mailbox,
		.uid = m->uid,
		.date = m->date,
		.size = m->size };
	char folder[SHARD_PATH];
	int e = shard_folder(conf, shard_of(conf, account), folder);
	if (e < 0)
		return e;
	e = -ESTALE;
	for (unsigned n = 0; n < TRIES && e == -ESTALE; n++) /* it is somewhere else now */
		e = places_open(self, &r, folder, until, ret);
	return e == -ESTALE ? -EIO : e;
}

KURIR_PARKS static int facts(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_uid_set *uids, uint32_t want, kurir_time until,
    struct kurir_arena *arena, struct kurir_message_facts **ret, size_t *ret_count)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	char folder[SHARD_PATH];
	struct read r = { .run = read_facts,
		.arena = arena,
		.account = account,
		.mailbox = mailbox,
		.folder = folder,
		.uids = uids,
		.want = want };
	int e = shard_folder(conf, shard_of(conf, account), folder);
	if (e == 0)
		e = sqlite_read(self, &r, until);
	if (e < 0)
		return e;
	*ret = r.facts;
	*ret_count = r.count;
	return 0;
}

/* Who looks into bodies once will do so again: from now on the index has the account. */
KURIR_PARKS static int want_index(
    struct kurir_self *self, struct kurir_str account, kurir_time until)
{
	struct kurir_str reply;
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_SEARCHED, account, KURIR_STR("INBOX"));
	return sqlite_ask(self, account, &b, -1, until, kurir_scratch(), &reply);
}

KURIR_PARKS static int find(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_find *what, kurir_time until,
    struct kurir_arena *arena, struct kurir_uid_set *ret_found, struct kurir_uid_set *ret_unsure)
{
	struct read r = { .run = read_find,
		.arena = arena,
		.account = account,
		.mailbox = mailbox,
		.find = what };
	const struct read question = r;
	const struct sqlite_conf *conf = kurir_conf(self);
	int e = sqlite_read(self, &r, until);
	if (e == -EIO) { /* the index was made anew under this connection, which is gone now */
		r = question;
		e = sqlite_read(self, &r, until);
	}
	if (e == -EIO) /* looking at all of it tells what else is wrong */
		e = kurir_log(self, KURIR_WARN, -ENOTSUP,
		    "the index of texts of %.*s cannot be asked, looking at all its messages",
		    KURIR_ARG(account));
	if (r.unsearched && what->place != KURIR_FIND_HEADER && conf->full_text)
		(void)want_index(self, account, until);
	if (e < 0)
		return e;
	*ret_found = r.found;
	*ret_unsure = r.unsure;
	return 0;
}

KURIR_PARKS static int quota(
    struct kurir_self *self, struct kurir_str account, kurir_time until, struct kurir_quota *ret)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	struct read r = { .run = read_account, .arena = kurir_scratch(), .account = account };
	int e = sqlite_read(self, &r, until);
	if (e == 0)
		*ret = (struct kurir_quota){ .bytes = (uint64_t)r.account_row.bytes,
			.bytes_limit = conf->quota_bytes,
			.messages = (uint64_t)r.account_row.messages,
			.messages_limit = (uint64_t)conf->quota_messages };
	return e;
}

KURIR_PARKS static int entries(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, struct kurir_arena *arena,
    struct kurir_entry **ret, size_t *ret_count)
{
	struct read r = {
		.run = read_entries, .arena = arena, .account = account, .mailbox = mailbox
	};
	int e = sqlite_read(self, &r, until);
	if (e < 0)
		return e;
	*ret = r.entries;
	*ret_count = r.count;
	return 0;
}

/* b is what a request needs, or why it cannot be packed. */
KURIR_PARKS static int ask_changed(struct kurir_self *self, struct kurir_str account,
    struct kurir_buf *b, int packed, int fd, kurir_time until, struct kurir_arena *arena,
    struct kurir_changed *ret)
{
	struct kurir_str text;
	if (packed < 0) {
		kurir_buf_free(b);
		return packed;
	}
	int e = sqlite_ask(self, account, b, fd, until, arena, &text);
	if (e < 0)
		return e;
	struct kurir_reader in = KURIR_READER(text);
	return kurir_get_changed(&in, arena, ret);
}

KURIR_PARKS static int change(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_change *c, kurir_time until,
    struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_CHANGE, account, mailbox);
	int e = kurir_put_change(&b, c);
	return ask_changed(self, account, &b, e, -1, until, arena, ret);
}

KURIR_PARKS static int append(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_append *all, size_t count, kurir_time until,
    struct kurir_arena *arena, struct kurir_changed *ret)
{
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_APPEND, account, mailbox);
	int e = kurir_put_u32(&b, (uint32_t)count);
	for (size_t i = 0; i < count && e == 0; i++) {
		kurir_put_u32(&b, all[i].flags);
		kurir_put_text(&b, all[i].keywords);
		kurir_put_u64(&b, (uint64_t)all[i].date);
		kurir_put_u64(&b, all[i].offset);
		e = kurir_put_u64(&b, all[i].length);
		if (all[i].fd != all[0].fd)
			e = -EINVAL;
	}
	return ask_changed(self, account, &b, e, count > 0 ? all[0].fd : -1, until, arena, ret);
}

KURIR_PARKS static int manage(struct kurir_self *self, struct kurir_str account,
    const struct kurir_manage *what, kurir_time until, struct kurir_arena *arena,
    struct kurir_str *ret_id)
{
	struct kurir_str text;
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_MANAGE, account, what->mailbox);
	kurir_put_u8(&b, (uint8_t)what->kind);
	kurir_put_text(&b, what->new_name);
	kurir_put_u32(&b, what->uses);
	int e = sqlite_ask(self, account, &b, -1, until, arena, &text);
	if (e < 0)
		return e;
	struct kurir_reader in = KURIR_READER(text);
	uint64_t id = kurir_get_u64(&in);
	*ret_id = id == 0 ? KURIR_STR("") : kurir_format(arena, "F%llx", (unsigned long long)id);
	return in.error;
}

KURIR_PARKS static int set_entries(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_entry *all, size_t count, kurir_time until)
{
	struct kurir_str text;
	struct kurir_buf b;
	sqlite_begin(&b, SQLITE_OP_ENTRIES, account, mailbox);
	int e = kurir_put_u32(&b, (uint32_t)count);
	for (size_t i = 0; i < count && e == 0; i++) {
		kurir_put_text(&b, all[i].name);
		kurir_put_u8(&b, all[i].value.ptr != NULL);
		e = kurir_put_text(&b, all[i].value.ptr != NULL ? all[i].value : KURIR_STR(""));
	}
	if (e < 0) {
		kurir_buf_free(&b);
		return e;
	}
	return sqlite_ask(self, account, &b, -1, until, kurir_scratch(), &text);
}

static void close_lock(void *arg)
{
	close((int)(intptr_t)arg);
}

/* A file that the writer makes, as nobody else may; it stays. */
KURIR_PARKS static int open_lock(
    struct kurir_self *self, struct kurir_str account, int64_t mailbox, kurir_time until)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	char path[SHARD_PATH + 64];
	struct kurir_str reply;
	struct kurir_buf b;
	int e = shard_folder(conf, shard_of(conf, account), path);
	if (e < 0)
		return e;
	size_t n = strlen(path);
	(void)snprintf(path + n, sizeof(path) - n, "/locks/%llx", (unsigned long long)mailbox);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 || errno != ENOENT)
		return fd >= 0 ? fd : -errno;
	sqlite_begin(&b, SQLITE_OP_LOCK, account, KURIR_STR(""));
	kurir_put_u64(&b, (uint64_t)mailbox);
	e = sqlite_ask(self, account, &b, -1, until, kurir_scratch(), &reply);
	if (e < 0)
		return e;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : -errno;
}

/* A lock of the kernel's: it ends with the session, or with its process. */
KURIR_PARKS static int lock(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, kurir_time until, struct kurir_arena *arena)
{
	struct read r = { .run = read_changes,
		.arena = kurir_scratch(),
		.account = account,
		.mailbox = mailbox,
		.since = INT64_MAX };
	int e = sqlite_read(self, &r, until);
	if (e < 0)
		return e;
	int fd = open_lock(self, account, r.mailbox_row.id, until);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		e = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return e;
	}
	kurir_at_end(arena, close_lock, (void *)(intptr_t)fd);
	return 0;
}

const struct kurir_store_ops sqlite_store = {
	.size = sizeof(sqlite_store),
	.list = list,
	.view = view,
	.open = open_message,
	.change = change,
	.append = append,
	.manage = manage,
	.wait = sqlite_wait,
	.lock = lock,
	.changes = changes,
	.facts = facts,
	.find = find,
	.quota = quota,
	.entries = entries,
	.set_entries = set_entries,
	.part = part,
	.status = status,
	.outline = outline,
	.wait_account = sqlite_wait_account,
};
