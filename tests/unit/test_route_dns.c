/* test_route_dns.c - the order of mail hosts, who we are among them, and what TLSA records are
 * good for. */
#include <modules/route_dns/route_dns.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kurir_arena *arena;
#define S(x) KURIR_STR(x)
#define HOST(n, p) \
	{ \
		.name = S(n), .preference = (p) \
	}

static void order(void **state)
{
	unsigned first_b = 0;

	(void)state;
	for (unsigned salt = 0; salt < 200; salt++) {
		struct route_host h[] = { HOST("d", 20), HOST("a", 10), HOST("c", 20),
			HOST("b", 10) };

		route_hosts_sort(h, 4, kurir_format(arena, "%u", salt));
		assert_int_equal(h[0].preference, 10);
		assert_int_equal(h[1].preference, 10);
		assert_int_equal(h[2].preference, 20);
		assert_int_equal(h[3].preference, 20);
		first_b += h[0].name.ptr[0] == 'b';
	}
	assert_in_range(first_b, 60, 140);
}

static void self(void **state)
{
	struct route_host h[] = { HOST("a", 10), HOST("b", 10), HOST("me", 20), HOST("c", 20),
		HOST("d", 30) };
	struct kurir_str me[] = { S("ME"), S("192.0.2.1") };
	struct kurir_texts own = { 2, me };

	(void)state;
	assert_int_equal(route_hosts_before_self(h, 5, &own), 2);
	assert_int_equal(route_hosts_before_self(h + 2, 3, &own), 0);
	assert_int_equal(route_hosts_before_self(h + 3, 2, &own), 2);
	/* Equal to ourselves is not better, wherever the shuffle put it. */
	h[2].preference = 10;
	assert_int_equal(route_hosts_before_self(h, 3, &own), 0);
}

static void sites(void **state)
{
	struct route_host one[] = { HOST("mx", 10) };
	struct route_host two[] = { HOST("b", 10), HOST("a", 10) };
	struct route_host owt[] = { HOST("a", 10), HOST("b", 10) };
	struct route_host other[] = { HOST("a", 10), HOST("b", 20) };

	(void)state;
	assert_true(kurir_str_equal(route_site(arena, one, 1, 25), S("mx")));
	assert_true(kurir_str_equal(route_site(arena, one, 1, 2525), S("mx:2525")));
	assert_true(
	    kurir_str_equal(route_site(arena, two, 2, 25), route_site(arena, owt, 2, 25)));
	assert_false(
	    kurir_str_equal(route_site(arena, two, 2, 25), route_site(arena, other, 2, 25)));
	assert_true(kurir_str_starts(route_site(arena, two, 2, 25), S("a+")));
}

static void literals(void **state)
{
	struct kurir_str ip = S("");

	(void)state;
	assert_int_equal(route_literal(arena, S("[192.0.2.1]"), &ip), 0);
	assert_true(kurir_str_equal(ip, S("192.0.2.1")));
	assert_int_equal(route_literal(arena, S("[ipv6:2001:DB8:0::1]"), &ip), 0);
	assert_true(kurir_str_equal(ip, S("2001:db8::1")));
	assert_true(kurir_str_equal(route_address(arena, ip, 25), S("[2001:db8::1]:25")));
	assert_true(kurir_str_equal(route_address(arena, S("192.0.2.1"), 25), S("192.0.2.1:25")));
	assert_int_equal(route_literal(arena, S("192.0.2.1"), &ip), -EINVAL);
	assert_int_equal(route_literal(arena, S("[]"), &ip), -EINVAL);
	assert_int_equal(route_literal(arena, S("[2001:db8::1]"), &ip), -EINVAL);
	assert_int_equal(route_literal(arena, S("[192.0.2.1"), &ip), -EINVAL);
	assert_int_equal(route_literal(arena, S("[192.0.2]"), &ip), -EINVAL);
}

static void families(void **state)
{
	struct kurir_str six[] = { S("6a"), S("6b"), S("6c") }, four[] = { S("4a") }, out[4];

	(void)state;
	assert_int_equal(route_interleave(six, 3, four, 1, out), 4);
	assert_true(kurir_str_equal(out[0], S("6a")));
	assert_true(kurir_str_equal(out[1], S("4a")));
	assert_true(kurir_str_equal(out[2], S("6b")));
	assert_true(kurir_str_equal(out[3], S("6c")));
}

static void tlsa(void **state)
{
	char r[3 + 64] = { 3, 1, 1 };

	(void)state;
	assert_true(route_tlsa_usable((struct kurir_str){ r, 35 }));
	assert_false(route_tlsa_usable((struct kurir_str){ r, 34 }));
	r[2] = 2;
	assert_true(route_tlsa_usable((struct kurir_str){ r, 67 }));
	r[2] = 3;
	assert_false(route_tlsa_usable((struct kurir_str){ r, 67 }));
	r[2] = 0;
	assert_true(route_tlsa_usable((struct kurir_str){ r, 10 }));
	r[0] = 1;
	assert_false(route_tlsa_usable((struct kurir_str){ r, 10 }));
	assert_false(route_tlsa_usable(S("")));
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
		cmocka_unit_test(order),
		cmocka_unit_test(self),
		cmocka_unit_test(sites),
		cmocka_unit_test(literals),
		cmocka_unit_test(families),
		cmocka_unit_test(tlsa),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
