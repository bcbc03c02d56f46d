/* route_hosts.c - which mail host comes before which, and what a list of them is called.  No
 * I/O. */
#include "route_dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int host_order(const void *a, const void *b)
{
	const struct route_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	if (x->shuffle != y->shuffle)
		return x->shuffle < y->shuffle ? -1 : 1;
	return kurir_str_compare(x->name, y->name);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void route_hosts_sort(struct route_host *h, size_t count, struct kurir_str salt)
{
	uint64_t s = kurir_str_hash(salt);

	for (size_t i = 0; i < count; i++)
		h[i].shuffle = mix(kurir_str_hash(h[i].name) ^ s);
	if (count > 1)
		qsort(h, count, sizeof(*h), host_order);
}

size_t route_hosts_before_self(
    const struct route_host *h, size_t count, const struct kurir_texts *own)
{
	size_t self = count;

	for (size_t i = 0; i < count && self == count; i++)
		for (size_t k = 0; k < own->count; k++)
			if (kurir_str_equal_nocase(h[i].name, own->items[k]))
				self = i;
	if (self == count)
		return count;
	while (self > 0 && h[self - 1].preference == h[self].preference)
		self--;
	return self;
}

struct kurir_str route_site(
    struct kurir_arena *arena, const struct route_host *h, size_t count, uint16_t port)
{
	const struct route_host *first = &h[0];
	uint64_t all = 0;
	struct kurir_str s;

	for (size_t i = 0; i < count; i++) {
		all += mix(kurir_str_hash(h[i].name) + h[i].preference);
		if (h[i].preference == h[0].preference &&
		    kurir_str_compare(h[i].name, first->name) < 0)
			first = &h[i];
	}
	if (count > 1)
		s = kurir_format(
		    arena, "%.*s+%04x", KURIR_ARG(first->name), (unsigned)(all & 0xffff));
	else
		s = first->name;
	return port == 25 ? s : kurir_format(arena, "%.*s:%u", KURIR_ARG(s), port);
}

struct kurir_str route_address(struct kurir_arena *arena, struct kurir_str ip, uint16_t port)
{
	return kurir_format(
	    arena, kurir_str_find(ip, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", KURIR_ARG(ip), port);
}

/* RFC 5321 4.1.3: address-literal = "[" ( IPv4-address-literal / "IPv6:" IPv6-addr ) "]" */
int route_literal(struct kurir_arena *arena, struct kurir_str domain, struct kurir_str *ret)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char a[16];
	struct kurir_str ip;
	int family = AF_INET;

	if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']')
		return -EINVAL;
	ip = kurir_str_part(domain, 1, domain.len - 2);
	if (kurir_str_starts_nocase(ip, KURIR_STR("IPv6:"))) {
		ip = kurir_str_part(ip, 5, ip.len);
		family = AF_INET6;
	}
	if (ip.len >= sizeof(text) || memchr(ip.ptr, '\0', ip.len) != NULL)
		return -EINVAL;
	memcpy(text, ip.ptr, ip.len);
	text[ip.len] = '\0';
	if (inet_pton(family, text, a) != 1 || inet_ntop(family, a, text, sizeof(text)) == NULL)
		return -EINVAL;
	*ret = kurir_copy(arena, kurir_str_of(text));
	return 0;
}

bool route_is_ascii(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 128)
			return false;
	return true;
}

size_t route_interleave(const struct kurir_str *a, size_t na, const struct kurir_str *b,
    size_t nb, struct kurir_str *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < na || i < nb; i++) {
		if (i < na)
			ret[n++] = a[i];
		if (i < nb)
			ret[n++] = b[i];
	}
	return n;
}

/* TLSA rdata (RFC 6698 2.1): usage, selector, matching type, data.  For SMTP only DANE-TA(2)
 * and DANE-EE(3). */
int route_tlsa_usable(struct kurir_str rdata)
{
	const unsigned char *p = (const unsigned char *)rdata.ptr;

	if (rdata.len < 4 || (p[0] != 2 && p[0] != 3) || p[1] > 1)
		return 0;
	return p[2] == 0 || (p[2] == 1 && rdata.len == 3 + 32) ||
	    (p[2] == 2 && rdata.len == 3 + 64);
}
