/* dnsbl.c - asks lists in the DNS about a client, and adds up what they say (RFC 5782).
 *
 * All lists are asked at once when a stranger names its first sender; what came of it is kept for
 * the connection.  Recipients are refused, and postmaster is not one of them. */
#include "dnsbl.h"

#include <kurir/dns.h>
#include <kurir/network.h>
#include <kurir/session.h>
#include <kurir/smtp.h>

#include <errno.h>
#include <stdio.h>

enum { COUNT_ASKED, COUNT_LISTED, COUNT_FAILED, COUNT_REJECTED, COUNT_DEFERRED, COUNT_MARKED };
static const char *const counters[] = { "asked", "listed", "failed", "rejected", "deferred",
	"marked", NULL };

struct conf {
	struct kurir_map lists;
	struct kurir_texts exempt;
	int64_t reject, defer, mark;
	struct kurir_str header;
	kurir_time timeout;
};
struct state {
	struct dnsbl_list *lists;
	struct kurir_networks exempt;
};
struct conn { /* what is known of a client */
	bool asked;
	int score;
	struct kurir_str found; /* "bl.example=5 wl.example=-2", or empty */
	struct kurir_str worst; /* the zone with the highest score */
	struct kurir_str why;	/* its words, or empty */
};

static const struct kurir_option options[] = {
	KURIR_OPT_MAP("lists", struct conf, lists, NULL,
	    "Domains of lists, and what their answers are worth; below 0 for lists of good hosts."),
	KURIR_OPT_RANGE("reject", KURIR_INT, int64_t, struct conf, reject, "5", 0,
	    DNSBL_SCORE_MAX, "The score from which recipients are refused for good; 0: never."),
	KURIR_OPT_RANGE("defer", KURIR_INT, int64_t, struct conf, defer, "0", 0, DNSBL_SCORE_MAX,
	    "The score from which recipients are refused for now; 0: never."),
	KURIR_OPT_RANGE("mark", KURIR_INT, int64_t, struct conf, mark, "1", 0, DNSBL_SCORE_MAX,
	    "The score from which a message gets a header field; 0: never."),
	KURIR_OPT_TEXT("header", struct conf, header, "X-DNSBL", "The name of that field."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "5s", 100, 25000,
	    "How long the lists have to answer; who does not is not counted."),
	KURIR_OPT_TEXTS(
	    "exempt", struct conf, exempt, "", "Networks whose hosts are not asked about."),
	{ 0 },
};

/* One list that is being asked. */
struct question {
	struct kurir_self *self;
	const struct dnsbl_list *list;
	struct kurir_str name;
	kurir_time until;
	struct kurir_arena *arena;
	int score, error;
	bool listed;
};

KURIR_PARKS static int lookup(
    struct question *q, enum kurir_dns_type type, struct kurir_dns_answer *ret)
{
	struct kurir_self *owner;
	const struct kurir_dns_ops *dns = kurir_service_find("dns", NULL, &owner);

	if (dns == NULL)
		return -ENOSYS;
	return dns->lookup(owner, q->name, type, q->until, q->arena, ret);
}

/* On a fiber of its own. */
KURIR_PARKS static void ask(void *arg)
{
	struct question *q = arg;
	bool *matched = kurir_alloc(q->arena, q->list->count * sizeof(*matched));
	struct kurir_dns_answer a;
	size_t i;

	q->error = lookup(q, KURIR_DNS_A, &a);
	if (q->error < 0)
		return;
	if (a.status == KURIR_DNS_SERVFAIL || a.status == KURIR_DNS_BOGUS)
		q->error = -EAGAIN;
	for (i = 0; a.status == KURIR_DNS_FOUND && i < a.count; i++)
		switch (dnsbl_score(q->list, a.records[i].text, matched, &q->score)) {
		case DNSBL_LISTED:
			q->listed = true;
			break;
		case DNSBL_REFUSED:
			q->error = -EACCES;
			break;
		case DNSBL_STRANGE:
			q->error = -EBADMSG;
			break;
		}
}

static const char *trouble(int error)
{
	switch (error) {
	case -EACCES:
		return "the list refuses to answer this resolver";
	case -EBADMSG:
		return "the answer is not in 127.0.0.0/8: is the list gone?";
	case -ETIMEDOUT:
		return "no answer in time";
	default:
		return "no answer";
	}
}

/* The sum of all answers; texts are in the connection's arena. */
static void add_up(struct kurir_self *self, struct kurir_conn *conn, const struct question *qs,
    size_t n, struct conn *ret)
{
	struct kurir_arena *arena = kurir_conn_arena(conn);
	int worst = 0;

	ret->found = ret->worst = ret->why = KURIR_STR("");
	for (size_t i = 0; i < n; i++) {
		const struct question *q = &qs[i];

		if (q->error < 0) {
			kurir_count(self, COUNT_FAILED, 1);
			(void)kurir_log(self, KURIR_NOTICE, 0, "%.*s says nothing of %.*s: %s",
			    KURIR_ARG(q->list->zone), KURIR_ARG(kurir_conn_peer(conn)),
			    trouble(q->error));
			continue;
		}
		if (!q->listed)
			continue;
		ret->score += q->score;
		ret->found = kurir_format(arena, "%.*s%s%.*s=%d", KURIR_ARG(ret->found),
		    ret->found.len > 0 ? " " : "", KURIR_ARG(q->list->zone), q->score);
		if (q->score > worst) {
			worst = q->score;
			ret->worst = q->list->zone;
		}
	}
}

/* RFC 5782 2.1: the TXT record says why. */
KURIR_PARKS static struct kurir_str reason(
    struct kurir_conn *conn, struct question *qs, size_t n, struct kurir_str zone)
{
	struct kurir_dns_answer a;

	for (size_t i = 0; i < n; i++)
		if (kurir_str_equal(qs[i].list->zone, zone) &&
		    lookup(&qs[i], KURIR_DNS_TXT, &a) == 0 && a.status == KURIR_DNS_FOUND)
			return kurir_copy(
			    kurir_conn_arena(conn), kurir_str_part(a.records[0].text, 0, 200));
	return KURIR_STR("");
}

KURIR_PARKS static int ask_all(struct kurir_self *self, struct kurir_conn *conn, struct conn *ret)
{
	const struct conf *c = kurir_conf(self);
	const struct state *st = kurir_state(self);
	struct kurir_arena *arena = kurir_arena_new("dnsbl");
	struct question *qs = kurir_alloc(arena, (c->lists.count + 1) * sizeof(*qs));
	kurir_time until = kurir_now() + c->timeout;
	struct kurir_group *group;
	struct kurir_str reverse;
	int r = kurir_dns_reverse(arena, kurir_conn_peer(conn), &reverse);

	if (r < 0) { /* a local client without an address */
		kurir_arena_free(arena);
		return 0;
	}
	reverse.len -= kurir_str_find(kurir_conn_peer(conn), ':') >= 0
	    ? sizeof(".ip6.arpa") - 1
	    : sizeof(".in-addr.arpa") - 1;
	group = kurir_group_begin(self);
	for (size_t i = 0; i < c->lists.count && r == 0; i++) {
		qs[i] = (struct question){ .self = self,
			.list = &st->lists[i],
			.until = until,
			.arena = arena,
			.name = kurir_format(
			    arena, "%.*s.%.*s", KURIR_ARG(reverse), KURIR_ARG(st->lists[i].zone)),
			.error = -ETIMEDOUT };
		r = kurir_group_go(group, "dnsbl", ask, &qs[i]);
	}
	if (r == 0)
		r = kurir_group_wait(group, until + 100);
	kurir_group_end(group);
	kurir_count(self, COUNT_ASKED, 1);
	if (r == 0 || r == -ETIMEDOUT) {
		r = 0;
		ret->asked = true;
		add_up(self, conn, qs, c->lists.count, ret);
		if (c->reject > 0 && ret->score >= c->reject)
			ret->why = reason(conn, qs, c->lists.count, ret->worst);
	}
	kurir_arena_free(arena);
	return r;
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	const struct state *st = kurir_state(self);
	struct kurir_conn *conn = kurir_tx_conn(tx);
	struct conn *know = kurir_conn_state(conn, self);
	char score[16];
	int r;

	(void)sender;
	if (know->asked || kurir_tx_trusted(tx) ||
	    kurir_networks_have(&st->exempt, kurir_conn_peer(conn)))
		return KURIR_NEXT;
	r = ask_all(self, conn, know);
	if (r < 0 || know->found.len == 0)
		return r < 0 ? r : KURIR_NEXT;
	kurir_count(self, COUNT_LISTED, 1);
	(void)snprintf(score, sizeof(score), "%d", know->score);
	KURIR_EMIT(self, KURIR_INFO, "mail", { "id", kurir_tx_id(tx) },
	    { "peer", kurir_conn_peer(conn) }, { "score", kurir_str_of(score) },
	    { "lists", know->found });
	return KURIR_NEXT;
}

/* RFC 5321 4.5.1: mail to postmaster is never refused for where it comes from. */
static bool to_postmaster(struct kurir_str address)
{
	ssize_t at = kurir_str_find_last(address, '@');

	return kurir_str_equal_nocase(
	    kurir_str_part(address, 0, at < 0 ? address.len : (size_t)at),
	    KURIR_STR("postmaster"));
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_conn *conn = kurir_tx_conn(tx);
	const struct conn *know = kurir_conn_state(conn, self);
	bool reject = c->reject > 0 && know->score >= c->reject;
	bool defer = c->defer > 0 && know->score >= c->defer;

	if ((!reject && !defer) || kurir_tx_trusted(tx) ||
	    to_postmaster(kurir_rcpt_address(rcpt)))
		return KURIR_NEXT;
	kurir_count(self, reject ? COUNT_REJECTED : COUNT_DEFERRED, 1);
	(void)kurir_reply(conn, reject ? 554 : 450, reject ? "5.7.1" : "4.7.1",
	    "%.*s is listed by %.*s%s%.*s", KURIR_ARG(kurir_conn_peer(conn)),
	    KURIR_ARG(know->worst), know->why.len > 0 ? ": " : "", KURIR_ARG(know->why));
	return reject ? KURIR_REJECT : KURIR_DEFER;
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_conn *conn = kurir_tx_conn(tx);
	const struct conn *know = kurir_conn_state(conn, self);
	int r;

	if (c->mark == 0 || know->score < c->mark || kurir_tx_trusted(tx))
		return KURIR_NEXT;
	r = kurir_header_add(tx, c->header,
	    kurir_format(kurir_scratch(), "%d %.*s", know->score, KURIR_ARG(know->found)));
	if (r < 0)
		return r;
	kurir_count(self, COUNT_MARKED, 1);
	return KURIR_NEXT;
}

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;
	struct dnsbl_list *lists;
	struct kurir_networks nets;

	if (c->lists.count == 0 || c->lists.count > 32) {
		*error = KURIR_STR("\"lists\" must have from 1 to 32 lists");
		return -EINVAL;
	}
	if (c->header.len == 0 || kurir_str_find(c->header, ':') >= 0 ||
	    kurir_str_find(c->header, ' ') >= 0 || c->header.len > 100) {
		*error = KURIR_STR("\"header\" must be the name of a header field");
		return -EINVAL;
	}
	if (dnsbl_lists_parse(arena, c->lists, &lists, error) < 0)
		return -EINVAL;
	return kurir_networks_parse(arena, c->exempt, &nets, error);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct kurir_arena *arena = kurir_self_arena(self);
	struct kurir_str error;
	int r = dnsbl_lists_parse(arena, c->lists, &st->lists, &error);

	return r < 0 ? r : kurir_networks_parse(arena, c->exempt, &st->exempt, &error);
}

static const char *const needs[] = { "dns", NULL };
static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks), .mail = at_mail, .rcpt = at_rcpt, .data = at_data
};

KURIR_MODULE(dnsbl, .version = "1.0", .summary = "Asks lists in the DNS about clients",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_BODY | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state),
    .conn_size = sizeof(struct conn), .options = options, .counters = counters, .needs = needs,
    .check = check, .start = start, .smtp = &hooks);
