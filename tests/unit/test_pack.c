/* test_pack.c - what is put comes out; every shortened message is an error, and none is read over. */
#include <kurir/call.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put_all(struct kurir_buf *b)
{
	assert_int_equal(kurir_put_u8(b, 0xfe), 0);
	assert_int_equal(kurir_put_text(b, KURIR_STR("hel\0lo")), 0);
	assert_int_equal(kurir_put_u32(b, 0xfedcba98u), 0);
	assert_int_equal(kurir_put_text(b, KURIR_STR("")), 0);
	assert_int_equal(kurir_put_u64(b, 0xfedcba9876543210u), 0);
}

static bool get_all(struct kurir_reader *r)
{
	bool same = kurir_get_u8(r) == 0xfe;
	same &= kurir_str_equal(kurir_get_text(r), KURIR_STR("hel\0lo"));
	same &= kurir_get_u32(r) == 0xfedcba98u;
	same &= kurir_get_text(r).len == 0;
	same &= kurir_get_u64(r) == 0xfedcba9876543210u;
	return same;
}

static void round_trip(void **state)
{
	struct kurir_buf b = KURIR_BUF(100);
	(void)state;
	put_all(&b);
	assert_memory_equal(b.ptr, "\xfe\6\0\0\0hel\0lo\x98\xba\xdc\xfe", 15);
	struct kurir_reader r = KURIR_READER(kurir_buf_str(&b));
	assert_true(get_all(&r));
	assert_int_equal(r.error, 0);
	assert_int_equal(r.rest.len, 0);
	assert_int_equal(kurir_get_u8(&r), 0);
	assert_int_equal(r.error, -EBADMSG);
	kurir_buf_free(&b);
}

static void cut_short(void **state)
{
	struct kurir_buf b = KURIR_BUF(100);
	(void)state;
	put_all(&b);
	for (size_t n = 0; n < b.len; n++) {
		char *copy = malloc(n + 1); /* so that ASan sees the end */
		memcpy(copy, b.ptr, n);
		copy = realloc(copy, n ? n : 1);
		struct kurir_reader r = KURIR_READER(((struct kurir_str){ copy, n }));
		(void)get_all(&r);
		assert_int_equal(r.error, -EBADMSG);
		assert_int_equal(kurir_get_u64(&r), 0); /* sticky */
		free(copy);
	}
	struct kurir_reader r = KURIR_READER(KURIR_STR("\xff\xff\xff\xffx"));
	assert_int_equal(kurir_get_text(&r).len, 0);
	assert_int_equal(r.error, -EBADMSG);
	kurir_buf_free(&b);
}

static void full(void **state)
{
	struct kurir_buf b = KURIR_BUF(9);
	(void)state;
	assert_int_equal(kurir_put_text(&b, KURIR_STR("123456")), -EMSGSIZE);
	assert_int_equal(b.len, 0); /* not half of it */
	assert_int_equal(kurir_put_text(&b, KURIR_STR("12345")), 0);
	assert_int_equal(kurir_put_u8(&b, 1), -EMSGSIZE);
	kurir_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
