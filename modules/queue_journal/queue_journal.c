/* queue_journal.c - the spool and the queue: declaration, options, start and stop.
 * The edge writes messages (spool_*.c), the queue role decides what becomes of them (see
 * queue_role.h). */
#include "dispatch.h"

#include "spool_io.h"
#include "spool_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUTES_DOMAIN 10 /* fibers that ask for one domain at a time */

/* span = 1*DIGIT [ "s" / "m" / "h" / "d" ] ; seconds without a unit */
int queue_span(struct kurir_str s, kurir_time *ret)
{
	kurir_time unit = 1000;
	uint64_t n;
	if (s.len > 1) {
		char c = s.ptr[s.len - 1];
		unit = c == 'm' ? 60000 : c == 'h' ? 3600000 : c == 'd' ? 86400000 : 1000;
		if (c == 's' || c == 'm' || c == 'h' || c == 'd')
			s.len--;
	}
	int r = kurir_str_number(s, 1000000, &n);
	if (r < 0 || n == 0)
		return -EINVAL;
	*ret = (kurir_time)n * unit;
	return 0;
}

/* limit = ( "concurrency=" / "rate=" ) 1*DIGIT */
static int parse_limit(struct kurir_str s, struct destination *d)
{
	struct kurir_str concurrency = KURIR_STR("concurrency="), rate = KURIR_STR("rate=");
	bool slow = kurir_str_starts(s, rate);
	uint64_t n;
	if (!slow && !kurir_str_starts(s, concurrency))
		return -EINVAL;
	s = kurir_str_part(s, slow ? rate.len : concurrency.len, s.len);
	if (kurir_str_number(s, slow ? 60000 : 1000, &n) < 0 || n == 0)
		return -EINVAL;
	*(slow ? &d->rate : &d->limit) = (uint16_t)n;
	return 0;
}

static int queue_check(const void *conf_, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct queue_conf *conf = conf_;
	kurir_time span;
	if (conf->retry.count == 0 || conf->retry.count > 32) {
		*error =
		    KURIR_STR("\"retry\" takes 1 to 32 times, such as [\"1m\", \"15m\", \"1h\"]");
		return -EINVAL;
	}
	for (size_t i = 0; i < conf->retry.count; i++)
		if (queue_span(conf->retry.items[i], &span) < 0) {
			*error = kurir_format(arena,
			    "\"retry\": \"%.*s\" is not a time such as \"15m\"",
			    KURIR_ARG(kurir_str_part(conf->retry.items[i], 0, 40)));
			return -EINVAL;
		}
	for (size_t i = 0; i < conf->destinations.count; i++)
		for (size_t k = 0; k < conf->destinations.items[i].values.count; k++) {
			struct destination d;
			struct kurir_str s = conf->destinations.items[i].values.items[k];
			if (parse_limit(s, &d) == 0)
				continue;
			*error = kurir_format(arena,
			    "\"destinations\": \"%.*s\" is not \"concurrency=N\" or \"rate=N\"",
			    KURIR_ARG(kurir_str_part(s, 0, 40)));
			return -EINVAL;
		}
	return 0;
}

struct kurir_str queue_ref(struct kurir_arena *arena, const struct message *m)
{
	return kurir_format(arena, "%016llx:%llu", (unsigned long long)m->segment->id,
	    (unsigned long long)m->offset);
}

/* ref = 16HEXDIG ":" 1*DIGIT */
static int parse_ref(struct kurir_str ref, char name[SEGMENT_NAME_MAX], uint64_t *ret_offset)
{
	char hex[17] = { 0 };
	if (ref.len < 18 || ref.ptr[16] != ':')
		return -EINVAL;
	memcpy(hex, ref.ptr, 16);
	uint64_t id = segment_name_id(hex, "");
	if (id == 0)
		return -EINVAL;
	segment_name(name, id, ".seg");
	return kurir_str_number(kurir_str_part(ref, 17, ref.len), INT64_MAX, ret_offset);
}

int queue_open_ref(struct kurir_self *self, struct kurir_str ref, struct kurir_body *ret)
{
	struct queue_self *qs = queue_self(self);
	char name[SEGMENT_NAME_MAX], head[SEGMENT_HEAD];
	struct segment_record x;
	uint64_t at;
	int r = parse_ref(ref, name, &at);
	if (r < 0)
		return r;
	int fd = spool_io->open(qs->dir, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = spool_read_full(fd, head, sizeof(head), at);
	if (r == 0)
		r = segment_get_record(head, segment_get_le64(head + 8), &x);
	if (r == 0 && x.body_file != 0) {
		spool_io->close(fd);
		segment_name(name, x.body_file, ".body");
		fd = spool_io->open(qs->dir, name, O_RDONLY, 0);
		if (fd < 0)
			return fd;
		*ret = (struct kurir_body){ .fd = fd, .offset = 0, .length = x.body_length };
		return 0;
	}
	if (r < 0) {
		spool_io->close(fd);
		return r == -ENODATA ? -ENOENT : r;
	}
	*ret = (struct kurir_body){ .fd = fd, .length = x.body_length };
	ret->offset = at + SEGMENT_HEAD + x.envelope_length;
	return 0;
}

static int64_t entry_end(const struct entry *e, const void *arg)
{
	const struct queue *q = arg;
	return table_message_of((struct entry *)(uintptr_t)e)->arrived + q->conf->lifetime;
}

/* name = destination / "." suffix of destinations */
static void configure(struct destination *d, const void *arg)
{
	const struct queue *q = arg;
	struct kurir_str name = { d->name, d->name_length };
	if (kurir_str_starts(name, KURIR_STR(DISPATCH_GATE))) {
		d->limit = ROUTES_DOMAIN;
		d->rate = 0;
		return;
	}
	for (size_t i = 0; i < q->conf->destinations.count; i++) {
		const struct kurir_pair *p = &q->conf->destinations.items[i];
		struct kurir_str end = name;
		if (kurir_str_starts(p->key, KURIR_STR(".")) && name.len > p->key.len)
			end = kurir_str_part(name, name.len - p->key.len, name.len);
		if (!kurir_str_equal_nocase(p->key, end))
			continue;
		for (size_t k = 0; k < p->values.count; k++)
			parse_limit(p->values.items[k], d);
		return;
	}
}

/* What was found becomes due. */
static void schedule_all(struct queue *q)
{
	uint32_t bucket = 0;
	int64_t now = kurir_wallclock();
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m))
		for (uint32_t i = 0; i < m->count; i++) {
			struct entry *e = &m->entries[i];
			if (e->state != ENTRY_NEW)
				continue;
			if (e->due <= now)
				scheduler_ready(&q->scheduler, e);
			else
				scheduler_at(&q->scheduler, e, e->due);
		}
}

static void queue_free(struct queue *q)
{
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;) {
		uint32_t next_bucket = bucket;
		struct message *next = table_walk(q, &next_bucket, m);
		table_remove(q, m);
		m = next;
		bucket = next_bucket;
	}
	while (q->segments != NULL)
		table_segment_free(q, q->segments);
	command_pick_free(q->pick);
	free(q->hash);
	scheduler_fini(&q->scheduler);
	kurir_arena_free(q->scratch);
}

int queue_start(struct kurir_self *self)
{
	struct queue_self *qs = queue_self(self);
	const struct queue_conf *conf = kurir_conf(self);
	struct queue *q = kurir_alloc(kurir_self_arena(self), sizeof(*q));
	q->self = self;
	q->conf = conf;
	q->dir = qs->dir;
	q->log.fd = -1;
	for (size_t i = 0; i < conf->retry.count && i < 32; i++)
		if (queue_span(conf->retry.items[i], &q->retry[q->retry_count]) == 0)
			q->retry_count++;
	scheduler_init(
	    &q->scheduler, q->retry, q->retry_count, (unsigned)conf->destination_concurrency);
	q->scheduler.limit = (uint32_t)conf->concurrency;
	q->scheduler.destination_rate = (uint16_t)conf->destination_rate;
	q->scheduler.end = entry_end;
	q->scheduler.configure = configure;
	q->scheduler.arg = q;
	q->work = kurir_signal_new(kurir_self_arena(self));
	q->group = kurir_group_begin(self);
	q->scratch = kurir_arena_new("queue-intake");
	kurir_time began = kurir_now();
	int r = intake_recover(q);
	if (r < 0) {
		if (q->log.fd >= 0)
			spool_io->close(q->log.fd);
		kurir_buf_free(&q->log.pending);
		queue_free(q);
		return kurir_log(self, KURIR_ERROR, r, "cannot read the spool");
	}
	qs->queue = q;
	q->started = true;
	q->began = kurir_wallclock();
	schedule_all(q);
	kurir_log(self, KURIR_INFO, 0,
	    "%u messages, %llu recipients in the queue, read in %lld ms", q->message_count,
	    (unsigned long long)q->entry_count, (long long)(kurir_now() - began));
	r = state_start(q);
	if (r == 0)
		r = kurir_group_go(q->group, "queue-dispatch", dispatch_run, q);
	if (r == 0)
		r = kurir_group_go(q->group, "queue-watch", intake_watch, q);
	if (r == 0)
		r = kurir_group_go(q->group, "queue-compact", compact_run, q);
	return r;
}

void queue_stop(struct kurir_self *self)
{
	struct queue_self *qs = queue_self(self);
	struct queue *q = qs->queue;
	if (q == NULL)
		return;
	q->stopping = true;
	state_close(q);
	qs->queue = NULL;
	queue_free(q);
}

KURIR_PARKS static int journal_start(struct kurir_self *self)
{
	struct queue_self *qs = queue_self(self);
	struct kurir_str path = kurir_state_path(kurir_self_arena(self), "queue");
	qs->dir = open(path.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (qs->dir < 0)
		return kurir_log(self, KURIR_ERROR, -errno, "cannot open %s", path.ptr);
	int r = 0;
	if (kurir_roles() & (KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE))
		r = spool_writer_start(self, qs->dir, &qs->writer);
	if (r == 0 && (kurir_roles() & KURIR_ROLE_QUEUE))
		r = queue_start(self);
	return r;
}

KURIR_PARKS static void journal_stop(struct kurir_self *self)
{
	struct queue_self *qs = queue_self(self);
	spool_writer_stop(qs->writer);
	queue_stop(self);
	if (qs->dir >= 0)
		close(qs->dir);
	qs->dir = -1;
}

static const struct kurir_option options[] = {
	KURIR_OPT_TEXTS("retry", struct queue_conf, retry,
	    "[\"1m\", \"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"]",
	    "How long to wait after each failed attempt; the last time repeats."),
	KURIR_OPT_RANGE("lifetime", KURIR_SPAN, kurir_time, struct queue_conf, lifetime, "5d",
	    1000, 365LL * 86400000,
	    "How long a recipient is tried before the message is returned."),
	KURIR_OPT_SPAN("delay-warning", struct queue_conf, delay_warning, "4h",
	    "After how long the sender is told that a message waits; 0: never."),
	KURIR_OPT_RANGE("concurrency", KURIR_INT, int64_t, struct queue_conf, concurrency, "200",
	    1, 10000, "How many messages are worked on at the same time."),
	KURIR_OPT_RANGE("destination-concurrency", KURIR_INT, int64_t, struct queue_conf,
	    destination_concurrency, "20", 1, 1000,
	    "How many deliveries to one destination run at the same time."),
	KURIR_OPT_RANGE("destination-rate", KURIR_INT, int64_t, struct queue_conf,
	    destination_rate, "0", 0, 60000,
	    "How many deliveries to one destination begin in a minute; 0: any number."),
	KURIR_OPT_MAP("destinations", struct queue_conf, destinations, "",
	    "Limits of single destinations, such as {\"mx.example\": [\"concurrency=2\"]}."),
	KURIR_OPT_RANGE("recipients-per-job", KURIR_INT, int64_t, struct queue_conf,
	    recipients_per_job, "100", 1, 1000,
	    "How many recipients of a message are given to a transport at once."),
	KURIR_OPT_RANGE("job-deadline", KURIR_SPAN, kurir_time, struct queue_conf, job_deadline,
	    "30m", 1000, 86400000, "How long one delivery may take."),
	KURIR_OPT_RANGE("segment-size", KURIR_SIZE, uint64_t, struct queue_conf, segment_size,
	    "64M", 1 << 20, 1LL << 30, "When a new segment of the spool is begun."),
	KURIR_OPT_RANGE("inline-size", KURIR_SIZE, uint64_t, struct queue_conf, inline_size,
	    "256K", 4096, 4 << 20, "Messages above it get a file of their own."),
	KURIR_OPT_RANGE("memory", KURIR_SIZE, uint64_t, struct queue_conf, memory, "64M", 1 << 20,
	    1LL << 40,
	    "Bytes of unfinished messages kept in memory; beyond, they go to files early."),
	KURIR_OPT_RANGE("state-delay", KURIR_SPAN, kurir_time, struct queue_conf, state_delay,
	    "20ms", 0, 10000,
	    "Fates are gathered that long before they are made durable together."),
	KURIR_OPT_RANGE("scan-interval", KURIR_SPAN, kurir_time, struct queue_conf, scan_interval,
	    "3s", 100, 3600000,
	    "How often the spool is searched for messages whose notice was lost."),
	KURIR_OPT_BOOL("hold", struct queue_conf, hold, "false",
	    "New messages are held until an administrator releases them."),
	{ 0 },
};

/* In the order of enum queue_counter. */
static const char *const counters[] = { "committed", "batches", "bytes", "commit-failed",
	"accepted", "delivered", "bounced", "cancelled", "deferred", "jobs", "missed", "torn",
	"segments-dropped", "moved", "orphans", NULL };

static const struct kurir_queue_ops queue_ops = {
	.size = sizeof(queue_ops),
	.begin = spool_begin,
	.write = spool_write,
	.read = spool_read,
	.commit = spool_commit,
	.abort = spool_abort,
	.open = queue_open_ref,
};
static const struct kurir_endpoint_ops new_ops = { .size = sizeof(new_ops), .post = intake_post };
static const struct kurir_endpoint_ops ctl_queue_ops = { .size = sizeof(ctl_queue_ops),
	.call = command_queue };
static const struct kurir_endpoint_ops ctl_ledger_ops = { .size = sizeof(ctl_ledger_ops),
	.call = command_ledger };

static const struct kurir_service services[] = {
	{ "queue", "journal", &queue_ops, 0 },
	{ "endpoint", QUEUE_NEW, &new_ops, KURIR_ROLE_QUEUE },
	{ "endpoint", "ctl.queue", &ctl_queue_ops, KURIR_ROLE_QUEUE },
	{ "endpoint", "ctl.ledger", &ctl_ledger_ops, KURIR_ROLE_QUEUE },
	{ 0 },
};
static const struct kurir_path paths[] = {
	{ .state = "queue",
	    .read = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_RELAY | KURIR_ROLE_STORE,
	    .write = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE },
	{ 0 },
};

KURIR_MODULE(queue_journal, .version = "1.0",
    .summary = "The spool and the queue, in append-only files",
    .caps = KURIR_CAP_SPAWN | KURIR_CAP_FILES,
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_RELAY | KURIR_ROLE_STORE,
    .conf_size = sizeof(struct queue_conf), .self_size = sizeof(struct queue_self),
    .options = options, .counters = counters, .services = services, .paths = paths,
    .check = queue_check, .start = journal_start, .stop = journal_stop);
