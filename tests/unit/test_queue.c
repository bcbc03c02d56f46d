/* test_queue.c - the way of messages through the queue, and files that fail. */
#include "queue_unit.h"

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

static void test_restart(void **state)
{
	(void)state;
	live(script_many);
	live(script_again);
	live(script_third);
}

/* Everything that is on the disk is tried again, nothing is missing. */
static void script_without_log(void)
{
	wait_for(1000);
	check_ledger(300, 200, 0, 100);
}

static void script_rewritten(void)
{
	wait_for(30000);
	check_ledger(300, 200, 0, 100);
}

/* What was over is not on the disk any more. */
static void script_only_moved(void)
{
	wait_for(1000);
	check_ledger(100, 0, 0, 100);
}

static void test_without_log(void **state)
{
	(void)state;
	live(script_many);
	assert_int_equal(unlink(spool_path("state.log")), 0);
	live(script_without_log);
	live(script_rewritten);
	assert_int_equal(unlink(spool_path("state.log")), 0);
	live(script_only_moved);
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

static unsigned nth;
static void arm(void)
{
	spool_io = &broken;
	countdown = nth;
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
		world.armed = arm;
		nth = n;
		live(script_broken);
		world.armed = NULL;
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
		cmocka_unit_test_setup_teardown(test_without_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
