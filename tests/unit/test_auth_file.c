/* test_auth_file.c - the users file, and who must wait after failures. */
#include <modules/auth_file/auth_file.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kurir_arena *arena;
#define S(x) KURIR_STR(x)

static void lines(void **state)
{
	static const struct {
		const char *line;
		int want;
		const char *name, *hash;
	} rows[] = {
		{ "", 0, "", "" },
		{ "  ", 0, "", "" },
		{ "# a:b", 0, "", "" },
		{ "\r", 0, "", "" },
		{ "a:$y$j", 1, "a", "$y$j" },
		{ "a:$y$j\r", 1, "a", "$y$j" },
		{ "A b@c:$6$x:1000:more", 1, "A b@c", "$6$x" },
		{ "a:!", 1, "a", "!" },
		{ "a:*LK*", 1, "a", "*LK*" },
		{ "a", -EINVAL, "", "" },
		{ "a:", -EINVAL, "", "" },
		{ ":$y$j", -EINVAL, "", "" },
		{ "a:secret", -EINVAL, "", "" },
		{ "a:$y j", -EINVAL, "", "" },
		{ "a:$y\t", -EINVAL, "", "" },
		{ "a\tb:$y$", -EINVAL, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct users_line l = { 0 };
		int r = users_line(kurir_str_of(rows[i].line), &l);

		if (r != rows[i].want)
			fail_msg("\"%s\": %d, not %d", rows[i].line, r, rows[i].want);
		if (r == 1) {
			assert_true(kurir_str_equal(l.name, kurir_str_of(rows[i].name)));
			assert_true(kurir_str_equal(l.hash, kurir_str_of(rows[i].hash)));
		}
	}
}

static void files(void **state)
{
	unsigned bad;
	const struct users *u = users_parse(arena,
	    S("# users\nHyd@Satu.example:$y$1\npaijo:!$6$2\npaijo:$6$3\nwrong\nsiti:$6$4"),
	    S("Dua.example"), &bad);
	const struct users_user *e;

	(void)state;
	assert_int_equal(users_count(u), 3);
	assert_int_equal(bad, 4);
	e = users_find(u, S("hyd@satu.example"));
	assert_non_null(e);
	assert_string_equal(e->hash.ptr, "$y$1");
	e = users_find(u, users_name(arena, S("PAIJO"), S("Dua.example")));
	assert_non_null(e);
	assert_string_equal(e->hash.ptr, "!$6$2");
	assert_null(users_find(u, S("paijo")));
	assert_non_null(users_find(u, S("siti@dua.example")));
	assert_true(kurir_str_equal(users_decoy(u), S("$y$1")));
	u = users_parse(arena, S(""), S(""), &bad);
	assert_int_equal(bad, 0);
	assert_null(users_find(u, S("a")));
	assert_int_equal(users_decoy(u).len, 0);
}

static void networks(void **state)
{
	static const char *const rows[][2] = {
		{ "192.0.2.77", "192.0.2.0/24" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
		{ "::1", "::/64" },
		{ "unix", "unix" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kurir_str got = backoff_network(arena, kurir_str_of(rows[i][0]));

		assert_true(kurir_str_equal(got, kurir_str_of(rows[i][1])));
	}
}

static void waits(void **state)
{
	struct backoff *b = calloc(1, sizeof(*b));
	struct backoff_rule rule = {
		.free_failures = 3, .first = 1000, .most = 5000, .forget = 60000
	};
	kurir_time now = 1000000;

	(void)state;
	for (int i = 0; i < 3; i++)
		backoff_fail(b, 7, &rule, now);
	assert_false(backoff_locked(b, 7, now));
	backoff_fail(b, 7, &rule, now);
	assert_true(backoff_locked(b, 7, now + 999));
	assert_false(backoff_locked(b, 7, now + 1000));
	assert_false(backoff_locked(b, 8, now));
	now += 1000;
	backoff_fail(b, 7, &rule, now);
	assert_true(backoff_locked(b, 7, now + 1999));
	assert_false(backoff_locked(b, 7, now + 2000));
	for (int i = 0; i < 100; i++)
		backoff_fail(b, 7, &rule, now);
	assert_true(backoff_locked(b, 7, now + 4999));
	assert_false(backoff_locked(b, 7, now + 5000));
	now += 60001;
	backoff_fail(b, 7, &rule, now);
	assert_false(backoff_locked(b, 7, now));
	free(b);
}

/* Attempts at once hold what may fail, and are no failures. */
static void held(void **state)
{
	struct backoff *b = calloc(1, sizeof(*b));
	struct backoff_rule rule = {
		.free_failures = 3, .first = 1000, .most = 5000, .forget = 60000
	};
	kurir_time now = 1000000;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(backoff_has_room(b, 7, &rule, now));
		backoff_hold(b, 7, now);
	}
	assert_false(backoff_has_room(b, 7, &rule, now));
	assert_false(backoff_locked(b, 7, now));
	for (int i = 0; i < 3; i++)
		backoff_release(b, 7);
	backoff_release(b, 7); /* one too many takes nothing */
	backoff_fail(b, 7, &rule, now);
	assert_false(backoff_locked(b, 7, now));
	/* Two more may fail; when one has, one. */
	backoff_hold(b, 7, now);
	assert_true(backoff_has_room(b, 7, &rule, now));
	backoff_hold(b, 7, now);
	assert_false(backoff_has_room(b, 7, &rule, now));
	backoff_fail(b, 7, &rule, now);
	backoff_release(b, 7);
	assert_false(backoff_has_room(b, 7, &rule, now));
	assert_true(backoff_has_room(b, 7, &rule, now + 60001));
	/* Success forgets the failures, and not what is held. */
	backoff_clear(b, 7);
	assert_true(backoff_has_room(b, 7, &rule, now));
	backoff_hold(b, 7, now);
	backoff_hold(b, 7, now);
	assert_false(backoff_has_room(b, 7, &rule, now));
	for (int i = 0; i < 3; i++)
		backoff_release(b, 7);
	/* With none left there is room for one, and not for two. */
	for (int i = 0; i < 5; i++)
		backoff_fail(b, 7, &rule, now);
	assert_true(backoff_has_room(b, 7, &rule, now));
	backoff_hold(b, 7, now);
	assert_false(backoff_has_room(b, 7, &rule, now));
	free(b);
}

static void decoys(void **state)
{
	static const char *const rows[][2] = {
		{ "a:$6$s$h\nb:$y$j9T$s$1\nc:$y$j9T$t$2\n", "$y$j9T$s$1" },
		{ "a:$y$j9T$s$1\nb:$6$s$h\nc:$6$t$i\n", "$6$s$h" },
		{ "a:$6$rounds=9$s$h\nb:$6$s$h\nc:$6$t$i\n", "$6$s$h" },
		{ "a:$2b$12$x\nb:$2b$06$y\nc:$2b$06$z\n", "$2b$06$y" },
		{ "a:!$6$x\nb:$\n", "$" },
	};
	unsigned bad;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kurir_str got =
		    users_decoy(users_parse(arena, kurir_str_of(rows[i][0]), S(""), &bad));

		if (!kurir_str_equal(got, kurir_str_of(rows[i][1])))
			fail_msg("%s: %.*s", rows[i][0], KURIR_ARG(got));
	}
}

/* A flood of names cannot grow the table, and the newest are remembered. */
static void flood(void **state)
{
	struct backoff *b = calloc(1, sizeof(*b));
	struct backoff_rule rule = {
		.free_failures = 0, .first = 1000, .most = 5000, .forget = 60000
	};
	uint64_t key = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		key = key * 6364136223846793005u + 1442695040888963407u;
		backoff_fail(b, key, &rule, i);
		assert_true(backoff_locked(b, key, i));
	}
	backoff_praise(b, 99, 200000);
	assert_true(backoff_praised(b, 99, 200001, 10));
	assert_false(backoff_praised(b, 99, 200011, 10));
	free(b);
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(files),
		cmocka_unit_test(networks),
		cmocka_unit_test(waits),
		cmocka_unit_test(held),
		cmocka_unit_test(decoys),
		cmocka_unit_test(flood),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
