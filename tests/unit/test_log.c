/* test_log.c - lines, events and counters: harmless, cut, limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "count.h"
#include "event.h"
#include "log.h"
#include "loop.h"

static char got[8192];
static unsigned lines;

static void tap(enum kurir_level level, struct kurir_str line)
{
	size_t n = line.len < sizeof(got) ? line.len : sizeof(got) - 1;

	(void)level;
	memcpy(got, line.ptr, n);
	got[n] = '\0';
	lines++;
}

static void text(void **state)
{
	(void)state;
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_INFO);
	assert_int_equal(kurir_log(NULL, KURIR_INFO, -EIO, "cannot do %s", "it"), -EIO);
	assert_non_null(strstr(got, " info kurird: cannot do it: Input/output error"));
	lines = 0;
	(void)kurir_log(NULL, KURIR_DEBUG, 0, "quiet");
	assert_int_equal(lines, 0);
	(void)kurir_log(NULL, KURIR_INFO, 0, "a%sb", "\r\nFAKE \x1b[2J\xff\xc3\xbc");
	assert_non_null(strstr(got,
	    "a\\x0d\\x0aFAKE \\x1b[2J\\xff\xc3\xbc"
	    "b"));
	assert_null(strchr(got, '\n'));
}

static void fields(void **state)
{
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof(big));
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_INFO);
	KURIR_EMIT(NULL, KURIR_INFO, "rcpt", { "to", KURIR_STR("a@b") },
	    { "text", KURIR_STR("two words \"q\"") }, { "empty", KURIR_STR("") },
	    { "big", { big, sizeof(big) } }, { "fake", KURIR_STR("a=b") });
	assert_non_null(
	    strstr(got, "rcpt to=a@b text=\"two words \\\"q\\\"\" empty=\"\" big=\"xxx"));
	assert_non_null(strstr(got, "xxx...\" fake=\"a=b\""));
	(void)log_open(LOG_TO_STDERR, LOG_AS_JSON, KURIR_INFO);
	KURIR_EMIT(NULL, KURIR_INFO, "rcpt", { "to", KURIR_STR("a\"\\\x01\xff") });
	assert_non_null(strstr(got, "\"event\":\"rcpt\",\"to\":\"a\\\"\\\\\\\\x01\\\\xff\"}"));
}

/* What peers have said may cost members, but never the end of the object. */
static void whole_objects(void **state)
{
	char big[512], plain[512];

	(void)state;
	memset(big, 1, sizeof(big));
	memset(plain, 'x', sizeof(plain));
	(void)log_open(LOG_TO_STDERR, LOG_AS_JSON, KURIR_INFO);
	for (size_t n = 0; n < sizeof(plain); n++) {
		struct kurir_str p = { plain, n }, b = { big, sizeof(big) };

		KURIR_EMIT(NULL, KURIR_INFO, "rcpt", { "a", b }, { "b", p }, { "c", p },
		    { "d", b }, { "e", b }, { "f", p });
		assert_string_equal(got + strlen(got) - 2, "\"}");
	}
}

static void limited(void **state)
{
	unsigned i;

	(void)state;
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_INFO);
	lines = 0;
	for (i = 0; i < 1000; i++)
		(void)kurir_log(NULL, KURIR_INFO, 0, "again and again %u", i);
	assert_in_range(lines, 1, 200);
	loop_advance(60000);
	(void)kurir_log(NULL, KURIR_INFO, 0, "something else");
	assert_non_null(strstr(got, "something else"));
}

/* A reader that does not read costs lines, and nothing else. */
static void stuck_reader(void **state)
{
	int fds[2], saved = dup(2);
	uint64_t dropped;
	unsigned i;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(dup2(fds[1], 2), 2);
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_INFO);
	for (i = 0; i < 5000; i++)
		KURIR_EMIT(NULL, KURIR_INFO, "queued",
		    { "id", KURIR_STR("0123456789012345678901234567890123456789") });
	assert_int_equal(count_get(KURIR_STR("log.lost"), &dropped), 0);
	assert_true(dropped > 0);
	assert_int_equal(dup2(saved, 2), 2);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)close(saved);
	(void)log_open(LOG_TO_STDERR, LOG_AS_TEXT, KURIR_INFO);
}

static void unpack(void **state)
{
	struct kurir_buf b = KURIR_BUF(1000);
	struct event e;
	size_t n;

	(void)state;
	(void)kurir_put_u8(&b, KURIR_WARN);
	(void)kurir_put_u64(&b, 12);
	(void)kurir_put_text(&b, KURIR_STR("smtp"));
	(void)kurir_put_text(&b, KURIR_STR("c1"));
	(void)kurir_put_text(&b, KURIR_STR("queued"));
	(void)kurir_put_u32(&b, KURIR_ROLE_EDGE);
	(void)kurir_put_u32(&b, 1);
	(void)kurir_put_text(&b, KURIR_STR("id"));
	(void)kurir_put_text(&b, KURIR_STR("abc"));
	assert_int_equal(event_unpack(kurir_buf_str(&b), &e), 0);
	assert_true(kurir_str_equal(e.role, KURIR_STR("edge")));
	assert_true(kurir_str_equal(e.fields[0].value, KURIR_STR("abc")));
	for (n = 0; n < b.len; n++)
		assert_int_equal(
		    event_unpack(kurir_str_part(kurir_buf_str(&b), 0, n), &e), -EBADMSG);
	kurir_buf_free(&b);
}

static void counters(void **state)
{
	static const char *const names[] = { "one", "two", NULL };
	struct kurir_buf b = KURIR_BUF(1u << 16);
	uint64_t *cells = count_new("x/y", names), v;

	(void)state;
	cells[1] += 7;
	assert_int_equal(count_get(KURIR_STR("x/y.two"), &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(count_get(KURIR_STR("x/y.three"), &v), -ENOENT);
	assert_int_equal(count_get(KURIR_STR("x/"), &v), -ENOENT);
	*count_new_one("z", "q") += 1;
	/* One instance in two chains: one name, as a program that reads JSON may refuse two. */
	*count_new_one("z", "r") += 1;
	*count_new_one("z", "q") += 2;
	assert_int_equal(count_get(KURIR_STR("z.q"), &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(count_json(&b), 0);
	assert_non_null(strstr(b.ptr, "\"x/y\":{\"one\":0,\"two\":7}"));
	assert_non_null(strstr(b.ptr, "\"z\":{\"q\":3,\"r\":1}"));
	kurir_buf_free(&b);
	count_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(fields),
		cmocka_unit_test(whole_objects),
		cmocka_unit_test(limited),
		cmocka_unit_test(stuck_reader),
		cmocka_unit_test(unpack),
		cmocka_unit_test(counters),
	};

	loop_init(true);
	log_set_tap(tap);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
