/* test_plan.c - from a file to a plan, to a role's part of it, to instances. */
#include "conf_unit.h"

#include "instance_private.h"
#include "plan.h"

#include <errno.h>

static struct kurir_arena *arena;

static const char text[] =
    "{\"version\": 1, \"hostname\": \"mx.example\", \"state\": \"state\",\n"
    "\"listeners\": {\"mx\": {\"protocol\": \"good\", \"address\": \"127.0.0.1:2525\", \"pipeline\": \"in\"}},\n"
    "\"pipelines\": {\"in\": [\"good\", \"good/b\", \"lost\"]},\n"
    "\"modules\": {\"good\": {\"secret\": {\"env\": \"TEST_SECRET\"}, \"path\": \"state/p\"},\n"
    "  \"strict\": {\"must\": \"x\", \"password\": {\"env\": \"TEST_PASSWORD\"}},\n"
    "  \"good/b\": {\"withhold\": \"net\", \"on-error\": \"reject\", \"time\": \"1m\"},\n"
    "  \"lost\": {\"required\": false}}}\n";

static struct plan *make(bool secrets)
{
	struct report report = REPORT();
	const char *file = make_file(text);
	struct plan *plan = plan_make(file, secrets, &report);

	if (!plan)
		fail_msg("%s", report.text.ptr);
	drop_file(file);
	kurir_buf_free(&report.text);
	return plan;
}

static void whole(void **state)
{
	struct plan *plan = make(true);

	(void)state;
	assert_int_equal(plan->instance_count, 3);
	assert_str(plan->instances[0].name, "good");
	assert_str(plan->instances[2].name, "good/b");
	assert_str(plan->instances[2].module, "good");
	assert_int_equal(plan->instances[0].caps, KURIR_CAP_NET | KURIR_CAP_BODY);
	assert_int_equal(plan->instances[2].caps, KURIR_CAP_BODY);
	assert_int_equal(plan->instances[1].roles, KURIR_ROLE_QUEUE);
	/* "good" may use the network, and has hooks in the edge: the resolver connects for it. */
	assert_true(plan->dials);
	assert_int_equal(plan->roles,
	    KURIR_ROLE_EDGE | KURIR_ROLE_RELAY | KURIR_ROLE_QUEUE | KURIR_ROLE_CONTROL |
		KURIR_ROLE_RESOLVER);
	assert_int_equal(plan->endpoint_count, 1);
	assert_str(plan->endpoints[0].name, "transport.good");
	assert_int_equal(plan->endpoints[0].role, KURIR_ROLE_RELAY);
	assert_int_equal(plan->warnings.count, 1);
	assert_int_equal(plan->conf.listener_count, 1);
	assert_int_equal(plan->path_count, 4);
	assert_true(kurir_str_starts(plan->paths[0].path, KURIR_STR("/tmp/kurir-test-")));
	assert_false(plan->paths[0].make);
	assert_true(plan->paths[1].make);
	assert_int_equal(plan->paths[1].write, KURIR_ROLE_RELAY);
	assert_non_null(strstr(plan->text.ptr, "hush-hush"));
	plan_free(plan);
}

static void hidden(void **state)
{
	struct plan *plan = make(false);

	(void)state;
	assert_null(strstr(plan->text.ptr, "hush-hush"));
	assert_null(strstr(plan->text.ptr, "pass-pass"));
	plan_free(plan);
}

static void for_role(void **state)
{
	struct plan *plan = make(true), *part;
	struct kurir_str cut, error;

	(void)state;
	cut = plan_for_role(plan, arena, KURIR_ROLE_RELAY, 0);
	assert_null(strstr(cut.ptr, "pass-pass"));
	assert_int_equal(plan_read(cut, arena, &part, &error), 0);
	assert_int_equal(part->instance_count, 2);
	assert_int_equal(part->endpoint_count, 1);
	plan_free(part);
	cut = plan_for_role(plan, arena, KURIR_ROLE_QUEUE, 0);
	assert_null(strstr(cut.ptr, "hush-hush"));
	assert_int_equal(plan_read(cut, arena, &part, &error), 0);
	assert_int_equal(part->instance_count, 1);
	plan_free(part);
	plan_free(plan);
}

static void broken(void **state)
{
	static const char *const texts[] = {
		"", "{", "{}", "[]", "{\"plan\": 1}", "{\"plan\": 2, \"core\": {}}",
		"{\"plan\": 1, \"core\": []}", "{\"plan\": 1, \"core\": {}}",
		"{\"plan\": 1, \"core\": {\"version\": 1, \"hostname\": \"a\"}, \"instances\": [5]}"
	};
	struct kurir_str error;
	struct plan *plan;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(
		    plan_read(kurir_str_of(texts[i]), arena, &plan, &error), -EINVAL);
		assert_true(error.len > 0);
	}
}

/* In the middle of an upgrade a plan has options that only the newer program knows. */
static void newer(void **state)
{
	struct plan *plan;
	struct kurir_str error;

	(void)state;
	assert_int_equal(
	    plan_read(KURIR_STR("{\"plan\": 1, \"core\": {\"version\": 1, \"hostname\": "
				"\"mx.example\", \"soon\": true, \"limits\": {\"soon\": 1}}}"),
		arena, &plan, &error),
	    0);
	assert_str(plan->conf.hostname, "mx.example");
	plan_free(plan);
	assert_int_equal(
	    plan_read(KURIR_STR("{\"plan\": 2, \"core\": {}}"), arena, &plan, &error), -EINVAL);
	assert_non_null(strstr(error.ptr, "restart the service"));
}

/* Last, because its values stay in use. */
static void apply(void **state)
{
	struct plan *plan = make(true), *part;
	struct kurir_self *self;
	struct kurir_str error;

	(void)state;
	assert_int_equal(
	    plan_read(plan_for_role(plan, arena, KURIR_ROLE_EDGE, 0), arena, &part, &error), 0);
	plan_free(plan);
	assert_int_equal(plan_apply(part, KURIR_ROLE_EDGE, arena, &error), 0);
	assert_int_equal(instance_count, 2);
	assert_str(kurir_hostname(), "mx.example");
	self = instance_find(KURIR_STR("good/b"));
	assert_non_null(self);
	assert_string_equal(kurir_self_name(self), "good/b");
	assert_int_equal(self->on_error, ON_ERROR_REJECT);
	assert_int_equal(self->module->caps, KURIR_CAP_BODY);
	assert_int_equal(instance_list->module->caps, KURIR_CAP_NET | KURIR_CAP_BODY);
	assert_ptr_equal(instance_list->next, self);
	assert_int_equal(instance_list->conn_offset, 0);
	assert_int_equal(self->conn_offset, 32);
	assert_int_equal(instance_conn_bytes, 64);
	assert_int_equal(instance_tx_bytes, 32);
	assert_non_null(kurir_service_find("protocol", "good", &self));
	assert_ptr_equal(self, instance_list);
	assert_non_null(kurir_service_at("protocol", 1, &self));
	assert_ptr_equal(self, instance_list->next);
	assert_null(kurir_service_at("protocol", 2, &self));
	assert_null(kurir_service_find("protocol", "bad", NULL));
	assert_null(instance_find(KURIR_STR("strict")));
	instance_reset();
	conf_now = NULL;
	plan_free(part);
}

static int set_up(void **state)
{
	(void)state;
	setenv("KURIR_MODULE_PATH", test_modules(), 1);
	setenv("TEST_SECRET", "hush-hush", 1);
	setenv("TEST_PASSWORD", "pass-pass", 1);
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
		cmocka_unit_test(whole),
		cmocka_unit_test(hidden),
		cmocka_unit_test(for_role),
		cmocka_unit_test(broken),
		cmocka_unit_test(newer),
		cmocka_unit_test(apply),
	};

	return cmocka_run_group_tests_name("plan", tests, set_up, tear_down);
}
