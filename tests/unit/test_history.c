/* test_history.c - events are kept, followed and told again; requests of kurirctl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "fiber.h"
#include "history.h"
#include "loop.h"
#include "quote.h"
#include "role_private.h"

static char folder[64], path[128];
static struct plan plan;

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/kurir-history-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/history", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	loop_init(false);
	plan.conf.state = kurir_str_of(folder);
	role.plan = &plan;
	history_open();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	history_close();
	loop_fini();
	role.plan = NULL;
	(void)snprintf(path, sizeof(path), "%s/history/events", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/history", folder);
	(void)rmdir(path);
	return rmdir(folder);
}

/* As event.c packs it. */
static void event(const char *name, const char *conn, const char *id, const char *to)
{
	struct kurir_buf b = KURIR_BUF(4096);

	(void)kurir_put_u8(&b, KURIR_INFO);
	(void)kurir_put_u64(&b, 1795409901971);
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

static size_t told(const char *what)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);
	json_t *events = NULL;
	size_t n = 0;

	if (history_explain(kurir_str_of(what), &text, &events) >= 0) {
		n = json_array_size(events);
		assert_true(text.len > 0);
	}
	json_decref(events);
	kurir_buf_free(&text);
	return n;
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
	assert_int_equal(told("m"), 0);
	assert_int_equal(told("nobody@satu.example"), 0);
}

/* Peers choose the names of users and more: an administrator's terminal shows them as text. */
static void terminals(void **state)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);
	json_t *events = NULL;
	unsigned lines = 0;

	(void)state;
	event("auth", "aaaa03", "m3",
	    "hyd\x1b]0;owned\a\nforged\xc2\x9b"
	    "1m\x7f\xc3\xbc");
	assert_int_equal(history_explain(KURIR_STR("m3"), &text, &events), 0);
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	assert_int_equal(lines, 2); /* the day, the event */
	assert_non_null(strstr(text.ptr, "to=hyd?]0;owned??forged??1m?\xc3\xbc\n"));
	json_decref(events);
	kurir_buf_free(&text);
}

static unsigned turns;
static bool explained;

KURIR_PARKS static void explain_fiber(void *arg)
{
	(void)arg;
	turns = 0;
	(void)told("m7");
	explained = true;
}

KURIR_PARKS static void other_fiber(void *arg)
{
	(void)arg;
	while (!explained && kurir_yield() >= 0)
		turns++;
}

/* A long history is no reason to leave followers and commands waiting. */
static void patience(void **state)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		event("rcpt", "c", "m7", "a-rather-long-address-of-a-recipient@satu.example");
	explained = false;
	assert_true(kurir_group_go(g, "explain", explain_fiber, NULL) >= 0);
	assert_true(kurir_group_go(g, "other", other_fiber, NULL) >= 0);
	while (!explained)
		loop_turn(kurir_now() + 50);
	assert_true(turns > 10);
	while (fiber_census().running > 0)
		loop_turn(kurir_now() + 50);
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
		cmocka_unit_test_setup_teardown(patience, set_up, tear_down),
		cmocka_unit_test_setup_teardown(following, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unusable, set_up, tear_down),
		cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
