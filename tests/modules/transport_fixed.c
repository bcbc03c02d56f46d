/* transport_fixed.c - a route for everything and a transport that answers as it is told: for
 * scenarios of the queue. */
#include <kurir/call.h>
#include <kurir/queue.h>

#include <errno.h>

struct conf {
	struct kurir_texts answers; /* "451 4.2.0 later"; one a job, the last repeats */
	bool site;
};
struct state {
	size_t jobs;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXTS("answers", struct conf, answers, "[\"250 2.0.0 taken\"]",
	    "What each job is answered, in order; the last repeats."),
	KURIR_OPT_BOOL("site", struct conf, site, "false",
	    "Deferring means that the whole destination is in trouble."),
	{ 0 },
};

static int route(struct kurir_self *self, struct kurir_str address, kurir_time deadline,
    struct kurir_arena *arena, struct kurir_route *ret)
{
	size_t at = (size_t)(kurir_str_find_last(address, '@') + 1);

	(void)self;
	(void)deadline;
	*ret = (struct kurir_route){ .kind = KURIR_ROUTE_TO, .transport = KURIR_STR("fixed") };
	ret->destination = kurir_copy(arena, kurir_str_part(address, at, address.len));
	return 0;
}

/* answer = 3DIGIT SP xyz SP text */
static struct kurir_result answer(const struct conf *conf, size_t n)
{
	struct kurir_str s =
	    conf->answers.items[n < conf->answers.count ? n : conf->answers.count - 1];
	struct kurir_result x = { .fate = KURIR_FATE_DELIVERED, .remote = KURIR_STR("peer") };
	uint64_t code = 451;

	if (s.len > 10) {
		(void)kurir_str_number(kurir_str_part(s, 0, 3), 999, &code);
		x.xyz = kurir_str_part(s, 4, 5);
		x.text = kurir_str_part(s, 10, s.len);
	}
	x.code = (uint32_t)code;
	if (code >= 400)
		x.fate = code >= 500 ? KURIR_FATE_FAILED : KURIR_FATE_DEFERRED;
	x.site = conf->site && x.fate == KURIR_FATE_DEFERRED;
	return x;
}

static int deliver(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader r = KURIR_READER(in->body);
	struct state *st = kurir_state(self);
	struct kurir_result x = answer(kurir_conf(self), st->jobs++), *all;
	struct kurir_job job;

	if (kurir_get_job(&r, kurir_scratch(), &job) < 0)
		return -EBADMSG;
	all = kurir_alloc(kurir_scratch(), job.envelope.count * sizeof(*all));
	for (size_t i = 0; i < job.envelope.count; i++)
		all[i] = x;
	return kurir_put_results(reply, all, job.envelope.count);
}

static const struct kurir_route_ops route_ops = { .size = sizeof(route_ops), .route = route };
static const struct kurir_endpoint_ops ops = { .size = sizeof(ops), .call = deliver };
static const struct kurir_service services[] = {
	{ "route", "fixed", &route_ops, 0 },
	{ "endpoint", "transport.fixed", &ops, KURIR_ROLE_RELAY },
	{ 0 },
};

KURIR_MODULE(transport_fixed, .version = "1.0", .summary = "Answers as it is told",
    .roles = KURIR_ROLE_QUEUE | KURIR_ROLE_RELAY, .conf_size = sizeof(struct conf),
    .self_size = sizeof(struct state), .options = options, .services = services);
