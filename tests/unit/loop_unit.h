/* loop_unit.h - a test body that runs on a fiber of a fresh loop. */
#ifndef TESTS_LOOP_UNIT_H
#define TESTS_LOOP_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <fiber.h>
#include <loop.h>

/* cmocka leaves a failed test by longjmp, which must not go from one stack to another: what fails
 * on a fiber is written down and fails the test on the loop's stack. */
static const char *loop_unit_failed;
static int loop_unit_line;
static long long loop_unit_got, loop_unit_wanted;

#define CHECK_IS(got, wanted) \
	do { \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted); \
		if (got_ != wanted_ && !loop_unit_failed) { \
			loop_unit_failed = #got " is " #wanted; \
			loop_unit_line = __LINE__; \
			loop_unit_got = got_; \
			loop_unit_wanted = wanted_; \
		} \
	} while (0)
#define CHECK(cond) CHECK_IS(!!(cond), 1)
#define CHECK_STR(got, lit) \
	do { \
		struct kurir_str s_ = (got); \
		CHECK_IS(s_.len, sizeof(lit) - 1); \
		if (s_.len == sizeof(lit) - 1) \
			CHECK_IS(memcmp(s_.ptr, "" lit, sizeof(lit) - 1), 0); \
	} while (0)

static inline void run_on_loop(bool virtual_clock, void (*body)(void *), void *arg)
{
	loop_unit_failed = NULL;
	loop_init(virtual_clock);
	struct kurir_group *g = kurir_group_begin(NULL);
	assert_int_equal(kurir_group_go(g, "body", body, arg), 0);
	while (fiber_census().running)
		loop_turn(KURIR_FOREVER);
	kurir_group_end(g);
	loop_fini();
	if (loop_unit_failed)
		fail_msg("line %d: %s: %lld, not %lld", loop_unit_line, loop_unit_failed,
		    loop_unit_got, loop_unit_wanted);
}

#endif
