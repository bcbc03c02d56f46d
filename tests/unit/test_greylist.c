/* test_greylist.c - the file of triplets: what is known, for how long, and when it is damaged. */
#include <modules/greylist/greylist.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S(x)   KURIR_STR(x)
#define MINUTE 60000
#define START  1700000000000

static struct kurir_arena *arena;
static struct greylist_store store;
static char folder[] = "/tmp/kurir-greylist-XXXXXX", path[80];
static struct greylist_question q;

static void open_store(bool damaged)
{
	bool was = !damaged;

	assert_int_equal(greylist_open(path, &store, &was), 0);
	assert_int_equal(was, damaged);
}

static enum greylist_verdict ask_at(int64_t minutes)
{
	struct greylist_answer a;

	q.now = START + minutes * MINUTE;
	assert_int_equal(sqlfile_begin(&store.file), 0);
	assert_int_equal(greylist_ask(&store, &q, &a), 0);
	assert_int_equal(sqlfile_end(&store.file, true), 0);
	if (a.verdict == GREYLIST_NEW || a.verdict == GREYLIST_WAIT)
		assert_in_range(a.wait, 1, q.delay);
	return a.verdict;
}

static void coming_back(void **state)
{
	(void)state;
	assert_int_equal(ask_at(0), GREYLIST_NEW);
	assert_int_equal(ask_at(4), GREYLIST_WAIT);
	assert_int_equal(ask_at(-100), GREYLIST_WAIT); /* the clock was set back */
	assert_int_equal(ask_at(5), GREYLIST_PASSED);
	assert_int_equal(ask_at(6), GREYLIST_KNOWN);
	sqlfile_close(&store.file);
	open_store(false);
	assert_int_equal(ask_at(6 + 99), GREYLIST_KNOWN);	   /* kept */
	assert_int_equal(ask_at(6 + 99 + 100), GREYLIST_NEW);	   /* not used for too long */
	assert_int_equal(ask_at(6 + 99 + 100 + 20), GREYLIST_NEW); /* came back too late */
	q.recipient = S("other@satu.example");
	assert_int_equal(ask_at(6 + 99 + 100 + 26), GREYLIST_NEW);
	q.recipient = S("hyd@satu.example");
	assert_int_equal(ask_at(6 + 99 + 100 + 26), GREYLIST_PASSED);
}

static void networks(void **state)
{
	struct greylist_counts c;

	(void)state;
	q.allow = 2;
	assert_int_equal(ask_at(0), GREYLIST_NEW);
	assert_int_equal(ask_at(5), GREYLIST_PASSED);
	q.sender = S("c@d.example");
	assert_int_equal(ask_at(6), GREYLIST_NEW);
	assert_int_equal(ask_at(11), GREYLIST_PASSED);
	q.sender = S("e@f.example");
	assert_int_equal(ask_at(12), GREYLIST_ALLOWED);
	q.allow = 0;
	assert_int_equal(ask_at(12), GREYLIST_NEW);
	assert_int_equal(greylist_count(&store, START + 12 * MINUTE, &c), 0);
	assert_int_equal(c.waiting, 1);
	assert_int_equal(c.passed, 2);
	assert_int_equal(c.networks, 1);
	q.allow = 2;
	assert_int_equal(greylist_forget(&store, q.network), 3);
	assert_int_equal(ask_at(13), GREYLIST_NEW);
	assert_int_equal(greylist_allow(&store, q.network, START + 20 * MINUTE), 0);
	assert_int_equal(ask_at(14), GREYLIST_ALLOWED);
	assert_int_equal(ask_at(14 + 99), GREYLIST_ALLOWED);
	assert_int_equal(ask_at(14 + 99 + 100), GREYLIST_NEW);
}

static void too_many(void **state)
{
	struct greylist_counts c;
	struct greylist_answer a;

	(void)state;
	q.entries = 1500;
	q.now = START;
	assert_int_equal(sqlfile_begin(&store.file), 0);
	for (int i = 0; i < 5000; i++) {
		q.sender = kurir_format(arena, "%d@b.example", i);
		q.now++;
		assert_int_equal(greylist_ask(&store, &q, &a), 0);
		assert_int_equal(a.verdict, GREYLIST_NEW);
	}
	assert_int_equal(sqlfile_end(&store.file, true), 0);
	assert_int_equal(greylist_count(&store, q.now, &c), 0);
	assert_in_range(c.waiting, 500, 1500);
}

static void rolled_back(void **state)
{
	struct greylist_answer a;

	(void)state;
	q.now = START;
	assert_int_equal(sqlfile_begin(&store.file), 0);
	assert_int_equal(greylist_ask(&store, &q, &a), 0);
	assert_int_equal(sqlfile_end(&store.file, false), 0);
	assert_int_equal(ask_at(1), GREYLIST_NEW);
}

static void damaged(void **state)
{
	char aside[100];
	FILE *f;

	(void)state;
	assert_int_equal(ask_at(0), GREYLIST_NEW);
	sqlfile_close(&store.file);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		assert_true(fputs("this is no database\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	open_store(true);
	assert_int_equal(ask_at(1), GREYLIST_NEW);
	(void)snprintf(aside, sizeof(aside), "%s.damaged", path);
	assert_int_equal(access(aside, R_OK), 0);
	assert_int_equal(unlink(aside), 0);
}

static void questions(void **state)
{
	struct kurir_buf b = KURIR_BUF(8192);
	struct greylist_question again;
	struct kurir_str all;

	(void)state;
	q.now = -1;
	assert_int_equal(greylist_put_question(&b, &q), 0);
	all = kurir_buf_str(&b);
	assert_int_equal(greylist_get_question(all, &again), 0);
	assert_true(kurir_str_equal(again.sender, q.sender));
	assert_true(again.now == -1 && again.keep == q.keep && again.entries == q.entries);
	for (size_t i = 0; i < all.len; i++)
		assert_int_equal(
		    greylist_get_question(kurir_str_part(all, 0, i), &again), -EBADMSG);
	kurir_buf_free(&b);
	assert_true(kurir_str_equal(
	    greylist_sender(arena, S("B-17-042@X1.example")), S("b-#-#@x1.example")));
	assert_true(kurir_str_equal(greylist_sender(arena, S("")), S("")));
	assert_true(kurir_str_equal(greylist_sender(arena, S("12")), S("#")));
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	q = (struct greylist_question){ .network = S("192.0.2.0"),
		.sender = S("a@b.example"),
		.recipient = S("hyd@satu.example"),
		.delay = 5 * MINUTE,
		.window = 20 * MINUTE,
		.keep = 100 * MINUTE,
		.entries = 1000000 };
	(void)snprintf(path, sizeof(path), "%s/t.db", folder);
	open_store(false);
	return 0;
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
		TEST(coming_back),
		TEST(networks),
		TEST(too_many),
		TEST(rolled_back),
		TEST(damaged),
		TEST(questions),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return failed;
}
