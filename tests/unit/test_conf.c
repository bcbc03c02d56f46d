/* test_conf.c - the core's own options: presets, and there and back through JSON. */
#include "conf_unit.h"

#include "conf.h"
#include "describe.h"

static struct kurir_arena *arena;

static void read_conf(
    const char *text, struct conf *c, struct frozen *memory, struct report *report)
{
	struct option_reader rd = { .report = report,
		.memory = memory,
		.arena = arena,
		.folder = KURIR_STR("/etc/kurir") };
	const struct json *top = json_parse(arena, "f", kurir_str_of(text), report);

	assert_non_null(top);
	conf_read(&rd, top, c);
}

static void presets(void **state)
{
	struct report report = REPORT();
	struct frozen *memory = frozen_new();
	struct conf c = { 0 };

	(void)state;
	read_conf("{\"version\": 1, \"hostname\": \"mx.example\"}", &c, memory, &report);
	assert_int_equal(report.errors, 0);
	assert_str(c.hostname, "mx.example");
	assert_int_equal(c.sandbox, CONF_SANDBOX_REQUIRED);
	assert_int_equal(c.log_level, KURIR_INFO);
	assert_int_equal(c.limit_connections, 10000);
	assert_int_equal(c.limit_drain, 300000);
	assert_int_equal(c.listener_count + c.certificate_count + c.pipelines.count, 0);
	for (int i = 0; i < CONF_ROLES; i++) {
		assert_int_equal(c.processes[i], 1u << i == KURIR_ROLE_WORKER ? 0 : 1);
		assert_int_equal(c.users[i].len, 0);
	}
	frozen_free(memory);
}

static void there_and_back(void **state)
{
	static const char text[] =
	    "{\"version\": 1, \"hostname\": \"mx.example\", \"state\": \"s\", \"module-path\": [\"m\", \"/n\"],"
	    "\"users\": {\"edge\": 64100, \"default\": \"kurir\"}, \"processes\": {\"edge\": 4, \"access\": 2},"
	    "\"tls\": {\"minimum\": \"1.3\", \"certificates\": [{\"certificate\": \"c\", \"key\": \"k\"}]},"
	    "\"listeners\": {\"mx\": {\"protocol\": \"p\", \"address\": \"[::]:25\", \"tls\": \"implicit\","
	    "\"pipeline\": \"in\"},"
	    "\"b\": {\"protocol\": \"p\", \"address\": [\"127.0.0.1:1\", \"unix:/x\"]}},"
	    "\"pipelines\": {\"in\": [\"a\", \"b/c\"], \"out\": []}, \"limits\": {\"memory\": \"2G\"}}";
	struct report report = REPORT();
	struct frozen *memory = frozen_new();
	struct conf c = { 0 }, d = { 0 };
	json_t *first, *second;
	char *dump;

	(void)state;
	read_conf(text, &c, memory, &report);
	assert_int_equal(report.errors, 0);
	assert_str(c.state, "/etc/kurir/s");
	assert_str(c.module_path.items[0], "/etc/kurir/m");
	assert_str(c.users[0], "64100");
	assert_int_equal(c.processes[5], 2);
	assert_str(c.certificates[0].key, "/etc/kurir/k");
	assert_int_equal(c.listener_count, 2);
	assert_int_equal(c.listeners[0].tls, KURIR_TLS_IMPLICIT);
	assert_str(c.listeners[1].name, "b");
	assert_str(c.listeners[1].addresses.items[1], "unix:/x");
	assert_str(c.pipelines.items[0].values.items[1], "b/c");
	first = conf_write(&c);
	dump = json_dumps(first, 0);
	read_conf(dump, &d, memory, &report);
	assert_int_equal(report.errors, 0);
	second = conf_write(&d);
	assert_true(json_equal(first, second));
	free(dump);
	json_decref(first);
	json_decref(second);
	frozen_free(memory);
}

static void roles(void **state)
{
	(void)state;
	assert_int_equal(conf_role_bit(KURIR_STR("edge")), KURIR_ROLE_EDGE);
	assert_int_equal(conf_role_bit(KURIR_STR("control")), KURIR_ROLE_CONTROL);
	assert_int_equal(conf_role_bit(KURIR_STR("Edge")), 0);
	assert_int_equal(conf_role_bit(KURIR_STR("")), 0);
}

/* Every table says something about everything, and every preset can be read (above). */
static void tables(void **state)
{
	struct kurir_buf text = KURIR_BUF(1u << 20);
	json_t *schema = schema_make(NULL, 0);

	(void)state;
	for (const struct conf_group *g = conf_groups; g->name; g++) {
		for (const struct kurir_option *o = g->options; o->name; o++) {
			assert_non_null(o->help);
			assert_true(
			    strlen(o->help) > 5 && strchr(".", o->help[strlen(o->help) - 1]));
		}
	}
	describe_core(&text);
	assert_non_null(strstr(text.ptr, "connections-per-peer"));
	assert_non_null(json_object_get(json_object_get(schema, "properties"), "modules"));
	json_decref(schema);
	kurir_buf_free(&text);
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
		cmocka_unit_test(presets),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(roles),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests_name("conf", tests, set_up, tear_down);
}
