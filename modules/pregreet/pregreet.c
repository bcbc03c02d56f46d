/* pregreet.c - clients that talk before they were greeted.
 *
 * RFC 5321 3.1 and 4.3.1: the server speaks first, and a client waits for the greeting.  Programs
 * that only want to get rid of mail do not; a short silence finds them. */
#include <kurir/network.h>
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>

enum { COUNT_WAITED, COUNT_EARLY, COUNT_LEFT, COUNT_EXEMPT };
static const char *const counters[] = { "waited", "early", "left", "exempt", NULL };

enum action { REFUSE, DEFER, DELAY };
static const char *const actions[] = { "refuse", "defer", "delay", NULL };

struct conf {
	struct kurir_texts exempt;
	kurir_time wait, delay;
	int action;
};
struct state {
	struct kurir_networks exempt;
};

static const struct kurir_option options[] = {
	KURIR_OPT_RANGE("wait", KURIR_SPAN, kurir_time, struct conf, wait, "2s", 1, 25000,
	    "How long the server is silent before it greets."),
	KURIR_OPT_CHOICE("action", struct conf, action, actions, "refuse",
	    "What becomes of a client that talks meanwhile: refused for good, for now, or made"
	    " to wait."),
	KURIR_OPT_RANGE("delay", KURIR_SPAN, kurir_time, struct conf, delay, "20s", 1, 300000,
	    "How long such a client waits for its greeting when it is made to wait."),
	KURIR_OPT_TEXTS(
	    "exempt", struct conf, exempt, "", "Networks whose clients are greeted at once."),
	{ 0 },
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;
	struct kurir_networks nets;

	return kurir_networks_parse(arena, c->exempt, &nets, error);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct kurir_str error;

	return kurir_networks_parse(kurir_self_arena(self), c->exempt, &st->exempt, &error);
}

static int refuse(struct kurir_conn *conn, int verdict)
{
	bool now = verdict == KURIR_DEFER;

	(void)kurir_reply(conn, now ? 421 : 554, now ? "4.5.1" : "5.5.1",
	    "Protocol error: you spoke before the greeting");
	return verdict;
}

KURIR_PARKS static int early(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str said)
{
	const struct conf *c = kurir_conf(self);
	int r;

	kurir_count(self, COUNT_EARLY, 1);
	KURIR_EMIT(self, KURIR_INFO, "connect", { "peer", kurir_conn_peer(conn) },
	    { "why", KURIR_STR("early talker") }, { "action", kurir_str_of(actions[c->action]) },
	    { "said", kurir_str_part(said, 0, 80) });
	if (c->action == REFUSE)
		return refuse(conn, KURIR_REJECT);
	if (c->action == DEFER)
		return refuse(conn, KURIR_DEFER);
	r = kurir_sleep(kurir_now() + c->delay);
	return r < 0 ? r : KURIR_NEXT;
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	const struct conf *c = kurir_conf(self);
	const struct state *st = kurir_state(self);
	struct kurir_str said;
	int r;

	if (kurir_networks_have(&st->exempt, kurir_conn_peer(conn))) {
		kurir_count(self, COUNT_EXEMPT, 1);
		return KURIR_NEXT;
	}
	kurir_count(self, COUNT_WAITED, 1);
	r = kurir_peek(kurir_conn_stream(conn), 0, &said, kurir_now() + c->wait);
	if (r == -ETIMEDOUT)
		return KURIR_NEXT; /* as it should be */
	if (r == 1)
		return early(self, conn, said);
	if (r == -ECANCELED)
		return r;
	kurir_count(self, COUNT_LEFT, 1); /* the end of the stream, or an error of it */
	return KURIR_HANGUP;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .connect = at_connect };

KURIR_MODULE(pregreet, .version = "1.0", .summary = "Finds clients that talk before the greeting",
    .roles = KURIR_ROLE_EDGE, .conf_size = sizeof(struct conf), .self_size = sizeof(struct state),
    .options = options, .counters = counters, .check = check, .start = start, .smtp = &hooks);
