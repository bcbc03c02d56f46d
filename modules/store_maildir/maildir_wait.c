/* maildir_wait.c - sessions that wait for mail: inotify on the mailbox's folders.
 *
 * One inotify descriptor a process; a watch a mailbox, shared by those who wait for it.  Where
 * inotify is not to be had, a clock looks instead. */

#include <errno.h>
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "maildir_private.h"

#define EVENTS (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)

struct maildir_watcher {
	int wd[2]; /* of new and of cur */
	unsigned waiting;
	struct kurir_arena *arena;
	struct kurir_signal *signal;
	struct maildir_watcher *next;
};

static void ready(void *arg, short events)
{
	struct maildir_self *m = arg;
	_Alignas(struct inotify_event) char buf[4096 - 512];
	ssize_t n;

	(void)events;
	while ((n = read(m->inotify, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			for (struct maildir_watcher *w = m->watchers; w; w = w->next)
				if (w->wd[0] == e->wd || w->wd[1] == e->wd ||
				    (e->mask & IN_Q_OVERFLOW))
					kurir_signal_raise(w->signal);
			p += sizeof(*e) + e->len;
		}
	}
}

int maildir_wait_start(struct kurir_self *self)
{
	struct maildir_self *m = kurir_state(self);
	int r;

	m->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (m->inotify < 0)
		return kurir_log(
		    self, KURIR_WARN, -errno, "no inotify, looking for new mail by the clock");
	r = kurir_watch_new(self, m->inotify, ready, m, &m->watch);
	if (r >= 0)
		r = kurir_watch_set(m->watch, POLLIN, KURIR_FOREVER);
	return r;
}

void maildir_wait_stop(struct kurir_self *self)
{
	struct maildir_self *m = kurir_state(self);

	kurir_watch_free(m->watch);
	if (m->inotify >= 0)
		close(m->inotify);
}

static struct maildir_watcher *watcher_get(struct maildir_self *m, const char *path)
{
	char folder[MAILDIR_PATH_MAX + 8];
	struct maildir_watcher *w;
	int wd[2];

	if (m->inotify < 0)
		return NULL;
	snprintf(folder, sizeof(folder), "%s/new", path);
	wd[0] = inotify_add_watch(m->inotify, folder, EVENTS);
	snprintf(folder, sizeof(folder), "%s/cur", path);
	wd[1] = inotify_add_watch(m->inotify, folder, EVENTS);
	if (wd[0] < 0 || wd[1] < 0)
		return NULL;
	for (w = m->watchers; w; w = w->next)
		if (w->wd[0] == wd[0])
			return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->wd[0] = wd[0];
	w->wd[1] = wd[1];
	w->arena = kurir_arena_new("maildir watcher");
	w->signal = kurir_signal_new(w->arena);
	w->next = m->watchers;
	m->watchers = w;
	return w;
}

static void watcher_put(struct maildir_self *m, struct maildir_watcher *w)
{
	struct maildir_watcher **at = &m->watchers;

	if (w->waiting > 0)
		return;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	inotify_rm_watch(m->inotify, w->wd[0]);
	inotify_rm_watch(m->inotify, w->wd[1]);
	kurir_arena_free(w->arena);
	free(w);
}

/* Whether the folders already have something that the view does not. */
static bool differs(
    const struct maildir_conf *conf, const char *path, const struct kurir_mailbox_view *view)
{
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	char folder[MAILDIR_PATH_MAX + 8];
	struct maildir_list list;
	struct dirent *e;
	bool more = true;
	DIR *d;

	if (maildir_list_read(kurir_scratch(), path, conf->list_max, &list) == 0)
		more = list.modseq != view->modseq || list.validity != view->uid_validity;
	kurir_rewind(kurir_scratch(), mark);
	snprintf(folder, sizeof(folder), "%s/new", path);
	d = opendir(folder);
	while (d && !more && (e = readdir(d)) != NULL)
		more = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return more;
}

KURIR_PARKS int maildir_wait(struct kurir_self *self, struct kurir_str account,
    struct kurir_str mailbox, const struct kurir_mailbox_view *view, kurir_time until)
{
	const struct maildir_conf *conf = kurir_conf(self);
	struct maildir_self *m = kurir_state(self);
	struct maildir_watcher *w;
	char path[MAILDIR_PATH_MAX];
	int r = maildir_mailbox_path(conf->root, account, mailbox, path);

	if (r < 0)
		return r;
	w = watcher_get(m, path);
	while (!differs(conf, path, view)) {
		kurir_time next = kurir_now() + conf->poll;

		if (w) {
			w->waiting++;
			r = kurir_signal_wait(w->signal, until);
			w->waiting--;
			if (r >= 0)
				r = 1;
		} else {
			r = kurir_sleep(next < until ? next : until);
			if (r >= 0 && kurir_now() >= until)
				r = -ETIMEDOUT;
		}
		if (r != 0)
			break;
	}
	if (w)
		watcher_put(m, w);
	return r < 0 ? r : 1;
}
