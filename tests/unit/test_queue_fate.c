/* test_queue_fate.c - who waits for whom, and what an administrator can do about it. */
#include "queue_unit.h"

/* The ledger as a program sees it. */
static bool balanced(void)
{
	struct kurir_str reply;
	struct kurir_request q = { .endpoint = "ctl.ledger", .fd = -1 };
	q.body = KURIR_STR("{\"args\":[]}");
	expect_equal(
	    kurir_call(queue_instance, &q, kurir_now() + 60000, kurir_scratch(), &reply), 0);
	return strstr(reply.ptr, "\"balanced\":true") != NULL;
}

static unsigned tries(const char *address)
{
	unsigned n = 0;
	for (unsigned i = 0; i < world.deliveries; i++)
		n += strncmp(world.log[i], address, strlen(address)) == 0;
	return n;
}

/* Held, and cancelled, while its names are looked up: no attempt is made. */
static void script_cancel_in_route(void)
{
	struct kurir_str reply;
	world.slow = 20000;
	expect_equal(send_to("ok@slow.example"), 0);
	expect_equal(send_to("ok2@slow.example"), 0);
	wait_for(1000);
	expect_equal(ctl("{\"args\":[\"hold\",\"rcpt=ok@slow.example\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"recipients\":1") != NULL);
	expect_equal(ctl("{\"args\":[\"cancel\",\"rcpt=ok@slow.example\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"recipients\":1") != NULL);
	expect_true(balanced());
	check_ledger(2, 0, 0, 1);
	/* Held and let go again: one attempt, not two. */
	expect_equal(ctl("{\"args\":[\"hold\",\"rcpt=ok2@slow.example\"]}", &reply), 0);
	wait_for(1000);
	expect_equal(ctl("{\"args\":[\"release\",\"rcpt=ok2@slow.example\"]}", &reply), 0);
	wait_for(60000);
	expect_equal(tries("ok@slow"), 0);
	expect_equal(tries("ok2@slow"), 1);
	check_ledger(2, 1, 0, 0);
	expect_equal(the_queue()->totals.cancelled, 1);
}

static void test_cancel_in_route(void **state)
{
	(void)state;
	live(script_cancel_in_route);
}

/* Cancelled while it is being delivered: said so, and what the attempt did counts. */
static void script_cancel_in_attempt(void)
{
	struct kurir_str reply;
	world.takes = 5000;
	expect_equal(send_to("ok@dua.example"), 0);
	expect_equal(send_to("late@tiga.example"), 0);
	wait_for(1000);
	expect_equal(ctl("{\"args\":[\"cancel\",\"all\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"later\":2") != NULL);
	expect_true(strstr(reply.ptr, "\"recipients\":0") != NULL);
	expect_true(balanced());
	wait_for(10000);
	check_ledger(2, 1, 0, 0);
	expect_equal(the_queue()->totals.cancelled, 1);
}

static void test_cancel_in_attempt(void **state)
{
	(void)state;
	live(script_cancel_in_attempt);
}

/* Slow names and slow servers of some recipients are nobody else's business. */
static void script_own_pace(void)
{
	static const char *const many[] = { "ok1@slow.example", "ok2@dua.example",
		"ok3@slow2.example", "ok4@hang.example", "ok5@tiga.example", "ok6@dua.example" };
	int64_t begin = kurir_wallclock();
	world.slow = 50000;
	world.hang = 600000;
	expect_equal(send_body("hyd@satu.example", many, 6, hello, 0), 0);
	wait_for(1000);
	expect_equal(world.deliveries, 3);
	for (unsigned i = 0; i < world.deliveries; i++)
		expect_true(world.at[i] - begin <= 200);
	/* Those with one destination shared a job. */
	expect_equal(world.jobs, 3); /* dua, tiga, and the one that hangs */
	wait_for(60000);
	expect_equal(world.deliveries, 5);
	wait_for(600000);
	check_ledger(6, 6, 0, 0);
}

static void test_own_pace(void **state)
{
	(void)state;
	live(script_own_pace);
}

/* Floods: to names that do not answer, to a server that hangs, by one sender to many that hang,
 * and deferred ones; whoever else comes is delivered within a second. */
static void flood(const char *sender, const char *to_what, bool many, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char text[64];
		const char *to = text;
		snprintf(text, sizeof(text), "ok%u@%s%.*u.example", i, to_what, many ? 4 : 0,
		    many ? i + 1 : 0);
		expect_equal(send_body(sender, &to, 1, hello, KURIR_NOTIFY_NEVER), 0);
	}
}

static void other_is_not_delayed(void)
{
	const char *to = "okother@dua.example";
	unsigned before = tries("okother");
	expect_equal(send_body("paijo@empat.example", &to, 1, hello, 0), 0);
	wait_for(1000);
	expect_equal(tries("okother"), before + 1);
}

static void script_floods(void)
{
	world.slow = 3600000;
	world.hang = 3600000;
	flood("hyd@satu.example", "slow", false, 500);
	other_is_not_delayed();
	flood("hyd@satu.example", "hang", false, 500);
	other_is_not_delayed();
	flood("siti@satu.example", "hang", true, 500);
	other_is_not_delayed();
	for (unsigned i = 0; i < 20; i++) { /* by many */
		char sender[32];
		snprintf(sender, sizeof(sender), "s%u@satu.example", i);
		flood(sender, "hang", false, 30);
	}
	other_is_not_delayed();
	expect_true(the_queue()->scheduler.busy < the_queue()->scheduler.limit);
}

static void test_floods(void **state)
{
	(void)state;
	world.options.concurrency = 50;
	live(script_floods);
}

/* A destination in trouble is asked now and then by one, and when it is back all go at once. */
static void script_back(void)
{
	world.site = true;
	world.fate = KURIR_FATE_DEFERRED;
	for (unsigned i = 0; i < 100; i++)
		expect_equal(send_to("x@dua.example"), 0);
	wait_for(4LL * 3600000);
	/* After 30 s, 1 min, 2 min ... 30 min, whoever else waits. */
	expect_true(world.deliveries >= 12 && world.deliveries <= 14);
	check_ledger(100, 0, 0, 100);
	world.fate = KURIR_FATE_DELIVERED;
	world.site = false;
	world.deliveries = 0;
	wait_for(31LL * 60000);
	expect_equal(world.deliveries, 100);
	expect_true(world.at[99] - world.at[0] < 1000);
	check_ledger(100, 100, 0, 0);
}

static void test_back(void **state)
{
	(void)state;
	world.options.delay_warning = 0;
	live(script_back);
}

/* One place, and a notification to write between two attempts: nobody is forgotten in line. */
static void script_line(void)
{
	for (unsigned i = 0; i < 30; i++)
		expect_equal(send_to(i % 2 ? "bad@dua.example" : "ok@dua.example"), 0);
	wait_for(60000);
	check_ledger(45, 30, 15, 0);
	expect_equal(world.active_max, 1);
}

static void test_line(void **state)
{
	(void)state;
	world.options.destination_concurrency = 1;
	live(script_line);
}

/* Ended in the middle of an attempt: the successor tries at once, as if it had not begun. */
static void script_cut_off(void)
{
	world.hang = 3600000;
	expect_equal(send_to("ok@hang.example"), 0);
	expect_equal(send_to("bad@dua.example"), 0);
	wait_for(5000);
	check_ledger(3, 1, 1, 1);
}

static void script_taken_over(void)
{
	world.hang = 0;
	world.deliveries = 0;
	wait_for(6000); /* the virtual clock began anew */
	expect_equal(world.deliveries, 1);
	expect_text(world.log[0], "ok@hang.example 1 1");
	check_ledger(3, 2, 1, 0);
}

static void test_cut_off(void **state)
{
	(void)state;
	live(script_cut_off);
	live(script_taken_over);
}

/* The end of its time comes, wherever a recipient waits. */
static void script_bounded(void)
{
	world.hang = 40LL * 86400000;
	for (unsigned i = 0; i < 10; i++)
		expect_equal(send_to("ok@hang.example"), 0);
	wait_for(6LL * 86400000);
	expect_equal(the_queue()->scheduler.waiting, 0);
	expect_true(the_queue()->totals.bounced >= 8);
}

static void test_bounded(void **state)
{
	(void)state;
	world.options.destination_concurrency = 2;
	world.options.job_deadline = 30LL * 86400000;
	live(script_bounded);
}

/* One by each predicate; the others stay. */
static void expect_hits(const char *body, unsigned n)
{
	struct kurir_str reply;
	char wanted[32];
	snprintf(wanted, sizeof(wanted), "\"recipients\":%u,", n);
	expect_equal(ctl(body, &reply), 0);
	expectation(strstr(reply.ptr, wanted) != NULL, body, __LINE__, n, 0);
}

static void script_predicates(void)
{
	static char big[300 << 10];
	const char *to = "late@dua.example";
	memset(big, 'y', sizeof(big));
	world.site = true;
	expect_equal(send_to("late@tiga.example"), 0);
	wait_for(7200000);
	world.site = false;
	expect_equal(
	    send_body("paijo@empat.example", &to, 1, (struct kurir_str){ big, sizeof(big) }, 0),
	    0);
	wait_for(2000);
	expect_hits("{\"args\":[\"list\",\"larger=100K\"]}", 1);
	expect_hits("{\"args\":[\"list\",\"smaller=100K\"]}", 1);
	expect_hits("{\"args\":[\"list\",\"older=1h\"]}", 1);
	expect_hits("{\"args\":[\"list\",\"younger=1h\",\"sender=paijo@empat.example\"]}", 1);
	expect_hits("{\"args\":[\"list\",\"reason=4.2.0\"]}", 2);
	expect_hits("{\"args\":[\"list\",\"reason=4.2.1\"]}", 0);
	expect_hits("{\"args\":[\"list\",\"site=tiga.example\"]}", 1);
	expect_hits("{\"args\":[\"redirect\",\"larger=100K\",\"to=ok@lima.example\"]}", 1);
	wait_for(1000);
	expect_equal(tries("ok@lima.example"), 1);
	expect_equal(world.last_length, sizeof(big));
	check_ledger(2, 1, 0, 1);
	expect_true(balanced());
	expect_hits("{\"args\":[\"expire\",\"older=1h\"]}", 1);
	wait_for(1000);
	check_ledger(3, 2, 1, 0);
	expect_true(strstr(world.last_body, "given up by the administrator") != NULL);
	struct kurir_str reply;
	expect_equal(ctl("{\"args\":[\"list\",\"older=x\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"error\"") != NULL);
	expect_equal(ctl("{\"args\":[\"redirect\",\"all\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"error\"") != NULL);
	expect_equal(ctl("{\"args\":[\"redirect\",\"to=a@b.example\"]}", &reply), 0);
	expect_true(strstr(reply.ptr, "\"error\"") != NULL);
}

/* The disk is full, for once. */
static bool full;
static ssize_t no_room(int fd, const struct iovec *v, int count, uint64_t at)
{
	bool now = full;
	full = false;
	return now ? -ENOSPC : spool_io_real.pwritev(fd, v, count, at);
}

/* What cannot be sent elsewhere stays as it was. */
static void script_redirect_fails(void)
{
	static const char *const bad[] = { "x", "@b.example", "a@", "a@@b.example",
		"a@b..example", ".a@b.example", "a.@b.example", "a@b.example.", "a@.b.example",
		"a b@b.example", "a@b.example>", "<a@b.example>", "a@b.exam\\r\\nple",
		"a\\\"@b.example", "a@b.example,c@d.example", "a@[127.0.0.1]", "a@b_c.example" };
	struct spool_io broken = spool_io_real;
	struct kurir_str reply;
	char body[256];
	broken.pwritev = no_room;
	full = true;
	expect_equal(send_to("late@dua.example"), 0);
	wait_for(1000);
	expect_hits("{\"args\":[\"hold\",\"all\"]}", 1);
	spool_io = &broken;
	expect_hits("{\"args\":[\"redirect\",\"all\",\"to=ok@lima.example\"]}", 0);
	spool_io = &spool_io_real;
	wait_for(86400000);
	expect_equal(tries("late@dua.example"), 1);
	expect_hits("{\"args\":[\"list\",\"state=held\"]}", 1);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(
		    body, sizeof(body), "{\"args\":[\"redirect\",\"all\",\"to=%s\"]}", bad[i]);
		expect_equal(ctl(body, &reply), 0);
		expectation(strstr(reply.ptr, "to= takes one address") != NULL, bad[i], __LINE__,
		    (long long)i, 0);
	}
	expect_hits("{\"args\":[\"redirect\",\"all\",\"to=ok+x@lima.example\"]}", 1);
	wait_for(1000);
	expect_equal(tries("ok+x@lima.example"), 1);
	check_ledger(1, 1, 0, 0);
}

static void test_redirect_fails(void **state)
{
	(void)state;
	live(script_redirect_fails);
}

static void test_predicates(void **state)
{
	(void)state;
	live(script_predicates);
}

/* Counted from the files, while the server runs. */
static struct kurir_str verify(void)
{
	struct kurir_str reply = { "", 0 };
	struct kurir_request q = { .endpoint = "ctl.ledger", .fd = -1 };
	q.body = KURIR_STR("{\"args\":[\"--verify\"]}");
	expect_equal(
	    kurir_call(queue_instance, &q, kurir_now() + 60000, kurir_scratch(), &reply), 0);
	return reply;
}

static void script_verify(void)
{
	static char big[300 << 10];
	static const char *const three[] = { "bad@dua.example", "ok@dua.example",
		"late@tiga.example" };
	memset(big, 'y', sizeof(big));
	for (unsigned i = 0; i < 100; i++)
		expect_equal(send_body("hyd@satu.example", three, 3, hello, 0), 0);
	expect_equal(send_body("hyd@satu.example", three + 2, 1,
			 (struct kurir_str){ big, sizeof(big) }, 0),
	    0);
	wait_for(5000);
	check_ledger(401, 200, 100, 101);
	const char *text = verify().ptr;
	expect_true(strstr(text, "\"balanced\":true") != NULL);
	expect_true(strstr(text,
			"accepted 401 = delivered 200 + bounced 100 + cancelled 0 + "
			"queued 101") != NULL);
	/* A body goes away. */
	struct message *m = NULL;
	uint32_t bucket = 0;
	while ((m = table_walk(the_queue(), &bucket, m)) != NULL)
		if (m->body_file != 0) {
			char name[SEGMENT_NAME_MAX];
			segment_name(name, m->body_file, ".body");
			expect_equal(truncate(spool_path(name), 5), 0);
		}
	text = verify().ptr;
	expect_true(strstr(text, "\"bodies-missing\":1") != NULL);
	/* And the segments with everything. */
	for (struct segment *s = the_queue()->segments; s != NULL; s = s->next) {
		char name[SEGMENT_NAME_MAX];
		segment_name(name, s->id, ".seg");
		unlink(spool_path(name));
	}
	text = verify().ptr;
	expect_true(strstr(text, "\"balanced\":false") != NULL);
	expect_true(strstr(text, "\"orphans\":101") != NULL);
	expect_true(strstr(text, "DOES NOT BALANCE") != NULL);
}

static void test_verify(void **state)
{
	(void)state;
	live(script_verify);
}

/* The body is gone: the sender hears of it in the end, without the message. */
static void script_no_body(void)
{
	static char big[300 << 10];
	const char *to = "late@tiga.example";
	uint32_t bucket = 0;
	memset(big, 'y', sizeof(big));
	expect_equal(
	    send_body("hyd@satu.example", &to, 1, (struct kurir_str){ big, sizeof(big) }, 0), 0);
	wait_for(1000);
	struct message *m = table_walk(the_queue(), &bucket, NULL);
	if (m != NULL) {
		char name[SEGMENT_NAME_MAX];
		segment_name(name, m->body_file, ".body");
		expect_equal(unlink(spool_path(name)), 0);
	}
	wait_for(6LL * 86400000);
	expect_equal(the_queue()->totals.bounced, 1);
	expect_equal(the_queue()->entry_count, 0);
	expect_true(strstr(world.last_body, "Action: failed") != NULL);
}

static void test_no_body(void **state)
{
	(void)state;
	live(script_no_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cancel_in_route, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_in_attempt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_redirect_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_predicates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verify, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_own_pace, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_floods, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_body, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
