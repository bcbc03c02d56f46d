/* test_history.c - events are kept, followed and told again; requests of kurirctl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "fiber.h"
#include "history.h"
#include "history_private.h"
#include "loop.h"
#include "loop_unit.h"
#include "quote.h"
#include "role_private.h"

static char folder[64], path[128];
static struct plan plan;

static void opened(void)
{
	loop_init(false);
	plan.conf.state = kurir_str_of(folder);
	role.plan = &plan;
	history_open();
}

/* What parks is done on a fiber. */
static void (*body)(void);

static void on_fiber(void *arg)
{
	(void)arg;
	body();
	loop_stop();
}

static void on_a_fiber(void (*fn)(void))
{
	body = fn;
	assert_true(kurir_group_go(kurir_group_begin(NULL), "test", on_fiber, NULL) >= 0);
	loop_run();
}

static void closed(void)
{
	on_a_fiber(history_close);
	loop_fini();
	role.plan = NULL;
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/kurir-history-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/history", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	plan.conf.history_size = 1u << 30;
	plan.conf.history_age = (kurir_time)30 * 86400000;
	opened();
	return 0;
}

/* The names of what lies in the history's folder; how many begin like that. */
static unsigned files(const char *start, bool unlink_them)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, start, strlen(start)) != 0)
			continue;
		n++;
		if (unlink_them)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d != NULL)
		(void)closedir(d);
	return n;
}

static int tear_down(void **state)
{
	(void)state;
	if (role.plan != NULL)
		closed();
	(void)files("", true);
	(void)rmdir(path);
	return rmdir(folder);
}

static int64_t event_time = 1795409901971;

/* As event.c packs it. */
static void event(const char *name, const char *conn, const char *id, const char *to)
{
	struct kurir_buf b = KURIR_BUF(4096);

	(void)kurir_put_u8(&b, KURIR_INFO);
	(void)kurir_put_u64(&b, (uint64_t)event_time);
	(void)kurir_put_text(&b, KURIR_STR("kurird"));
	(void)kurir_put_text(&b, kurir_str_of(conn));
	(void)kurir_put_text(&b, kurir_str_of(name));
	(void)kurir_put_u32(&b, KURIR_ROLE_EDGE);
	(void)kurir_put_u32(&b, (*id != 0) + (*to != 0));
	if (*id != 0) {
		(void)kurir_put_text(&b, KURIR_STR("id"));
		(void)kurir_put_text(&b, kurir_str_of(id));
	}
	if (*to != 0) {
		(void)kurir_put_text(&b, KURIR_STR("to"));
		(void)kurir_put_text(&b, kurir_str_of(to));
	}
	history_event(&(struct kurir_incoming){ .body = kurir_buf_str(&b), .fd = -1 });
	kurir_buf_free(&b);
}

static size_t told_of(const char *what, int64_t since, int64_t until)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);
	struct history_question q = { kurir_str_of(what), since, until };
	json_t *events = NULL;
	size_t n = 0;

	if (history_explain(&q, &text, &events) >= 0) {
		n = json_array_size(events);
		assert_true(text.len > 0);
	}
	json_decref(events);
	kurir_buf_free(&text);
	return n;
}

static size_t told(const char *what)
{
	return told_of(what, 0, INT64_MAX);
}

static void stories(void **state)
{
	(void)state;
	event("connect", "aaaa01", "", "");
	event("rcpt", "aaaa01", "m1", "hyd@satu.example");
	event("rcpt", "aaaa01", "m2", "paijo@dua.example");
	event("connect", "aaaa02", "", "");
	event("queued", "", "m1", "");
	event("delivered", "", "m1", "hyd@satu.example");
	event("closed", "aaaa01", "", "");
	assert_int_equal(told("m1"), 5); /* with its connection, without m2 */
	assert_int_equal(told("m2"), 3);
	assert_int_equal(told("aaaa01"), 6);
	assert_int_equal(told("aaaa02"), 1);
	assert_int_equal(told("<hyd@satu.example>"), 5);
	assert_int_equal(told("Hyd@Satu.example"), 5);
	assert_int_equal(told("m"), 0);
	assert_int_equal(told("nobody@satu.example"), 0);
}

/* Peers choose the names of users and more: an administrator's terminal shows them as text. */
static void terminals(void **state)
{
	struct history_question q = { KURIR_STR("m3"), 0, INT64_MAX };
	struct kurir_buf text = KURIR_BUF(1u << 20);
	json_t *events = NULL;
	unsigned lines = 0;

	(void)state;
	event("auth", "aaaa03", "m3",
	    "hyd\x1b]0;owned\a\nforged\xc2\x9b"
	    "1m\x7f\xc3\xbc");
	assert_int_equal(history_explain(&q, &text, &events), 0);
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	assert_int_equal(lines, 2); /* the day, the event */
	assert_non_null(strstr(text.ptr, "to=hyd?]0;owned??forged??1m?\xc3\xbc\n"));
	json_decref(events);
	kurir_buf_free(&text);
}

/* A message for several is in the story of each; what was said to nobody in particular is not. */
static void lists(void **state)
{
	(void)state;
	event("message", "aaaa04", "m4", "one@satu.example,two@satu.example");
	event("closed", "aaaa04", "", "");
	assert_int_equal(told("two@satu.example"), 2);
	assert_int_equal(told("one@satu.example"), 2);
	assert_int_equal(told("one@satu.example,two@satu.example"), 0);
	assert_int_equal(told("satu.example"), 0);
}

static void times(void **state)
{
	const int64_t now = 1795409901971;
	const struct {
		const char *text;
		int64_t t;
	} good[] = { { "2h", now - 7200000 }, { "90s", now - 90000 }, { "1w", now - 604800000 },
		{ "2026-11-23", 1795392000000 }, { "2026-11-23T04:58", 1795409880000 },
		{ "2026-11-23 04:58:21", 1795409901000 } };
	const char *const bad[] = { "", "h", "2", "2y", "-2h", "2026", "2026-13-01",
		"2026-11-23T", "2026-11-23T25:00", "2026-11-23 04:58x", "yesterday", NULL };
	int64_t t;

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(history_when(kurir_str_of(good[i].text), now, &t), 0);
		assert_int_equal(t, good[i].t);
	}
	for (unsigned i = 0; bad[i] != NULL; i++)
		assert_int_equal(history_when(kurir_str_of(bad[i]), now, &t), -EINVAL);
	for (int i = 0; i < 10; i++) {
		event_time = 1000000 + i * 1000;
		event("rcpt", "cc", i % 2 ? "odd" : "even", "x@satu.example");
	}
	event_time = now;
	assert_int_equal(told_of("odd", 0, INT64_MAX), 5);
	assert_int_equal(told_of("odd", 1003000, 1005000), 2);
	assert_int_equal(told_of("", 1003000, 1005000), 3);
	assert_int_equal(told_of("", 1010000, INT64_MAX), 0);
	assert_int_equal(told_of("", 0, 999999), 0);
}

#define MANY 250000u

static void fill(unsigned from, unsigned to)
{
	char id[24], address[64];

	for (unsigned i = from; i < to; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		(void)snprintf(address, sizeof(address), "recipient%u@satu.example", i % 50000);
		event_time++;
		event("delivered", i % 2 ? "busy" : "idle", id, address);
	}
}

/* Waits for the indexes of all segments but the newest. */
static void settle(void)
{
	while (files("index.", false) + 1 < files("events.", false))
		(void)kurir_sleep(kurir_now() + 10);
}

static void many_body(void)
{
	struct history_figures f;
	uint64_t before;

	history_figures(&f);
	before = f.events;
	fill(0, MANY);
	history_flush();
	settle();
	CHECK(files("events.", false) >= 2);
	CHECK_IS(told("m0"), 1);
	CHECK_IS(told("m777"), 1);
	CHECK_IS(told("m249999"), 1);
	CHECK_IS(told("m250000"), 0);
	CHECK_IS(told("recipient4711@satu.example"), 5);
	CHECK_IS(told("busy"), 2000); /* and no more */
	CHECK_IS(told_of("recipient4711@satu.example", event_time - 100000, INT64_MAX), 2);
	history_figures(&f);
	CHECK_IS(f.events, before + MANY);
	CHECK_IS(f.lost, 0);
}

/* Several segments: what is asked for is found in each. */
static void many(void **state)
{
	(void)state;
	loop_unit_failed = NULL;
	on_a_fiber(many_body);
	assert_string_equal(loop_unit_failed != NULL ? loop_unit_failed : "", "");
}

/* What is wrong with an index costs time, and nothing else. */
static void damage_body(void)
{
	static const char junk[4096] = "junk";
	char name[256];
	int fd;

	fill(0, MANY / 2);
	history_flush();
	settle();
	(void)snprintf(name, sizeof(name), "%s/index.00000001", path);
	CHECK_IS(told("m5"), 1);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	CHECK_IS(write(fd, junk, sizeof(junk)), sizeof(junk));
	(void)close(fd);
	CHECK_IS(told("m5"), 1);
	CHECK_IS(truncate(name, 100), 0);
	CHECK_IS(told("m5"), 1);
	CHECK_IS(unlink(name), 0);
	CHECK_IS(told("m5"), 1);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	CHECK_IS(told("m5"), 1);
	/* Half a line, as a crash may leave it, and a line that is none. */
	(void)snprintf(name, sizeof(name), "%s/events.00000001", path);
	fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK_IS(write(fd, "{\"time\":1,\"id\":\"m5\",\n{\"time\":2,\"id\":\"m5", 40), 40);
	(void)close(fd);
	CHECK_IS(told("m5"), 1);
}

static void damage(void **state)
{
	(void)state;
	loop_unit_failed = NULL;
	on_a_fiber(damage_body);
	assert_string_equal(loop_unit_failed != NULL ? loop_unit_failed : "", "");
}

static void fill_more(void)
{
	fill(0, MANY);
	history_flush();
	settle();
}

static void wait_for_bounds(void)
{
	while (files("events.", false) > 2)
		(void)kurir_sleep(kurir_now() + 10);
	CHECK_IS(told("m0"), 0);
	CHECK_IS(told("m249999"), 1);
}

/* The oldest goes, and what stays is found after a new start. */
static void bounds(void **state)
{
	(void)state;
	loop_unit_failed = NULL;
	on_a_fiber(fill_more);
	closed();
	plan.conf.history_size = 1000;
	opened();
	on_a_fiber(wait_for_bounds);
	assert_string_equal(loop_unit_failed != NULL ? loop_unit_failed : "", "");
}

/* None is kept, but who follows sees what happens. */
static void none(void **state)
{
	struct kurir_buf text = KURIR_BUF(1000);
	struct history_question q = { KURIR_STR("m1"), 0, INT64_MAX };
	uint64_t before;
	json_t *events;

	(void)state;
	closed();
	(void)files("", true);
	plan.conf.history_size = 0;
	opened();
	before = history_newest();
	event("rcpt", "c", "m1", "");
	assert_int_equal(history_newest(), before + 1);
	history_flush();
	assert_int_equal(history_explain(&q, &text, &events), -ENOSYS);
	assert_int_equal(files("", false), 0);
}

static void following(void **state)
{
	struct kurir_arena *arena = kurir_arena_new("test");
	uint64_t at = history_newest();
	struct kurir_str line;

	(void)state;
	assert_false(history_next(&at, arena, &line));
	event("rcpt", "c", "m9",
	    "\"\n\x01\xff<h\xc3\xbc"
	    "d>");
	assert_true(history_next(&at, arena, &line));
	assert_non_null(strstr(line.ptr,
	    "\"to\":\"\\u0022\\u000a\\u0001\\u00ff<h\xc3\xbc"
	    "d>\""));
	assert_false(history_next(&at, arena, &line));
	/* Who is slow loses the oldest lines, and no more. */
	for (unsigned i = 0; i < 5000; i++)
		event("rcpt", "c", "m9", "");
	assert_true(history_next(&at, arena, &line));
	assert_true(history_newest() - at < 5000);
	kurir_arena_free(arena);
}

static void unusable(void **state)
{
	uint64_t before = history_newest();

	(void)state;
	history_event(&(struct kurir_incoming){ .body = KURIR_STR("\1\2\3"), .fd = -1 });
	assert_int_equal(history_newest(), before);
}

static void requests(void **state)
{
	char deep[9000] = "{\"command\": \"x\", \"args\": ";
	const char *const wrong[] = { "", "{}", "[]", "{\"command\": 1}",
		"{\"command\": \"a b\"}", "{\"command\": \"x\", \"args\": 1}",
		"{\"command\": \"x\", \"args\": [1]}", deep, "{\"command\": \"../x\"}", NULL };
	struct kurir_arena *arena = kurir_arena_new("test");
	struct control_request q;
	struct kurir_str error;

	(void)state;
	memset(deep + strlen(deep), '[', sizeof(deep) - strlen(deep) - 1);
	for (unsigned i = 0; wrong[i] != NULL; i++) {
		error = KURIR_STR("");
		assert_int_equal(
		    control_parse(arena, kurir_str_of(wrong[i]), &q, &error), -EINVAL);
		assert_true(error.len > 0);
	}
	assert_int_equal(
	    control_parse(arena, KURIR_STR("{\"command\":\"status\"}\n"), &q, &error), 0);
	assert_true(kurir_str_equal(q.body, KURIR_STR("{\"args\":[]}")));
	assert_int_equal(
	    control_parse(arena, KURIR_STR("{\"command\":\"queue\",\"args\":[\"list\",\"x\"]}"),
		&q, &error),
	    0);
	assert_true(kurir_str_equal(q.command, KURIR_STR("queue")));
	assert_true(kurir_str_equal(q.body, KURIR_STR("{\"args\":[\"list\",\"x\"]}")));
	kurir_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(terminals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(times, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(following, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unusable, set_up, tear_down),
		cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
