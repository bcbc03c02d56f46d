/* dns.c - questions to the DNS: the service "dns" for every role, and the endpoint
 * "dns.lookup" that answers
 * it in the resolver role, the only one that speaks DNS. */
#include "dns_private.h"

#include <errno.h>

static const char *const dns_counters[] = { "asked", "merged", "found", "nodata", "nxdomain",
	"servfail", "bogus", "secure", "timeout", "busy", NULL };

struct dns {
	struct dns_resolver *resolver;
};

static const struct kurir_option dns_options[] = {
	KURIR_OPT_TEXTS("forwarders", struct dns_conf, forwarders, "",
	    "Servers that resolve for us, as address or address@port; none: from the root."),
	KURIR_OPT_MAP("stub-zones", struct dns_conf, stubs, "",
	    "For a zone: the addresses of its own servers, as address or address@port."),
	KURIR_OPT_PATH("root-hints", struct dns_conf, root_hints, "",
	    "A file with the root servers, instead of the built-in list."),
	KURIR_OPT_TEXTS("trust-anchors", struct dns_conf, anchors, "",
	    "DS or DNSKEY records, as in a zone file, that DNSSEC trusts."),
	KURIR_OPT_PATH("trust-anchor-file", struct dns_conf, anchor_file, "",
	    "A file with such records; Debian's is /usr/share/dns/root.key."),
	KURIR_OPT_TEXTS("insecure-zones", struct dns_conf, insecure, "",
	    "Zones that are not validated though they lie below a trust anchor."),
	KURIR_OPT_BOOL("local-zones", struct dns_conf, local_zones, "false",
	    "Answer for private and test zones (RFC 6303, 6761) without asking anybody."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct dns_conf, timeout, "20s", 100,
	    300000, "A question that takes longer is a server failure."),
	KURIR_OPT_RANGE("cache", KURIR_SIZE, uint64_t, struct dns_conf, cache, "16M", 65536,
	    (int64_t)1 << 40, "Memory for answers."),
	KURIR_OPT_RANGE("questions", KURIR_INT, int64_t, struct dns_conf, questions, "4096", 1,
	    1000000, "Different questions that may be under way at once."),
	{ 0 }
};

static void dns_count(struct kurir_self *self, const struct kurir_dns_answer *a)
{
	static const unsigned counters[] = {
		[KURIR_DNS_FOUND] = DNS_FOUND,
		[KURIR_DNS_NODATA] = DNS_NODATA,
		[KURIR_DNS_NXDOMAIN] = DNS_NXDOMAIN,
		[KURIR_DNS_SERVFAIL] = DNS_SERVFAIL,
		[KURIR_DNS_BOGUS] = DNS_BOGUS,
	};

	kurir_count(self, counters[a->status], 1);
	if (a->secure)
		kurir_count(self, DNS_SECURE, 1);
}

/* dns.lookup: text name, u32 type, u64 milliseconds -> answer, see dns_pack.c */
KURIR_PARKS static int dns_called(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	const struct dns_conf *c = kurir_conf(self);
	struct dns *s = kurir_state(self);
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_reader rd = KURIR_READER(in->body);
	struct kurir_str name = kurir_get_text(&rd);
	enum kurir_dns_type type = (enum kurir_dns_type)kurir_get_u32(&rd);
	uint64_t span = kurir_get_u64(&rd);
	struct kurir_dns_answer a;
	struct dns_raw raw;
	int r = rd.error;

	if (r == 0)
		r = dns_ascii(arena, name, &name);
	if (r == 0)
		r = dns_name(arena, name, &name);
	if (r < 0)
		return r;
	if (s->resolver == NULL)
		return -EAGAIN;
	if (span > (uint64_t)c->timeout)
		span = (uint64_t)c->timeout;
	kurir_count(self, DNS_ASKED, 1);
	r = dns_resolver_ask(
	    s->resolver, name, type, kurir_now() + (kurir_time)span, arena, &raw);
	if (r == -ETIMEDOUT) {
		kurir_count(self, DNS_TIMEOUT, 1);
		a = (struct kurir_dns_answer){ .status = KURIR_DNS_SERVFAIL, .canonical = name };
		a.summary = kurir_format(
		    arena, "%s %.*s: no answer in time", dns_type_name(type), KURIR_ARG(name));
	} else if (r < 0) {
		return r;
	} else {
		dns_answer_of(&raw, name, type, arena, &a);
	}
	dns_count(self, &a);
	return dns_put_answer(reply, &a);
}

KURIR_PARKS static int dns_lookup(struct kurir_self *self, struct kurir_str name,
    enum kurir_dns_type type, kurir_time until, struct kurir_arena *arena,
    struct kurir_dns_answer *ret)
{
	struct kurir_buf body = KURIR_BUF(1024);
	struct kurir_request rq = { .endpoint = "dns.lookup", .fd = -1 };
	kurir_time left = until == KURIR_FOREVER ? KURIR_FOREVER : until - kurir_now();
	struct kurir_str reply;
	struct kurir_reader rd;
	int r = left <= 0 ? -ETIMEDOUT : name.len > DNS_NAME_MAX ? -EINVAL : 0;

	if (r == 0)
		r = kurir_put_text(&body, name);
	if (r == 0)
		r = kurir_put_u32(&body, (uint32_t)type);
	if (r == 0)
		r = kurir_put_u64(&body, (uint64_t)left);
	if (r == 0) {
		rq.body = kurir_buf_str(&body);
		r = kurir_call(self, &rq, until, arena, &reply);
	}
	if (r >= 0) {
		rd = KURIR_READER(reply);
		r = dns_get_answer(&rd, arena, ret);
	}
	kurir_buf_free(&body);
	return r;
}

KURIR_PARKS static int dns_start(struct kurir_self *self)
{
	struct dns *s = kurir_state(self);

	return kurir_roles() & KURIR_ROLE_RESOLVER ? dns_resolver_start(self, &s->resolver) : 0;
}

KURIR_PARKS static void dns_stop(struct kurir_self *self)
{
	struct dns *s = kurir_state(self);

	if (s->resolver != NULL)
		dns_resolver_stop(s->resolver);
	s->resolver = NULL;
}

static const struct kurir_dns_ops dns_ops = { sizeof(dns_ops), dns_lookup };
static const struct kurir_endpoint_ops dns_endpoint = { sizeof(dns_endpoint), dns_called, NULL };
static const struct kurir_service dns_services[] = {
	{ .kind = "dns", .name = "dns", .ops = &dns_ops },
	{ .kind = "endpoint",
	    .name = "dns.lookup",
	    .ops = &dns_endpoint,
	    .roles = KURIR_ROLE_RESOLVER },
	{ 0 }
};
static const struct kurir_path dns_paths[] = { { .option = "root-hints",
						   .read = KURIR_ROLE_RESOLVER },
	{ .option = "trust-anchor-file", .read = KURIR_ROLE_RESOLVER }, { 0 } };

KURIR_MODULE(dns, .version = "1", .summary = "The DNS, by libunbound in the resolver role",
    .roles = KURIR_ROLE_ALL, .caps = KURIR_CAP_NET | KURIR_CAP_FILES,
    .conf_size = sizeof(struct dns_conf), .self_size = sizeof(struct dns), .options = dns_options,
    .counters = dns_counters, .services = dns_services, .paths = dns_paths, .start = dns_start,
    .stop = dns_stop);
