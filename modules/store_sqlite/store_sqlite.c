/* store_sqlite.c - mailboxes in SQLite databases and segments: the service "store", and the
 * transport "local". */
#include "sqlite.h"

#include <errno.h>
#include <unistd.h>

#define PURGE_EVERY 60000
#define WRITERS_MIN 2

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("root", struct sqlite_conf, root, NULL,
	    "The folder of all shards; on a disk of its own machine, as SQLite needs its locks."),
	KURIR_OPT_RANGE("shards", KURIR_INT, int64_t, struct sqlite_conf, shards, "16", 1,
	    SHARDS_MAX, "How many databases; cannot be changed once there are mailboxes."),
	KURIR_OPT_RANGE("segment-size", KURIR_SIZE, uint64_t, struct sqlite_conf, segment_size,
	    "256M", 1 << 20, 1ll << 40, "When a new file for the bytes of messages is begun."),
	KURIR_OPT_RANGE("quota-bytes", KURIR_SIZE, uint64_t, struct sqlite_conf, quota_bytes, "0",
	    0, 1ll << 60, "How much an account may have; 0: any amount."),
	KURIR_OPT_RANGE("quota-messages", KURIR_INT, int64_t, struct sqlite_conf, quota_messages,
	    "0", 0, UINT32_MAX, "How many messages an account may have; 0: any number."),
	KURIR_OPT_RANGE("grace", KURIR_SPAN, kurir_time, struct sqlite_conf, grace, "7d", 0,
	    (int64_t)10 * 365 * 86400000, "How long the bytes of an expunged message are kept."),
	KURIR_OPT_BOOL("full-text", struct sqlite_conf, full_text, "true",
	    "Whether an index is kept for accounts that search bodies, so that searches need not"
	    " read all messages."),
	KURIR_OPT_RANGE("remember", KURIR_SPAN, kurir_time, struct sqlite_conf, remember, "30d",
	    0, (int64_t)10 * 365 * 86400000,
	    "How long a mailbox knows what went, for clients that were away."),
	{ 0 },
};

static const char *const counters[] = {
	[SQLITE_DELIVERED] = "delivered",
	[SQLITE_DELIVERY_FAILED] = "delivery-failed",
	[SQLITE_BATCHES] = "batches",
	[SQLITE_REQUESTS] = "requests",
	[SQLITE_FAILED] = "batches-failed",
	[SQLITE_DAMAGED] = "segments-damaged",
	NULL,
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct sqlite_conf *c = conf;

	if (c->root.len < 2 || c->root.len > 400) {
		*error =
		    kurir_format(arena, "root must be a folder with a path of 2 to 400 bytes");
		return -EINVAL;
	}
	return 0;
}

/* Each shard's process clears it up, now and then; who is on its way out does not. */
KURIR_PARKS static void purge(void *arg)
{
	struct kurir_self *self = arg;
	const struct sqlite_conf *conf = kurir_conf(self);
	struct sqlite_self *m = kurir_state(self);
	int r = 0;

	while (r != -ECANCELED && kurir_sleep(kurir_now() + PURGE_EVERY) == 0)
		for (unsigned i = 0; i < (unsigned)conf->shards && r != -ECANCELED; i++)
			if (m->shards[i] != NULL)
				r = sqlite_purge(self, i, KURIR_FOREVER);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct sqlite_conf *conf = kurir_conf(self);
	struct sqlite_self *m = kurir_state(self);
	int r = 0;

	m->inotify = m->format = -1;
	m->group = kurir_group_begin(self);
	m->turns.signal = kurir_signal_new(kurir_self_arena(self));
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	m->turns.at_once = processors > WRITERS_MIN ? (uint64_t)processors : WRITERS_MIN;
	if (kurir_roles() & KURIR_ROLE_ACCESS)
		r = sqlite_wait_start(self);
	if (r >= 0 && kurir_roles() & KURIR_ROLE_ACCESS)
		r = ahead_start(self);
	if (r >= 0 && kurir_roles() & KURIR_ROLE_ACCESS)
		r = readers_start(self);
	if (r >= 0 && kurir_roles() & KURIR_ROLE_STORE)
		r = format_check(self);
	if (r >= 0 && kurir_roles() & KURIR_ROLE_STORE) {
		r = kurir_group_go(m->group, "store-purge", purge, self);
		if (r >= 0 && conf->full_text) {
			m->search = kurir_signal_new(kurir_self_arena(self));
			r = kurir_group_go(m->group, "store-search", sqlite_search, self);
		}
	}
	return r;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	if (kurir_roles() & KURIR_ROLE_ACCESS)
		sqlite_wait_stop(self);
	sqlite_writer_stop(self);
	ahead_stop(self);
	readers_stop(self);
	places_stop(kurir_state(self));
	format_release(self);
}

static const struct kurir_endpoint_ops transport = { .size = sizeof(transport),
	.call = sqlite_transport };
static const struct kurir_endpoint_ops command = { .size = sizeof(command),
	.call = sqlite_command };
static const struct kurir_endpoint_ops writer = { .size = sizeof(writer), .call = sqlite_writer };

static const struct kurir_service services[] = {
	{ .kind = "store", .name = "store_sqlite", .ops = &sqlite_store },
	{ .kind = "endpoint",
	    .name = "transport.local",
	    .ops = &transport,
	    .roles = KURIR_ROLE_STORE },
	{ .kind = "endpoint", .name = "ctl.mailbox", .ops = &command, .roles = KURIR_ROLE_STORE },
	{ .kind = "endpoint", .name = "store.sqlite", .ops = &writer, .roles = KURIR_ROLE_STORE },
	{ 0 },
};

static const char *const needs[] = { "queue", NULL };

static const struct kurir_path paths[] = {
	{ .option = "root", .read = KURIR_ROLE_ACCESS, .write = KURIR_ROLE_STORE },
	{ 0 },
};

KURIR_MODULE(store_sqlite, .version = "1.0", .summary = "mailboxes in SQLite databases",
    .caps = KURIR_CAP_SPAWN | KURIR_CAP_FILES, .roles = KURIR_ROLE_STORE | KURIR_ROLE_ACCESS,
    .conf_size = sizeof(struct sqlite_conf), .self_size = sizeof(struct sqlite_self),
    .options = options, .counters = counters, .needs = needs, .services = services,
    .paths = paths, .check = check, .start = start, .stop = stop);
