/* kurir/dns.h - questions to the DNS.  Service kind "dns"; callable in every role. */
#ifndef KURIR_DNS_H
#define KURIR_DNS_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kurir_dns_type {
	KURIR_DNS_A = 1,
	KURIR_DNS_CNAME = 5,
	KURIR_DNS_PTR = 12,
	KURIR_DNS_MX = 15,
	KURIR_DNS_TXT = 16,
	KURIR_DNS_AAAA = 28,
	KURIR_DNS_TLSA = 52,
};
enum kurir_dns_status {
	KURIR_DNS_FOUND,    /* count > 0 */
	KURIR_DNS_NODATA,   /* the name exists, not with this type */
	KURIR_DNS_NXDOMAIN, /* the name does not exist */
	KURIR_DNS_SERVFAIL, /* no usable answer: try later */
	KURIR_DNS_BOGUS,    /* DNSSEC says forged: try later, never use */
};
struct kurir_dns_record {
	uint16_t preference; /* MX */
	/* A, AAAA: "192.0.2.1"; MX, PTR, CNAME: the name in lower case, no final dot (""
	 * is the root: null MX, RFC 7505); TXT: the strings joined; TLSA: raw rdata */
	struct kurir_str text;
	uint64_t reserved[2];
};
struct kurir_dns_answer {
	enum kurir_dns_status status;
	bool secure;		    /* DNSSEC validated */
	struct kurir_str canonical; /* the name after CNAMEs */
	size_t count;
	const struct kurir_dns_record *records; /* MX sorted by preference */
	/* "MX dua.example = 10 mx.dua.example (insecure, ttl 300)" for explain */
	struct kurir_str summary;
	uint32_t ttl; /* seconds */
	uint64_t reserved[4];
};
struct kurir_dns_ops {
	size_t size;
	/* 0 with *ret filled (also for the bad statuses; its texts are in arena), or -errno:
	 * -EINVAL no name, -EOPNOTSUPP one beyond ASCII that this build cannot ask for. Such a
	 * name (RFC 5890: U-labels) is asked for with its A-labels. */
	int (*lookup)(struct kurir_self *, struct kurir_str name, enum kurir_dns_type, kurir_time,
	    struct kurir_arena *, struct kurir_dns_answer *ret) KURIR_PARKS;
};
/* "192.0.2.1" -> "1.2.0.192.in-addr.arpa" (and ip6.arpa); -EINVAL when it is not an address. */
KURIR_API int kurir_dns_reverse(struct kurir_arena *, struct kurir_str ip, struct kurir_str *ret);

#ifdef __cplusplus
}
#endif
#endif
