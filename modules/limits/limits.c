/* limits.c - how much may be sent, by whom, in how long. */
#include "limits_role.h"

#include <kurir/session.h>
#include <kurir/smtp.h>

#include <errno.h>

enum { COUNT_ASKED, COUNT_REFUSED, COUNT_HELD, COUNT_REFUSED_HELD };
static const char *const counters[] = { "asked", "refused", "held", "refused-held", NULL };

static const char *const actions[] = { "defer", "reject", NULL };
static const struct kurir_option options[] = {
	KURIR_OPT_MAP("rates", struct limits_conf, rates, "",
	    "For each kind of counter: how much of what may come in how long."),
	KURIR_OPT_MAP("exceptions", struct limits_conf, exceptions, "",
	    "For one address, account or domain: the rates that take the place of all others."),
	KURIR_OPT_BOOL("hold", struct limits_conf, hold, "false",
	    "Whether an account that sends too much is put on hold until it is released."),
	KURIR_OPT_CHOICE("action", struct limits_conf, action, actions, "defer",
	    "How what is too much is refused: for now, or for good."),
	KURIR_OPT_RANGE("mask4", KURIR_INT, int64_t, struct limits_conf, mask4, "24", 8, 32,
	    "Bits of an IPv4 address that make the network of a client."),
	KURIR_OPT_RANGE("mask6", KURIR_INT, int64_t, struct limits_conf, mask6, "64", 16, 128,
	    "The same of an IPv6 address."),
	KURIR_OPT_TEXTS(
	    "exempt", struct limits_conf, exempt, "", "Networks whose clients are not counted."),
	{ 0 },
};

/* The key of an exception says whose counters it is about: "account bulk@satu.example". */
static int parse(const struct limits_conf *c, struct kurir_arena *arena, struct limits *ret,
    struct kurir_str *error)
{
	int r = limits_rates_parse(arena, c->rates, &ret->rates, error);

	ret->exceptions =
	    kurir_alloc(arena, (c->exceptions.count + 1) * sizeof(struct limits_rates));
	for (size_t i = 0; i < c->exceptions.count && r == 0; i++) {
		struct kurir_pair *p = kurir_alloc(arena, sizeof(*p));
		ssize_t space = kurir_str_find(c->exceptions.items[i].key, ' ');

		*p = c->exceptions.items[i];
		if (space < 0) {
			*error = kurir_format(arena,
			    "exceptions: \"%.*s\" does not say whose: write account NAME,"
			    " address IP, sender-domain NAME, ...",
			    KURIR_ARG(kurir_str_part(p->key, 0, 80)));
			return -EINVAL;
		}
		p->key.len = (size_t)space;
		r = limits_rates_parse(
		    arena, (struct kurir_map){ 1, p }, &ret->exceptions[i], error);
	}
	if (r == 0)
		r = kurir_networks_parse(arena, c->exempt, &ret->exempt, error);
	return r;
}

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	struct limits l;

	return parse(conf, arena, &l, error);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	struct kurir_str error;
	int r = parse(kurir_conf(self), kurir_self_arena(self), kurir_state(self), &error);

	if (r == 0 && (kurir_roles() & KURIR_ROLE_CONTROL) != 0)
		r = limits_role_start(self);
	return r;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	if ((kurir_roles() & KURIR_ROLE_CONTROL) != 0)
		limits_role_stop(self);
}

/* What a client is about to do. */
struct act {
	struct kurir_self *self;
	struct kurir_conn *conn;
	struct kurir_tx *tx; /* or NULL */
	struct kurir_str sender;
	struct kurir_str rcpt; /* or empty */
	uint64_t amounts[4];   /* by enum limits_what */
	const struct limits_rate *rates[LIMITS_ENTRIES];
	struct limits_question q;
};

static struct kurir_str domain_of(struct kurir_str address)
{
	ssize_t at = kurir_str_find_last(address, '@');

	return at < 0 ? KURIR_STR("") : kurir_str_part(address, (size_t)at + 1, address.len);
}

/* Whose counter it is; empty: there is none at this point. */
static struct kurir_str whose(const struct act *a, enum limits_who who)
{
	const struct limits_conf *c = kurir_conf(a->self);

	switch (who) {
	case LIMITS_ADDRESS:
		return kurir_conn_peer(a->conn);
	case LIMITS_NETWORK:
		return kurir_network_of(kurir_scratch(), kurir_conn_peer(a->conn),
		    (unsigned)c->mask4, (unsigned)c->mask6);
	case LIMITS_ACCOUNT:
		return kurir_lower(kurir_scratch(), kurir_conn_account(a->conn));
	case LIMITS_SENDER:
		return kurir_lower(kurir_scratch(), a->sender);
	case LIMITS_SENDER_DOMAIN:
		return kurir_lower(kurir_scratch(), domain_of(a->sender));
	case LIMITS_RECIPIENT:
		return kurir_lower(kurir_scratch(), a->rcpt);
	case LIMITS_RECIPIENT_DOMAIN:
		return kurir_lower(kurir_scratch(), domain_of(a->rcpt));
	}
	return KURIR_STR("");
}

/* The exception for this owner of a counter; NULL: none. */
static const struct limits_rates *exception(
    const struct act *a, enum limits_who who, struct kurir_str value)
{
	const struct limits_conf *c = kurir_conf(a->self);
	const struct limits *l = kurir_state(a->self);
	struct kurir_str name = kurir_str_of(limits_who_names[who]);

	for (size_t i = 0; i < c->exceptions.count; i++) {
		struct kurir_str key = c->exceptions.items[i].key;

		if (kurir_str_starts(key, name) && key.len == name.len + 1 + value.len &&
		    key.ptr[name.len] == ' ' &&
		    kurir_str_equal_nocase(kurir_str_part(key, name.len + 1, key.len), value))
			return &l->exceptions[i];
	}
	return NULL;
}

static void add_rate(struct act *a, const struct limits_rate *rate, struct kurir_str value)
{
	const struct limits_conf *c = kurir_conf(a->self);
	struct limits_entry *e = &a->q.entries[a->q.count];

	if (a->amounts[rate->what] == 0 || a->q.count == LIMITS_ENTRIES)
		return;
	e->key = kurir_format(kurir_scratch(), "%s|%d|%d|%lld|%.*s", kurir_self_name(a->self),
	    (int)rate->who, (int)rate->what, (long long)rate->window,
	    KURIR_ARG(kurir_str_part(value, 0, LIMITS_KEY_MAX)));
	e->limit = rate->amount;
	e->amount = a->amounts[rate->what];
	e->window = rate->window;
	e->holds = c->hold && rate->who == LIMITS_ACCOUNT;
	a->rates[a->q.count++] = rate;
}

static void add_rates(struct act *a)
{
	const struct limits *l = kurir_state(a->self);

	for (int who = LIMITS_ADDRESS; who <= LIMITS_RECIPIENT_DOMAIN; who++) {
		struct kurir_str value = whose(a, (enum limits_who)who);
		const struct limits_rates *rates;

		if (value.len == 0)
			continue;
		rates = exception(a, (enum limits_who)who, value);
		if (rates == NULL)
			rates = &l->rates;
		for (size_t i = 0; i < rates->count; i++)
			if (rates->items[i].who == (enum limits_who)who)
				add_rate(a, &rates->items[i], value);
	}
}

KURIR_PARKS static int ask(struct act *a, struct limits_answer *ret)
{
	struct kurir_buf body = KURIR_BUF(LIMITS_ENTRIES * (LIMITS_KEY_MAX + 200));
	struct kurir_request rq = { .endpoint = "limits", .fd = -1 };
	struct kurir_reader reader;
	struct kurir_str reply;
	int r = limits_put_question(&body, &a->q);

	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(a->self, &rq, kurir_now() + 20000, kurir_scratch(), &reply);
	kurir_buf_free(&body);
	if (r < 0)
		return r;
	kurir_count(a->self, COUNT_ASKED, 1);
	reader = KURIR_READER(reply);
	ret->verdict = (enum limits_verdict)kurir_get_u8(&reader);
	ret->which = kurir_get_u32(&reader);
	return reader.error < 0 || ret->which >= LIMITS_ENTRIES ? -EBADMSG : 0;
}

static int refuse(struct act *a, const struct limits_rate *rate)
{
	const struct limits_conf *c = kurir_conf(a->self);
	bool later = c->action == 0;
	const char *who = limits_who_names[rate->who];
	struct kurir_str rate_text = kurir_str_part(rate->text, 0, 80);

	kurir_count(a->self, COUNT_REFUSED, 1);
	KURIR_EMIT(a->self, KURIR_INFO,
	    a->rcpt.len > 0	? "rcpt"
		: a->tx == NULL ? "connect"
				: "mail",
	    { "id", a->tx != NULL ? kurir_tx_id(a->tx) : KURIR_STR("") },
	    { "peer", kurir_conn_peer(a->conn) }, { "account", kurir_conn_account(a->conn) },
	    { "limit", kurir_format(kurir_scratch(), "%s: %.*s", who, KURIR_ARG(rate_text)) });
	(void)kurir_reply(a->conn, later ? (a->tx == NULL ? 421 : 450) : 550,
	    later ? "4.7.1" : "5.7.1", "Too much: %.*s for each %s", KURIR_ARG(rate_text), who);
	return later ? KURIR_DEFER : KURIR_REJECT;
}

static int refuse_held(struct act *a)
{
	kurir_count(a->self, COUNT_REFUSED_HELD, 1);
	(void)kurir_reply(a->conn, 550, "5.7.1",
	    "This account is on hold, as it has sent too much: ask your provider");
	return KURIR_REJECT;
}

KURIR_PARKS static int limit(struct act *a)
{
	const struct limits *l = kurir_state(a->self);
	struct limits_answer answer;
	int r;

	if (kurir_networks_have(&l->exempt, kurir_conn_peer(a->conn)))
		return KURIR_NEXT;
	add_rates(a);
	a->q.now = kurir_wallclock();
	a->q.trial = kurir_conn_simulated(a->conn);
	a->q.account = a->tx != NULL ? whose(a, LIMITS_ACCOUNT) : KURIR_STR("");
	if (a->q.count == 0 && (a->q.account.len == 0 || a->amounts[LIMITS_MESSAGES] == 0))
		return KURIR_NEXT;
	r = ask(a, &answer);
	if (r < 0)
		return r;
	if (answer.verdict == LIMITS_FINE)
		return KURIR_NEXT;
	if (answer.verdict == LIMITS_NOW_HELD) {
		kurir_count(a->self, COUNT_HELD, !a->q.trial);
		KURIR_EMIT(a->self, KURIR_WARN, "held", { "account", a->q.account },
		    { "peer", kurir_conn_peer(a->conn) },
		    { "why", a->rates[answer.which]->text });
	}
	if (answer.verdict == LIMITS_TOO_MUCH)
		return refuse(a, a->rates[answer.which]);
	return refuse_held(a);
}

static struct act *act_new(struct kurir_self *self, struct kurir_conn *conn, struct kurir_tx *tx)
{
	struct act *a = kurir_alloc(kurir_scratch(), sizeof(*a));

	a->self = self;
	a->conn = conn;
	a->tx = tx;
	a->sender = tx != NULL ? kurir_tx_sender(tx) : KURIR_STR("");
	a->rcpt = KURIR_STR("");
	return a;
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	struct act *a = act_new(self, conn, NULL);

	a->amounts[LIMITS_CONNECTIONS] = 1;
	return limit(a);
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	struct act *a = act_new(self, kurir_tx_conn(tx), tx);

	(void)sender;
	a->amounts[LIMITS_MESSAGES] = 1;
	return limit(a);
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	struct act *a = act_new(self, kurir_tx_conn(tx), tx);

	a->rcpt = kurir_rcpt_address(rcpt);
	a->amounts[LIMITS_RECIPIENTS] = 1;
	return limit(a);
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	struct act *a = act_new(self, kurir_tx_conn(tx), tx);

	(void)body;
	a->amounts[LIMITS_BYTES] = kurir_tx_size(tx);
	return limit(a);
}

static const struct kurir_endpoint_ops ask_ops = { .size = sizeof(ask_ops),
	.call = limits_asked };
static const struct kurir_endpoint_ops ctl_ops = { .size = sizeof(ctl_ops),
	.call = limits_command };
static const struct kurir_service services[] = {
	{ "endpoint", "limits", &ask_ops, KURIR_ROLE_CONTROL },
	{ "endpoint", "ctl.limits", &ctl_ops, KURIR_ROLE_CONTROL },
	{ 0 },
};
static const struct kurir_path paths[] = {
	{ .state = "limits", .write = KURIR_ROLE_CONTROL },
	{ 0 },
};
static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.connect = at_connect,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.message = at_message };

KURIR_MODULE(limits, .version = "1.0", .summary = "How much may be sent, by whom, in how long",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_CONTROL, .caps = KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct limits_conf), .self_size = sizeof(struct limits),
    .options = options, .counters = counters, .services = services, .paths = paths,
    .check = check, .start = start, .stop = stop, .smtp = &hooks);
