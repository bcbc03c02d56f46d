/* dns_private.h - the parts of the module: packets, packing, and libunbound on the loop. */
#ifndef DNS_PRIVATE_H
#define DNS_PRIVATE_H

#include <kurir/call.h>
#include <kurir/dns.h>

#define DNS_RECORDS_MAX 128
#define DNS_NAME_MAX	255

struct dns_conf {
	struct kurir_texts forwarders, anchors, insecure;
	struct kurir_map stubs;
	struct kurir_str root_hints, anchor_file;
	bool local_zones;
	kurir_time timeout;
	uint64_t cache;
	int64_t questions;
};

/* How an answer came back from libunbound. */
struct dns_raw {
	struct kurir_str packet; /* may be empty */
	int rcode;
	bool secure, bogus;
	struct kurir_str why; /* bogus */
};

/* packet.c: no I/O, any bytes.  name as asked; texts of *ret are in arena. */
void dns_answer_of(const struct dns_raw *, struct kurir_str name, enum kurir_dns_type,
    struct kurir_arena *, struct kurir_dns_answer *ret);
/* "Mx.Dua.Example." -> "mx.dua.example"; -EINVAL: not a name that can be asked for. */
int dns_name(struct kurir_arena *, struct kurir_str, struct kurir_str *ret);
/* idn.c: a name with U-labels -> with A-labels; others stay.  -EINVAL: it cannot be one;
 * -EOPNOTSUPP: built without libidn2. */
int dns_ascii(struct kurir_arena *, struct kurir_str, struct kurir_str *ret);
const char *dns_type_name(enum kurir_dns_type);

/* pack.c: between roles.  -EBADMSG; texts are borrowed from the input. */
int dns_put_answer(struct kurir_buf *, const struct kurir_dns_answer *);
int dns_get_answer(struct kurir_reader *, struct kurir_arena *, struct kurir_dns_answer *ret);

/* resolver.c: libunbound, in the resolver role.  Every call into it is made on the loop's own
 * stack. */
struct dns_resolver;
int dns_resolver_start(struct kurir_self *, struct dns_resolver **ret) KURIR_PARKS;
void dns_resolver_stop(struct dns_resolver *) KURIR_PARKS;
/* 0 with *ret in arena; -ETIMEDOUT, -ECANCELED, -EAGAIN too many questions. */
int dns_resolver_ask(struct dns_resolver *, struct kurir_str name, enum kurir_dns_type,
    kurir_time, struct kurir_arena *, struct dns_raw *ret) KURIR_PARKS;

enum dns_counter {
	DNS_ASKED,
	DNS_MERGED,
	DNS_FOUND,
	DNS_NODATA,
	DNS_NXDOMAIN,
	DNS_SERVFAIL,
	DNS_BOGUS,
	DNS_SECURE,
	DNS_TIMEOUT,
	DNS_BUSY,
};

#endif
