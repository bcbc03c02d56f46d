/* test_pop3.c - lines of POP3, and names of mailboxes. */
#include "conf_unit.h"

#include <modules/pop3/pop3.h>

#include <errno.h>

static void words(void **state)
{
	static const struct {
		const char *in;
		int count;
		const char *last;
	} lines[] = { { "QUIT", 1, "QUIT" }, { "TOP 1 2", 3, "2" }, { "  STAT  ", 1, "STAT" },
		{ "PASS a b  c ", 2, "a b  c " }, { "pass ", 2, "" }, { "PASS", 1, "PASS" },
		{ "a b c d e", 4, "d e" }, { "", 0, NULL }, { "a\tb", -EBADMSG, NULL },
		{ "PASS \x7f", -EBADMSG, NULL }, { "PASS \xc3\xa9", 2, "\xc3\xa9" } };
	struct kurir_str w[POP3_WORDS];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		int n = pop3_split(kurir_str_of(lines[i].in), w);

		assert_int_equal(n, lines[i].count);
		if (n > 0)
			assert_str(w[n - 1], lines[i].last);
	}
}

static void numbers(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(pop3_number(KURIR_STR("4294967295"), &n), 0);
	assert_int_equal(n, 4294967295u);
	assert_int_equal(pop3_number(KURIR_STR("4294967296"), &n), -EINVAL);
	assert_int_equal(pop3_number(KURIR_STR("-1"), &n), -EINVAL);
	assert_int_equal(pop3_number(KURIR_STR(""), &n), -EINVAL);
	assert_int_equal(pop3_number(KURIR_STR("00000000001"), &n), -EINVAL);
}

static void names(void **state)
{
	static const char *const both[][2] = { { "a", "a" }, { "\xc3\xa9", "&AOk-" },
		{ "&", "&-" }, { "\xf0\x9f\x98\x80", "&2D3eAA-" } };
	static const char *const bad[] = { "&", "&AOk", "&!-", "&2D0-", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		struct kurir_buf b = KURIR_BUF(64);

		assert_int_equal(kurir_utf7_encode(&b, kurir_str_of(both[i][0]), ""), 0);
		assert_str(kurir_buf_str(&b), both[i][1]);
		kurir_buf_free(&b);
		assert_int_equal(kurir_utf7_decode(&b, kurir_str_of(both[i][1])), 0);
		assert_str(kurir_buf_str(&b), both[i][0]);
		kurir_buf_free(&b);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct kurir_buf b = KURIR_BUF(64);

		if (kurir_utf7_decode(&b, kurir_str_of(bad[i])) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		kurir_buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(words), cmocka_unit_test(numbers),
		cmocka_unit_test(names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
