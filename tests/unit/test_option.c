/* test_option.c - units, presets, bounds, names that are alike, and every type there and back. */
#include "conf_unit.h"

#include "option.h"

#include <errno.h>

static struct kurir_arena *arena;

static void spans(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "0", 0 },
		{ "1ms", 1 },
		{ "90s", 90000 },
		{ "5m", 300000 },
		{ "1h30m", 5400000 },
		{ "1d", 86400000 },
		{ "2w", 1209600000 },
		{ "1s500ms", 1500 },
	};
	static const char *const bad[] = { "", "5", "m", "5 m", "-5m", "5M", "1h30", "h1", "1.5h",
		"5mm", "00" };
	kurir_time span;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(option_span(kurir_str_of(good[i].text), &span), 0);
		assert_int_equal(span, good[i].ms);
		assert_int_equal(option_span(option_show_span(arena, span), &span), 0);
		assert_int_equal(span, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(option_span(kurir_str_of(bad[i]), &span), -EINVAL);
	assert_int_equal(option_span(KURIR_STR("9223372036854775807w"), &span), -ERANGE);
	assert_int_equal(option_span(KURIR_STR("9223372036854775807ms1ms"), &span), -ERANGE);
	assert_int_equal(option_span(KURIR_STR("99999999999999999999ms"), &span), -ERANGE);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "1K", 1024 },
		{ "20M", 20971520 },
		{ "3G", 3221225472 },
		{ "1T", 1099511627776 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = { "", "K", "1k", "1KB", "1 K", "-1", "1.5M", "0x10" };
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(option_size(kurir_str_of(good[i].text), &size), 0);
		assert_int_equal(size, good[i].bytes);
		assert_str(option_show_size(arena, size), good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(option_size(kurir_str_of(bad[i]), &size), -EINVAL);
	assert_int_equal(option_size(KURIR_STR("8388608T"), &size), -ERANGE);
	assert_int_equal(option_size(KURIR_STR("9223372036854775808"), &size), -ERANGE);
}

static void nearest(void **state)
{
	static const char *const names[] = { "listeners", "limits", "log", "hostname",
		"connections-per-peer", "tls" };
	static const struct {
		const char *name, *near;
	} pairs[] = {
		{ "listener", "listeners" },
		{ "lsiteners", "listeners" },
		{ "Limits", "limits" },
		{ "host", "hostname" },
		{ "connections_per_peer", "connections-per-peer" },
		{ "lgo", "log" },
		{ "frobnicate", NULL },
		{ "x", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *near = option_nearest(kurir_str_of(pairs[i].name), names, 6);

		if (pairs[i].near)
			assert_string_equal(near, pairs[i].near);
		else
			assert_null(near);
	}
}

struct all {
	bool b;
	int64_t i;
	uint64_t s;
	kurir_time t;
	struct kurir_str x, p, k;
	int c;
	struct kurir_texts l;
	struct kurir_map m;
};
static const char *const colours[] = { "red", "green", NULL };
static const struct kurir_option all[] = { KURIR_OPT_BOOL("b", struct all, b, "true", "."),
	KURIR_OPT_INT("i", struct all, i, "-7", "."),
	KURIR_OPT_SIZE("s", struct all, s, "20M", "."),
	KURIR_OPT_SPAN("t", struct all, t, "90s", "."),
	KURIR_OPT_TEXT("x", struct all, x, "{not json", "."),
	KURIR_OPT_PATH("p", struct all, p, "a/b", "."),
	KURIR_OPT_SECRET("k", struct all, k, "", "."),
	KURIR_OPT_CHOICE("c", struct all, c, colours, "green", "."),
	KURIR_OPT_TEXTS("l", struct all, l, "[\"a\", \"b\"]", "."),
	KURIR_OPT_MAP("m", struct all, m, "{\"k\": \"v\"}", "."), { 0 } };

static void fill(
    const struct json *object, struct all *conf, struct frozen *memory, struct report *report)
{
	struct option_reader rd = { .report = report,
		.memory = memory,
		.arena = arena,
		.folder = KURIR_STR("/etc/kurir"),
		.resolved = true };

	option_fill(&rd, all, object, conf);
}

static void presets(void **state)
{
	struct report report = REPORT();
	struct frozen *memory = frozen_new();
	struct all conf = { 0 };

	(void)state;
	fill(NULL, &conf, memory, &report);
	assert_int_equal(report.errors, 0);
	assert_true(conf.b);
	assert_int_equal(conf.i, -7);
	assert_int_equal(conf.s, 20971520);
	assert_int_equal(conf.t, 90000);
	assert_str(conf.x, "{not json");
	assert_str(conf.p, "/etc/kurir/a/b");
	assert_str(conf.k, "");
	assert_non_null(conf.k.ptr);
	assert_int_equal(conf.c, 1);
	assert_int_equal(conf.l.count, 2);
	assert_str(conf.l.items[1], "b");
	assert_int_equal(conf.m.count, 1);
	assert_str(conf.m.items[0].values.items[0], "v");
	frozen_free(memory);
}

static void lengths(void **state)
{
	static const struct kurir_option bounded[] = {
		KURIR_OPT_RANGE("x", KURIR_TEXT, struct kurir_str, struct all, x, "", 0, 3, "."),
		{ 0 }
	};
	static const char *const texts[] = { "{\"x\": \"abc\"}", "{\"x\": \"abcd\"}" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct report report = REPORT();
		struct frozen *memory = frozen_new();
		struct all conf = { 0 };
		struct option_reader rd = {
			.report = &report, .memory = memory, .arena = arena, .resolved = true
		};

		option_fill(
		    &rd, bounded, json_parse(arena, "f", kurir_str_of(texts[i]), &report), &conf);
		assert_int_equal(report.errors, i);
		assert_str(conf.x, i ? "" : "abc");
		frozen_free(memory);
		kurir_buf_free(&report.text);
	}
}

static void there_and_back(void **state)
{
	static const char text[] =
	    "{\"b\":false,\"i\":-9223372036854775807,\"s\":\"3G\",\"t\":\"1h\",\"x\":\"\xc3\xa9\\\"\\n\","
	    "\"p\":\"/x\",\"k\":\"hush\",\"c\":\"red\",\"l\":[\"x\"],\"m\":{\"a\":[],\"b\":[\"1\",\"2\"]}}";
	struct report report = REPORT();
	struct frozen *memory = frozen_new();
	struct all conf = { 0 };
	json_t *written;
	char *again;

	(void)state;
	fill(json_parse(arena, "f", kurir_str_of(text), &report), &conf, memory, &report);
	assert_int_equal(report.errors, 0);
	written = option_write(all, &conf, true);
	again = json_dumps(written, JSON_COMPACT);
	assert_string_equal(again, text);
	free(again);
	json_decref(written);
	written = option_write(all, &conf, false);
	assert_string_equal(json_string_value(json_object_get(written, "k")), "(hidden)");
	json_decref(written);
	frozen_free(memory);
}

static void sealed(void **state)
{
	struct frozen *memory = frozen_new();
	char *small = frozen_alloc(memory, 10), *large = frozen_alloc(memory, 300000);
	struct kurir_str copy = frozen_copy(memory, KURIR_STR("x"));

	(void)state;
	small[9] = large[299999] = 1;
	frozen_seal(memory);
	assert_str(copy, "x");
	assert_int_equal(small[9] + large[299999], 2);
	frozen_free(memory);
}

static int set_up(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans),
		cmocka_unit_test(sizes),
		cmocka_unit_test(nearest),
		cmocka_unit_test(presets),
		cmocka_unit_test(lengths),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(sealed),
	};

	return cmocka_run_group_tests_name("option", tests, set_up, tear_down);
}
