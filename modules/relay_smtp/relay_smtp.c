/* relay_smtp.c - the transports "smtp" and "lmtp": a job of the queue goes to its next hop,
 * host by host,
 * until each recipient has a fate or no host is left. */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <kurir/dns.h>

#define HEADER_LOOK 65536

static const char *const relay_counters[] = { "connections", "reused", "unreachable", "tls",
	"tls-failed", "messages", "delivered", "failed", "deferred", "lost", "ambiguous", NULL };

struct relay {
	struct relay_cache *cache;
};

#define SPAN(n, m, p, h) \
	KURIR_OPT_RANGE(n, KURIR_SPAN, kurir_time, struct relay_conf, m, p, 10, 86400000, h)
static const struct kurir_option relay_options[] = {
	KURIR_OPT_TEXT("helo", struct relay_conf, helo, "",
	    "The name this server gives itself; empty: the hostname."),
	KURIR_OPT_TEXT("source", struct relay_conf, source_v4, "",
	    "The IPv4 address that connections come from."),
	KURIR_OPT_TEXT("source-ipv6", struct relay_conf, source_v6, "",
	    "The IPv6 address that connections come from."),
	SPAN("connect-timeout", t_connect, "30s", "To connect to one address."),
	SPAN("greeting-timeout", t_greeting, "5m", "For the greeting."),
	SPAN("helo-timeout", t_helo, "5m", "For the answer to EHLO, HELO or LHLO."),
	SPAN("tls-timeout", t_tls, "2m", "For the answer to STARTTLS, and for the handshake."),
	SPAN("mail-timeout", t_mail, "5m", "For the answers to MAIL, AUTH and RSET."),
	SPAN("rcpt-timeout", t_rcpt, "5m", "For the answer to a RCPT."),
	SPAN("data-timeout", t_data, "2m", "For the answer to DATA."),
	SPAN("block-timeout", t_block, "3m", "For a piece of the message to be taken."),
	SPAN("final-timeout", t_final, "10m", "For the answer to the end of the message."),
	KURIR_OPT_RANGE("idle", KURIR_SPAN, kurir_time, struct relay_conf, idle, "5s", 0, 300000,
	    "How long a connection waits for another message; 0s: not."),
	KURIR_OPT_RANGE("reuse", KURIR_INT, int64_t, struct relay_conf, reuse, "100", 1, 1000000,
	    "Messages over one connection at most."),
	KURIR_OPT_RANGE("connections-idle", KURIR_INT, int64_t, struct relay_conf, cached, "200",
	    0, 100000, "Connections that wait at most."),
	KURIR_OPT_RANGE("pipeline", KURIR_INT, int64_t, struct relay_conf, batch, "100", 1, 1000,
	    "Recipients that are sent together before their answers are read."),
	{ 0 }
};

static bool is_ascii(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 128)
			return false;
	return true;
}

/* SMTPUTF8 was given by the sender; the next host needs it only for addresses or a header that
 * are not ASCII.
 * A header that is too long to look through counts as one. */
static bool relay_needs_utf8(struct relay_task *t)
{
	const struct kurir_envelope *e = &t->job->envelope;
	size_t want = t->body.length < HEADER_LOOK ? (size_t)t->body.length : HEADER_LOOK;
	struct kurir_str header;
	char *p, *end;
	ssize_t n;

	if (!is_ascii(e->sender))
		return true;
	for (size_t i = 0; i < e->count; i++)
		if (!is_ascii(e->recipients[i].address))
			return true;
	if (!(e->flags & KURIR_ENV_UTF8))
		return false;
	p = kurir_alloc(t->arena, want + 1);
	n = pread(t->body.fd, p, want, (off_t)t->body.offset);
	if (n < 0 || (size_t)n < want)
		return true;
	end = memmem(p, want, "\r\n\r\n", 4);
	if (end == NULL && t->body.length > want)
		return true;
	header = (struct kurir_str){ p, end != NULL ? (size_t)(end - p) : want };
	return !is_ascii(header);
}

static bool relay_undecided(const struct relay_task *t)
{
	for (size_t i = 0; i < t->job->envelope.count; i++)
		if (t->results[i].fate == 0)
			return true;
	return false;
}

static void relay_attempt(struct relay_task *t, struct kurir_str remote,
    const struct relay_conn *c, struct kurir_str outcome)
{
	struct kurir_arena *arena = t->arena;

	KURIR_EMIT(t->self, KURIR_INFO, "attempt", { "id", t->job->envelope.id },
	    { "destination", t->job->destination }, { "remote", remote },
	    { "recipients", kurir_format(arena, "%zu", t->job->envelope.count) },
	    { "attempt", kurir_format(arena, "%u", t->job->attempt) },
	    { "tls", c != NULL && c->tls.len > 0 ? c->tls : KURIR_STR("none") },
	    { "verified", c != NULL && c->secure ? KURIR_STR("yes") : KURIR_STR("no") },
	    { "result", outcome });
}

static struct kurir_str relay_outcome(struct relay_task *t, int r)
{
	const struct kurir_result *o = &t->trouble.result;

	if (r == 1 && !relay_undecided(t))
		return KURIR_STR("done");
	if (!t->trouble.seen)
		return KURIR_STR("failed");
	return kurir_format(t->arena, "%u %.*s %.*s", o->code, KURIR_ARG(o->xyz),
	    o->text.len > 200 ? 200 : (int)o->text.len, o->text.ptr);
}

/* One host: a waiting connection first, else a new one.  -ECANCELED, or 0. */
KURIR_PARKS static int relay_host(struct relay_task *t, struct relay_cache *cache,
    struct kurir_str address, struct kurir_str name)
{
	struct kurir_str key = relay_conn_key(t, t->arena, address, name);
	struct relay_conn *c = relay_cache_take(cache, key);
	int r = 0;

	if (c != NULL) {
		kurir_count(t->self, RELAY_REUSED, 1);
		r = relay_transact(t, c);
		if (r == 0) {
			relay_free(c);
			c = NULL;
		}
	}
	if (c == NULL) {
		r = relay_open(t, address, name, &c);
		if (r < 0) {
			t->hosts_tried++;
			if (r != -ECANCELED)
				relay_attempt(
				    t, t->trouble.result.remote, NULL, relay_outcome(t, r));
			return r == -ECANCELED ? r : 0;
		}
		r = relay_transact(t, c);
	}
	t->hosts_tried++;
	t->hosts_refused = 0;
	relay_attempt(t, c->remote, c, relay_outcome(t, r));
	if (r == -ECANCELED) {
		relay_free(c);
		return r;
	}
	if (r == 1)
		relay_cache_put(cache, c);
	else
		relay_free(c);
	return 0;
}

/* "192.0.2.1" -> itself with the port; false: a name. */
static bool relay_ip(
    struct kurir_arena *arena, struct kurir_str name, uint16_t port, struct kurir_str *ret)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char a[16];

	if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
		name = kurir_str_part(name, 1, name.len - 2);
	if (name.len == 0 || name.len >= sizeof(text))
		return false;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (inet_pton(AF_INET, text, a) == 1)
		*ret = kurir_format(arena, "%s:%u", text, port);
	else if (inet_pton(AF_INET6, text, a) == 1)
		*ret = kurir_format(arena, "[%s]:%u", text, port);
	else
		return false;
	return true;
}

/* The addresses of a hop that has only a name.  0, or -ECANCELED; what failed is noted. */
KURIR_PARKS static int relay_look_up(struct relay_task *t, struct kurir_texts *ret)
{
	static const enum kurir_dns_type types[2] = { KURIR_DNS_AAAA, KURIR_DNS_A };
	const struct kurir_next_hop *h = t->hop;
	struct kurir_self *owner = NULL;
	const struct kurir_dns_ops *dns = kurir_service_find("dns", NULL, &owner);
	struct kurir_str *items = kurir_alloc(t->arena, 32 * sizeof(*items));
	bool trouble = false;
	size_t n = 0;

	if (kurir_str_starts(h->name, KURIR_STR("unix:")) ||
	    relay_ip(t->arena, h->name, h->port, &items[0])) {
		if (items[0].len == 0)
			items[0] = h->name;
		*ret = (struct kurir_texts){ 1, items };
		return 0;
	}
	if (dns == NULL) {
		relay_note(
		    t, h->name, NULL, "4.3.5", "no module answers DNS questions here", true);
		return 0;
	}
	for (unsigned k = 0; k < 2; k++) {
		struct kurir_dns_answer a;
		int r = dns->lookup(owner, h->name, types[k], kurir_now() + 30000, t->arena, &a);

		if (r == -ECANCELED)
			return r;
		if (r < 0 || a.status == KURIR_DNS_SERVFAIL || a.status == KURIR_DNS_BOGUS) {
			trouble = true;
			continue;
		}
		for (size_t i = 0; i < a.count && n < 32; i++)
			(void)relay_ip(t->arena, a.records[i].text, h->port, &items[n++]);
	}
	if (n == 0)
		relay_note(t, h->name, NULL, trouble ? "4.4.3" : "4.4.4",
		    trouble ? "the host's address cannot be looked up now"
			    : "the host has no address",
		    true);
	*ret = (struct kurir_texts){ n, items };
	return 0;
}

/* What is left undecided gets the last trouble's words. */
static void relay_settle(struct relay_task *t)
{
	struct kurir_result last = t->trouble.result;

	if (!t->trouble.seen)
		last = (struct kurir_result){ .fate = KURIR_FATE_DEFERRED,
			.xyz = KURIR_STR("4.4.1"),
			.text = KURIR_STR("no host could be tried"),
			.remote = t->job->destination,
			.site = true };
	/* Every host refused to talk to us at all (RFC 7504), or was ourselves. */
	if (t->hosts_tried > 0 && t->hosts_refused >= t->hosts_tried) {
		last.fate = KURIR_FATE_FAILED;
		if (last.code >= 500)
			last.xyz = KURIR_STR("5.3.2");
	}
	for (size_t i = 0; i < t->job->envelope.count; i++) {
		if (t->results[i].fate != 0)
			continue;
		t->results[i] = last;
		kurir_count(
		    t->self, last.fate == KURIR_FATE_FAILED ? RELAY_FAILED : RELAY_DEFERRED, 1);
	}
}

KURIR_PARKS static int relay_run(struct relay_task *t, struct relay_cache *cache)
{
	struct kurir_texts hosts = t->hop->addresses;
	int r = 0;

	t->need_utf8 = relay_needs_utf8(t);
	if (hosts.count == 0)
		r = relay_look_up(t, &hosts);
	for (size_t i = 0; r == 0 && i < hosts.count && relay_undecided(t); i++)
		r = relay_host(t, cache, hosts.items[i],
		    t->hop->names.count == hosts.count ? t->hop->names.items[i] : t->hop->name);
	if (r == 0)
		relay_settle(t);
	return r;
}

/* transport.smtp, transport.lmtp: a job -> its results */
KURIR_PARKS static int relay_job(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply, bool lmtp)
{
	struct relay *s = kurir_state(self);
	struct kurir_self *queue_owner = NULL;
	const struct kurir_queue_ops *queue = kurir_service_find("queue", NULL, &queue_owner);
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_reader rd = KURIR_READER(in->body), hop_rd;
	struct kurir_next_hop hop;
	struct kurir_job job;
	struct relay_task t = {
		.self = self, .conf = kurir_conf(self), .arena = arena, .lmtp = lmtp
	};
	int r = kurir_get_job(&rd, arena, &job);

	if (r < 0)
		return r;
	hop_rd = KURIR_READER(job.parameters);
	r = kurir_get_next_hop(&hop_rd, arena, &hop);
	if (r < 0)
		return r;
	if (queue == NULL)
		return -ENOENT;
	r = queue->open(queue_owner, job.ref, &t.body);
	if (r < 0)
		return r;
	t.job = &job;
	t.hop = &hop;
	t.results = kurir_alloc(arena, (job.envelope.count + 1) * sizeof(*t.results));
	r = relay_run(&t, s->cache);
	close(t.body.fd);
	if (r == 0)
		r = kurir_put_results(reply, t.results, job.envelope.count);
	return r;
}

KURIR_PARKS static int relay_smtp_called(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	return relay_job(self, in, reply, false);
}

KURIR_PARKS static int relay_lmtp_called(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	return relay_job(self, in, reply, true);
}

static int relay_start(struct kurir_self *self)
{
	struct relay *s = kurir_state(self);

	s->cache = relay_cache_new(self);
	return s->cache != NULL ? 0 : -ENOMEM;
}

static void relay_stop(struct kurir_self *self)
{
	struct relay *s = kurir_state(self);

	if (s->cache != NULL)
		relay_cache_end(s->cache);
	s->cache = NULL;
}

static const struct kurir_endpoint_ops relay_smtp_ops = { sizeof(relay_smtp_ops),
	relay_smtp_called, NULL };
static const struct kurir_endpoint_ops relay_lmtp_ops = { sizeof(relay_lmtp_ops),
	relay_lmtp_called, NULL };
static const struct kurir_service relay_services[] = { { .kind = "endpoint",
							   .name = "transport.smtp",
							   .ops = &relay_smtp_ops,
							   .roles = KURIR_ROLE_RELAY },
	{ .kind = "endpoint",
	    .name = "transport.lmtp",
	    .ops = &relay_lmtp_ops,
	    .roles = KURIR_ROLE_RELAY },
	{ 0 } };
static const char *const relay_needs[] = { "queue", NULL };

KURIR_MODULE(relay_smtp, .version = "1",
    .summary = "Sends mail to other servers by SMTP and LMTP", .roles = KURIR_ROLE_RELAY,
    .caps = KURIR_CAP_NET | KURIR_CAP_SPAWN, .conf_size = sizeof(struct relay_conf),
    .self_size = sizeof(struct relay), .options = relay_options, .counters = relay_counters,
    .needs = relay_needs, .services = relay_services, .start = relay_start, .stop = relay_stop);
