/* test_fiber.c - parking, waking, cancelling, groups, many and deep fibers. */
#include "loop_unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned count;
static struct fiber *other;

static void sleeper(void *arg)
{
	(void)arg;
	count++;
	CHECK_IS(kurir_sleep(KURIR_FOREVER), -ECANCELED);
	CHECK(fiber_canceled());
	/* Nothing parks again. */
	CHECK_IS(kurir_sleep(kurir_now() + 1), -ECANCELED);
	CHECK_IS(kurir_yield(), -ECANCELED);
	CHECK_IS(fiber_park(KURIR_FOREVER), -ECANCELED);
	count--;
}

static void waits(void *arg)
{
	*(int *)arg = fiber_park(kurir_now() + 1000);
}

static void body_wake(void *arg)
{
	int result = 0;
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	/* The first wake counts, also for one that has not run yet. */
	CHECK_IS(fiber_start(g, "waits", waits, &result, &other), 0);
	fiber_wake(other, 99); /* not parked: nothing */
	kurir_yield();
	fiber_wake(other, 7);
	fiber_wake(other, 8);
	CHECK_IS(result, 0); /* never switches by itself */
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(result, 7);
	kurir_time before = kurir_now();
	CHECK_IS(fiber_start(g, "waits", waits, &result, &other), 0);
	CHECK_IS(kurir_group_wait(g, before + 500), -ETIMEDOUT);
	CHECK_IS(kurir_now(), before + 500);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(result, -ETIMEDOUT);
	CHECK_IS(kurir_now(), before + 1000);
	/* Woken and cancelled before it ran: the wake comes first. */
	CHECK_IS(fiber_start(g, "waits", waits, &result, &other), 0);
	kurir_yield();
	fiber_wake(other, 5);
	kurir_group_end(g);
	CHECK_IS(result, 5);
}

static void body_many(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	unsigned wanted = (unsigned)(uintptr_t)arg;
	count = 0;
	for (unsigned i = 0; i < wanted; i++)
		CHECK_IS(kurir_group_go(g, "sleeper", sleeper, NULL), 0);
	kurir_yield();
	CHECK_IS(count, wanted);
	CHECK(fiber_census().running > wanted);
	CHECK(fiber_census().peak > wanted);
	kurir_group_end(g);
	CHECK_IS(count, 0);
}

/* A tree of groups, each level ends its own; the deepest is cancelled from the top. */
static void nested(void *arg)
{
	uintptr_t depth = (uintptr_t)arg;
	struct kurir_group *g = kurir_group_begin(NULL);
	count++;
	if (depth)
		CHECK_IS(kurir_group_go(g, "nested", nested, (void *)(depth - 1)), 0);
	CHECK_IS(kurir_sleep(KURIR_FOREVER), -ECANCELED);
	kurir_group_end(g);
	count--;
}

static void body_nested(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	count = 0;
	kurir_group_go(g, "nested", nested, (void *)100);
	kurir_sleep(kurir_now() + 10);
	CHECK_IS(count, 101);
	kurir_group_end(g);
	CHECK_IS(count, 0);
}

static unsigned deep(unsigned n)
{
	volatile char frame[256];
	frame[n % 256] = (char)n;
	if (!n) {
		kurir_yield();
		return 0;
	}
	return deep(n - 1) + 1 + (unsigned)(frame[n % 256] != (char)n);
}

static void dives(void *arg)
{
	(void)arg;
	CHECK_IS(deep(80), 80);
}

static void body_deep(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	for (int i = 0; i < 50; i++)
		kurir_group_go(g, "dives", dives, NULL);
	fiber_trim();
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	kurir_group_end(g);
}

/* Trimming the stack of a parked fiber keeps what it stands on. */
static void stands(void *arg)
{
	unsigned char local[3000];
	for (size_t i = 0; i < sizeof(local); i++)
		local[i] = (unsigned char)(i * 7);
	CHECK_IS(deep(60), 60);
	kurir_sleep(KURIR_FOREVER);
	for (size_t i = 0; i < sizeof(local); i++)
		CHECK_IS(local[i], (unsigned char)(i * 7));
	CHECK_IS(deep(60), 60);
	++*(int *)arg;
}

static void body_trim(void *arg)
{
	int done = 0;
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	for (int i = 0; i < 20; i++)
		kurir_group_go(g, "stands", stands, &done);
	kurir_yield();
	kurir_yield();
	kurir_yield();
	for (int i = 0; i < 3; i++)
		fiber_trim();
	kurir_group_end(g);
	CHECK_IS(done, 20);
}

static void labelled(void *arg)
{
	(void)arg;
	CHECK_STR(fiber_label(), "session-1");
	fiber_set_label(KURIR_STR("0123456789012345678901234567890123456789"));
	CHECK_IS(fiber_label().len, 32);
	struct kurir_str s = kurir_format(kurir_scratch(), "own %d", 1);
	kurir_yield();
	CHECK_STR(s, "own 1");
}

static void body_labels(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	CHECK_IS(fiber_label().len, 0);
	fiber_set_label(KURIR_STR("session-1"));
	kurir_group_go(g, "a", labelled, NULL);
	kurir_group_go(g, "b", labelled, NULL);
	fiber_set_label(KURIR_STR("session-2"));
	kurir_group_end(g);
	CHECK_STR(fiber_label(), "session-2");
}

/* The n-th park fails. */
static void body_injected(void *arg)
{
	(void)arg;
	fiber_fail_park(2, -ETIMEDOUT);
	CHECK_IS(kurir_yield(), 0);
	CHECK_IS(fiber_park(KURIR_FOREVER), -ETIMEDOUT);
	CHECK_IS(kurir_yield(), 0);
	fiber_fail_park(1, -ECANCELED);
	CHECK_IS(kurir_sleep(kurir_now() + 5), -ECANCELED);
	CHECK_IS(kurir_yield(), -ECANCELED); /* stays, as the real one */
}

/* A group that nobody ended goes with the process. */
static void abandons(void *arg)
{
	(void)arg;
	kurir_group_go(kurir_group_begin(NULL), "sleeper", sleeper, NULL);
}

static void abandoned_groups(void **state)
{
	(void)state;
	loop_unit_failed = NULL;
	count = 0;
	loop_init(true);
	kurir_group_go(fiber_group_root(), "abandons", abandons, NULL);
	loop_run(); /* returns: nothing can happen any more */
	assert_int_equal(count, 1);
	kurir_group_end(fiber_group_root());
	assert_int_equal(count, 0);
	assert_int_equal(fiber_census().running, 0);
	loop_fini();
	assert_null(loop_unit_failed);
}

static void bodies(void **state)
{
	(void)state;
	run_on_loop(true, body_wake, NULL);
	run_on_loop(true, body_nested, NULL);
	run_on_loop(true, body_deep, NULL);
	run_on_loop(true, body_trim, NULL);
	run_on_loop(true, body_labels, NULL);
	run_on_loop(true, body_injected, NULL);
}

static void many(void **state)
{
	(void)state;
	const char *fewer = getenv("KURIR_TEST_FIBERS"); /* for valgrind */
	run_on_loop(true, body_many, (void *)(uintptr_t)(fewer ? 500 : 20000));
	run_on_loop(true, body_many, (void *)1000);
}

/* Two groups end together, and the owner of one is in the other: it ends its own. */
static void owner(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	CHECK_IS(kurir_group_go(g, "sleeper", sleeper, NULL), 0);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), -ECANCELED);
	CHECK_IS(kurir_group_go(g, "sleeper", sleeper, NULL), -ECANCELED);
	kurir_group_end(g);
	count += 10;
}

static void owned_groups(void **state)
{
	(void)state;
	loop_unit_failed = NULL;
	count = 0;
	loop_init(true);
	kurir_group_go(kurir_group_begin(NULL), "owner", owner, NULL);
	loop_run();
	assert_int_equal(count, 1);
	kurir_group_end(fiber_group_root());
	assert_int_equal(count, 10);
	loop_fini();
	assert_null(loop_unit_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(many),
		cmocka_unit_test(abandoned_groups),
		cmocka_unit_test(owned_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
