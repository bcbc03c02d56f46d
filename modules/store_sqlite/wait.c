/* wait.c - sessions that wait for something to happen in a mailbox, or in an account.
 *
 * The writer of a shard writes into its bell after each transaction; inotify tells, once for all
 * sessions of this process, and each looks whether its mailbox or account has another
 * mod-sequence. */
#include "read.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

static void rung(void *arg, short events)
{
	struct sqlite_self *m = arg;
	_Alignas(struct inotify_event) char buf[4096 - 512];
	ssize_t n;

	(void)events;
	while ((n = read(m->inotify, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			for (unsigned i = 0; i < SHARDS_MAX; i++)
				if (m->views[i] != NULL && m->views[i]->rung != NULL &&
				    (m->views[i]->wd == e->wd || e->mask & IN_Q_OVERFLOW))
					kurir_signal_raise(m->views[i]->rung);
			p += sizeof(*e) + e->len;
		}
}

int sqlite_wait_start(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);

	m->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (m->inotify < 0)
		return kurir_log(self, KURIR_ERROR, -errno, "no inotify to hear of changes by");
	int r = kurir_watch_new(self, m->inotify, rung, m, &m->watch);
	return r < 0 ? r : kurir_watch_set(m->watch, POLLIN, KURIR_FOREVER);
}

void sqlite_wait_stop(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);

	kurir_watch_free(m->watch);
	if (m->inotify >= 0)
		close(m->inotify);
}

static int listen_to(struct kurir_self *self, struct shard_view *v)
{
	struct sqlite_self *m = kurir_state(self);
	char path[SHARD_PATH + 16];

	if (v->wd >= 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/bell", v->folder);
	v->wd = inotify_add_watch(m->inotify, path, IN_MODIFY);
	if (v->wd < 0)
		return -errno;
	if (v->rung == NULL)
		v->rung = kurir_signal_new(kurir_self_arena(self));
	return 0;
}

/* What is there now, mailbox empty: of the account; short enough to be asked here and now. */
static int look(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    struct account_row *ret_account, struct mailbox_row *ret_mailbox)
{
	int e;
	struct db *db = reader_take(self, account, &e);

	if (db == NULL)
		return e;
	e = account_load(db, account, ret_account);
	if (e == 0 && mailbox.len > 0)
		e = mailbox_load(db, ret_account, mailbox, ret_mailbox);
	if (e == -EAGAIN || e == -EIO)
		reader_drop(self, account, db);
	else
		reader_give(self, account, db);
	return e == -EBUSY ? -EAGAIN : e; /* -EBUSY: all of ours are in use */
}

/* 1 when it differs from the view. */
static int differs(struct kurir_self *self, struct kurir_str account, struct kurir_str mailbox,
    const struct kurir_mailbox_view *view)
{
	struct account_row a;
	struct mailbox_row m;
	int e = look(self, account, mailbox, &a, &m);

	if (e < 0) /* to be looked at by who waits */
		return e == -ENOENT || e == -EAGAIN || e == -EBUSY ? 1 : e;
	return (uint64_t)m.modseq != view->modseq ||
	    (uint32_t)m.uid_validity != view->uid_validity;
}

KURIR_PARKS int sqlite_wait(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_mailbox_view *view, kurir_time until)
{
	struct shard_view *v = shard_view(self, account);
	int r = v == NULL ? -ENAMETOOLONG : listen_to(self, v);

	while (r == 0 && (r = differs(self, account, mailbox, view)) == 0)
		r = kurir_signal_wait(v->rung, until);
	return r;
}

/* One is opened, or has come back. */
KURIR_PARKS static int wait_for_connection(
    struct kurir_self *self, struct kurir_str account, kurir_time until)
{
	int e;
	struct db *db = reader_wait(self, account, until, &e);

	if (db == NULL)
		return e;
	reader_give(self, account, db);
	return 0;
}

KURIR_PARKS static int account_now(
    struct kurir_self *self, struct kurir_str account, kurir_time until, struct account_row *ret)
{
	int e;

	while ((e = look(self, account, KURIR_STR(""), ret, NULL)) == -EBUSY)
		if ((e = wait_for_connection(self, account, until)) < 0)
			break;
	return e;
}

/* An account that was never written to has none yet. */
KURIR_PARKS int sqlite_wait_account(
    struct kurir_self *self, struct kurir_str account, uint64_t *modseq, kurir_time until)
{
	struct shard_view *v = shard_view(self, account);
	int r = v == NULL ? -ENAMETOOLONG : listen_to(self, v);

	while (r == 0) {
		struct account_row a = { .modseq = 0 };
		int e = account_now(self, account, until, &a);

		if (e == -EAGAIN) /* the database is put in order */
			r = kurir_sleep(kurir_now() + 100);
		else if (e < 0 && e != -ENOENT)
			r = e;
		else if ((uint64_t)a.modseq != *modseq) {
			*modseq = (uint64_t)a.modseq;
			return 1;
		} else
			r = kurir_signal_wait(v->rung, until);
	}
	return r;
}
