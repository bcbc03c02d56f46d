/* test_queue_recover.c - what a start makes of files that cannot be read, are damaged, or
 * missing: nothing acknowledged is given up for a trouble that passes. */
#include "queue_unit.h"

#include <sys/file.h>

/* Some messages that wait, one of them with a body of its own. */
static void script_fill(void)
{
	static char big[300 << 10];
	const char *to = "late@dua.example";
	memset(big, 'y', sizeof(big));
	for (int i = 0; i < 3; i++)
		expect_equal(send_to(to), 0);
	expect_equal(
	    send_body("hyd@satu.example", &to, 1, (struct kurir_str){ big, sizeof(big) }, 0), 0);
	wait_for(1000);
	check_ledger(4, 0, 0, 4);
}

/* The n-th opening of a segment says that. */
static struct spool_io broken;
static int fault, from, until, opened;
static int broken_open(int dir, const char *name, int flags, mode_t mode)
{
	if (segment_name_id(name, ".seg") != 0 && (flags & O_ACCMODE) == O_RDONLY) {
		int n = __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
		if (n >= from && n < until)
			return fault;
	}
	return spool_io_real.open(dir, name, flags, mode);
}

static void script_all_there(void)
{
	wait_for(10000);
	check_ledger(4, 0, 0, 4);
	expect_equal(count_files(".body"), 1);
	world.fate = KURIR_FATE_DELIVERED;
	wait_for(3LL * 3600000);
	expect_equal(the_queue()->totals.cancelled, 0);
	expect_true(world.deliveries >= 8);
}

/* Segments that cannot be read for a moment are neither lost nor are their bodies litter. */
static void test_unreadable(void **state)
{
	static const int faults[] = { -EIO, -EMFILE, -ENOMEM };
	broken = spool_io_real;
	broken.open = broken_open;
	for (unsigned i = 0; i < 9; i++) {
		tear_down(state);
		set_up(state);
		live(script_fill);
		spool_io = &broken;
		fault = faults[i % 3];
		opened = 0;
		from = 1 + (int)i / 3;
		until = from + 1 + (int)i / 3;
		live(script_all_there);
	}
}

/* A folder whose names cannot all be read: what was not read is not gone. */
static int names_read;
static int broken_next(DIR *d, const char **ret_name)
{
	int n = __atomic_add_fetch(&names_read, 1, __ATOMIC_SEQ_CST);
	return n >= from && n < until ? -EIO : spool_io_real.next(d, ret_name);
}

static void script_asked_again(void)
{
	wait_for(10000);
	check_ledger(4, 0, 0, 4);
	expect_equal(count_files(".body"), 1);
}

static void test_names_unread(void **state)
{
	for (int i = 1; i < 6; i++) {
		tear_down(state);
		set_up(state);
		live(script_fill);
		broken = spool_io_real;
		broken.next = broken_next;
		spool_io = &broken;
		names_read = 0;
		from = i;
		until = i + 1;
		world.may_fail = true; /* who cannot see what is there does not begin */
		live(script_asked_again);
		spool_io = &spool_io_real;
		world.may_fail = false;
		live(script_asked_again);
	}
}

/* The end mark of a segment whose writer lives cannot be opened: what lies before it may have a
 * body, which is no litter. */
static int unmarked_open(int dir, const char *name, int flags, mode_t mode)
{
	if (segment_name_id(name, ".end") != 0 && (flags & O_ACCMODE) == O_RDONLY) {
		int n = __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
		if (n >= from && n < until)
			return fault;
	}
	return spool_io_real.open(dir, name, flags, mode);
}

/* As a writer of another process would have them. */
static int keep_segment(void)
{
	char name[SEGMENT_NAME_MAX], end[8];
	int segment = -1;
	DIR *d = opendir(spool_path("."));
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		uint64_t id = segment_name_id(e->d_name, ".seg");
		if (id == 0)
			continue;
		segment = open(spool_path(e->d_name), O_RDWR | O_CLOEXEC);
		assert_true(segment >= 0 && flock(segment, LOCK_EX) == 0);
		segment_put_le64(end, (uint64_t)lseek(segment, 0, SEEK_END));
		segment_name(name, id, ".end");
		int mark = open(spool_path(name), O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(mark, end, sizeof(end)), sizeof(end));
		close(mark);
	}
	closedir(d);
	return segment;
}

static void test_unmarked(void **state)
{
	static const int faults[] = { -EMFILE, -EIO, -ENOENT };
	for (unsigned i = 0; i < 6; i++) {
		tear_down(state);
		set_up(state);
		live(script_fill);
		assert_int_equal(unlink(spool_path("state.log")), 0);
		int segment = keep_segment();
		broken = spool_io_real;
		broken.open = unmarked_open;
		spool_io = &broken;
		fault = faults[i % 3];
		opened = 0;
		from = 1;
		until = 2 + (int)i / 3;
		live(script_all_there);
		close(segment);
	}
}

/* Its mark cannot be written: then it is given up, so that all of it is read. */
static int mark_fd;
static int marked_open(int dir, const char *name, int flags, mode_t mode)
{
	int fd = spool_io_real.open(dir, name, flags, mode);
	if (segment_name_id(name, ".end") != 0 && (flags & O_ACCMODE) != O_RDONLY)
		mark_fd = fd;
	return fd;
}
static int marked_close(int fd)
{
	mark_fd = fd == mark_fd ? -1 : mark_fd;
	return spool_io_real.close(fd);
}
static ssize_t marked_pwritev(int fd, const struct iovec *v, int n, uint64_t at)
{
	return fd == mark_fd ? -ENOSPC : spool_io_real.pwritev(fd, v, n, at);
}

static void script_mark_full(void)
{
	script_fill();
	DIR *d = opendir(spool_path("."));
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
		if (segment_name_id(e->d_name, ".seg") == 0)
			continue;
		int fd = open(spool_path(e->d_name), O_RDONLY | O_CLOEXEC);
		expect_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
		close(fd);
	}
	if (d != NULL)
		closedir(d);
	check_ledger(4, 0, 0, 4);
}

static void test_mark_full(void **state)
{
	(void)state;
	mark_fd = -1;
	broken = spool_io_real;
	broken.open = marked_open;
	broken.close = marked_close;
	broken.pwritev = marked_pwritev;
	spool_io = &broken;
	live(script_mark_full);
	spool_io = &spool_io_real;
	live(script_all_there);
}

static void damage(const char *suffix, off_t at, unsigned char mask)
{
	char name[128], folder[128];
	snprintf(folder, sizeof(folder), "%s/queue", world.folder);
	DIR *d = opendir(folder);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		unsigned char c;
		size_t n = strlen(e->d_name), k = strlen(suffix);
		if (n < k || strcmp(e->d_name + n - k, suffix) != 0)
			continue;
		snprintf(name, sizeof(name), "%s", spool_path(e->d_name));
		int fd = open(name, O_RDWR);
		assert_true(fd >= 0);
		if (pread(fd, &c, 1, at) == 1) {
			c ^= mask;
			assert_int_equal(pwrite(fd, &c, 1, at), 1);
		}
		close(fd);
	}
	closedir(d);
}

static void script_segments_kept(void)
{
	unsigned before = count_files(".seg");
	check_ledger(4, 0, 0, 4);
	wait_for(10000);
	expect_true(count_files(".seg") >= before);
	check_ledger(4, 0, 0, 4);
	wait_for(3LL * 3600000);
	expect_true(world.deliveries >= 8);
}

/* The head of a segment rots: its records say what is needed. */
static void test_bad_head(void **state)
{
	(void)state;
	live(script_fill);
	damage(".seg", 20, 1);
	live(script_segments_kept);
	/* And without the log that knew the messages. */
	assert_int_equal(unlink(spool_path("state.log")), 0);
	live(script_segments_kept);
}

static void script_stranger(void)
{
	unsigned before = count_files(".seg");
	wait_for(20000);
	expect_true(count_files(".seg") >= before);
}

/* Something that is no segment stays where it is. */
static void test_stranger(void **state)
{
	(void)state;
	FILE *f = fopen(spool_path("0123456789abcdef.seg"), "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is somebody else's file\n", f);
	fclose(f);
	live(script_stranger);
	assert_int_equal(access(spool_path("0123456789abcdef.seg"), F_OK), 0);
}

/* A damaged byte in the log costs what stood there, not all that came later. */
static void script_many(void)
{
	for (int i = 0; i < 50; i++)
		expect_equal(send_to("ok@dua.example"), 0);
	expect_equal(send_to("late@dua.example"), 0);
	wait_for(1000);
	check_ledger(51, 50, 0, 1);
}

static void script_few_again(void)
{
	world.deliveries = 0;
	wait_for(5000);
	expect_true(world.deliveries <= 2);
	expect_true(the_queue()->totals.delivered >= 50);
}

static void test_hole_in_log(void **state)
{
	(void)state;
	live(script_many);
	damage("state.log", 64 + 60 * 20, 16);
	live(script_few_again);
}

/* Messages that were moved, and their first segments gone: the log's loss is not theirs. */
static void script_move_all(void)
{
	static char body[50000];
	const char *late = "late@dua.example", *ok = "ok@dua.example";
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 200; i++)
		expect_equal(send_body("hyd@satu.example", i % 20 == 0 ? &late : &ok, 1,
				 (struct kurir_str){ body, sizeof(body) }, 0),
		    0);
	wait_for(40000);
	check_ledger(200, 190, 0, 10);
	expect_true(count_files(".seg") <= 3);
}

static void script_all_owed(void)
{
	wait_for(5000);
	world.fate = KURIR_FATE_DELIVERED;
	expect_true(the_queue()->entry_count >= 10);
	expect_equal(the_queue()->totals.cancelled, 0);
	world.deliveries = 0;
	wait_for(3LL * 3600000);
	expect_true(world.deliveries >= 10);
	expect_equal(world.last_length, 50000);
}

static void test_moved_and_forgotten(void **state)
{
	for (int i = 0; i < 3; i++) {
		tear_down(state);
		set_up(state);
		world.options.segment_size = 1 << 20;
		live(script_move_all);
		if (i == 0)
			assert_int_equal(unlink(spool_path("state.log")), 0);
		else if (i == 1)
			damage("state.log", 3, 1); /* its head */
		else
			for (off_t at = SEGMENT_HEAD; at < 60000; at += 24)
				damage("state.log", at, 16);
		live(script_all_owed);
	}
}

/* A segment that went away: its recipients are named, once, and the ledger says where they are. */
static void script_orphans(void)
{
	wait_for(1000);
	check_ledger(4, 0, 0, 0);
	expect_equal(the_queue()->totals.cancelled, 4);
	expect_equal(count_files(".body"), 0);
}

static void test_orphans(void **state)
{
	(void)state;
	live(script_fill);
	DIR *d = opendir(spool_path("."));
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		if (segment_name_id(e->d_name, ".seg") != 0)
			unlink(spool_path(e->d_name));
	closedir(d);
	live(script_orphans);
	live(script_orphans);
}

/* The record rots while it waits: it is tried as long as it may, and then it has a fate. */
static void script_rotten(void)
{
	check_ledger(4, 0, 0, 4);
	wait_for(6LL * 86400000);
	expect_equal(the_queue()->entry_count, 0);
	expect_true(the_queue()->totals.cancelled >= 1);
	expect_equal(the_queue()->message_count, 0);
}

static void test_rotten_record(void **state)
{
	(void)state;
	live(script_fill);
	damage(".seg", 64 + 70, 4);
	live(script_rotten);
}

/* The log is begun anew while mail goes on, again and again; then nothing is missing. */
static void script_checkpoints(void)
{
	char name[32];
	const char *to = name;
	for (unsigned i = 0; i < 4000; i++) {
		snprintf(name, sizeof(name), "%s%u@dua.example", i % 4 ? "ok" : "late", i);
		expect_equal(send_body("hyd@satu.example", &to, 1, hello, 0), 0);
		the_queue()->log.wanted = i % 64 == 0 || the_queue()->log.wanted;
		kurir_signal_raise(the_queue()->log.work);
		if (i % 100 == 0)
			wait_for(1);
	}
	wait_for(5000);
	check_ledger(4000, 3000, 0, 1000);
}

static void script_checkpointed(void)
{
	check_ledger(4000, 3000, 0, 1000);
	world.deliveries = 0;
	wait_for(3LL * 60000);
	expect_equal(world.deliveries, 1000);
	check_ledger(4000, 3000, 0, 1000);
}

static void test_checkpoints(void **state)
{
	(void)state;
	live(script_checkpoints);
	live(script_checkpointed);
}

/* Messages change their places, as in compaction, while the log is begun anew: from places that
 * the walk has not come to yet to some that it has passed, among others. */
static void script_moved_meanwhile(void)
{
	char name[32];
	const char *to = name;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "late%u@dua.example", i);
		expect_equal(send_body("hyd@satu.example", &to, 1, hello, 0), 0);
		if (i % 100 == 0)
			wait_for(1);
	}
	wait_for(5000);
	struct queue *q = the_queue();
	q->log.wanted = true;
	kurir_signal_raise(q->log.work);
	for (unsigned i = 0; i < 1000 && q->log.fresh.len <= SEGMENT_HEAD + 1000; i++)
		kurir_yield();
	expect_true(q->log.fresh_salt != 0);
	unsigned moved = 0;
	for (uint32_t bucket = 0; bucket < q->hash_size; bucket++)
		for (struct message *m = q->hash[bucket], *next; m != NULL; m = next) {
			uint64_t old = m->offset;
			next = m->hash_next;
			if (old >= 1u << 30)
				continue;
			table_move(q, m, m->segment, old + (1u << 30), m->bytes);
			state_moved(q, m->segment->id, old, m);
			moved++;
		}
	expect_equal(moved, 3000);
	wait_for(5000);
	expect_equal(q->log.fresh_salt, 0);
	check_ledger(3000, 0, 0, 3000);
}

static void script_all_moved(void)
{
	check_ledger(3000, 0, 0, 3000);
	expect_equal(the_queue()->message_count, 3000);
	expect_equal(the_queue()->entry_count, 3000);
}

static void test_moved_meanwhile(void **state)
{
	(void)state;
	live(script_moved_meanwhile);
	live(script_all_moved);
}

/* What was moved away keeps its old segment until the log can say so. */
static int log_full;
static int full_sync(int fd)
{
	return log_full ? -ENOSPC : spool_io_real.datasync(fd);
}

static void script_moved_unlogged(void)
{
	struct queue *q = the_queue();
	struct segment *old = q->segments, *to = table_segment(q, old->id + 1, true);
	uint64_t places[4];
	unsigned n = 0;
	wait_for(1000);
	expect_true(old->sealed && old->live == 4);
	log_full = 1;
	for (uint32_t bucket = 0; bucket < q->hash_size; bucket++)
		for (struct message *m = q->hash[bucket]; m != NULL && n < 4; m = m->hash_next)
			places[n++] = m->offset;
	for (unsigned i = 0; i < n; i++) {
		struct message *m = table_find(q, old, places[i]);
		table_move(q, m, to, places[i], m->bytes);
		state_moved(q, old->id, places[i], m);
	}
	wait_for(5000);
	expect_equal(count_files(".seg"), 1);
	log_full = 0;
	wait_for(10000);
	expect_equal(count_files(".seg"), 0);
}

static void test_moved_unlogged(void **state)
{
	(void)state;
	live(script_fill);
	broken = spool_io_real;
	broken.datasync = full_sync;
	spool_io = &broken;
	live(script_moved_unlogged);
}

/* A writer that names segments which do not exist is not believed, nor remembered. */
static void script_invented(void)
{
	struct kurir_str envelope = KURIR_STR("envelope");
	struct segment_record record = { .salt = 5,
		.envelope_length = (uint32_t)envelope.len,
		.kind = SEGMENT_MESSAGE,
		.recipients = 1 };
	char head[SEGMENT_HEAD];
	unsigned before = 0, after = 0;
	segment_put_record(head, &record, envelope);
	for (struct segment *s = the_queue()->segments; s != NULL; s = s->next)
		before++;
	for (unsigned i = 0; i < 1000; i++) {
		struct kurir_buf b = KURIR_BUF(4096);
		kurir_put_u64(&b, 0x1000 + i);
		kurir_put_u64(&b, SEGMENT_HEAD);
		kurir_put_text(&b, (struct kurir_str){ head, sizeof(head) });
		kurir_put_text(&b, envelope);
		struct kurir_incoming in = { .body = kurir_buf_str(&b), .fd = -1 };
		intake_post(queue_instance, &in);
		kurir_buf_free(&b);
	}
	for (struct segment *s = the_queue()->segments; s != NULL; s = s->next)
		after++;
	expect_equal(after, before);
	check_ledger(0, 0, 0, 0);
}

static void test_invented(void **state)
{
	(void)state;
	live(script_invented);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_unread, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unmarked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mark_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_head, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stranger, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hole_in_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_and_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_checkpoints, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_meanwhile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_unlogged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_invented, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_orphans, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rotten_record, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
