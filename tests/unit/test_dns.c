/* test_dns.c - DNS messages, good and broken, and the names we ask for. */
#include <modules/dns/dns_private.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kurir_arena *arena;
#define S(x) KURIR_STR(x)

/* Messages are laid out by hand. */
/* clang-format off */
/* Header, one question of the type, n answers. */
#define HEAD(n, qname, qtype) \
	"\x12\x34\x81\x80\x00\x01\x00" n "\x00\x00\x00\x00" qname "\x00" qtype "\x00\x01"
#define DUA "\x03""dua\x07""example\x00"
#define TTL "\x00\x00\x01\x2c"
#define RR(owner, type, len) owner "\x00" type "\x00\x01" TTL "\x00" len

static struct kurir_dns_answer answer(
    struct kurir_str packet, enum kurir_dns_type type, int rcode)
{
	struct dns_raw raw = { .packet = packet, .rcode = rcode, .why = S("") };
	struct kurir_dns_answer a;

	dns_answer_of(&raw, S("dua.example"), type, arena, &a);
	return a;
}

static void check(struct kurir_str got, const char *want)
{
	if (!kurir_str_equal(got, kurir_str_of(want)))
		fail_msg("\"%.*s\" is not \"%s\"", KURIR_ARG(got), want);
}

static void mail_hosts(void **state)
{
	struct kurir_dns_answer a = answer(S(HEAD("\x02", DUA, "\x0f")
		RR("\xc0\x0c", "\x0f", "\x07") "\x00\x14\x02" "M2" "\xc0\x0c"
		RR("\xc0\x0c", "\x0f", "\x07") "\x00\x0a\x02" "m1" "\xc0\x0c"), KURIR_DNS_MX, 0);

	(void)state;
	assert_int_equal(a.status, KURIR_DNS_FOUND);
	assert_int_equal(a.count, 2);
	check(a.records[0].text, "m1.dua.example");
	assert_int_equal(a.records[0].preference, 10);
	check(a.records[1].text, "m2.dua.example");
	check(a.summary,
	    "MX dua.example = 10 m1.dua.example, 20 m2.dua.example (insecure, ttl 300)");
	a = answer(S(HEAD("\x01", DUA, "\x0f") RR("\xc0\x0c", "\x0f", "\x03") "\x00\x00\x00"),
	    KURIR_DNS_MX, 0);
	assert_int_equal(a.count, 1);
	check(a.records[0].text, "");
	check(a.summary, "MX dua.example = 0 . (insecure, ttl 300)");
}

static void aliases(void **state)
{
	struct kurir_dns_answer a = answer(S(HEAD("\x02", DUA, "\x01")
		RR("\x01" "b\x00", "\x01", "\x04") "\x7f\x00\x00\x02"
		RR("\xc0\x0c", "\x05", "\x03") "\x01" "b\x00"), KURIR_DNS_A, 0);

	(void)state;
	assert_int_equal(a.count, 1);
	check(a.canonical, "b");
	check(a.records[0].text, "127.0.0.2");
	check(a.summary, "A dua.example -> b = 127.0.0.2 (insecure, ttl 300)");
	/* A record of somebody else is not an answer. */
	a = answer(S(HEAD("\x01", DUA, "\x01") RR("\x01" "x\x00", "\x01", "\x04") "\x7f\x00\x00\x02"),
	    KURIR_DNS_A, 0);
	assert_int_equal(a.status, KURIR_DNS_NODATA);
	/* A CNAME to itself. */
	a = answer(S(HEAD("\x01", DUA, "\x01") RR("\xc0\x0c", "\x05", "\x02") "\xc0\x0c"), KURIR_DNS_A,
	    0);
	assert_int_equal(a.status, KURIR_DNS_SERVFAIL);
}

static void texts(void **state)
{
	struct kurir_dns_answer a = answer(S(HEAD("\x01", DUA, "\x10")
		RR("\xc0\x0c", "\x10", "\x06") "\x02" "ab\x00\x01" "c"), KURIR_DNS_TXT, 0);

	(void)state;
	check(a.records[0].text, "abc");
	a = answer(S(HEAD("\x01", DUA, "\x10") RR("\xc0\x0c", "\x10", "\x02") "\x02" "a"),
	    KURIR_DNS_TXT, 0);
	assert_int_equal(a.status, KURIR_DNS_SERVFAIL);
	a = answer(S(HEAD("\x01", DUA, "\x34") RR("\xc0\x0c", "\x34", "\x05") "\x03\x01\x01\xab\xcd"),
	    KURIR_DNS_TLSA, 0);
	check(a.summary, "TLSA dua.example = 3 1 1 abcd... (insecure, ttl 300)");
}

static void nothing(void **state)
{
	struct dns_raw raw = { .packet = S(HEAD("\x00", DUA, "\x0f")), .bogus = true,
		.secure = true, .why = S("signature expired") };
	struct kurir_dns_answer a;

	(void)state;
	a = answer(S(HEAD("\x00", DUA, "\x0f")), KURIR_DNS_MX, 3);
	assert_int_equal(a.status, KURIR_DNS_NXDOMAIN);
	check(a.summary, "MX dua.example: no such name (insecure, ttl 0)");
	a = answer(S(""), KURIR_DNS_MX, 2);
	assert_int_equal(a.status, KURIR_DNS_SERVFAIL);
	dns_answer_of(&raw, S("dua.example"), KURIR_DNS_MX, arena, &a);
	assert_int_equal(a.status, KURIR_DNS_BOGUS);
	assert_false(a.secure);
	check(a.summary, "MX dua.example: forged or broken (DNSSEC): signature expired");
}

/* Every cut of a good message, and every single byte changed: an answer or a failure, nothing
 * else. */
static void broken(void **state)
{
	static const char good[] = HEAD("\x02", DUA, "\x0f")
		RR("\xc0\x0c", "\x0f", "\x07") "\x00\x14\x02" "m2" "\xc0\x0c"
		RR("\xc0\x0c", "\x05", "\x07") "\x00\x0a\x02" "m1" "\xc0\x0c";
	struct kurir_arena *own = kurir_arena_new("broken");

	(void)state;
	for (size_t len = 0; len < sizeof(good) - 1; len++)
		(void)answer(kurir_copy(own, (struct kurir_str){ good, len }), KURIR_DNS_MX, 0);
	for (size_t i = 0; i < sizeof(good) - 1; i++)
		for (unsigned c = 0; c < 256; c++) {
			char bad[sizeof(good)];

			memcpy(bad, good, sizeof(good));
			bad[i] = (char)c;
			(void)answer((struct kurir_str){ bad, sizeof(good) - 1 }, KURIR_DNS_MX, 0);
		}
	kurir_arena_free(own);
}

static void names(void **state)
{
	static const char *const bad[] = { "", ".", "a..b", ".a", "a b", "a\nb", "a\\b",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", "\xc3\xa4" };
	struct kurir_str got;

	(void)state;
	assert_int_equal(dns_name(arena, S("_25._Tcp.MX.Example."), &got), 0);
	check(got, "_25._tcp.mx.example");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dns_name(arena, kurir_str_of(bad[i]), &got), -EINVAL);
	assert_int_equal(kurir_dns_reverse(arena, S("192.0.2.1"), &got), 0);
	check(got, "1.2.0.192.in-addr.arpa");
	assert_int_equal(kurir_dns_reverse(arena, S("2001:db8::567:89ab"), &got), 0);
	check(got, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	assert_int_equal(kurir_dns_reverse(arena, S("example"), &got), -EINVAL);
}

static void beyond_ascii(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: no name */
	} rows[] = {
		{ "dua.example", "dua.example" },
		{ "_25._tcp.dua.example", "_25._tcp.dua.example" },
		{ "b\xc3\xbc" "cher.Example", "xn--bcher-kva.example" },
		{ "B\xc3\x9c" "CHER.example", "xn--bcher-kva.example" },
		{ "bu\xcc\x88" "cher.example", "xn--bcher-kva.example" },
		{ "fa\xc3\x9f.example", "xn--fa-hia.example" },
		{ "_25._tcp.b\xc3\xbc" "cher.example", "_25._tcp.xn--bcher-kva.example" },
		{ "b\xc3", NULL },
		{ "\xe2\x80\xae.example", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kurir_str got;
		int r = dns_ascii(arena, kurir_str_of(rows[i].name), &got);

		if (r == -EOPNOTSUPP) /* built without libidn2 */
			continue;
		if ((r == 0) != (rows[i].want != NULL))
			fail_msg("\"%s\": %d", rows[i].name, r);
		if (r == 0)
			check(got, rows[i].want);
	}
}

static void packed(void **state)
{
	struct kurir_dns_answer a = answer(S(HEAD("\x01", DUA, "\x0f") RR("\xc0\x0c", "\x0f", "\x07")
	    "\x00\x14\x02" "m2" "\xc0\x0c"), KURIR_DNS_MX, 0), b;
	struct kurir_buf buf = KURIR_BUF(4096);
	struct kurir_reader rd;

	(void)state;
	assert_int_equal(dns_put_answer(&buf, &a), 0);
	rd = KURIR_READER(kurir_buf_str(&buf));
	assert_int_equal(dns_get_answer(&rd, arena, &b), 0);
	assert_int_equal(b.count, 1);
	check(b.records[0].text, "m2.dua.example");
	assert_int_equal(b.records[0].preference, 20);
	for (size_t len = 0; len < buf.len; len++) {
		rd = KURIR_READER(((struct kurir_str){ buf.ptr, len }));
		assert_int_equal(dns_get_answer(&rd, arena, &b), -EBADMSG);
	}
	kurir_buf_free(&buf);
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
		cmocka_unit_test(mail_hosts),
		cmocka_unit_test(aliases),
		cmocka_unit_test(texts),
		cmocka_unit_test(nothing),
		cmocka_unit_test(broken),
		cmocka_unit_test(names),
		cmocka_unit_test(beyond_ascii),
		cmocka_unit_test(packed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
