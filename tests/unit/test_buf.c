/* test_buf.c - growth up to the limit, refusal beyond it, the NUL behind the end. */
#include <kurir/module.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void grows_and_refuses(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 400; limit += 13) {
		struct kurir_buf b = KURIR_BUF(limit);
		size_t n = 0;
		assert_int_equal(kurir_buf_str(&b).len, 0);
		while (kurir_buf_add(&b, KURIR_STR("abcde")) == 0) {
			n += 5;
			assert_int_equal(b.len, n);
			assert_int_equal(b.ptr[n], 0);
			assert_int_equal(strlen(b.ptr), n);
		}
		assert_int_equal(n, limit / 5 * 5);
		assert_int_equal(b.len, n);
		assert_int_equal(kurir_buf_add(&b, KURIR_STR("")), 0);
		assert_int_equal(kurir_buf_reserve(&b, limit - n), 0);
		assert_int_equal(kurir_buf_reserve(&b, limit - n + 1), -EMSGSIZE);
		assert_int_equal(kurir_buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
		kurir_buf_free(&b);
		assert_null(b.ptr);
		assert_int_equal(b.limit, limit);
	}
}

static void prints(void **state)
{
	struct kurir_buf b = KURIR_BUF(100);
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(kurir_buf_printf(&b, "%010d", i), 0);
	assert_int_equal(b.len, 100);
	assert_int_equal(kurir_buf_printf(&b, "%d", 1), -EMSGSIZE);
	assert_int_equal(b.len, 100);
	assert_int_equal(strlen(b.ptr), 100);
	kurir_buf_cut(&b, 90);
	assert_string_equal(b.ptr, "0000000009");
	kurir_buf_cut(&b, 0);
	kurir_buf_cut(&b, 10);
	assert_string_equal(b.ptr, "");
	assert_int_equal(kurir_buf_printf(&b, "%s", "x"), 0);
	kurir_buf_clear(&b);
	assert_string_equal(b.ptr, "");
	kurir_buf_free(&b);
	kurir_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_refuses),
		cmocka_unit_test(prints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
