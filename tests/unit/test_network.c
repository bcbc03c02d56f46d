/* test_network.c - networks as the configuration writes them. */
#include <kurir/network.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(x) KURIR_STR(x)

static struct kurir_arena *arena;

static int parse(struct kurir_str text, struct kurir_networks *ret)
{
	struct kurir_texts one = { 1, &text };
	struct kurir_str error;

	return kurir_networks_parse(arena, one, ret, &error);
}

static bool in(struct kurir_str net, struct kurir_str ip)
{
	struct kurir_networks n;

	assert_int_equal(parse(net, &n), 0);
	return kurir_networks_have(&n, ip);
}

static void membership(void **state)
{
	(void)state;
	assert_true(in(S("192.0.2.0/24"), S("192.0.2.255")));
	assert_false(in(S("192.0.2.0/24"), S("192.0.3.0")));
	assert_true(in(S("192.0.2.128/25"), S("192.0.2.129")));
	assert_false(in(S("192.0.2.128/25"), S("192.0.2.127")));
	assert_true(in(S("192.0.2.7"), S("192.0.2.7")));
	assert_false(in(S("192.0.2.7"), S("192.0.2.6")));
	assert_true(in(S("0.0.0.0/0"), S("203.0.113.9")));
	assert_false(in(S("0.0.0.0/0"), S("2001:db8::1")));
	assert_true(in(S("2001:db8::/33"), S("2001:db8:7fff::1")));
	assert_false(in(S("2001:db8::/33"), S("2001:db8:8000::1")));
	assert_true(in(S("::/0"), S("::1")));
	assert_false(in(S("::/0"), S("nothing")));
	assert_false(in(S("::/0"), S("")));
}

static void rubbish(void **state)
{
	static const char *const bad[] = { "", "/", "/24", "192.0.2.0/33", "192.0.2.0/",
		"192.0.2/24", "2001:db8::/129", "2001:db8::/-1", "a", "192.0.2.1 ",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee" };
	struct kurir_networks n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(kurir_str_of(bad[i]), &n), -EINVAL);
	assert_int_equal(parse(S("192.0.2.1\0"), &n), -EINVAL);
}

static void network(struct kurir_str ip, unsigned b4, unsigned b6, const char *want)
{
	assert_string_equal(kurir_network_of(arena, ip, b4, b6).ptr, want);
}

static void networks(void **state)
{
	(void)state;
	network(S("192.0.2.77"), 24, 64, "192.0.2.0");
	network(S("192.0.2.77"), 26, 64, "192.0.2.64");
	network(S("192.0.2.77"), 32, 64, "192.0.2.77");
	network(S("192.0.2.77"), 0, 64, "0.0.0.0");
	network(S("2001:db8:1:2:3:4:5:6"), 24, 64, "2001:db8:1:2::");
	network(S("2001:db8:1:2:3:4:5:6"), 24, 52, "2001:db8:1::");
	network(S("2001:db8:1:2:3:4:5:6"), 24, 128, "2001:db8:1:2:3:4:5:6");
	network(S("unix"), 24, 128, "unix");
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(membership),
		cmocka_unit_test(rubbish),
		cmocka_unit_test(networks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
