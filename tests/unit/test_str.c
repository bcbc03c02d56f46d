/* test_str.c - comparing, searching, cutting, numbers; the hash that must never change. */
#include <kurir/module.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(lit) KURIR_STR(lit)

static void compares(void **state)
{
	(void)state;
	assert_true(kurir_str_equal(S(""), S("")));
	assert_true(kurir_str_equal(S("a\0b"), S("a\0b")));
	assert_false(kurir_str_equal(S("a\0b"), S("a\0c")));
	assert_true(kurir_str_equal_nocase(S("aBc-[@"), S("AbC-[@")));
	assert_false(kurir_str_equal_nocase(S("@"), S("`")));
	assert_false(kurir_str_equal_nocase(S("["), S("{")));
	assert_false(kurir_str_equal_nocase(S("\xc4"), S("\xe4")));
	assert_int_equal(kurir_str_compare(S("a"), S("ab")), -1);
	assert_int_equal(kurir_str_compare(S("b"), S("ab")), 1);
	assert_int_equal(kurir_str_compare(S("ab"), S("ab")), 0);
	assert_int_equal(kurir_str_compare(S(""), S("")), 0);
	assert_int_equal(kurir_str_compare(S("\xff"), S("a")), 1);
	assert_true(kurir_str_starts(S("abc"), S("")));
	assert_true(kurir_str_starts(S("abc"), S("abc")));
	assert_false(kurir_str_starts(S("abc"), S("abcd")));
	assert_true(kurir_str_starts_nocase(S("FROM:<x>"), S("from:")));
}

static void searches_and_cuts(void **state)
{
	(void)state;
	assert_int_equal(kurir_str_find(S("a.b.c"), '.'), 1);
	assert_int_equal(kurir_str_find_last(S("a.b.c"), '.'), 3);
	assert_int_equal(kurir_str_find(S("abc"), '.'), -1);
	assert_int_equal(kurir_str_find_last(S(""), '.'), -1);
	assert_true(kurir_str_equal(kurir_str_part(S("hello"), 1, 3), S("ell")));
	assert_true(kurir_str_equal(kurir_str_part(S("hello"), 3, SIZE_MAX), S("lo")));
	assert_true(kurir_str_equal(kurir_str_part(S("hello"), 9, 1), S("")));
	assert_true(kurir_str_equal(kurir_str_trim(S(" \t x y\r\n")), S("x y")));
	assert_true(kurir_str_equal(kurir_str_trim(S(" \r\n")), S("")));
}

static void numbers(void **state)
{
	uint64_t n = 77;
	(void)state;
	assert_int_equal(kurir_str_number(S("0"), 9, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(kurir_str_number(S("18446744073709551615"), UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	n = 77;
	assert_int_equal(kurir_str_number(S("18446744073709551616"), UINT64_MAX, &n), -ERANGE);
	assert_int_equal(kurir_str_number(S("99999999999999999999999"), UINT64_MAX, &n), -ERANGE);
	assert_int_equal(kurir_str_number(S("10"), 9, &n), -ERANGE);
	assert_int_equal(kurir_str_number(S(""), 9, &n), -EINVAL);
	assert_int_equal(kurir_str_number(S("-1"), 9, &n), -EINVAL);
	assert_int_equal(kurir_str_number(S("1 "), 9, &n), -EINVAL);
	assert_int_equal(kurir_str_number(S("99999999999999999999999x"), 9, &n), -EINVAL);
	assert_int_equal(n, 77);
}

static void hash_is_stable(void **state)
{
	(void)state;
	assert_true(kurir_str_hash(S("")) == 0xefd01f60ba992926u);
	assert_true(kurir_str_hash(S("paijo@dua.example")) == 0xb3a64c9262ace92du);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares),
		cmocka_unit_test(searches_and_cuts),
		cmocka_unit_test(numbers),
		cmocka_unit_test(hash_is_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
