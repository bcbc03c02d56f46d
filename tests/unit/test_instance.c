/* test_instance.c - instances that start, and one that cannot. */
#include "loop_unit.h"

#include <errno.h>

#include <instance_private.h>

static int good_ops, bad_ops;

static int bad_start(struct kurir_self *self)
{
	(void)self;
	return -ENOENT;
}

static const struct kurir_service bad_services[] = {
	{ .kind = "table", .name = "bad", .ops = &bad_ops }, { 0 }
};
static const struct kurir_service good_services[] = {
	{ .kind = "table", .name = "good", .ops = &good_ops }, { 0 }
};
static struct module bad = { .m = { .size = sizeof(struct kurir_module),
				 .name = "bad",
				 .roles = KURIR_ROLE_ALL,
				 .services = bad_services,
				 .start = bad_start } };
static struct module good = { .m = { .size = sizeof(struct kurir_module),
				  .name = "good",
				  .roles = KURIR_ROLE_ALL,
				  .services = good_services } };

/* Nobody is sent to who could not start. */
KURIR_PARKS static void body(void *arg)
{
	struct kurir_self *owner = NULL, *first = instance_new(&bad, "bad", NULL);

	(void)arg;
	(void)instance_new(&good, "good", NULL);
	CHECK_IS(instance_start_all(KURIR_ROLE_ALL), 0);
	CHECK(kurir_service_at("table", 0, &owner) == &good_ops);
	CHECK(owner != NULL && owner != first);
	CHECK(kurir_service_at("table", 1, &owner) == NULL);
	CHECK(kurir_service_find("table", NULL, &owner) == &good_ops);
	CHECK(kurir_service_find("table", "bad", &owner) == NULL);
	instance_stop_all();
	/* One that is required stops the others. */
	first->failed = false;
	first->required = true;
	CHECK_IS(instance_start_all(KURIR_ROLE_ALL), -ENOENT);
	CHECK(!owner->started);
}

static void all(void **state)
{
	(void)state;
	run_on_loop(false, body, NULL);
	instance_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
