/* test_envelope.c - envelopes packed and unpacked; message ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <kurir/smtp.h>

static struct kurir_arena *arena;

static const struct kurir_recipient to[] = {
	{ .address = { "a@b", 3 }, .notify = KURIR_NOTIFY_NEVER, .orcpt = { "rfc822;a@b", 10 } },
	{ .address = { "c@d", 3 }, .orcpt = { "", 0 } },
};
static const struct kurir_envelope envelope = { .id = { "0123456789", 10 },
	.sender = { "", 0 },
	.envid = { "x", 1 },
	.flags = KURIR_ENV_UTF8,
	.arrived = 1767225600123,
	.peer = { "192.0.2.1", 9 },
	.helo = { "h", 1 },
	.account = { "", 0 },
	.listener = { "mx", 2 },
	.count = 2,
	.recipients = to };

static void there_and_back(void **state)
{
	struct kurir_buf b = KURIR_BUF(4096);
	struct kurir_envelope e;
	struct kurir_reader r;

	(void)state;
	assert_int_equal(kurir_put_envelope(&b, &envelope), 0);
	r = KURIR_READER(kurir_buf_str(&b));
	assert_int_equal(kurir_get_envelope(&r, arena, &e), 0);
	assert_int_equal(r.rest.len, 0);
	assert_true(kurir_str_equal(e.id, envelope.id));
	assert_int_equal(e.sender.len, 0);
	assert_int_equal(e.arrived, envelope.arrived);
	assert_int_equal(e.flags, envelope.flags);
	assert_int_equal(e.count, 2);
	assert_true(kurir_str_equal(e.recipients[0].orcpt, to[0].orcpt));
	assert_int_equal(e.recipients[0].notify, KURIR_NOTIFY_NEVER);
	assert_true(kurir_str_equal(e.recipients[1].address, to[1].address));
	assert_true(kurir_str_equal(e.listener, envelope.listener));
	kurir_buf_free(&b);
}

static void cut_and_broken(void **state)
{
	struct kurir_buf b = KURIR_BUF(4096);
	struct kurir_envelope e;
	size_t n, i;

	(void)state;
	assert_int_equal(kurir_put_envelope(&b, &envelope), 0);
	for (n = 0; n < b.len; n++) {
		struct kurir_reader r =
		    KURIR_READER(kurir_copy(arena, kurir_str_part(kurir_buf_str(&b), 0, n)));

		assert_int_equal(kurir_get_envelope(&r, arena, &e), -EBADMSG);
	}
	for (i = 0; i < b.len; i++) { /* a lying length is refused or read within bounds */
		struct kurir_str copy = kurir_copy(arena, kurir_buf_str(&b));
		struct kurir_reader r = KURIR_READER(copy);

		((char *)(uintptr_t)copy.ptr)[i] = (char)0xff;
		(void)kurir_get_envelope(&r, arena, &e);
	}
	kurir_buf_free(&b);
}

static void all_or_nothing(void **state)
{
	size_t limit;

	(void)state;
	for (limit = 1; limit < 80; limit++) {
		struct kurir_buf b = KURIR_BUF(limit);

		assert_int_equal(kurir_buf_add(&b, KURIR_STR("x")), 0);
		assert_int_equal(kurir_put_envelope(&b, &envelope), -EMSGSIZE);
		assert_int_equal(b.len, 1);
		kurir_buf_free(&b);
	}
}

static void ids(void **state)
{
	struct kurir_str last = KURIR_STR("");
	size_t i, j;

	(void)state;
	for (i = 0; i < 20000; i++) {
		struct kurir_str id = kurir_message_id(arena);

		assert_in_range(id.len, 16, 20);
		for (j = 0; j < id.len; j++)
			assert_non_null(
			    strchr("0123456789abcdefghijklmnopqrstuvwxyz", id.ptr[j]));
		assert_true(kurir_str_compare(last, id) < 0);
		last = id;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(cut_and_broken),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(ids),
	};
	int r;

	arena = kurir_arena_new("test");
	r = cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
	kurir_arena_free(arena);
	return r;
}
