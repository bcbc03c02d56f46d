/* store_maildir.c - mailboxes in Maildir++: the service "store", and the transport "local".
 *
 * The store role is the one writer (deliveries, UIDs, flags); the access role reads the folders
 * itself.  Other programs - mutt, Dovecot - may use the same Maildirs at the same time. */

#include <errno.h>
#include <string.h>

#include "maildir_private.h"

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("root", struct maildir_conf, root, NULL,
	    "The folder of all mailboxes; an account's Maildir is ROOT/DOMAIN/LOCAL-PART."),
	KURIR_OPT_RANGE("max-list", KURIR_SIZE, uint64_t, struct maildir_conf, list_max, "256M",
	    4096, 1ll << 32,
	    "The largest uid list that is read; a larger one counts as damaged."),
	KURIR_OPT_RANGE("poll", KURIR_SPAN, kurir_time, struct maildir_conf, poll, "5s", 100,
	    3600000,
	    "How often waiting sessions look for new mail where the kernel cannot tell them."),
	{ 0 },
};

static const char *const counters[] = {
	[MAILDIR_DELIVERED] = "delivered",
	[MAILDIR_DELIVERY_FAILED] = "delivery-failed",
	[MAILDIR_BATCHES] = "batches",
	[MAILDIR_APPENDED] = "appended",
	[MAILDIR_CHANGED] = "changed",
	[MAILDIR_EXPUNGED] = "expunged",
	[MAILDIR_SYNCS] = "syncs",
	[MAILDIR_UIDS] = "uids-claimed",
	NULL,
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct maildir_conf *c = conf;

	if (c->root.len < 2 || c->root.len > 400) {
		*error =
		    kurir_format(arena, "root must be a folder with a path of 2 to 400 bytes");
		return -EINVAL;
	}
	return 0;
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	struct maildir_self *m = kurir_state(self);

	m->queue_end = &m->queue;
	m->signal = kurir_signal_new(kurir_self_arena(self));
	m->started = kurir_wallclock();
	m->inotify = -1;
	return kurir_roles() & KURIR_ROLE_ACCESS ? (maildir_wait_start(self), 0) : 0;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	if (kurir_roles() & KURIR_ROLE_ACCESS)
		maildir_wait_stop(self);
}

static const struct kurir_endpoint_ops transport = { .size = sizeof(transport),
	.call = maildir_transport };
static const struct kurir_endpoint_ops writer = { .size = sizeof(writer),
	.call = maildir_writer };

static const struct kurir_service services[] = {
	{ .kind = "store", .name = "store_maildir", .ops = &maildir_store },
	{ .kind = "endpoint",
	    .name = "transport.local",
	    .ops = &transport,
	    .roles = KURIR_ROLE_STORE },
	{ .kind = "endpoint",
	    .name = "store.maildir",
	    .ops = &writer,
	    .roles = KURIR_ROLE_STORE },
	{ 0 },
};

static const char *const needs[] = { "queue", NULL };

static const struct kurir_path paths[] = {
	{ .option = "root", .read = KURIR_ROLE_ACCESS, .write = KURIR_ROLE_STORE },
	{ 0 },
};

KURIR_MODULE(store_maildir, .version = "1.0", .summary = "mailboxes in Maildir++ folders",
    .caps = KURIR_CAP_SPAWN | KURIR_CAP_FILES, .roles = KURIR_ROLE_STORE | KURIR_ROLE_ACCESS,
    .conf_size = sizeof(struct maildir_conf), .self_size = sizeof(struct maildir_self),
    .options = options, .counters = counters, .needs = needs, .services = services,
    .paths = paths, .check = check, .start = start, .stop = stop);
