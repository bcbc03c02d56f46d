/* test_hook.c - what hooks cost: buckets, quantiles, and what is told of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "hook.h"

static double nanos(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Ticks become the time that another clock shows, in a process that has no hooks, too. */
static void rate(void **state)
{
	double ratio = 0;

	(void)state;
	hook_clock_begin();
	/* More than once, as something else may run between the two clocks. */
	for (unsigned i = 0; i < 10 && (ratio < 0.9 || ratio > 1.1); i++) {
		const struct timespec wait = { .tv_nsec = 60000000 };
		uint64_t ticks = hook_clock();
		double start = nanos();

		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
		ratio = hook_nanos((double)(hook_clock() - ticks)) / (nanos() - start);
	}
	assert_true(ratio > 0.9 && ratio < 1.1);
}

/* Each time lies in the bucket that ends above it, and above the end of the one before. */
static void buckets(void **state)
{
	(void)state;
	for (uint64_t t = 1; t < (uint64_t)1 << 36; t += 1 + t / 7) {
		unsigned i = hook_bucket(t);

		assert_true(i < HOOK_BUCKETS);
		assert_true((double)t < hook_bucket_end(i));
		assert_true(i == 0 || (double)t >= hook_bucket_end(i - 1));
		assert_true(i == 0 || hook_bucket_end(i) <= hook_bucket_end(i - 1) * 1.26);
	}
	assert_int_equal(hook_bucket(0), 0);
	assert_int_equal(hook_bucket(UINT64_MAX), HOOK_BUCKETS - 1);
}

static void quantiles(void **state)
{
	uint64_t of[HOOK_BUCKETS] = { 0 };
	double half, most;

	(void)state;
	assert_true(hook_quantile(of, 0.5) == 0);
	for (uint64_t t = 1; t <= 100000; t++)
		of[hook_bucket(t)]++;
	half = hook_quantile(of, 0.5);
	most = hook_quantile(of, 0.99);
	assert_true(half >= 50000 && half <= 50000 * 1.25);
	assert_true(most >= 99000 && most <= 99000 * 1.25);
	assert_true(hook_quantile(of, 1) >= 100000);
}

static void told(void **state)
{
	static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks) };
	static struct module module = { .m = { .name = "m", .smtp = &hooks } };
	static struct kurir_self self = { .module = &module, .name = "m/x" };
	struct hook *h = hook_of(&self, CHAIN_RCPT);
	struct kurir_buf b = KURIR_BUF(65536), small = KURIR_BUF(100);
	json_t *list, *v;

	(void)state;
	assert_ptr_equal(hook_of(&self, CHAIN_RCPT), h);
	assert_ptr_not_equal(hook_of(&self, CHAIN_MAIL), h);
	hook_note(h, KURIR_ACCEPT, 1000);
	hook_note(h, KURIR_REJECT, 1000);
	hook_note(h, -EIO, (uint64_t)-5); /* clocks that do not agree */
	assert_int_equal(hook_json(&b), 0);
	list = json_loadb(b.ptr, b.len, 0, NULL);
	assert_int_equal(json_array_size(list), 2);
	v = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(v, "instance")), "m/x");
	assert_string_equal(json_string_value(json_object_get(v, "hook")), "rcpt");
	assert_int_equal(json_integer_value(json_object_get(v, "calls")), 3);
	assert_int_equal(json_integer_value(json_object_get(v, "errors")), 1);
	assert_int_equal(json_integer_value(json_object_get(v, "ticks")), 2000);
	assert_int_equal(
	    json_integer_value(json_array_get(json_object_get(v, "verdicts"), KURIR_ACCEPT)), 1);
	assert_int_equal(hook_json(&small), -EMSGSIZE);
	json_decref(list);
	kurir_buf_free(&b);
	kurir_buf_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate),
		cmocka_unit_test(buckets),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
