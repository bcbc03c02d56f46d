/* ledger.c - counts again what the files say, without the server's tables.
 *
 * The log is read into tables of its own, then every segment is searched from its begin: each
 * recipient that the log calls queued must have a record, and each record that the log does not
 * know must lie behind what it knows.  While the server runs the files change under us: an orphan
 * counts when it is one in a second reading too. */
#include "ledger.h"

#include "spool_io.h"
#include "state_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READINGS 3

static bool body_there(int dir, const struct segment_record *r)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;
	if (r->body_file == 0)
		return true;
	segment_name(name, r->body_file, ".body");
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == r->body_length;
}

/* users of a message in our own table: its record was seen. */
static void ledger_record(
    struct queue *q, struct ledger *l, struct segment *s, const struct segment_found *f)
{
	struct message *m = table_find(q, s, f->offset);
	if (m == NULL && f->record.kind == SEGMENT_MOVED) /* moved, the log will say so */
		m = table_find(q, table_segment(q, f->moved_segment, false), f->moved_offset);
	if (m != NULL) {
		if (m->undecided > 0 && m->users == 0 && !body_there(q->dir, &f->record))
			l->bodies += m->undecided;
		m->users = 1;
	} else if (f->record.kind != SEGMENT_MOVED && f->offset >= s->known) {
		l->found += f->record.recipients;
		l->messages += f->record.recipients > 0;
		if (!body_there(q->dir, &f->record))
			l->bodies += f->record.recipients;
	}
}

static int ledger_segment(struct queue *q, struct ledger *l, const char *name, uint64_t id)
{
	struct stat st;
	struct segment_scan scan = { .until = UINT64_MAX };
	scan.fd = spool_io->open(q->dir, name, O_RDONLY, 0);
	if (scan.fd < 0)
		return scan.fd == -ENOENT ? 0 : scan.fd; /* its time had come */
	l->segments++;
	if (fstat(scan.fd, &st) == 0)
		l->bytes += (uint64_t)st.st_size;
	int r = segment_scan(&scan);
	spool_io->close(scan.fd);
	if (r == -EBADMSG) {
		l->strangers++;
		return 0;
	}
	if (r < 0)
		return r;
	struct segment *s = table_segment(q, id, true);
	for (size_t i = 0; i < scan.count; i++)
		ledger_record(q, l, s, &scan.found[i]);
	l->torn += scan.torn;
	free(scan.found);
	return 0;
}

static int ledger_segments(struct queue *q, struct ledger *l)
{
	int fd = openat(q->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	const char *name;
	while (r >= 0 && (r = spool_io->next(d, &name)) > 0) {
		uint64_t id = segment_name_id(name, ".seg");
		if (id != 0)
			r = ledger_segment(q, l, name, id);
	}
	closedir(d);
	return r;
}

static void ledger_messages(struct queue *q, struct ledger *l)
{
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m)) {
		for (uint32_t i = 0; i < m->count; i++)
			l->held += m->entries[i].state == ENTRY_HELD;
		if (m->undecided == 0)
			continue;
		l->messages++;
		l->live_bytes += m->bytes;
		*(m->users > 0 ? &l->queued : &l->orphans) += m->undecided;
	}
}

static void ledger_free(struct queue *q)
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
	free(q->hash);
	scheduler_fini(&q->scheduler);
	free(q);
}

static int ledger_read(int dir, struct ledger *l)
{
	static const kurir_time span = 60000;
	struct log_read log = { .at = 0 };
	struct queue *q = calloc(1, sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	*l = (struct ledger){ 0 };
	q->dir = dir;
	scheduler_init(&q->scheduler, &span, 1, 1);
	int fd = spool_io->open(dir, LOG_NAME, O_RDONLY, 0);
	int r = fd >= 0 ? state_load(q, fd, &log) : fd == -ENOENT ? 0 : fd;
	if (fd >= 0)
		spool_io->close(fd);
	if (r == 0)
		r = ledger_segments(q, l);
	if (r == 0) {
		ledger_messages(q, l);
		l->accepted = q->totals.accepted + l->found;
		l->delivered = q->totals.delivered;
		l->bounced = q->totals.bounced;
		l->cancelled = q->totals.cancelled;
		l->queued += l->found;
		l->damaged = log.headless || log.holes;
		l->balanced = l->accepted == l->delivered + l->bounced + l->cancelled + l->queued;
	}
	ledger_free(q);
	return r;
}

bool ledger_good(const struct ledger *l)
{
	return l->balanced && l->bodies == 0 && !l->damaged;
}

json_t *ledger_json(const struct ledger *l)
{
	return json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}",
	    "accepted", (json_int_t)l->accepted, "delivered", (json_int_t)l->delivered, "bounced",
	    (json_int_t)l->bounced, "cancelled", (json_int_t)l->cancelled, "queued",
	    (json_int_t)l->queued, "held", (json_int_t)l->held, "orphans", (json_int_t)l->orphans,
	    "bodies-missing", (json_int_t)l->bodies, "torn", (json_int_t)l->torn, "messages",
	    (json_int_t)l->messages, "segments", (json_int_t)l->segments, "strangers",
	    (json_int_t)l->strangers, "bytes", (json_int_t)l->bytes, "live-bytes",
	    (json_int_t)l->live_bytes, "damaged", (int)l->damaged, "balanced", (int)l->balanced);
}

int ledger_verify(int dir, struct ledger *ret)
{
	int r = 0;
	for (unsigned n = 0; n < READINGS; n++) {
		r = ledger_read(dir, ret);
		if (r == 0 && ledger_good(ret))
			break;
	}
	return r;
}

static void print_trouble(struct kurir_buf *b, uint64_t n, const char *what)
{
	if (n > 0)
		kurir_buf_printf(b, "%llu %s\n", (unsigned long long)n, what);
}

void ledger_print(const struct ledger *l, struct kurir_buf *b)
{
	kurir_buf_printf(b,
	    "accepted %llu = delivered %llu + bounced %llu + cancelled %llu + queued %llu%s\n",
	    (unsigned long long)l->accepted, (unsigned long long)l->delivered,
	    (unsigned long long)l->bounced, (unsigned long long)l->cancelled,
	    (unsigned long long)l->queued, l->balanced ? "" : "  DOES NOT BALANCE");
	kurir_buf_printf(b, "%llu messages in %llu segments of %llu bytes\n",
	    (unsigned long long)l->messages, (unsigned long long)l->segments,
	    (unsigned long long)l->bytes);
	print_trouble(b, l->orphans, "recipients are orphans: their records are nowhere");
	print_trouble(b, l->bodies, "recipients wait for a message whose body is gone");
	print_trouble(b, l->torn, "unfinished records, which were never promised");
	print_trouble(b, l->strangers, "files are named as segments and are none");
	if (l->damaged)
		kurir_buf_printf(b, "the state log is damaged\n");
}
