/* operation.c - one request: who it is for, and what is to be done. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int op_claim(
    struct db *db, const struct account_row *a, struct kurir_str mailbox, struct kurir_buf *reply)
{
	struct mailbox_row m;
	int r = mailbox_load(db, a, mailbox, &m);
	if (r == 0)
		r = kurir_put_u32(reply, (uint32_t)m.recent);
	if (r == 0)
		r = db_exec(db, "UPDATE mailbox SET recent = uid_next WHERE id = ?", "i", m.id);
	return r;
}

static int op_manage(struct db *db, struct account_row *a, struct kurir_str mailbox,
    struct kurir_reader *in, int64_t now, struct kurir_buf *reply)
{
	struct kurir_manage what = { .kind = kurir_get_u8(in), .mailbox = mailbox };
	int64_t id;
	what.new_name = kurir_get_text(in);
	what.uses = kurir_get_u32(in);
	if (in->error < 0)
		return -EBADMSG;
	int r = mailbox_manage(db, a, &what, now, &id);
	if (r == 0)
		r = account_save(db, a);
	return r < 0 ? r : kurir_put_u64(reply, (uint64_t)id);
}

#define ENTRIES_MAX	100	/* of one mailbox, or of the account; and so many of no user's */
#define OWNERS_MAX	1000	/* of the account, of the latter */
#define ENTRY_VALUE_MAX 65536	/* bytes */
#define ENTRY_BYTES_MAX 8388608 /* of all of an account, whose quota does not count them */

/* Whether there is room for what is there now. */
static int entries_fit(struct db *db, const struct account_row *a, const struct mailbox_row *m)
{
	int64_t all, users, bytes;
	int r = db_number(db, &all,
	    "SELECT count(*) FROM entry WHERE account = ? AND mailbox = ?", "ii", a->id, m->id);
	if (r == 0)
		r = db_number(db, &users,
		    "SELECT count(*) FROM entry WHERE account = ? AND mailbox = ?"
		    " AND name GLOB '/*'",
		    "ii", a->id, m->id);
	if (r == 0)
		r = db_number(db, &bytes,
		    "SELECT coalesce(sum(length(CAST(value AS BLOB))), 0) FROM entry"
		    " WHERE account = ?",
		    "i", a->id);
	if (r < 0)
		return r;
	return users <= ENTRIES_MAX && all - users <= (m->id > 0 ? ENTRIES_MAX : OWNERS_MAX) &&
		bytes <= ENTRY_BYTES_MAX
	    ? 0
	    : -EMSGSIZE;
}

static int op_entries(
    struct db *db, struct account_row *a, struct kurir_str mailbox, struct kurir_reader *in)
{
	struct mailbox_row m = { .id = 0 };
	uint32_t n = kurir_get_u32(in);
	int r = mailbox.len > 0 ? mailbox_load(db, a, mailbox, &m) : 0;
	for (uint32_t i = 0; r == 0 && i < n && in->error == 0; i++) {
		struct kurir_str name = kurir_get_text(in);
		bool there = kurir_get_u8(in) != 0;
		struct kurir_str value = kurir_get_text(in);
		if (in->error < 0 || value.len > ENTRY_VALUE_MAX || name.len > 1024)
			return in->error < 0 ? in->error : -EMSGSIZE;
		r = there
		    ? db_exec(db,
			  "INSERT INTO entry(account, mailbox, name, value)"
			  " VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = ?4",
			  "iitt", a->id, m.id, name, value)
		    : db_exec(db,
			  "DELETE FROM entry WHERE account = ? AND mailbox = ? AND name = ?",
			  "iit", a->id, m.id, name);
	}
	if (r < 0 || in->error < 0)
		return r < 0 ? r : in->error;
	r = entries_fit(db, a, &m);
	if (r < 0)
		return r;
	a->modseq++;
	return account_save(db, a);
}

static int op_lock(const struct shard *s, struct kurir_reader *in)
{
	char path[SHARD_PATH + 64];
	unsigned long long mailbox = (unsigned long long)kurir_get_u64(in);
	if (in->error < 0)
		return -EBADMSG;
	(void)snprintf(path, sizeof(path), "%s/locks", s->folder);
	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/locks/%llx", s->folder, mailbox);
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int operation_run(struct shard *s, struct kurir_arena *arena, struct kurir_str request, int fd,
    struct kurir_buf *reply)
{
	struct kurir_reader in = KURIR_READER(request);
	enum sqlite_op op = kurir_get_u8(&in);
	struct kurir_str name = kurir_get_text(&in), mailbox = kurir_get_text(&in);
	int64_t now = (int64_t)kurir_get_u64(&in);
	struct account_row a;
	if (in.error < 0)
		return -EBADMSG;
	if (op == SQLITE_OP_PURGE)
		return purge_run(s, now, reply);
	if (op == SQLITE_OP_ACCOUNTS)
		return usage_accounts(s, name, reply);
	if (op == SQLITE_OP_USAGE)
		return usage_run(s, reply);
	int r = account_load(&s->db, name, &a);
	if (r == -ENOENT)
		r = account_make(&s->db, name, now, &a);
	if (r < 0)
		return r;
	switch (op) {
	case SQLITE_OP_CLAIM:
		return op_claim(&s->db, &a, mailbox, reply);
	case SQLITE_OP_DELIVER:
		return put_delivery(s, name, &a, &in, fd, now);
	case SQLITE_OP_APPEND:
		return put_append(s, name, &a, mailbox, &in, fd, now, reply);
	case SQLITE_OP_CHANGE:
		return change_run(s, arena, &a, mailbox, &in, now, reply);
	case SQLITE_OP_UNDELETE:
		return undelete_run(s, arena, &a, mailbox, &in, now, reply);
	case SQLITE_OP_MANAGE:
		return op_manage(&s->db, &a, mailbox, &in, now, reply);
	case SQLITE_OP_LOCK:
		return op_lock(s, &in);
	case SQLITE_OP_SEARCHED:
		s->searched = s->came = true;
		return db_exec(
		    &s->db, "INSERT OR IGNORE INTO searched(account) VALUES(?)", "i", a.id);
	case SQLITE_OP_ENTRIES:
		return op_entries(&s->db, &a, mailbox, &in);
	default:
		return op == SQLITE_OP_TOUCH ? 0 : -EBADMSG;
	}
}
