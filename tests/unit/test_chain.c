/* test_chain.c - pipelines: order, verdicts, trouble, deadlines; and the words of replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "chain.h"
#include "conn.h"
#include "count.h"
#include "instance_private.h"
#include "log.h"
#include "loop.h"
#include "tx.h"

#include <kurir/stream.h>

static int verdicts[3], calls[3], reply_code;
static const char *reply_xyz;
static char order[16];
static bool sleeps;

static int index_of(struct kurir_self *self)
{
	return kurir_self_name(self)[0] - 'a';
}

static int helo(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	int i = index_of(self);

	(void)name;
	calls[i]++;
	strncat(order, kurir_self_name(self), sizeof(order) - strlen(order) - 1);
	if (reply_code != 0 && verdicts[i] != KURIR_NEXT)
		(void)kurir_reply(conn, reply_code, reply_xyz, "two\r\nlines %d\x01", 7);
	if (sleeps && i == 0) {
		int r = kurir_sleep(kurir_now() + 3600000);

		return r == 0 ? KURIR_ACCEPT : r;
	}
	return verdicts[i];
}

static void closed(struct kurir_self *self, struct kurir_conn *conn)
{
	(void)conn;
	strncat(order, kurir_self_name(self), sizeof(order) - strlen(order) - 1);
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks), .helo = helo, .closed = closed
};
/* A table from a time when there was no "closed". */
static const struct kurir_smtp_hooks old_hooks = {
	.size = offsetof(struct kurir_smtp_hooks, closed), .helo = helo, .closed = closed
};
static struct module module = {
	.m = { .size = sizeof(struct kurir_module), .name = "a", .smtp = &hooks }
};
static struct module old = {
	.m = { .size = sizeof(struct kurir_module), .name = "c", .smtp = &old_hooks }
};
static struct kurir_self *selves[3];
static struct kurir_conn *conn;
static void (*body)(void);

static void on_fiber(void *arg)
{
	(void)arg;
	body();
	loop_stop();
}

static void on_a_fiber(void (*fn)(void))
{
	struct kurir_group *g = kurir_group_begin(NULL);
	struct conn_origin from = { .peer = KURIR_STR("192.0.2.1"),
		.local = KURIR_STR(""),
		.listener = KURIR_STR("mx"),
		.protocol = KURIR_STR("smtp"),
		.pipeline = KURIR_STR("in") };
	struct kurir_stream *a, *b;

	memset(calls, 0, sizeof(calls));
	memset(verdicts, 0, sizeof(verdicts));
	order[0] = '\0';
	reply_code = 0;
	sleeps = false;
	assert_int_equal(kurir_stream_pair(&a, &b), 0);
	conn = conn_new(a, &from, KURIR_STR("id"));
	body = fn;
	assert_int_equal(kurir_group_go(g, "test", on_fiber, NULL), 0);
	loop_run();
	conn_drop(conn);
	kurir_close(b);
}

static struct kurir_answer answer;

static int say_helo(void)
{
	return kurir_session_helo(conn, KURIR_STR("x"), &answer);
}

static void in_order_body(void)
{
	assert_int_equal(say_helo(), KURIR_ACCEPT);
	assert_string_equal(order, "abc");
	assert_int_equal(answer.code, 250);
	verdicts[1] = KURIR_REJECT;
	order[0] = '\0';
	assert_int_equal(say_helo(), KURIR_REJECT);
	assert_string_equal(order, "ab"); /* settled: c is not asked */
	assert_int_equal(answer.code, 550);
	verdicts[1] = KURIR_ACCEPT;
	order[0] = '\0';
	assert_int_equal(say_helo(), KURIR_ACCEPT);
	assert_string_equal(order, "ab");
	order[0] = '\0';
	kurir_session_closed(conn);
	assert_string_equal(order, "ba"); /* reverse, and c is too old */
	kurir_session_closed(conn);
	assert_string_equal(order, "ba"); /* once */
}

static void in_order(void **state)
{
	(void)state;
	on_a_fiber(in_order_body);
}

static void trouble_body(void)
{
	uint64_t errors;

	verdicts[0] = -EIO;
	assert_int_equal(say_helo(), KURIR_DEFER);
	assert_int_equal(answer.code, 451);
	selves[0]->on_error = ON_ERROR_NEXT;
	assert_int_equal(say_helo(), KURIR_ACCEPT);
	selves[0]->on_error = ON_ERROR_REJECT;
	assert_int_equal(say_helo(), KURIR_REJECT);
	selves[0]->on_error = ON_ERROR_DEFER;
	verdicts[0] = 99; /* no verdict at all */
	assert_int_equal(say_helo(), KURIR_DEFER);
	verdicts[0] = KURIR_DISCARD; /* not at this point */
	assert_int_equal(say_helo(), KURIR_DEFER);
	verdicts[0] = KURIR_HANGUP;
	assert_int_equal(say_helo(), KURIR_HANGUP);
	assert_int_equal(answer.code, 421);
	assert_int_equal(count_get(KURIR_STR("a.helo-errors"), &errors), 0);
	assert_true(errors >= 5);
}

static void trouble(void **state)
{
	(void)state;
	on_a_fiber(trouble_body);
}

static void deadline_body(void)
{
	kurir_time start = kurir_now();

	sleeps = true;
	selves[0]->deadline = 3000;
	assert_int_equal(say_helo(), KURIR_DEFER);
	assert_in_range(kurir_now() - start, 3000, 3100);
	selves[0]->deadline = 0;
}

static void deadline(void **state)
{
	(void)state;
	on_a_fiber(deadline_body);
}

static void replies_body(void)
{
	verdicts[0] = KURIR_REJECT;
	reply_code = 553;
	reply_xyz = "5.7.9";
	assert_int_equal(say_helo(), KURIR_REJECT);
	assert_int_equal(answer.code, 553);
	assert_true(kurir_str_equal(answer.xyz, KURIR_STR("5.7.9")));
	assert_true(kurir_str_equal(answer.text, KURIR_STR("two lines 7 ")));
	reply_code = 450; /* contradicts the verdict: not used */
	reply_xyz = "4.7.1";
	assert_int_equal(say_helo(), KURIR_REJECT);
	assert_int_equal(answer.code, 550);
	assert_int_equal(kurir_reply(conn, 550, "4.7.1", "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 550, "5.7", "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 550, "5.1234.1", "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 550, "5.7.1.", "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 354, NULL, "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 99, NULL, "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 600, NULL, "x"), -EINVAL);
	assert_int_equal(kurir_reply(conn, 550, NULL, "%0900d", 1), 0); /* cut */
}

static void replies(void **state)
{
	(void)state;
	on_a_fiber(replies_body);
}

static void unknown(void **state)
{
	struct kurir_str names[] = { KURIR_STR("a"), KURIR_STR("z") };
	size_t missing = 9;

	(void)state;
	assert_int_equal(chain_add(KURIR_STR("bad"), names, 2, &missing), -ENOENT);
	assert_int_equal(missing, 1);
	assert_non_null(chain_find(KURIR_STR("nothing")));
	assert_int_equal(chain_find(KURIR_STR("nothing"))->count[CHAIN_HELO], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(trouble),
		cmocka_unit_test(deadline),
		cmocka_unit_test(replies),
		cmocka_unit_test(unknown),
	};
	struct kurir_str names[] = { KURIR_STR("a"), KURIR_STR("b"), KURIR_STR("c") };
	size_t missing;

	loop_init(true);
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_ERROR);
	selves[0] = instance_new(&module, "a", NULL);
	selves[1] = instance_new(&module, "b", NULL);
	selves[2] = instance_new(&old, "c", NULL);
	if (chain_add(KURIR_STR("in"), names, 3, &missing) < 0)
		return 1;
	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
