/* route_dns.h - private to the module: the order of mail hosts. */
#ifndef ROUTE_DNS_H
#define ROUTE_DNS_H

#include <kurir/dns.h>
#include <kurir/queue.h>

struct route_dns_conf {
	int64_t port, hosts, addresses;
	int tls, ip;
	bool dane;
	struct kurir_texts own;
	kurir_time timeout;
};
enum route_ip { ROUTE_IP_BOTH, ROUTE_IP_V4, ROUTE_IP_V6 };

struct route_host {
	struct kurir_str name;
	uint16_t preference;
	uint64_t shuffle; /* order among equals */
};

/* Sorts by preference, equals by their shuffle value (made of salt and name). */
void route_hosts_sort(struct route_host *, size_t count, struct kurir_str salt);
/* RFC 5321 5.1: a server that finds itself in the list uses only what is better than itself. 
 * Returns how
 * many are left of the sorted list. */
size_t route_hosts_before_self(
    const struct route_host *, size_t count, const struct kurir_texts *own);
/* "mx.example", with a mark of the other hosts when there are any: equal for domains with an
 * equal
 * list. */
struct kurir_str route_site(
    struct kurir_arena *, const struct route_host *, size_t count, uint16_t port);
/* "ip:port" or "[ip6]:port" */
struct kurir_str route_address(struct kurir_arena *, struct kurir_str ip, uint16_t port);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" -> the address; -EINVAL. */
int route_literal(struct kurir_arena *, struct kurir_str domain, struct kurir_str *ret);
bool route_is_ascii(struct kurir_str);
/* Alternates the families, first the one of the first list's. */
size_t route_interleave(const struct kurir_str *a, size_t na, const struct kurir_str *b,
    size_t nb, struct kurir_str *ret);
/* RFC 7672 3.1.3: 1 usable for SMTP, 0 not. */
int route_tlsa_usable(struct kurir_str rdata);

#endif
