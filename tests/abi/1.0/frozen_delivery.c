/* frozen_delivery.c - a module of the 1.0: knows addresses and routes, takes messages, and answers
 * kurirctl. */
#include <kurir/accounts.h>
#include <kurir/call.h>
#include <kurir/queue.h>
#include <kurir/smtp.h>

#include <errno.h>
#include <unistd.h>

struct state {
	uint64_t bytes, recipients, tries;
};

static int find(struct kurir_self *self, struct kurir_str address, kurir_time until,
    struct kurir_arena *arena, struct kurir_account_match *ret)
{
	ssize_t at = kurir_str_find_last(address, '@');

	(void)self;
	(void)until;
	*ret = (struct kurir_account_match){ .kind = KURIR_ACCOUNT_FOREIGN };
	if (at < 0 ||
	    !kurir_str_equal(
		kurir_str_part(address, (size_t)at + 1, address.len), KURIR_STR("satu.example")))
		return 0;
	ret->kind = KURIR_ACCOUNT_MAILBOX;
	ret->account = kurir_lower(arena, address);
	return 0;
}

static int rcpt(struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *to)
{
	struct kurir_account_match match;
	int r = find(self, kurir_rcpt_address(to), KURIR_FOREVER, kurir_scratch(), &match);

	(void)tx;
	if (r < 0)
		return r;
	return match.kind == KURIR_ACCOUNT_MAILBOX ? KURIR_ACCEPT : KURIR_NEXT;
}

static int route(struct kurir_self *self, struct kurir_str address, kurir_time until,
    struct kurir_arena *arena, struct kurir_route *ret)
{
	struct kurir_account_match match;
	int r = find(self, address, until, arena, &match);

	*ret = (struct kurir_route){ .kind = KURIR_ROUTE_NONE };
	if (r < 0 || match.kind != KURIR_ACCOUNT_MAILBOX)
		return r;
	ret->kind = KURIR_ROUTE_TO;
	ret->transport = KURIR_STR("frozen");
	ret->destination = match.account;
	ret->parameters = KURIR_STR("some");
	ret->why = KURIR_STR("frozen_delivery has it");
	return 0;
}

/* Reads the body where the queue keeps it. */
static int body(struct kurir_self *self, struct kurir_str ref)
{
	struct kurir_self *owner;
	const struct kurir_queue_ops *queue = kurir_service_find("queue", NULL, &owner);
	struct state *st = kurir_state(self);
	struct kurir_body b;
	char first;
	int r = queue != NULL ? queue->open(owner, ref, &b) : -ENOENT;

	if (r < 0)
		return r;
	if (pread(b.fd, &first, 1, (off_t)b.offset) != 1 || first != 'R') /* Received */
		r = -EIO;
	st->bytes += b.length;
	(void)close(b.fd);
	return r;
}

/* The first time it is in trouble. */
static int deliver(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader reader = KURIR_READER(in->body);
	struct state *st = kurir_state(self);
	struct kurir_result *all;
	struct kurir_job job;
	int r = kurir_get_job(&reader, kurir_scratch(), &job);

	if (r == 0)
		r = body(self, job.ref);
	if (r < 0 || !kurir_str_equal(job.parameters, KURIR_STR("some")))
		return r < 0 ? r : -EBADMSG;
	all = kurir_alloc(kurir_scratch(), job.envelope.count * sizeof(*all));
	for (size_t i = 0; i < job.envelope.count; i++) {
		all[i].fate = st->tries ? KURIR_FATE_DELIVERED : KURIR_FATE_DEFERRED;
		all[i].code = st->tries ? 250 : 451;
		all[i].xyz = st->tries ? KURIR_STR("2.0.0") : KURIR_STR("4.2.0");
		all[i].text = KURIR_STR("as it is");
		all[i].remote = job.envelope.recipients[i].address;
		st->recipients++;
	}
	st->tries++;
	return kurir_put_results(reply, all, job.envelope.count);
}

static int control(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	const struct state *st = kurir_state(self);

	(void)in;
	return kurir_buf_printf(reply,
	    "{\"text\": \"%llu recipients\\n\", \"data\": {\"recipients\": %llu, \"more\": %s}}",
	    (unsigned long long)st->recipients, (unsigned long long)st->recipients,
	    st->bytes > 100 ? "true" : "false");
}

static const struct kurir_accounts_ops accounts_ops = { .size = sizeof(accounts_ops),
	.find = find };
static const struct kurir_route_ops route_ops = { .size = sizeof(route_ops), .route = route };
static const struct kurir_endpoint_ops transport = { .size = sizeof(transport), .call = deliver };
static const struct kurir_endpoint_ops ctl = { .size = sizeof(ctl), .call = control };
static const struct kurir_service services[] = {
	{ "accounts", "frozen", &accounts_ops, 0 },
	{ "route", "frozen", &route_ops, 0 },
	{ "endpoint", "transport.frozen", &transport, KURIR_ROLE_STORE },
	{ "endpoint", "ctl.frozen", &ctl, KURIR_ROLE_STORE },
	{ 0 },
};
static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .rcpt = rcpt };
static const char *const needs[] = { "queue", NULL };

KURIR_MODULE(frozen_delivery, .version = "1.0", .summary = "Takes messages as 1.0 did",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_STORE,
    .self_size = sizeof(struct state), .needs = needs, .services = services, .smtp = &hooks);
