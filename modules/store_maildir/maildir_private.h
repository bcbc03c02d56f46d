/* maildir_private.h - the instance's own memory. */
#ifndef MAILDIR_PRIVATE_H
#define MAILDIR_PRIVATE_H

#include "maildir.h"

#define MAILDIR_BATCH	256 /* deliveries that share their flushes */
#define MAILDIR_WRITERS 2   /* batches at the same time */

struct maildir_pending;
struct maildir_watcher;

struct maildir_self {
	/* Store role */
	struct maildir_pending *queue, **queue_end;
	unsigned batches; /* being written */
	struct kurir_signal *signal;
	int64_t started; /* wall clock */
	/* Access role */
	int inotify;
	struct kurir_watch *watch;
	struct maildir_watcher *watchers;
};

/* Writes one message in the next batch; file->fd is taken.  0, or -errno with nothing written. */
int maildir_pending_write(struct kurir_self *, const struct maildir_file *, struct kurir_str head,
    struct maildir_file *ret) KURIR_PARKS;

/* maildir_wait.c */
int maildir_wait_start(struct kurir_self *);
void maildir_wait_stop(struct kurir_self *);
int maildir_wait(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
    const struct kurir_mailbox_view *, kurir_time) KURIR_PARKS;

#endif
