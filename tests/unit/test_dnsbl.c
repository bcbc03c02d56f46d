/* test_dnsbl.c - what the answers of lists are worth. */
#include <modules/dnsbl/dnsbl.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(x) KURIR_STR(x)

static struct kurir_arena *arena;

static struct dnsbl_list *list(size_t n, const struct kurir_str *rules)
{
	struct kurir_pair p = { S("bl.example"), { n, rules } };
	struct kurir_str error;
	struct dnsbl_list *l = NULL;

	assert_int_equal(dnsbl_lists_parse(arena, (struct kurir_map){ 1, &p }, &l, &error), 0);
	return l;
}

static int score(struct kurir_str rule, struct kurir_str address)
{
	bool matched[1] = { false };
	int sum = 0;

	assert_int_equal(dnsbl_score(list(1, &rule), address, matched, &sum), DNSBL_LISTED);
	return sum;
}

static void codes(void **state)
{
	(void)state;
	assert_int_equal(score(S("4"), S("127.0.0.2")), 4);
	assert_int_equal(score(S("-4"), S("127.9.9.9")), -4);
	assert_int_equal(score(S("127.0.0.2=3"), S("127.0.0.2")), 3);
	assert_int_equal(score(S("127.0.0.2=3"), S("127.0.0.3")), 0);
	assert_int_equal(score(S("127.0.0.2-11=3"), S("127.0.0.11")), 3);
	assert_int_equal(score(S("127.0.0.2-11=3"), S("127.0.0.12")), 0);
	assert_int_equal(score(S("127.0.*.&6=-3"), S("127.0.77.4")), -3);
	assert_int_equal(score(S("127.0.*.&6=-3"), S("127.0.77.9")), 0);
}

static void once(void **state)
{
	const struct kurir_str rules[] = { S("127.0.0.2-4=3"), S("127.0.0.4=1"), S("-10") };
	struct dnsbl_list *l = list(3, rules);
	bool matched[3] = { false };
	int sum = 0;

	(void)state;
	assert_int_equal(dnsbl_score(l, S("127.0.0.2"), matched, &sum), DNSBL_LISTED);
	assert_int_equal(sum, -7);
	assert_int_equal(dnsbl_score(l, S("127.0.0.4"), matched, &sum), DNSBL_LISTED);
	assert_int_equal(sum, -6);
	assert_int_equal(dnsbl_score(l, S("127.0.0.4"), matched, &sum), DNSBL_LISTED);
	assert_int_equal(sum, -6);
	assert_int_equal(dnsbl_score(l, S("192.0.2.1"), matched, &sum), DNSBL_STRANGE);
	assert_int_equal(dnsbl_score(l, S("127.0.0"), matched, &sum), DNSBL_STRANGE);
	assert_int_equal(dnsbl_score(l, S("&127.0.0.1"), matched, &sum), DNSBL_STRANGE);
	assert_int_equal(dnsbl_score(l, S("127.255.255.254"), matched, &sum), DNSBL_REFUSED);
	assert_int_equal(sum, -6);
}

static void rubbish(void **state)
{
	static const char *const bad[] = { "", "x", "127.0.0.2", "127.0.0.2=", "=3", "127.0.0=3",
		"127.0.0.2.5=3", "127.0.0.300=3", "127.0.0.5-2=3", "127.0.0.&0=3", "127.0.0.&=3",
		"127.0.0.-=3", "127.0.0.2=1001", "127.0.0.2=--1", "127.0.0.2=3 " };
	struct dnsbl_rule r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = NULL;

		assert_int_equal(dnsbl_rule_parse(kurir_str_of(bad[i]), &r, &why), -EINVAL);
		assert_non_null(why);
	}
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
		cmocka_unit_test(codes),
		cmocka_unit_test(once),
		cmocka_unit_test(rubbish),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
