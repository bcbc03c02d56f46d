/* test_segment.c - the format of a segment against every cut and every flipped byte, the state
 * log, the
 * scheduler, route texts, packing, and notifications. */
#include "conf_unit.h"

#include <modules/queue_journal/crc32c.h>
#include <modules/queue_journal/queue_role.h>
#include <modules/queue_journal/spool_file.h>
#include <modules/queue_journal/spool_io.h>
#include <modules/route_static/route_text.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct kurir_arena *arena;

static void checksum(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
	assert_int_equal(crc32c(0, "", 0), 0);
}

/* A segment of three messages in memory. */
struct image {
	char bytes[8192];
	size_t length, starts[4];
};
#define SALT 0x1122334455667788ULL

static void image_add(struct image *m, const char *envelope, const char *body, uint64_t synced)
{
	struct segment_record r = {
		.salt = SALT, .synced = synced, .kind = SEGMENT_MESSAGE, .recipients = 1
	};
	r.envelope_length = (uint32_t)strlen(envelope);
	r.body_length = strlen(body);
	r.body_crc = crc32c(0, body, strlen(body));
	r.arrived = 1234567890123;
	r.id_hash = 77;
	r.lane = 5;
	segment_put_record(m->bytes + m->length, &r, kurir_str_of(envelope));
	memcpy(m->bytes + m->length + SEGMENT_HEAD, envelope, strlen(envelope));
	memcpy(m->bytes + m->length + SEGMENT_HEAD + strlen(envelope), body, strlen(body));
	m->length += segment_record_bytes(&r);
}

static void image_make(struct image *m)
{
	struct segment_head h = { .id = 42, .salt = SALT, .role = 1, .pid = 7, .created = 99 };
	memset(m, 0, sizeof(*m));
	segment_put_head(m->bytes, &h);
	m->length = m->starts[0] = SEGMENT_HEAD;
	image_add(m, "first envelope", "Subject: one\r\n\r\nbody\r\n", m->starts[0]);
	m->starts[1] = m->length;
	image_add(m, "second", "", m->starts[0]);
	m->starts[2] = m->length;
	image_add(m, "the third one's envelope", "x", m->starts[2]);
	m->starts[3] = m->length;
}

static int image_scan(const char *bytes, size_t n, struct segment_scan *s)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(spool_write_full(fd, bytes, n, 0), 0);
	*s = (struct segment_scan){ .fd = fd, .until = UINT64_MAX };
	int r = segment_scan(s);
	close(fd);
	return r;
}

static void whole(void **state)
{
	struct image m;
	struct segment_scan s;
	(void)state;
	image_make(&m);
	assert_int_equal(image_scan(m.bytes, sizeof(m.bytes), &s), 0); /* zeros behind */
	assert_int_equal(s.count, 3);
	assert_int_equal(s.end, m.length);
	assert_int_equal(s.skipped, 0);
	assert_int_equal(s.synced, m.starts[2]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s.found[i].offset, m.starts[i]);
	assert_int_equal(s.found[0].record.arrived, 1234567890123);
	assert_int_equal(s.found[0].record.lane, 5);
	assert_int_equal(s.found[0].record.id_hash, 77);
	free(s.found);
}

/* Cut anywhere: what is whole before the cut is found, nothing else, and never an error. */
static void every_cut(void **state)
{
	struct image m;
	(void)state;
	image_make(&m);
	for (size_t cut = 0; cut <= m.length; cut++) {
		struct segment_scan s;
		int r = image_scan(m.bytes, cut, &s);
		if (cut < SEGMENT_HEAD) {
			assert_int_equal(r, -EBADMSG);
			continue;
		}
		assert_int_equal(r, 0);
		size_t want = 0;
		while (want < 3 && m.starts[want + 1] <= cut)
			want++;
		/* The padding is no part of what was promised. */
		assert_true(s.count == want || s.count == want + 1);
		if (s.count == want + 1)
			assert_true(m.starts[want + 1] - cut < SEGMENT_ALIGN);
		free(s.found);
	}
}

/* A flipped byte costs at most the record it is in. */
static void every_flip(void **state)
{
	struct image m;
	(void)state;
	image_make(&m);
	for (size_t at = 0; at < m.length; at++)
		for (unsigned bit = 0; bit < 8; bit += 3) {
			struct segment_scan s;
			m.bytes[at] ^= (char)(1 << bit);
			int r = image_scan(m.bytes, m.length + 64, &s);
			m.bytes[at] ^= (char)(1 << bit);
			/* In the head, too: the first record has the salt. */
			assert_int_equal(r, 0);
			assert_true(at >= SEGMENT_HEAD || s.count == 3);
			for (size_t i = 0; i < s.count; i++)
				assert_true(s.found[i].offset == m.starts[0] ||
				    s.found[i].offset == m.starts[1] ||
				    s.found[i].offset == m.starts[2]);
			assert_true(s.count >= 2);
			free(s.found);
		}
}

/* A body that looks like a record is none: its author did not know the salt. */
static void forged(void **state)
{
	struct image m;
	struct segment_scan s;
	char forged_record[SEGMENT_HEAD + 8] = { 0 };
	struct segment_record r = {
		.salt = SALT ^ 1, .kind = SEGMENT_MESSAGE, .recipients = 1, .envelope_length = 4
	};
	(void)state;
	segment_put_record(forged_record, &r, KURIR_STR("evil"));
	memcpy(forged_record + SEGMENT_HEAD, "evil", 4);
	image_make(&m);
	memcpy(m.bytes + m.length, forged_record, sizeof(forged_record));
	assert_int_equal(image_scan(m.bytes, m.length + sizeof(forged_record), &s), 0);
	assert_int_equal(s.count, 3);
	free(s.found);
}

static void file_names(void **state)
{
	char name[SEGMENT_NAME_MAX];
	(void)state;
	segment_name(name, 0x0123456789abcdefULL, ".seg");
	assert_string_equal(name, "0123456789abcdef.seg");
	assert_true(segment_name_id(name, ".seg") == 0x0123456789abcdefULL);
	assert_int_equal(segment_name_id(name, ".body"), 0);
	assert_int_equal(segment_name_id("0123456789abcdeF.seg", ".seg"), 0);
	assert_int_equal(segment_name_id("state.log", ".seg"), 0);
}

/* Group commit with every file operation failing in turn. */
static struct spool_io failing;
static unsigned countdown;
static int fault;
static bool fails(void)
{
	return countdown > 0 && --countdown == 0;
}
static int fail_open(int d, const char *n, int f, mode_t m)
{
	return fails() ? fault : spool_io_real.open(d, n, f, m);
}
static ssize_t fail_pwritev(int fd, const struct iovec *v, int n, uint64_t at)
{
	if (fails()) { /* the disk took a part of it */
		struct iovec half = { v[0].iov_base, v[0].iov_len / 2 };
		spool_io_real.pwritev(fd, &half, 1, at);
		return fault;
	}
	return spool_io_real.pwritev(fd, v, n, at);
}
static int fail_datasync(int fd)
{
	return fails() ? fault : spool_io_real.datasync(fd);
}
static int fail_sync(int fd)
{
	return fails() ? fault : spool_io_real.sync(fd);
}
static int fail_truncate(int fd, uint64_t n)
{
	return fails() ? fault : spool_io_real.truncate(fd, n);
}
static int fail_unlink(int d, const char *n)
{
	return fails() ? fault : spool_io_real.unlink(d, n);
}
static int fail_rename(int d, const char *a, const char *b)
{
	return fails() ? fault : spool_io_real.rename(d, a, b);
}

static void remove_tree(const char *folder)
{
	char name[512];
	DIR *d = opendir(folder);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		snprintf(name, sizeof(name), "%s/%s", folder, e->d_name);
		if (e->d_name[0] != '.')
			unlink(name);
	}
	closedir(d);
	rmdir(folder);
}

static void failures(void **state)
{
	static const int errors[] = { -ENOSPC, -EIO };
	(void)state;
	failing = spool_io_real;
	failing.open = fail_open;
	failing.pwritev = fail_pwritev;
	failing.datasync = fail_datasync;
	failing.sync = fail_sync;
	failing.truncate = fail_truncate;
	failing.unlink = fail_unlink;
	failing.rename = fail_rename;
	for (unsigned e = 0; e < 2; e++)
		for (unsigned n = 1; n < 60; n++) {
			char folder[64];
			snprintf(folder, sizeof(folder), "%s/kurir-segment-XXXXXX",
			    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
			assert_non_null(mkdtemp(folder));
			int dir = open(folder, O_RDONLY | O_DIRECTORY);
			struct spool_file f = {
				.dir = dir, .fd = -1, .mark = -1, .limit = 4096, .role = 1
			};
			static struct spool_item items[20];
			bool promised[20] = { false };
			spool_io = &failing;
			fault = errors[e];
			countdown = n;
			for (unsigned i = 0; i < 20; i++) {
				struct spool_batch b = {
					.file = &f, .items = { &items[i] }, .count = 1
				};
				items[i] =
				    (struct spool_item){ .envelope = KURIR_STR("envelope") };
				items[i].body =
				    KURIR_STR("a body of some length, so that segments end");
				items[i].record =
				    (struct segment_record){ .kind = SEGMENT_MESSAGE,
					    .envelope_length = 8,
					    .recipients = 1,
					    .body_length = items[i].body.len };
				items[i].record.body_crc =
				    crc32c(0, items[i].body.ptr, items[i].body.len);
				items[i].record.id_hash = i;
				spool_batch_run(&b);
				promised[i] = b.result == 0;
			}
			bool fired = countdown == 0;
			spool_io = &spool_io_real;
			spool_file_finish(&f);
			for (unsigned i = 0; i < 20; i++) {
				char name[SEGMENT_NAME_MAX];
				if (!promised[i])
					continue;
				segment_name(name, items[i].segment, ".seg");
				struct segment_scan s = { .until = UINT64_MAX };
				s.fd = openat(dir, name, O_RDONLY);
				assert_true(s.fd >= 0);
				assert_int_equal(segment_scan(&s), 0);
				unsigned times = 0;
				for (size_t k = 0; k < s.count; k++) {
					times += s.found[k].record.id_hash == i;
					/* What was refused is not there. */
					assert_true(promised[s.found[k].record.id_hash]);
				}
				assert_int_equal(times, 1);
				free(s.found);
				close(s.fd);
			}
			unsigned kept = 0;
			for (unsigned i = 0; i < 20; i++)
				kept += promised[i];
			assert_true(kept >= 19); /* only the one that was hit */
			close(dir);
			remove_tree(folder);
			if (!fired)
				break;
		}
}

/* The scheduler, with a clock of our own. */
static void times(void **state)
{
	static const kurir_time retry[] = { 60000, 300000 };
	static struct scheduler s;
	struct entry e[100];
	(void)state;
	scheduler_init(&s, retry, 2, 2);
	memset(e, 0, sizeof(e));
	for (unsigned i = 0; i < 100; i++)
		scheduler_at(&s, &e[i], (int64_t)(i * 7919 % 100) * 1000);
	assert_int_equal(scheduler_next(&s), 0);
	scheduler_remove(&s, &e[50]);
	int64_t before = -1;
	unsigned n = 0;
	for (int64_t now = 0; now < 100000; now += 1000)
		for (struct entry *x; (x = scheduler_take(&s, now)) != NULL; n++) {
			assert_true(x->due >= before && x->due <= now);
			assert_true(x != &e[50]);
			before = x->due;
		}
	assert_int_equal(n, 99);
	assert_true(scheduler_next(&s) == INT64_MAX);
	for (unsigned i = 1; i < 5; i++) {
		int64_t due = scheduler_retry(&s, i, 1000), span = retry[i > 1];
		assert_true(due >= 1000 + span && due <= 1000 + span + span / 8);
	}
	scheduler_fini(&s);
}

static void turns(void **state)
{
	static const kurir_time retry[] = { 60000 };
	static struct scheduler s;
	struct entry e[30];
	(void)state;
	scheduler_init(&s, retry, 1, 2);
	memset(e, 0, sizeof(e));
	for (unsigned i = 0; i < 29; i++)
		e[i].lane = 3; /* a flood */
	e[28].attempts = 1;
	e[29].lane = 9;
	for (unsigned i = 0; i < 30; i++)
		scheduler_ready(&s, &e[i]);
	struct entry *first = scheduler_take(&s, 0), *second = scheduler_take(&s, 0);
	assert_true(first == &e[29] || second == &e[29]); /* its turn comes at once */
	unsigned deferred_at = 0;
	for (unsigned i = 2; i < 30; i++)
		if (scheduler_take(&s, 0) == &e[28])
			deferred_at = i;
	assert_int_equal(deferred_at, 15); /* deferred ones later, but not never */
	assert_null(scheduler_take(&s, 0));
	scheduler_fini(&s);
}

/* A flood takes half of the places and leaves the next one room, whoever comes. */
static void floods(void **state)
{
	static const kurir_time retry[] = { 60000 };
	static struct scheduler s;
	static struct entry e[1000];
	unsigned taken[3] = { 0 };
	(void)state;
	scheduler_init(&s, retry, 1, 2);
	s.limit = 100;
	memset(e, 0, sizeof(e));
	for (unsigned i = 0; i < 1000; i++) {
		e[i].lane = (uint8_t)(i % 500 == 499 ? 7 + i / 500 : 200);
		e[i].attempts = i >= 500;
		if (i < 499)
			scheduler_ready(&s, &e[i]);
	}
	while (scheduler_take(&s, 0) != NULL)
		taken[0]++;
	assert_int_equal(taken[0], 50);
	scheduler_ready(&s, &e[499]); /* somebody else */
	assert_ptr_equal(scheduler_take(&s, 0), &e[499]);
	for (unsigned i = 500; i < 999; i++) { /* and a flood of deferred ones of many */
		e[i].lane = (uint8_t)i;
		scheduler_ready(&s, &e[i]);
	}
	while (scheduler_take(&s, 0) != NULL)
		taken[1]++;
	assert_int_equal(s.busy_deferred, taken[1]);
	assert_true(taken[1] > 20 && taken[1] < 30);
	e[999].attempts = 0;
	e[999].lane = 9;
	scheduler_ready(&s, &e[999]);
	assert_ptr_equal(scheduler_take(&s, 0), &e[999]);
	scheduler_leave(&s, 200, false);
	scheduler_leave(&s, 200, false);
	assert_int_equal(s.busy, 50 + 1 + taken[1] + 1 - 2);
	scheduler_fini(&s);
}

static void destinations(void **state)
{
	static const kurir_time retry[] = { 60000 };
	static struct scheduler s;
	struct entry e[10];
	(void)state;
	scheduler_init(&s, retry, 1, 2);
	memset(e, 0, sizeof(e));
	struct destination *d = scheduler_destination(&s, KURIR_STR("mx.dua.example"));
	assert_ptr_equal(scheduler_destination(&s, KURIR_STR("mx.dua.example")), d);
	assert_int_equal(scheduler_ask(&s, d, 0, false), SCHEDULER_GO);
	assert_int_equal(scheduler_ask(&s, d, 0, false), SCHEDULER_GO);
	assert_int_equal(scheduler_ask(&s, d, 0, false), SCHEDULER_WAIT);
	for (unsigned i = 0; i < 10; i++)
		scheduler_wait(&s, d, &e[i]);
	assert_null(scheduler_take(&s, 0));
	scheduler_done(&s, d, 0, false, true);
	assert_non_null(scheduler_take(&s, 0));
	assert_null(scheduler_take(&s, 0));
	/* In trouble: all wait for it together, also who comes, and who was woken before. */
	scheduler_done(&s, d, 1000, true, false);
	assert_int_equal(d->waiting_count, 9);
	assert_int_equal(scheduler_ask(&s, d, 2000, false), SCHEDULER_BLOCKED);
	assert_int_equal(
	    scheduler_ask(&s, d, 2000, true), SCHEDULER_GO); /* an administrator insists */
	scheduler_done(&s, d, 2000, true, false);
	scheduler_block(&s, d, scheduler_take(&s, 2000) != NULL ? &e[0] : &e[0], 5000);
	assert_null(scheduler_take(&s, 5001)); /* its own time is over, the trouble is not */
	scheduler_sweep(&s, 29000);
	assert_null(scheduler_take(&s, 29000));
	scheduler_sweep(&s, 31000);
	assert_non_null(scheduler_take(&s, 31000)); /* one tries ... */
	assert_null(scheduler_take(&s, 31000));
	assert_int_equal(scheduler_ask(&s, d, 32000, false), SCHEDULER_GO);
	assert_int_equal(scheduler_ask(&s, d, 32000, false), SCHEDULER_WAIT);
	scheduler_done(&s, d, 33000, false, true); /* ... it is back ... */
	unsigned n = 0;
	while (scheduler_take(&s, 33000) != NULL)
		n++;
	assert_int_equal(n, 2); /* ... and the others follow, as many as may */
	for (unsigned i = 0; i < 10 && d->waiting_count > 0; i++) {
		/* Those that were woken never came: the rest is not forgotten. */
		scheduler_sweep(&s, 34000 + i * 1000);
		while (scheduler_take(&s, 34000 + i * 1000) != NULL)
			n++;
	}
	assert_int_equal(d->waiting_count, 0);
	scheduler_fini(&s);
}

/* So many a minute, and no burst of what was saved. */
static void rates(void **state)
{
	static const kurir_time retry[] = { 60000 };
	static struct scheduler s;
	unsigned went = 0;
	(void)state;
	scheduler_init(&s, retry, 1, 1000);
	s.destination_rate = 30;
	struct destination *d = scheduler_destination(&s, KURIR_STR("mx.dua.example"));
	for (int64_t now = 1000000; now < 1000000 + 600000; now += 100)
		if (scheduler_ask(&s, d, now, false) == SCHEDULER_GO) {
			went++;
			scheduler_done(&s, d, now, false, true);
		}
	assert_true(went >= 299 && went <= 301);
	scheduler_fini(&s);
}

static void route_texts(void **state)
{
	static const struct {
		const char *text, *transport, *host;
		unsigned port;
		bool literal;
	} good[] = {
		{ "smtp:mx.dua.example", "smtp", "mx.dua.example", 25, false },
		{ "smtp:mx.dua.example:587", "smtp", "mx.dua.example", 587, false },
		{ "smtp:[192.0.2.1]:2525", "smtp", "192.0.2.1", 2525, true },
		{ "smtp:192.0.2.1", "smtp", "192.0.2.1", 25, true },
		{ "lmtp:[2001:db8::1]", "lmtp", "2001:db8::1", 24, true },
		{ "lmtp:unix:/run/lmtp", "lmtp", "unix:/run/lmtp", 24, true },
		{ "smtp:localhost:65535", "smtp", "localhost", 65535, false },
	};
	static const char *const bad[] = { "", "smtp", "smtp:", "SMTP:a", "http:a",
		"smtp:a:", "smtp:a:0", "smtp:a:65536", "smtp:a:2x", "smtp:[a]", "smtp:[192.0.2.1",
		"smtp:[192.0.2.1]25", "smtp:2001:db8::1", "smtp:unix:/x", "smtp:a..b", "smtp:.a",
		"smtp:a.", "smtp:-a", "smtp:a b", "smtp:a:25:26", "lmtp:unix:x", "smtp:[]",
		"smtp:[]:25" };
	struct route_text t;
	const char *why;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(route_text_parse(kurir_str_of(good[i].text), &t, &why), 0);
		assert_str(t.transport, good[i].transport);
		assert_str(t.host, good[i].host);
		assert_int_equal(t.port, good[i].port);
		assert_int_equal(t.literal, good[i].literal);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (route_text_parse(kurir_str_of(bad[i]), &t, &why) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	route_text_parse(KURIR_STR("smtp:[2001:db8::1]:26"), &t, &why);
	assert_str(route_text_address(arena, &t), "[2001:db8::1]:26");
	assert_true(route_text_matches(KURIR_STR("*"), KURIR_STR("a.b")));
	assert_true(route_text_matches(KURIR_STR("Satu.example"), KURIR_STR("satu.example")));
	assert_true(route_text_matches(KURIR_STR(".satu.example"), KURIR_STR("a.satu.example")));
	assert_false(route_text_matches(KURIR_STR(".satu.example"), KURIR_STR("satu.example")));
	assert_false(route_text_matches(KURIR_STR(".satu.example"), KURIR_STR("xsatu.example")));
}

static void packing(void **state)
{
	const struct kurir_str two[] = { KURIR_STR("192.0.2.1:25"),
		KURIR_STR("[2001:db8::1]:25") };
	const struct kurir_str names[] = { KURIR_STR("a"), KURIR_STR("b") };
	struct kurir_next_hop h = { .addresses = { 2, two },
		.names = { 2, names },
		.port = 25,
		.tls = KURIR_HOP_DANE,
		.tlsa = { 1, two },
		.user = KURIR_STR("u"),
		.password = KURIR_STR("p") };
	struct kurir_next_hop got;
	struct kurir_buf b = KURIR_BUF(65536);
	struct kurir_result results[2] = {
		{ .fate = KURIR_FATE_DELIVERED, .code = 250, .site = true },
		{ .fate = KURIR_FATE_DEFERRED, .text = KURIR_STR("later"), .relayed_dsn = true }
	};
	struct kurir_result back[2];
	(void)state;
	assert_int_equal(kurir_put_next_hop(&b, &h), 0);
	struct kurir_reader r = KURIR_READER(kurir_buf_str(&b));
	assert_int_equal(kurir_get_next_hop(&r, arena, &got), 0);
	assert_str(got.addresses.items[1], "[2001:db8::1]:25");
	assert_str(got.password, "p");
	assert_int_equal(got.tls, KURIR_HOP_DANE);
	for (size_t cut = 0; cut < b.len; cut++) {
		r = KURIR_READER(kurir_str_part(kurir_buf_str(&b), 0, cut));
		assert_int_equal(kurir_get_next_hop(&r, arena, &got), -EBADMSG);
	}
	kurir_buf_clear(&b);
	assert_int_equal(kurir_put_results(&b, results, 2), 0);
	r = KURIR_READER(kurir_buf_str(&b));
	assert_int_equal(kurir_get_results(&r, arena, back, 2), 0);
	assert_true(back[0].site && !back[0].relayed_dsn && back[1].relayed_dsn);
	assert_str(back[1].text, "later");
	r = KURIR_READER(kurir_buf_str(&b));
	assert_int_equal(kurir_get_results(&r, arena, back, 1), -EBADMSG);
	for (size_t cut = 0; cut < b.len; cut++) {
		r = KURIR_READER(kurir_str_part(kurir_buf_str(&b), 0, cut));
		assert_int_equal(kurir_get_results(&r, arena, back, 2), -EBADMSG);
	}
	kurir_buf_free(&b);
}

static void free_queue(struct queue *q)
{
	uint32_t bucket = 0;
	while (q->message_count > 0) {
		table_remove(q, table_walk(q, &bucket, NULL));
		bucket = 0;
	}
	while (q->segments != NULL)
		table_segment_free(q, q->segments);
	free(q->hash);
	scheduler_fini(&q->scheduler);
	kurir_buf_free(&q->log.pending);
}

static void replay(void **state)
{
	static struct queue q = { .log = { .salt = 7, .pending = { .limit = 65536 } } };
	static const kurir_time span = 60000;
	(void)state;
	scheduler_init(&q.scheduler, &span, 1, 2);
	struct segment_record rec = {
		.recipients = 2, .envelope_length = 30, .arrived = 5, .kind = SEGMENT_MESSAGE
	};
	struct segment *s = table_segment(&q, 11, true);
	struct message *m = table_add(&q, s, 64, &rec), *n = table_add(&q, s, 256, &rec);
	state_message(&q, m);
	state_message(&q, n);
	table_decide(&q, m, &m->entries[1], ENTRY_DELIVERED);
	state_entry(&q, m, &m->entries[1]);
	n->entries[0].attempts = 3;
	n->entries[0].due = 99;
	state_entry(&q, n, &n->entries[0]);
	struct kurir_str log = kurir_buf_str(&q.log.pending);
	for (size_t cut = 0; cut <= log.len; cut++) {
		struct queue p = { .log = { .pending = KURIR_BUF(65536) } };
		size_t good;
		scheduler_init(&p.scheduler, &span, 1, 2);
		assert_int_equal(state_replay(&p, kurir_str_part(log, 0, cut), 7, &good), 0);
		assert_true(good <= cut);
		if (cut == log.len) {
			/* Twice does no harm. */
			assert_int_equal(state_replay(&p, log, 7, &good), 0);
			struct message *x = table_find(&p, table_segment(&p, 11, false), 256);
			assert_int_equal(p.totals.accepted, 4);
			assert_int_equal(p.totals.delivered, 1);
			assert_int_equal(p.entry_count, 3);
			assert_non_null(x);
			assert_int_equal(x->entries[0].attempts, 3);
			assert_int_equal(x->entries[0].due, 99);
		}
		free_queue(&p);
	}
	for (size_t at = 0; at < log.len; at++) {
		struct queue p = { .log = { .pending = KURIR_BUF(65536) } };
		size_t good;
		scheduler_init(&p.scheduler, &span, 1, 2);
		q.log.pending.ptr[at] ^= 4;
		state_replay(&p, log, 7, &good);
		assert_true(good <= at);
		q.log.pending.ptr[at] ^= 4;
		free_queue(&p);
	}
	free_queue(&q);
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int end(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum),
		cmocka_unit_test(whole),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(every_flip),
		cmocka_unit_test(forged),
		cmocka_unit_test(file_names),
		cmocka_unit_test(failures),
		cmocka_unit_test(times),
		cmocka_unit_test(turns),
		cmocka_unit_test(floods),
		cmocka_unit_test(destinations),
		cmocka_unit_test(rates),
		cmocka_unit_test(route_texts),
		cmocka_unit_test(packing),
		cmocka_unit_test(replay),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
