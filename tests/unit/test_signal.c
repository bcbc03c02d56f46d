/* test_signal.c - waking all who wait, and remembering nothing. */
#include "loop_unit.h"

#include <errno.h>

static struct kurir_signal *signal_;
static int results[10];
static unsigned count;

static void waits(void *arg)
{
	*(int *)arg = kurir_signal_wait(signal_, kurir_now() + 1000);
	count++;
}

static void body(void *arg)
{
	struct kurir_arena *a = kurir_arena_new("test");
	struct kurir_group *g = kurir_group_begin(NULL);
	(void)arg;
	signal_ = kurir_signal_new(a);
	kurir_signal_raise(signal_); /* nobody hears it */
	for (int i = 0; i < 10; i++)
		kurir_group_go(g, "waits", waits, &results[i]);
	kurir_yield();
	CHECK_IS(count, 0);
	kurir_signal_raise(signal_);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(count, 10);
	for (int i = 0; i < 10; i++)
		CHECK_IS(results[i], 0);
	/* Raised in the round in which the deadline passes. */
	CHECK_IS(kurir_signal_wait(signal_, kurir_now() + 10), -ETIMEDOUT);
	kurir_group_go(g, "waits", waits, &results[0]);
	kurir_group_go(g, "waits", waits, &results[1]);
	kurir_sleep(kurir_now() + 1000);
	kurir_signal_raise(signal_);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(results[0] == 0 || results[0] == -ETIMEDOUT, 1);
	/* Cancelled; then the signal goes while two wait. */
	kurir_group_go(g, "waits", waits, &results[0]);
	kurir_yield();
	kurir_group_end(g);
	CHECK_IS(results[0], -ECANCELED);
	g = kurir_group_begin(NULL);
	kurir_group_go(g, "waits", waits, &results[0]);
	kurir_group_go(g, "waits", waits, &results[1]);
	kurir_yield();
	kurir_arena_free(a);
	CHECK_IS(kurir_group_wait(g, KURIR_FOREVER), 0);
	CHECK_IS(results[0], -ECANCELED);
	CHECK_IS(results[1], -ECANCELED);
	kurir_group_end(g);
}

static void bodies(void **state)
{
	(void)state;
	run_on_loop(true, body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bodies) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
