/* test_queue.c - the queue in one process and virtual time: a transport and routes that do as
 * they are told. */
#include "conf_unit.h"

#include <conf.h>
#include <instance_private.h>
#include <channel.h>
#include <loop.h>
#include <fiber.h>
#include <call.h>
#include <modules/queue_journal/queue_role.h>
#include <modules/queue_journal/spool_io.h>
#include <modules/queue_journal/spool_writer.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

const struct kurir_module *queue_journal_LTX_kurir_module(void);
const struct kurir_module *bounce_LTX_kurir_module(void);

static unsigned expectations_failed;

/* On a fiber cmocka's asserts cannot jump out: these remember. */
static void expectation(bool holds, const char *text, int line, long long a, long long b)
{
	if (holds)
		return;
	fprintf(stderr, "# line %d: %s (%lld, %lld)\n", line, text, a, b);
	expectations_failed++;
}
static void expectation_equal(long long a, long long b, const char *text, int line)
{
	expectation(a == b, text, line, a, b);
}
#define expect_true(x) expectation((x), #x, __LINE__, 0, 0)
#define expect_equal(a, b) \
	expectation_equal((long long)(a), (long long)(b), #a " == " #b, __LINE__)
#define expect_text(a, b)     expectation(strcmp((a), (b)) == 0, (a), __LINE__, 0, 0)
#define expect_bytes(a, b, n) expectation(memcmp((a), (b), (n)) == 0, #a, __LINE__, 0, 0)

/* The world outside. */
#define LOG_MAX 4096
static struct {
	char folder[64];
	struct conf conf;
	struct queue_conf options;
	enum kurir_fate fate;
	bool site;
	char log[LOG_MAX][96]; /* "recipient attempt fate" of each delivery */
	int64_t at[LOG_MAX];
	unsigned deliveries;
	char last_body[65536];
	size_t last_length;
	int active, active_max;
	kurir_time takes;
	void (*script)(void);
	bool failed;
	unsigned arm; /* the n-th file operation after the start fails */
} world;

static struct kurir_self *queue_instance;

static int world_transport(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader r = KURIR_READER(in->body);
	struct kurir_job job;
	/* Not on this small stack; filled and packed without a park between. */
	static struct kurir_result results[1000];
	struct kurir_body body;
	(void)self;
	if (kurir_get_job(&r, kurir_scratch(), &job) != 0)
		return -EBADMSG;
	const struct kurir_queue_ops *ops = kurir_service_find("queue", NULL, NULL);
	int err = ops->open(queue_instance, job.ref, &body);
	if (err < 0)
		return err;
	world.active++;
	if (world.active > world.active_max)
		world.active_max = world.active;
	if (world.takes > 0)
		kurir_sleep(kurir_now() + world.takes);
	world.active--;
	size_t n =
	    body.length < sizeof(world.last_body) ? (size_t)body.length : sizeof(world.last_body);
	world.last_length = (size_t)body.length;
	if (pread(body.fd, world.last_body, n, (off_t)body.offset) != (ssize_t)n)
		err = -EIO;
	close(body.fd);
	for (size_t i = 0; i < job.envelope.count && i < 1000; i++) {
		struct kurir_str a = job.envelope.recipients[i].address;
		enum kurir_fate fate = world.fate;
		if (kurir_str_starts(a, KURIR_STR("ok")))
			fate = KURIR_FATE_DELIVERED;
		else if (kurir_str_starts(a, KURIR_STR("bad")))
			fate = KURIR_FATE_FAILED;
		else if (kurir_str_starts(a, KURIR_STR("late")))
			fate = KURIR_FATE_DEFERRED;
		results[i] = (struct kurir_result){ .fate = fate,
			.code = 250,
			.xyz = KURIR_STR("2.0.0"),
			.text = KURIR_STR("ok"),
			.site = world.site };
		if (fate == KURIR_FATE_FAILED)
			results[i].code = 550, results[i].xyz = KURIR_STR("5.1.1");
		else if (fate == KURIR_FATE_DEFERRED)
			results[i].code = 451, results[i].xyz = KURIR_STR("4.2.0");
		results[i].remote = KURIR_STR("mx.dua.example[192.0.2.1]:25");
		if (world.deliveries < LOG_MAX) {
			world.at[world.deliveries] = kurir_wallclock();
			snprintf(world.log[world.deliveries++], 96, "%.*s %u %d", KURIR_ARG(a),
			    job.attempt, (int)fate);
		}
	}
	return err < 0 ? err : kurir_put_results(reply, results, job.envelope.count);
}

static int world_route(struct kurir_self *self, struct kurir_str address, kurir_time deadline,
    struct kurir_arena *arena, struct kurir_route *ret)
{
	static const struct kurir_str two[] = { { "ok1@dua.example", 15 },
		{ "late1@dua.example", 17 } };
	static const struct kurir_str circle[] = { { "circle@dua.example", 18 } };
	(void)self;
	(void)deadline;
	if (kurir_str_starts(address, KURIR_STR("nowhere@"))) {
		*ret = (struct kurir_route){ .kind = KURIR_ROUTE_FAIL,
			.xyz = KURIR_STR("5.1.2"),
			.text = KURIR_STR("no such domain") };
		return 0;
	}
	if (kurir_str_starts(address, KURIR_STR("alias@"))) {
		*ret =
		    (struct kurir_route){ .kind = KURIR_ROUTE_EXPAND, .addresses = { 2, two } };
		return 0;
	}
	if (kurir_str_starts(address, KURIR_STR("circle@"))) {
		*ret = (struct kurir_route){ .kind = KURIR_ROUTE_EXPAND,
			.addresses = { 1, circle } };
		return 0;
	}
	*ret = (struct kurir_route){ .kind = KURIR_ROUTE_TO, .transport = KURIR_STR("test") };
	ret->destination = kurir_copy(
	    arena, kurir_str_part(address, (size_t)kurir_str_find(address, '@') + 1, 99));
	return 0;
}

static const struct kurir_route_ops route_ops = { .size = sizeof(route_ops),
	.route = world_route };
static const struct kurir_endpoint_ops transport_ops = { .size = sizeof(transport_ops),
	.call = world_transport };
static const struct kurir_service world_services[] = { { "route", "world", &route_ops, 0 },
	{ "endpoint", "transport.test", &transport_ops, KURIR_ROLE_RELAY }, { 0 } };
static struct module journal_module, bounce_module, world_module;
static struct {
	uint64_t full, header;
} bounce_options = { 65536, 32768 };

static void remove_folder(const char *path)
{
	char name[512];
	DIR *d = opendir(path);
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		struct stat st;
		if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode))
			remove_folder(name);
		else
			unlink(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

static unsigned count_files(const char *suffix)
{
	char name[128];
	unsigned n = 0;
	snprintf(name, sizeof(name), "%s/queue", world.folder);
	DIR *d = opendir(name);
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d))
		n += segment_name_id(e->d_name, suffix) != 0;
	if (d != NULL)
		closedir(d);
	return n;
}

static int set_up(void **state)
{
	static const struct kurir_str retry[] = { { "1m", 2 }, { "5m", 2 }, { "1h", 2 } };
	char name[128];
	(void)state;
	memset(&world, 0, sizeof(world));
	expectations_failed = 0;
	/* In memory when that is there: what is synced is asked of the power-cut tests. */
	snprintf(world.folder, sizeof(world.folder), "%s/kurir-queue-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(world.folder) == NULL)
		return -1;
	snprintf(name, sizeof(name), "%s/queue", world.folder);
	mkdir(name, 0700);
	world.fate = KURIR_FATE_DELIVERED;
	world.options = (struct queue_conf){ .retry = { 3, retry },
		.lifetime = 5LL * 86400000,
		.delay_warning = 4LL * 3600000,
		.job_deadline = 1800000,
		.state_delay = 20,
		.scan_interval = 3000,
		.segment_size = 64 << 20,
		.inline_size = 256 << 10,
		.memory = 64 << 20,
		.concurrency = 200,
		.destination_concurrency = 20,
		.recipients_per_job = 100 };
	world.conf.hostname = KURIR_STR("mx.satu.example");
	world.conf.state = kurir_str_of(world.folder);
	conf_now = &world.conf;
	spool_io = &spool_io_real;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove_folder(world.folder);
	return 0;
}

static void test_arm(void);

static void run_script(void *arg)
{
	int r = instance_start_all(KURIR_ROLE_ALL);
	(void)arg;
	if (r == 0 && world.arm > 0)
		test_arm();
	if (r == 0)
		world.script();
	else
		world.failed = true;
	instance_stop_all();
	loop_stop();
}

/* One life of the server: start, script, stop. */
static void live(void (*script)(void))
{
	loop_init(true);
	journal_module.m = *queue_journal_LTX_kurir_module();
	bounce_module.m = *bounce_LTX_kurir_module();
	world_module.m = (struct kurir_module){ .name = "world", .services = world_services };
	world_module.m.roles = KURIR_ROLE_ALL;
	journal_module.caps = bounce_module.caps = world_module.caps = UINT32_MAX;
	queue_instance = instance_new(&journal_module, "queue_journal", &world.options);
	instance_new(&bounce_module, "bounce", &bounce_options);
	instance_new(&world_module, "world", NULL);
	for (struct kurir_self *s = instance_list; s != NULL; s = s->next)
		s->required = true;
	channel_book_endpoint(KURIR_STR("queue.new"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("ctl.queue"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("ctl.ledger"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("transport.test"), KURIR_ROLE_RELAY);
	world.script = script;
	world.failed = false;
	struct kurir_group *g = kurir_group_begin(NULL);
	assert_int_equal(kurir_group_go(g, "script", run_script, NULL), 0);
	loop_run();
	instance_reset();
	call_reset();
	loop_fini();
	assert_false(world.failed);
	assert_int_equal(expectations_failed, 0);
}

static unsigned serial;
static int send_body(const char *sender, const char *const *to, size_t count,
    struct kurir_str body, uint32_t notify)
{
	const struct kurir_queue_ops *ops = kurir_service_find("queue", NULL, NULL);
	struct kurir_recipient rcpts[64];
	struct kurir_spool *s;
	int r = ops->begin(queue_instance, 0, &s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		rcpts[i] =
		    (struct kurir_recipient){ .address = kurir_str_of(to[i]), .notify = notify };
	struct kurir_envelope e = { .id = kurir_format(kurir_scratch(), "id%08u", serial++),
		.sender = kurir_str_of(sender),
		.arrived = kurir_wallclock(),
		.helo = KURIR_STR("client.example"),
		.count = count,
		.recipients = rcpts };
	r = ops->write(s, body);
	if (r < 0) {
		ops->abort(s);
		return r;
	}
	return ops->commit(s, &e, kurir_now() + 60000);
}

static const struct kurir_str hello = { "Subject: a\r\n\r\nhello\r\n.dot\r\n", 27 };

static int send_to(const char *to)
{
	return send_body("hyd@satu.example", &to, 1, hello, 0);
}

static struct queue *the_queue(void)
{
	return queue_self(queue_instance)->queue;
}

static void wait_for(kurir_time span)
{
	kurir_sleep(kurir_now() + span);
}

static void check_ledger(uint64_t accepted, uint64_t delivered, uint64_t bounced, uint64_t queued)
{
	const struct totals *t = &the_queue()->totals;
	expect_equal(t->accepted, accepted);
	expect_equal(t->delivered, delivered);
	expect_equal(t->bounced, bounced);
	expect_equal(the_queue()->entry_count, queued);
	expect_equal(t->accepted, t->delivered + t->bounced + t->cancelled + queued);
}

static void script_deliver(void)
{
	expect_equal(send_to("ok@dua.example"), 0);
	wait_for(1000);
	expect_equal(world.deliveries, 1);
	expect_text(world.log[0], "ok@dua.example 1 1");
	expect_equal(world.last_length, hello.len);
	expect_bytes(world.last_body, hello.ptr, hello.len);
	check_ledger(1, 1, 0, 0);
	expect_equal(the_queue()->message_count, 0);
}

static void test_deliver(void **state)
{
	(void)state;
	live(script_deliver);
}

static void script_retry(void)
{
	int64_t begin = kurir_wallclock();
	expect_equal(send_to("late@dua.example"), 0);
	wait_for(3LL * 3600000);
	expect_true(world.deliveries >= 4);
	int64_t first = world.at[1] - begin, second = world.at[2] - world.at[1],
		third = world.at[3] - world.at[2];
	expect_true(first >= 60000 && first <= 68000);
	expect_true(second >= 300000 && second <= 338000);
	expect_true(third >= 3600000 && third <= 4051000);
	check_ledger(1, 0, 0, 1);
	wait_for(5LL * 86400000);
	/* Given up: the notification goes to the sender, whose address takes it. */
	expect_equal(the_queue()->totals.bounced, 1);
	expect_text(world.log[world.deliveries - 1], "hyd@satu.example 1 1");
	expect_true(NULL != strstr(world.last_body, "Action: failed"));
	expect_true(NULL != strstr(world.last_body, "given up after 120 hours"));
	check_ledger(3, 2, 1, 0); /* the message, a delay notice, the bounce */
}

static void test_retry(void **state)
{
	(void)state;
	live(script_retry);
}

static void script_bounce(void)
{
	static const char *const three[] = { "bad@dua.example", "ok@dua.example",
		"nowhere@tiga.example" };
	expect_equal(send_body("hyd@satu.example", three, 3, hello, 0), 0);
	wait_for(5000);
	check_ledger(5, 3, 2, 0);
	expect_true(NULL != strstr(world.last_body, "report-type=delivery-status"));
	/* From nobody: no notification. */
	expect_equal(send_body("", three, 1, hello, 0), 0);
	wait_for(5000);
	check_ledger(6, 3, 3, 0);
	/* Asked not to be told. */
	expect_equal(send_body("hyd@satu.example", three, 1, hello, KURIR_NOTIFY_NEVER), 0);
	expect_equal(send_body("hyd@satu.example", three + 1, 1, hello, KURIR_NOTIFY_SUCCESS), 0);
	wait_for(5000);
	check_ledger(9, 5, 4, 0);
	expect_true(NULL != strstr(world.last_body, "Action: relayed"));
}

static void test_bounce(void **state)
{
	(void)state;
	live(script_bounce);
}

static void script_alias(void)
{
	expect_equal(send_to("alias@dua.example"), 0);
	wait_for(1000);
	check_ledger(2, 1, 0, 1);
	expect_equal(send_to("circle@dua.example"), 0);
	wait_for(1000);
	expect_equal(the_queue()->totals.bounced, 1);
}

static void test_alias(void **state)
{
	(void)state;
	live(script_alias);
}

static void script_many(void)
{
	for (int i = 0; i < 300; i++)
		expect_equal(send_to(i % 3 == 0 ? "late@dua.example" : "ok@dua.example"), 0);
	wait_for(2000);
	check_ledger(300, 200, 0, 100);
}

static void script_again(void)
{
	check_ledger(300, 200, 0, 100);
	world.deliveries = 0;
	wait_for(100);
	expect_equal(world.deliveries, 0);
	wait_for(120000);
	expect_equal(world.deliveries, 100);
	check_ledger(300, 200, 0, 100);
}

static void script_third(void)
{
	check_ledger(300, 200, 0, 100);
	world.deliveries = 0;
	wait_for(800000); /* the clock began anew, the times in the files did not */
	expect_equal(world.deliveries, 100);
	check_ledger(300, 200, 0, 100);
}

static void script_without_log(void)
{
	/* Everything is tried again, nothing is missing. */
	wait_for(1000);
	check_ledger(300, 200, 0, 100);
	expect_equal(the_queue()->totals.accepted, 300);
}

static void test_restart(void **state)
{
	char name[128];
	(void)state;
	live(script_many);
	live(script_again);
	live(script_third);
	snprintf(name, sizeof(name), "%s/queue/state.log", world.folder);
	assert_int_equal(unlink(name), 0);
	live(script_without_log);
}

static void script_large(void)
{
	static char big[3 << 20];
	const char *to = "late@dua.example";
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 26);
	expect_equal(
	    send_body("hyd@satu.example", &to, 1, (struct kurir_str){ big, sizeof(big) }, 0), 0);
	wait_for(1000);
	expect_equal(world.last_length, sizeof(big));
	expect_bytes(world.last_body, big, sizeof(world.last_body));
	expect_equal(count_files(".body"), 1);
}

static void script_large_done(void)
{
	world.fate = KURIR_FATE_DELIVERED;
	expect_equal(count_files(".body"), 1);
	wait_for(1000);
	struct kurir_str reply;
	struct kurir_request q = { .endpoint = "ctl.queue", .fd = -1 };
	q.body = KURIR_STR("{\"args\":[\"cancel\",\"domain=dua.example\"]}");
	expect_equal(
	    kurir_call(queue_instance, &q, kurir_now() + 10000, kurir_scratch(), &reply), 0);
	wait_for(5000);
	expect_equal(count_files(".body"), 0);
	expect_equal(the_queue()->totals.cancelled, 1);
	check_ledger(1, 0, 0, 0);
}

static void test_large(void **state)
{
	(void)state;
	live(script_large);
	live(script_large_done);
	assert_true(count_files(".seg") <= 1);
}

static int ctl(const char *body, struct kurir_str *reply)
{
	struct kurir_request q = {
		.endpoint = "ctl.queue", .fd = -1, .body = kurir_str_of(body)
	};
	return kurir_call(queue_instance, &q, kurir_now() + 60000, kurir_scratch(), reply);
}

static void script_commands(void)
{
	struct kurir_str reply;
	world.options.hold = true;
	expect_equal(send_to("ok@dua.example"), 0);
	expect_equal(send_to("late@tiga.example"), 0);
	wait_for(3600000);
	expect_equal(world.deliveries, 0);
	expect_equal(ctl("{\"args\":[\"list\",\"state=held\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"recipients\":2") != NULL);
	expect_equal(ctl("{\"args\":[\"release\",\"rcpt=ok@dua.example\"]}", &reply), 0);
	wait_for(1000);
	expect_equal(world.deliveries, 1);
	expect_equal(ctl("{\"args\":[\"release\",\"hyd@satu.example\"]}", &reply), 0);
	wait_for(1000);
	expect_equal(world.deliveries, 2);
	world.site = true;
	for (int i = 0; i < 3; i++) { /* at once, whatever the schedule says */
		expect_equal(ctl("{\"args\":[\"retry\",\"tiga.example\"]}", &reply), 0);
		wait_for(1000);
		expect_equal(world.deliveries, 3 + i);
	}
	expect_equal(ctl("{\"args\":[\"hold\",\"all\"]}", &reply), 0);
	wait_for(7200000);
	expect_equal(world.deliveries, 5);
	expect_equal(ctl("{\"args\":[\"show\",\"all\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"state\":\"held\"") != NULL);
	expect_equal(ctl("{\"args\":[\"cancel\",\"state=held\"]}", &reply), 0);
	expect_equal(ctl("{\"args\":[\"drop\",\"all\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"error\"") != NULL);
	expect_equal(ctl("{\"args\":[\"cancel\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"error\"") != NULL);
	expect_equal(ctl("not json", &reply), 0);
	expect_equal(the_queue()->totals.cancelled, 1);
	check_ledger(2, 1, 0, 0);
}

static void test_commands(void **state)
{
	(void)state;
	live(script_commands);
}

/* Notices that never arrive: found by the end marks. */
static void script_lost(void)
{
	channel_book_endpoint(KURIR_STR("queue.new"), 0);
	for (int i = 0; i < 5; i++)
		expect_equal(send_to("ok@dua.example"), 0);
	expect_equal(world.deliveries, 0);
	wait_for(5000);
	expect_equal(world.deliveries, 5);
	expect_equal(send_to("ok@dua.example"), 0);
	channel_book_endpoint(KURIR_STR("queue.new"), KURIR_ROLE_QUEUE);
	expect_equal(send_to("ok@dua.example"), 0); /* a gap before it */
	wait_for(5000);
	expect_equal(world.deliveries, 7);
	check_ledger(7, 7, 0, 0);
}

static void test_lost(void **state)
{
	(void)state;
	live(script_lost);
}

/* Most of many segments dies: they are rewritten, and the living survive that and a restart. */
static void script_compact(void)
{
	static char body[50000];
	const char *late = "late@dua.example", *ok = "ok@dua.example";
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 200; i++)
		expect_equal(send_body("hyd@satu.example", i % 20 == 0 ? &late : &ok, 1,
				 (struct kurir_str){ body, sizeof(body) }, 0),
		    0);
	expect_true(count_files(".seg") >= 8);
	wait_for(40000);
	check_ledger(200, 190, 0, 10);
	expect_true(count_files(".seg") <= 3);
}

static void script_compacted(void)
{
	check_ledger(200, 190, 0, 10);
	world.deliveries = 0;
	world.last_length = 0;
	wait_for(800000);
	expect_equal(world.deliveries >= 10, 1);
	expect_equal(world.last_length, 50000);
	check_ledger(200, 190, 0, 10);
}

static void test_compact(void **state)
{
	(void)state;
	world.options.segment_size = 1 << 20;
	live(script_compact);
	live(script_compacted);
}

/* Each file operation fails in turn, once: what was promised arrives, and the queue goes on. */
static struct spool_io broken;
static unsigned countdown;
static int fault;
static unsigned promised;

static bool fails(void)
{
	return countdown > 0 && __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) == 0;
}
static int broken_open(int d, const char *n, int f, mode_t m)
{
	return fails() ? fault : spool_io_real.open(d, n, f, m);
}
static ssize_t broken_pwritev(int fd, const struct iovec *v, int n, uint64_t at)
{
	return fails() ? fault : spool_io_real.pwritev(fd, v, n, at);
}
static ssize_t broken_pread(int fd, void *p, size_t n, uint64_t at)
{
	return fails() ? fault : spool_io_real.pread(fd, p, n, at);
}
static int broken_datasync(int fd)
{
	return fails() ? fault : spool_io_real.datasync(fd);
}
static int broken_sync(int fd)
{
	return fails() ? fault : spool_io_real.sync(fd);
}
static int broken_rename(int d, const char *a, const char *b)
{
	return fails() ? fault : spool_io_real.rename(d, a, b);
}

static void test_arm(void)
{
	spool_io = &broken;
	countdown = world.arm;
}

static void script_broken(void)
{
	static char big[300 << 10];
	const char *to = "ok@dua.example";
	promised = 0;
	memset(big, 'y', sizeof(big));
	for (int i = 0; i < 4; i++) {
		promised += send_to("ok@dua.example") == 0;
		wait_for(100);
	}
	promised +=
	    send_body("hyd@satu.example", &to, 1, (struct kurir_str){ big, sizeof(big) }, 0) == 0;
	wait_for(400000);
	expect_true(promised >= 4);
	expect_true(world.deliveries >= promised);
	check_ledger(promised, promised, 0, 0);
}

static void script_cured(void)
{
	expect_equal(send_to("ok@dua.example"), 0);
	wait_for(400000);
	check_ledger(promised + 1, promised + 1, 0, 0);
	expect_equal(count_files(".body"), 0);
}

static void test_broken(void **state)
{
	(void)state;
	broken = spool_io_real;
	broken.open = broken_open;
	broken.pread = broken_pread;
	broken.pwritev = broken_pwritev;
	broken.datasync = broken_datasync;
	broken.sync = broken_sync;
	broken.rename = broken_rename;
	for (unsigned n = 1; n < 120; n += n < 60 ? 1 : 7) {
		tear_down(NULL);
		set_up(NULL);
		fault = n % 2 ? -ENOSPC : -EIO;
		world.arm = n;
		live(script_broken);
		world.arm = 0;
		spool_io = &spool_io_real;
		live(script_cured);
		if (expectations_failed > 0)
			fail_msg("operation %u", n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deliver, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounce, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_alias, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
