/* ahead.c - who selects a mailbox will ask for its messages' flags next: its sheets are brought
 * into the system's memory meanwhile.
 *
 * Once a mailbox, as far as is remembered, behind all else, and for nobody: what was read is
 * dropped.  A mailbox for which there is no place in the queue is left alone. */
#include "read.h"
#include "sheet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING	   16
#define REMEMBERED 512

struct ahead {
	struct kurir_signal *come;
	size_t count;
	char *account[WAITING], *mailbox[WAITING];
	int64_t read[REMEMBERED]; /* mailboxes, with their shards */
};

struct question {
	struct read read;
	struct db db;
	bool writers;
	char path[SHARD_PATH + 16];
};

/* In a helper thread, with a connection of its own: the others are for who waits. */
static int read_ahead(void *arg)
{
	struct question *q = arg;
	int64_t bytes;
	int e = db_open_reader(&q->db, q->path, q->writers);
	if (e < 0)
		return e;
	e = read_mailbox(&q->read);
	if (e == 0)
		e = db_number(&q->db, &bytes,
		    "SELECT total(length(data)) FROM sheet WHERE id BETWEEN ? AND ?", "ii",
		    sheet_id(q->read.mailbox_row.id, 0), sheet_end(q->read.mailbox_row.id));
	db_close(&q->db);
	return e;
}

/* The one that waits longest; what it was is the caller's then. */
static bool take(struct ahead *a, char **account, char **mailbox)
{
	if (a->count == 0)
		return false;
	*account = a->account[0];
	*mailbox = a->mailbox[0];
	a->count--;
	memmove(a->account, a->account + 1, a->count * sizeof(*a->account));
	memmove(a->mailbox, a->mailbox + 1, a->count * sizeof(*a->mailbox));
	return true;
}

void ahead_want(
    struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox, int64_t id)
{
	struct sqlite_self *m = kurir_state(self);
	struct ahead *a = m->ahead;
	int64_t key = id * SHARDS_MAX + shard_of(kurir_conf(self), account) + 1;
	if (a == NULL || a->count == WAITING || a->read[key % REMEMBERED] == key)
		return;
	a->read[key % REMEMBERED] = key;
	a->account[a->count] = strndup(account.ptr, account.len);
	a->mailbox[a->count] = strndup(mailbox.ptr, mailbox.len);
	a->count++;
	kurir_signal_raise(a->come);
}

KURIR_PARKS static int ahead_one(
    struct kurir_self *self, const char *account, const char *mailbox)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	struct question *q = kurir_alloc(kurir_scratch(), sizeof(*q));
	if (account == NULL || mailbox == NULL)
		return -ENOMEM;
	q->read = (struct read){ .db = &q->db,
		.arena = kurir_scratch(),
		.account = kurir_str_of(account),
		.mailbox = kurir_str_of(mailbox) };
	q->writers = (kurir_roles() & KURIR_ROLE_STORE) != 0;
	int e = shard_folder(conf, shard_of(conf, q->read.account), q->path);
	if (e < 0)
		return e;
	size_t n = strlen(q->path);
	(void)snprintf(q->path + n, sizeof(q->path) - n, "/index.db");
	return kurir_offload(read_ahead, q, KURIR_FOREVER);
}

KURIR_PARKS static void ahead_run(void *arg)
{
	struct kurir_self *self = arg;
	struct sqlite_self *m = kurir_state(self);
	struct ahead *a = m->ahead;
	char *account, *mailbox;
	int r = 0;
	while (r != -ECANCELED) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		if (!take(a, &account, &mailbox)) {
			r = kurir_signal_wait(a->come, KURIR_FOREVER);
			continue;
		}
		r = ahead_one(self, account, mailbox);
		free(account);
		free(mailbox);
		kurir_rewind(kurir_scratch(), mark);
	}
}

int ahead_start(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	m->ahead = kurir_alloc(kurir_self_arena(self), sizeof(*m->ahead));
	m->ahead->come = kurir_signal_new(kurir_self_arena(self));
	return kurir_group_go(m->group, "store-ahead", ahead_run, self);
}

void ahead_stop(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	char *account, *mailbox;
	while (m->ahead != NULL && take(m->ahead, &account, &mailbox)) {
		free(account);
		free(mailbox);
	}
}
