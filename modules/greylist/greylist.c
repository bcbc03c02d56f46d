/* greylist.c - a client that is not known yet shall come back later (RFC 6647). */
#include "greylist_role.h"

#include <kurir/session.h>
#include <kurir/smtp.h>

#include <errno.h>

enum { COUNT_NEW, COUNT_EARLY, COUNT_PASSED, COUNT_KNOWN, COUNT_ALLOWED, COUNT_EXEMPT };
static const char *const counters[] = { "new", "early", "passed", "known", "allowed", "exempt",
	NULL };

#define DAY (86400000LL)
#define CONF(name, type, ct, member, preset, low, high, help) \
	KURIR_OPT_RANGE(name, type, ct, struct greylist_conf, member, preset, low, high, help)
static const struct kurir_option options[] = {
	CONF("delay", KURIR_SPAN, kurir_time, delay, "5m", 1000, DAY,
	    "How long a client that is not known has to stay away."),
	CONF("window", KURIR_SPAN, kurir_time, window, "2d", 60000, 30 * DAY,
	    "Until when, from its first try, it must have come back."),
	CONF("keep", KURIR_SPAN, kurir_time, keep, "36d", 60000, 366 * DAY,
	    "How long one that came back is known after its last message."),
	CONF("allow-after", KURIR_INT, int64_t, allow, "5", 0, 1000000,
	    "Senders of one network that came back, after which all of it is known; 0: never."),
	CONF("entries", KURIR_INT, int64_t, entries, "1000000", 1000, 100000000,
	    "Triplets that are kept; beyond, those that would go first go."),
	CONF("mask4", KURIR_INT, int64_t, mask4, "24", 8, 32,
	    "Bits of an IPv4 address that make the network of a client."),
	CONF("mask6", KURIR_INT, int64_t, mask6, "64", 16, 128, "The same of an IPv6 address."),
	KURIR_OPT_TEXTS(
	    "exempt", struct greylist_conf, exempt, "", "Networks whose clients never wait."),
	KURIR_OPT_TEXTS("exempt-senders", struct greylist_conf, exempt_senders, "",
	    "Addresses or domains whose mail never waits."),
	KURIR_OPT_TEXTS("exempt-recipients", struct greylist_conf, exempt_recipients, "",
	    "Addresses or domains for which no mail waits."),
	{ 0 },
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct greylist_conf *c = conf;
	struct kurir_networks nets;

	if (c->window <= c->delay) {
		*error = KURIR_STR("\"window\" must be longer than \"delay\"");
		return -EINVAL;
	}
	return kurir_networks_parse(arena, c->exempt, &nets, error);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct greylist_conf *c = kurir_conf(self);
	struct greylist *g = kurir_state(self);
	struct kurir_str error;
	int r = kurir_networks_parse(kurir_self_arena(self), c->exempt, &g->exempt, &error);

	if (r == 0 && (kurir_roles() & KURIR_ROLE_CONTROL) != 0)
		r = greylist_role_start(self);
	return r;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	if ((kurir_roles() & KURIR_ROLE_CONTROL) != 0)
		greylist_role_stop(self);
}

/* "local@domain" or its domain stands in the list. */
static bool listed(struct kurir_texts list, struct kurir_str address)
{
	ssize_t at = kurir_str_find_last(address, '@');
	struct kurir_str domain = kurir_str_part(address, (size_t)(at + 1), address.len);

	for (size_t i = 0; i < list.count; i++)
		if (kurir_str_equal_nocase(list.items[i], address) ||
		    (at >= 0 && kurir_str_equal_nocase(list.items[i], domain)))
			return true;
	return false;
}

KURIR_PARKS static int ask(struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt,
    struct greylist_answer *ret)
{
	const struct greylist_conf *c = kurir_conf(self);
	struct kurir_arena *arena = kurir_scratch();
	struct greylist_question q = { .now = kurir_wallclock(),
		.delay = c->delay,
		.window = c->window,
		.keep = c->keep,
		.allow = (uint32_t)c->allow,
		.entries = (uint32_t)c->entries };
	struct kurir_buf body = KURIR_BUF(4 * GREYLIST_KEY_MAX);
	struct kurir_request rq = { .endpoint = "greylist", .fd = -1 };
	struct kurir_reader reader;
	struct kurir_str reply;
	int r;

	q.trial = kurir_conn_simulated(kurir_tx_conn(tx));
	q.network = kurir_network_of(
	    arena, kurir_conn_peer(kurir_tx_conn(tx)), (unsigned)c->mask4, (unsigned)c->mask6);
	q.sender = greylist_sender(arena, kurir_tx_sender(tx));
	q.recipient =
	    kurir_lower(arena, kurir_str_part(kurir_rcpt_address(rcpt), 0, GREYLIST_KEY_MAX));
	r = greylist_put_question(&body, &q);
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, kurir_now() + 20000, arena, &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r;
	reader = KURIR_READER(reply);
	ret->verdict = (enum greylist_verdict)kurir_get_u8(&reader);
	ret->wait = (int64_t)kurir_get_u64(&reader);
	return reader.error;
}

static int wait_for(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt, int64_t wait)
{
	struct kurir_conn *conn = kurir_tx_conn(tx);
	int seconds = (int)((wait + 999) / 1000);

	KURIR_EMIT(self, KURIR_INFO, "rcpt", { "id", kurir_tx_id(tx) },
	    { "from", kurir_tx_sender(tx) }, { "to", kurir_rcpt_address(rcpt) },
	    { "peer", kurir_conn_peer(conn) },
	    { "wait", kurir_format(kurir_scratch(), "%ds", seconds) });
	/* RFC 6647 5: a temporary code, and words that a person understands. */
	(void)kurir_reply(
	    conn, 451, "4.7.1", "Greylisted, please try again in %d seconds", seconds);
	return KURIR_DEFER;
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	const struct greylist_conf *c = kurir_conf(self);
	const struct greylist *g = kurir_state(self);
	struct greylist_answer a;
	int r;

	if (kurir_tx_trusted(tx))
		return KURIR_NEXT;
	if (kurir_networks_have(&g->exempt, kurir_conn_peer(kurir_tx_conn(tx))) ||
	    listed(c->exempt_senders, kurir_tx_sender(tx)) ||
	    listed(c->exempt_recipients, kurir_rcpt_address(rcpt))) {
		kurir_count(self, COUNT_EXEMPT, 1);
		return KURIR_NEXT;
	}
	r = ask(self, tx, rcpt, &a);
	if (r < 0)
		return r;
	switch (a.verdict) {
	case GREYLIST_NEW:
		kurir_count(self, COUNT_NEW, 1);
		return wait_for(self, tx, rcpt, a.wait);
	case GREYLIST_WAIT:
		kurir_count(self, COUNT_EARLY, 1);
		return wait_for(self, tx, rcpt, a.wait);
	case GREYLIST_PASSED:
		kurir_count(self, COUNT_PASSED, 1);
		return KURIR_NEXT;
	case GREYLIST_KNOWN:
		kurir_count(self, COUNT_KNOWN, 1);
		return KURIR_NEXT;
	case GREYLIST_ALLOWED:
		kurir_count(self, COUNT_ALLOWED, 1);
		return KURIR_NEXT;
	}
	return -EBADMSG;
}

static const struct kurir_endpoint_ops ask_ops = { .size = sizeof(ask_ops),
	.call = greylist_asked };
static const struct kurir_endpoint_ops ctl_ops = { .size = sizeof(ctl_ops),
	.call = greylist_command };
static const struct kurir_service services[] = {
	{ "endpoint", "greylist", &ask_ops, KURIR_ROLE_CONTROL },
	{ "endpoint", "ctl.greylist", &ctl_ops, KURIR_ROLE_CONTROL },
	{ 0 },
};
static const struct kurir_path paths[] = {
	{ .state = "greylist", .write = KURIR_ROLE_CONTROL },
	{ 0 },
};
static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .rcpt = at_rcpt };

KURIR_MODULE(greylist, .version = "1.0",
    .summary = "Lets clients that are not known come back later",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_CONTROL, .caps = KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct greylist_conf), .self_size = sizeof(struct greylist),
    .options = options, .counters = counters, .services = services, .paths = paths,
    .check = check, .start = start, .stop = stop, .smtp = &hooks);
