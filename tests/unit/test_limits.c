/* test_limits.c - rates, windows that slide, holds. */
#include <modules/limits/limits.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S(x)  KURIR_STR(x)
#define HOUR  3600000LL
#define START (472222LL * HOUR) /* a multiple of all windows here */

static struct kurir_arena *arena;
static struct limits_store store;
static char folder[] = "/tmp/kurir-limits-XXXXXX", path[80];

static void rate(const char *text, enum limits_what what, uint64_t amount, int64_t window)
{
	struct limits_rate r;
	const char *why;

	assert_int_equal(limits_rate_parse(kurir_str_of(text), &r, &why), 0);
	assert_int_equal(r.what, what);
	assert_int_equal(r.amount, amount);
	assert_int_equal(r.window, window);
}

static void rates(void **state)
{
	static const char *const bad[] = { "", "100", "100 messages", "messages/1h",
		" messages/1h", "100 letters/1h", "100 messages/", "100 messages/1",
		"100 messages/h1", "100 messages/0h", "100 messages/1y", "1K messages/1h",
		"-1 messages/1h", "100 messages/1000d", "2000000T bytes/1h", "1/100 messages" };
	struct limits_rate r;
	const char *why;

	(void)state;
	rate("100 messages/1h", LIMITS_MESSAGES, 100, HOUR);
	rate("0 recipients/s", LIMITS_RECIPIENTS, 0, 1000);
	rate("5 connections/30m", LIMITS_CONNECTIONS, 5, HOUR / 2);
	rate("2M bytes/2w", LIMITS_BYTES, 2 << 20, 14 * 24 * HOUR);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		assert_int_equal(limits_rate_parse(kurir_str_of(bad[i]), &r, &why), -EINVAL);
		assert_non_null(why);
	}
}

static enum limits_verdict take(
    int64_t at, struct kurir_str key, uint64_t amount, struct kurir_str account, bool holds)
{
	struct limits_question q = { .account = account, .now = START + at, .count = 1 };
	struct limits_answer a;

	q.entries[0] = (struct limits_entry){ key, 10, amount, HOUR, holds };
	assert_int_equal(sqlfile_begin(&store.file), 0);
	assert_int_equal(limits_take(&store, &q, &a), 0);
	assert_int_equal(sqlfile_end(&store.file, true), 0);
	return a.verdict;
}

static void sliding(void **state)
{
	(void)state;
	assert_int_equal(take(0, S("a"), 6, S(""), false), LIMITS_FINE);
	assert_int_equal(take(HOUR / 2, S("a"), 4, S(""), false), LIMITS_FINE);
	assert_int_equal(take(HOUR / 2, S("a"), 1, S(""), false), LIMITS_TOO_MUCH);
	assert_int_equal(take(HOUR / 2, S("b"), 10, S(""), false), LIMITS_FINE);
	assert_int_equal(take(HOUR / 2, S("c"), 11, S(""), false), LIMITS_TOO_MUCH);
	assert_int_equal(take(HOUR - 1, S("a"), 1, S(""), false), LIMITS_TOO_MUCH);
	/* What came first has left the window; what was refused never was in it. */
	assert_int_equal(take(HOUR, S("a"), 6, S(""), false), LIMITS_FINE);
	assert_int_equal(take(HOUR, S("a"), 1, S(""), false), LIMITS_TOO_MUCH);
	sqlfile_close(&store.file);
	bool damaged;
	assert_int_equal(limits_open(path, &store, &damaged), 0);
	assert_int_equal(take(HOUR + 1, S("a"), 1, S(""), false), LIMITS_TOO_MUCH);
	assert_int_equal(take(9 * HOUR, S("a"), 10, S(""), false), LIMITS_FINE);
}

/* All or nothing. */
static void several(void **state)
{
	struct limits_question q = { .account = S(""), .now = START, .count = 2 };
	struct limits_answer a;

	(void)state;
	q.entries[0] = (struct limits_entry){ S("x"), 10, 6, HOUR, false };
	q.entries[1] = (struct limits_entry){ S("y"), 5, 6, HOUR, false };
	assert_int_equal(limits_take(&store, &q, &a), 0);
	assert_int_equal(a.verdict, LIMITS_TOO_MUCH);
	assert_int_equal(a.which, 1);
	assert_int_equal(take(0, S("x"), 10, S(""), false), LIMITS_FINE);
}

static void count_holds(void *arg, struct kurir_str account, struct kurir_str why, int64_t since)
{
	assert_true(kurir_str_equal(account, S("hyd@satu.example")));
	assert_true(why.len > 0 && since >= START);
	++*(int *)arg;
}

static void holds(void **state)
{
	struct kurir_str hyd = S("hyd@satu.example");
	int n = 0;

	(void)state;
	assert_int_equal(take(0, S("a"), 10, hyd, true), LIMITS_FINE);
	assert_int_equal(take(0, S("a"), 1, hyd, true), LIMITS_NOW_HELD);
	assert_int_equal(take(9 * HOUR, S("a"), 1, hyd, true), LIMITS_HELD);
	assert_int_equal(take(9 * HOUR, S("a"), 1, S("ani@satu.example"), true), LIMITS_FINE);
	assert_int_equal(limits_holds(&store, count_holds, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(limits_release(&store, hyd), 1);
	assert_int_equal(limits_release(&store, hyd), 0);
	assert_int_equal(take(9 * HOUR, S("a"), 1, hyd, true), LIMITS_FINE);
	assert_int_equal(limits_hold(&store, hyd, S("x"), START), 0);
	assert_int_equal(limits_hold(&store, hyd, S("y"), START), 0);
	assert_int_equal(take(9 * HOUR, S("a"), 1, hyd, false), LIMITS_HELD);
}

static void questions(void **state)
{
	struct limits_question q = { .account = S("hyd"), .now = -5, .count = 2 }, again;
	struct kurir_buf b = KURIR_BUF(8192);
	struct kurir_str all;

	(void)state;
	q.entries[0] = (struct limits_entry){ S("x"), 10, 6, HOUR, true };
	q.entries[1] = (struct limits_entry){ S("yy"), 5, 7, 1, false };
	assert_int_equal(limits_put_question(&b, &q), 0);
	all = kurir_buf_str(&b);
	assert_int_equal(limits_get_question(all, &again), 0);
	assert_true(again.count == 2 && again.now == -5 && again.entries[0].holds);
	assert_true(kurir_str_equal(again.entries[1].key, S("yy")));
	for (size_t i = 0; i < all.len; i++)
		assert_int_equal(
		    limits_get_question(kurir_str_part(all, 0, i), &again), -EBADMSG);
	kurir_buf_free(&b);
}

static int setup(void **state)
{
	bool damaged;

	(void)state;
	arena = kurir_arena_new("test");
	(void)snprintf(path, sizeof(path), "%s/l.db", folder);
	return limits_open(path, &store, &damaged);
}

static int teardown(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[100];

	(void)state;
	sqlfile_close(&store.file);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		(void)unlink(name);
	}
	kurir_arena_free(arena);
	return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rates),
		TEST(sliding),
		TEST(several),
		TEST(holds),
		TEST(questions),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return failed;
}
