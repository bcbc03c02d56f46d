/* route_dns.c - the way to a domain by the DNS: MX, A, AAAA (RFC 5321 5.1), null MX (RFC 7505)
 * and, where DNSSEC
 * says so, TLSA (RFC 7672).  A service "route"; what it found out goes to the transport
 * "smtp". */
#include "route_dns.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define MX_MAX 128

enum {
	COUNT_ROUTED,
	COUNT_IMPLICIT,
	COUNT_LITERAL,
	COUNT_NULL_MX,
	COUNT_FAILED,
	COUNT_LATER,
	COUNT_LOOP,
	COUNT_DANE
};
static const char *const route_dns_counters[] = { "routed", "implicit", "literal", "null-mx",
	"failed", "later", "loop", "dane", NULL };
static const char *const tls_choices[] = { "may", "never", "must", "verify", NULL };
static const char *const ip_choices[] = { "both", "ipv4", "ipv6", NULL };

struct route_dns {
	uint64_t salt; /* so that servers do not all prefer the same host */
	struct kurir_texts own;
};

/* One question of the queue on its way. */
struct route_walk {
	struct kurir_self *self, *dns_owner;
	const struct route_dns_conf *conf;
	const struct kurir_dns_ops *dns;
	struct kurir_arena *arena;
	kurir_time until;
	struct kurir_str domain;
	struct kurir_buf why;
	struct route_host *hosts;
	size_t host_count;
	bool mx_secure, implicit, trouble, bogus;
	struct kurir_str *addresses, *names, *tlsa, *tlsa_names;
	size_t address_count, tlsa_count;
};

static const struct kurir_option route_dns_options[] = {
	KURIR_OPT_RANGE("port", KURIR_INT, int64_t, struct route_dns_conf, port, "25", 1, 65535,
	    "The port of the mail hosts."),
	KURIR_OPT_CHOICE("tls", struct route_dns_conf, tls, tls_choices, "may",
	    "Encryption where DANE does not ask for it: if offered, never, always, or with a "
	    "trusted certificate."),
	KURIR_OPT_BOOL("dane", struct route_dns_conf, dane, "true",
	    "Use TLSA records where DNSSEC has validated the way to them."),
	KURIR_OPT_CHOICE("ip", struct route_dns_conf, ip, ip_choices, "both",
	    "Which addresses of a mail host to try."),
	KURIR_OPT_TEXTS("own", struct route_dns_conf, own, "",
	    "Names and addresses of this server beside its hostname, to see loops by."),
	KURIR_OPT_RANGE("hosts", KURIR_INT, int64_t, struct route_dns_conf, hosts, "8", 1, 64,
	    "Mail hosts of a domain to try at most."),
	KURIR_OPT_RANGE("addresses", KURIR_INT, int64_t, struct route_dns_conf, addresses, "16",
	    1, 128, "Addresses of a domain to try at most."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct route_dns_conf, timeout, "45s",
	    100, 600000, "All questions for one recipient together."),
	{ 0 }
};

static int settle(struct route_walk *w, struct kurir_route *ret, enum kurir_route_kind kind,
    const char *xyz, const char *text)
{
	static const struct kurir_route zero;

	*ret = zero;
	ret->kind = kind;
	ret->xyz = kurir_str_of(xyz);
	ret->text = kurir_format(w->arena, "%.*s: %s", KURIR_ARG(w->domain), text);
	ret->why = kurir_copy(w->arena, kurir_buf_str(&w->why));
	kurir_count(w->self, kind == KURIR_ROUTE_FAIL ? COUNT_FAILED : COUNT_LATER, 1);
	return 0;
}

/* Remembers the answer for "explain"; 0 or -errno when there was none. */
KURIR_PARKS static int look_up(struct route_walk *w, struct kurir_str name,
    enum kurir_dns_type type, struct kurir_dns_answer *ret)
{
	int r = w->dns->lookup(w->dns_owner, name, type, w->until, w->arena, ret);

	if (r == 0)
		(void)kurir_buf_printf(
		    &w->why, "%s%.*s", w->why.len > 0 ? "; " : "", KURIR_ARG(ret->summary));
	return r;
}

static bool own(const struct route_dns *s, struct kurir_str name)
{
	for (size_t i = 0; i < s->own.count; i++)
		if (kurir_str_equal_nocase(s->own.items[i], name))
			return true;
	return false;
}

static void add_address(struct route_walk *w, struct kurir_str ip, struct kurir_str name)
{
	if (w->address_count >= (size_t)w->conf->addresses)
		return;
	w->addresses[w->address_count] = route_address(w->arena, ip, (uint16_t)w->conf->port);
	w->names[w->address_count++] = name;
}

/* The TLSA records of a host whose address is secure.  0, or -EAGAIN: the host must not be
 * used now. */
KURIR_PARKS static int add_tlsa(struct route_walk *w, struct kurir_str name)
{
	struct kurir_str question =
	    kurir_format(w->arena, "_%d._tcp.%.*s", (int)w->conf->port, KURIR_ARG(name));
	struct kurir_dns_answer a;
	size_t before = w->tlsa_count;
	int r = look_up(w, question, KURIR_DNS_TLSA, &a);

	if (r < 0)
		return r;
	if (a.status == KURIR_DNS_SERVFAIL || a.status == KURIR_DNS_BOGUS)
		return -EAGAIN;
	if (a.status != KURIR_DNS_FOUND || !a.secure)
		return 0;
	for (size_t i = 0; i < a.count && w->tlsa_count < MX_MAX; i++) {
		if (!route_tlsa_usable(a.records[i].text))
			continue;
		w->tlsa[w->tlsa_count] = a.records[i].text;
		w->tlsa_names[w->tlsa_count++] = name;
	}
	/* RFC 7672 2.2: records, but none to use: encrypt all the same. */
	if (w->tlsa_count == before && w->tlsa_count < MX_MAX) {
		w->tlsa[w->tlsa_count] = KURIR_STR("");
		w->tlsa_names[w->tlsa_count++] = name;
	}
	return 0;
}

#define HOST_ADDRESSES 16
struct route_found {
	struct kurir_str items[HOST_ADDRESSES];
	size_t count;
};

/* The addresses of one family.  0 also when there are none; -errno: cancelled or out of time. */
KURIR_PARKS static int find_addresses(struct route_walk *w, struct kurir_str name,
    enum kurir_dns_type type, struct route_found *f, bool *secure)
{
	struct kurir_dns_answer a;
	int r = look_up(w, name, type, &a);

	if (r == -ECANCELED || r == -ETIMEDOUT)
		return r;
	if (r < 0 || a.status == KURIR_DNS_SERVFAIL || a.status == KURIR_DNS_BOGUS) {
		w->trouble = w->trouble || r != -EINVAL;
		w->bogus = w->bogus || (r == 0 && a.status == KURIR_DNS_BOGUS);
		return 0;
	}
	if (a.count > 0)
		*secure = *secure && a.secure;
	while (f->count < a.count && f->count < HOST_ADDRESSES) {
		f->items[f->count] = a.records[f->count].text;
		f->count++;
	}
	return 0;
}

/* The addresses of one mail host, and what it must prove.  0 also when it cannot be used. */
KURIR_PARKS static int add_host(struct route_walk *w, struct kurir_str name)
{
	struct route_found six = { .count = 0 }, four = { .count = 0 };
	struct kurir_str *order;
	bool secure = true;
	size_t all;
	int r = 0;

	if (w->conf->ip != ROUTE_IP_V4)
		r = find_addresses(w, name, KURIR_DNS_AAAA, &six, &secure);
	if (r == 0 && w->conf->ip != ROUTE_IP_V6)
		r = find_addresses(w, name, KURIR_DNS_A, &four, &secure);
	if (r < 0 || six.count + four.count == 0)
		return r;
	if (w->conf->dane && w->mx_secure && secure) {
		r = add_tlsa(w, name);
		if (r == -ECANCELED || r == -ETIMEDOUT)
			return r;
		if (r < 0) {
			w->trouble = true;
			return 0;
		}
	}
	order = kurir_alloc(w->arena, (six.count + four.count) * sizeof(*order));
	all = route_interleave(six.items, six.count, four.items, four.count, order);
	for (size_t i = 0; i < all; i++)
		add_address(w, order[i], name);
	return 0;
}

static void set_hosts(struct route_walk *w, const struct kurir_dns_answer *mx)
{
	const struct route_dns *s = kurir_state(w->self);
	/* The same order for a minute: recipients of one domain then share their parameters. */
	uint64_t seed[2] = { s->salt, (uint64_t)(kurir_now() / 60000) };

	w->mx_secure = mx->secure;
	w->hosts = kurir_alloc(w->arena, (mx->count + 1) * sizeof(*w->hosts));
	for (size_t i = 0; i < mx->count; i++)
		if (mx->records[i].text.len > 0)
			w->hosts[w->host_count++] =
			    (struct route_host){ .name = mx->records[i].text,
				    .preference = mx->records[i].preference };
	if (mx->status == KURIR_DNS_NODATA) {
		/* A domain beyond ASCII is known to TLS and to the host by its A-labels. */
		bool ascii = route_is_ascii(w->domain) || mx->canonical.len == 0;

		w->hosts[w->host_count++] =
		    (struct route_host){ .name = ascii ? w->domain : mx->canonical };
		w->implicit = true;
	}
	route_hosts_sort(
	    w->hosts, w->host_count, (struct kurir_str){ (const char *)seed, sizeof(seed) });
}

static int finish(struct route_walk *w, struct kurir_str destination, struct kurir_route *ret)
{
	static const struct kurir_route zero;
	static const uint8_t policy[] = { KURIR_HOP_MAY, KURIR_HOP_NEVER, KURIR_HOP_MUST,
		KURIR_HOP_VERIFY };
	struct kurir_buf b = KURIR_BUF(65536);
	struct kurir_next_hop hop = {
		.addresses = { w->address_count, w->addresses },
		.names = { w->address_count, w->names },
		.name = w->domain,
		.port = (uint16_t)w->conf->port,
		.tls = policy[w->conf->tls],
		.user = KURIR_STR(""),
		.password = KURIR_STR(""),
		.tlsa = { w->tlsa_count, w->tlsa },
		.tlsa_names = { w->tlsa_count, w->tlsa_names },
	};
	int r;

	if (w->tlsa_count > 0 && hop.tls == KURIR_HOP_MAY) {
		hop.tls = KURIR_HOP_DANE;
		kurir_count(w->self, COUNT_DANE, 1);
	}
	r = kurir_put_next_hop(&b, &hop);
	if (r == 0) {
		*ret = zero;
		ret->kind = KURIR_ROUTE_TO;
		ret->transport = KURIR_STR("smtp");
		ret->destination = destination;
		ret->parameters = kurir_copy(w->arena, kurir_buf_str(&b));
		ret->why = kurir_copy(w->arena, kurir_buf_str(&w->why));
		ret->xyz = ret->text = KURIR_STR("");
		kurir_count(w->self, COUNT_ROUTED, 1);
	}
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS static int walk_addresses(struct route_walk *w, struct kurir_route *ret)
{
	const struct route_dns *s = kurir_state(w->self);
	size_t usable = route_hosts_before_self(w->hosts, w->host_count, &s->own);

	if (usable == 0 && w->host_count > 0) {
		kurir_count(w->self, COUNT_LOOP, 1);
		return settle(w, ret, KURIR_ROUTE_FAIL, "5.4.6",
		    "its mail host is this server, which does not know the domain");
	}
	for (size_t i = 0; i < usable && i < (size_t)w->conf->hosts; i++) {
		size_t before = w->address_count;
		int r = add_host(w, w->hosts[i].name);

		if (r == -ECANCELED)
			return r;
		if (r < 0) {
			w->trouble = true;
			break;
		}
		for (size_t k = before; k < w->address_count; k++) {
			ssize_t end = kurir_str_find_last(w->addresses[k], ':');
			struct kurir_str ip = kurir_str_part(w->addresses[k], 0, (size_t)end);

			if (ip.len > 2 && ip.ptr[0] == '[')
				ip = kurir_str_part(ip, 1, ip.len - 2);
			if (!own(s, ip))
				continue;
			/* This host, and those as good or worse, are ourselves. */
			w->address_count = before;
			usable = i;
			if (w->address_count == 0) {
				kurir_count(w->self, COUNT_LOOP, 1);
				return settle(w, ret, KURIR_ROUTE_FAIL, "5.4.6",
				    "its mail host is this server, which does not know the domain");
			}
		}
	}
	if (w->address_count == 0 && w->trouble)
		return settle(w, ret, KURIR_ROUTE_LATER, w->bogus ? "4.7.0" : "4.4.3",
		    w->bogus ? "DNSSEC validation of its mail hosts fails"
			     : "the addresses of its mail hosts cannot be looked up now");
	if (w->address_count == 0)
		return settle(w, ret, KURIR_ROUTE_FAIL, w->implicit ? "5.1.2" : "5.4.4",
		    w->implicit ? "the domain has neither mail hosts nor an address"
				: "its mail hosts have no address");
	if (w->implicit)
		kurir_count(w->self, COUNT_IMPLICIT, 1);
	return finish(
	    w, route_site(w->arena, w->hosts, w->host_count, (uint16_t)w->conf->port), ret);
}

KURIR_PARKS static int walk_domain(struct route_walk *w, struct kurir_route *ret)
{
	struct kurir_dns_answer mx;
	int r = look_up(w, w->domain, KURIR_DNS_MX, &mx);

	if (r == -EINVAL)
		return settle(w, ret, KURIR_ROUTE_FAIL, "5.1.2", "not the name of a domain");
	if (r == -EOPNOTSUPP)
		return settle(w, ret, KURIR_ROUTE_FAIL, "5.1.2",
		    "this server cannot look up names beyond ASCII (built without libidn2)");
	if (r == -ECANCELED)
		return r;
	if (r < 0)
		return settle(
		    w, ret, KURIR_ROUTE_LATER, "4.4.3", "no answer from the DNS in time");
	switch (mx.status) {
	case KURIR_DNS_NXDOMAIN:
		return settle(w, ret, KURIR_ROUTE_FAIL, "5.1.2", "the domain does not exist");
	case KURIR_DNS_SERVFAIL:
		return settle(w, ret, KURIR_ROUTE_LATER, "4.4.3",
		    "its name servers do not answer properly");
	case KURIR_DNS_BOGUS:
		return settle(
		    w, ret, KURIR_ROUTE_LATER, "4.7.0", "DNSSEC validation of the domain fails");
	case KURIR_DNS_FOUND:
	case KURIR_DNS_NODATA:
		break;
	}
	set_hosts(w, &mx);
	if (w->host_count == 0) {
		kurir_count(w->self, COUNT_NULL_MX, 1);
		return settle(
		    w, ret, KURIR_ROUTE_FAIL, "5.1.10", "the domain accepts no mail (null MX)");
	}
	return walk_addresses(w, ret);
}

static int walk_literal(struct route_walk *w, struct kurir_str ip, struct kurir_route *ret)
{
	const struct route_dns *s = kurir_state(w->self);

	if (own(s, ip)) {
		kurir_count(w->self, COUNT_LOOP, 1);
		return settle(
		    w, ret, KURIR_ROUTE_FAIL, "5.4.6", "this server does not know the domain");
	}
	kurir_count(w->self, COUNT_LITERAL, 1);
	add_address(w, ip, w->domain);
	(void)kurir_buf_printf(&w->why, "address literal");
	return finish(w, w->addresses[0], ret);
}

KURIR_PARKS static int route_dns_route(struct kurir_self *self, struct kurir_str address,
    kurir_time until, struct kurir_arena *arena, struct kurir_route *ret)
{
	const struct route_dns_conf *c = kurir_conf(self);
	struct route_walk w = { .self = self, .conf = c, .arena = arena, .why = KURIR_BUF(4000) };
	ssize_t at = kurir_str_find_last(address, '@');
	kurir_time mine = kurir_now() + c->timeout;
	struct kurir_str ip;
	int r;

	if (at < 0 || (size_t)at + 1 == address.len) {
		ret->kind = KURIR_ROUTE_NONE;
		return 0;
	}
	w.until = until < mine ? until : mine;
	w.domain = kurir_lower(arena, kurir_str_part(address, (size_t)at + 1, address.len));
	w.addresses = kurir_alloc(arena, (size_t)c->addresses * sizeof(*w.addresses));
	w.names = kurir_alloc(arena, (size_t)c->addresses * sizeof(*w.names));
	w.tlsa = kurir_alloc(arena, MX_MAX * sizeof(*w.tlsa));
	w.tlsa_names = kurir_alloc(arena, MX_MAX * sizeof(*w.tlsa_names));
	w.dns = kurir_service_find("dns", NULL, &w.dns_owner);
	if (route_literal(arena, w.domain, &ip) == 0)
		r = walk_literal(&w, ip, ret);
	else if (w.domain.ptr[0] == '[')
		r = settle(&w, ret, KURIR_ROUTE_FAIL, "5.1.2", "not an address literal");
	else if (w.dns == NULL)
		r = settle(
		    &w, ret, KURIR_ROUTE_LATER, "4.3.5", "no module answers DNS questions here");
	else
		r = walk_domain(&w, ret);
	kurir_buf_free(&w.why);
	return r;
}

static int route_dns_start(struct kurir_self *self)
{
	const struct route_dns_conf *c = kurir_conf(self);
	struct route_dns *s = kurir_state(self);
	struct kurir_arena *arena = kurir_self_arena(self);
	struct kurir_str *items = kurir_alloc(arena, (c->own.count + 1) * sizeof(*items));

	if (getrandom(&s->salt, sizeof(s->salt), 0) != (ssize_t)sizeof(s->salt))
		s->salt = (uint64_t)kurir_wallclock();
	if (c->own.count > 0)
		memcpy(items, c->own.items, c->own.count * sizeof(*items));
	items[c->own.count] = kurir_copy(arena, kurir_hostname());
	s->own = (struct kurir_texts){ c->own.count + 1, items };
	return 0;
}

static const struct kurir_route_ops route_dns_ops = { sizeof(route_dns_ops), route_dns_route };
static const struct kurir_service route_dns_services[] = {
	{ .kind = "route", .name = "route_dns", .ops = &route_dns_ops }, { 0 }
};
static const char *const route_dns_needs[] = { "dns", NULL };

KURIR_MODULE(route_dns, .version = "1", .summary = "The way to a domain by the DNS",
    .roles = KURIR_ROLE_QUEUE, .conf_size = sizeof(struct route_dns_conf),
    .self_size = sizeof(struct route_dns), .options = route_dns_options,
    .counters = route_dns_counters, .needs = route_dns_needs, .services = route_dns_services,
    .start = route_dns_start);
