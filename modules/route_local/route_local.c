/* route_local.c - recipients of ours go to their mailbox, aliases become what they stand for,
 * and nobody of that name is told so at once. */
#include <kurir/accounts.h>
#include <kurir/queue.h>

enum counter { MAILBOX, ALIAS, UNKNOWN, FAILED };

struct conf {
	struct kurir_str transport;
};

KURIR_PARKS static int local_route(struct kurir_self *self, struct kurir_str address,
    kurir_time deadline, struct kurir_arena *arena, struct kurir_route *ret)
{
	const struct conf *conf = kurir_conf(self);
	struct kurir_self *owner;
	struct kurir_account_match m;
	for (unsigned n = 0;; n++) {
		const struct kurir_accounts_ops *ops = kurir_service_at("accounts", n, &owner);
		if (ops == NULL) {
			ret->kind = KURIR_ROUTE_NONE;
			return 0;
		}
		m = (struct kurir_account_match){ 0 };
		int r = ops->find(owner, address, deadline, arena, &m);
		if (r < 0) {
			kurir_count(self, FAILED, 1);
			return r;
		}
		if (m.kind != KURIR_ACCOUNT_FOREIGN)
			break;
	}
	switch (m.kind) {
	case KURIR_ACCOUNT_MAILBOX:
		kurir_count(self, MAILBOX, 1);
		*ret =
		    (struct kurir_route){ .kind = KURIR_ROUTE_TO, .transport = conf->transport };
		ret->destination = m.account;
		ret->parameters = m.detail;
		ret->why = kurir_format(arena, "mailbox %.*s", KURIR_ARG(m.account));
		return 0;
	case KURIR_ACCOUNT_ALIAS:
		kurir_count(self, ALIAS, 1);
		*ret =
		    (struct kurir_route){ .kind = KURIR_ROUTE_EXPAND, .addresses = m.addresses };
		ret->why = kurir_format(arena, "alias of %u address%s",
		    (unsigned)m.addresses.count, m.addresses.count == 1 ? "" : "es");
		return 0;
	default:
		kurir_count(self, UNKNOWN, 1);
		*ret =
		    (struct kurir_route){ .kind = KURIR_ROUTE_FAIL, .xyz = KURIR_STR("5.1.1") };
		ret->text = KURIR_STR("no such user here");
		ret->why = KURIR_STR("the domain is ours, the name is not");
		return 0;
	}
}

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("transport", struct conf, transport, "local",
	    "The transport that delivers into mailboxes."),
	{ 0 },
};
static const char *const counters[] = { "mailbox", "alias", "unknown", "failed", NULL };
static const char *const needs[] = { "accounts", NULL };
static const struct kurir_route_ops ops = { .size = sizeof(ops), .route = local_route };
static const struct kurir_service services[] = { { "route", "local", &ops, 0 }, { 0 } };

KURIR_MODULE(route_local, .version = "1.0",
    .summary = "Routes the addresses of this server to its mailboxes", .roles = KURIR_ROLE_QUEUE,
    .conf_size = sizeof(struct conf), .options = options, .counters = counters, .needs = needs,
    .services = services);
