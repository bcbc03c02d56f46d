/* test_arena.c - zeroed memory, marks, ends, many sizes. */
#include <kurir/module.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char order[16];

static void note(void *arg)
{
	size_t n = strlen(order);
	order[n] = *(const char *)arg;
	order[n + 1] = '\0';
}

static void zeroed_and_aligned(void **state)
{
	struct kurir_arena *a = kurir_arena_new("test");
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 3000; n += 7) {
			unsigned char *p = kurir_alloc(a, n);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xee, n);
		}
		kurir_arena_clear(a);
	}
	memset(kurir_alloc(a, 1 << 20), 1, 1 << 20);
	kurir_arena_free(a);
	kurir_arena_free(NULL);
}

static void marks_nest(void **state)
{
	struct kurir_arena *a = kurir_arena_new("test");
	(void)state;
	char *first = kurir_alloc(a, 10);
	memcpy(first, "keep me", 8);
	order[0] = '\0';
	kurir_at_end(a, note, "a");
	struct kurir_mark outer = kurir_mark(a);
	kurir_at_end(a, note, "b");
	for (int i = 0; i < 100; i++)
		(void)kurir_alloc(a, 1000);
	struct kurir_mark inner = kurir_mark(a);
	kurir_at_end(a, note, "c");
	kurir_at_end(a, note, "d");
	(void)kurir_alloc(a, 300000);
	kurir_rewind(a, inner);
	assert_string_equal(order, "dc");
	kurir_rewind(a, outer);
	assert_string_equal(order, "dcb");
	assert_string_equal(first, "keep me");
	kurir_arena_free(a);
	assert_string_equal(order, "dcba");
}

static void texts(void **state)
{
	struct kurir_arena *a = kurir_arena_new("test");
	(void)state;
	struct kurir_str s = kurir_copy(a, KURIR_STR("Mixed \0 Case"));
	assert_int_equal(s.len, 12);
	assert_int_equal(s.ptr[s.len], 0);
	s = kurir_lower(a, KURIR_STR("MiXeD@\xc4[Z"));
	assert_memory_equal(s.ptr, "mixed@\xc4[z", s.len);
	assert_int_equal(kurir_copy(a, KURIR_STR("")).len, 0);
	for (int n = 250; n < 260; n++) {
		s = kurir_format(a, "%0*d", n, 7);
		assert_int_equal(s.len, n);
		assert_int_equal(strlen(s.ptr), n);
		assert_int_equal(s.ptr[n - 1], '7');
	}
	kurir_arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_and_aligned),
		cmocka_unit_test(marks_nest),
		cmocka_unit_test(texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
