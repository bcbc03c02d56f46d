/* fuzz_dns.c - any bytes as a DNS message, and as an answer between roles.
 * The first byte says which, and the type. */
#include <modules/dns/dns_private.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(struct kurir_str packet, enum kurir_dns_type type, struct kurir_arena *arena)
{
	struct dns_raw raw = { .packet = packet, .why = KURIR_STR("") };
	struct kurir_dns_answer a, b;
	struct kurir_buf buf = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_reader rd;

	dns_answer_of(&raw, KURIR_STR("dua.example"), type, arena, &a);
	if ((a.status == KURIR_DNS_FOUND) != (a.count > 0))
		abort();
	if (dns_put_answer(&buf, &a) == 0) {
		rd = KURIR_READER(kurir_buf_str(&buf));
		if (dns_get_answer(&rd, arena, &b) != 0 || b.count != a.count)
			abort();
	}
	kurir_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum kurir_dns_type types[] = { KURIR_DNS_A, KURIR_DNS_CNAME, KURIR_DNS_PTR,
		KURIR_DNS_MX, KURIR_DNS_TXT, KURIR_DNS_AAAA, KURIR_DNS_TLSA };
	struct kurir_arena *arena;
	struct kurir_dns_answer a;
	struct kurir_str rest;
	struct kurir_reader rd;

	if (size == 0)
		return 0;
	arena = kurir_arena_new("fuzz");
	rest = (struct kurir_str){ (const char *)data + 1, size - 1 };
	if (data[0] & 128) {
		rd = KURIR_READER(rest);
		(void)dns_get_answer(&rd, arena, &a);
	} else {
		message(rest, types[data[0] % 7], arena);
	}
	kurir_arena_free(arena);
	return 0;
}
