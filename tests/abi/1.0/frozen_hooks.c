/* frozen_hooks.c - a module of the 1.0: hooks with options of each type, state, and fibers. */
#include <kurir/network.h>
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>

struct conf {
	bool flag;
	int64_t number;
	uint64_t size;
	kurir_time wait;
	struct kurir_str refused;
	int colour;
	struct kurir_texts networks;
	struct kurir_map senders;
	struct kurir_str path, secret;
};
struct state {
	struct kurir_networks networks;
	struct kurir_signal *ticked;
	unsigned ticks;
};
struct conn {
	unsigned commands;
};
struct tx {
	int64_t recipients;
};

enum { COUNT_SEEN, COUNT_REFUSED };
static const char *const counters[] = { "seen", "refused", NULL };
static const char *const colours[] = { "red", "green", NULL };
static const struct kurir_option options[] = {
	KURIR_OPT_BOOL("flag", struct conf, flag, "true", "A flag."),
	KURIR_OPT_RANGE(
	    "number", KURIR_INT, int64_t, struct conf, number, "2", 1, 10, "A number."),
	KURIR_OPT_SIZE("size", struct conf, size, "20M", "A size."),
	KURIR_OPT_SPAN("wait", struct conf, wait, "3s", "A time."),
	KURIR_OPT_TEXT("refused", struct conf, refused, "nobody@dua.example", "A text."),
	KURIR_OPT_CHOICE("colour", struct conf, colour, colours, "green", "A choice."),
	KURIR_OPT_TEXTS("networks", struct conf, networks, "[\"192.0.2.0/24\"]", "Texts."),
	KURIR_OPT_MAP("senders", struct conf, senders, "", "A map."),
	KURIR_OPT_PATH("path", struct conf, path, "x", "A path."),
	KURIR_OPT_SECRET("secret", struct conf, secret, "", "A secret."),
	{ 0 },
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;
	struct kurir_networks networks;

	if (c->size != 20u << 20 || c->colour != 1 || !c->flag || c->path.ptr[0] != '/') {
		*error = KURIR_STR("a preset is not what it was");
		return -EINVAL;
	}
	return kurir_networks_parse(arena, c->networks, &networks, error);
}

/* Ticks a second, until the group ends it. */
static void tick(void *arg)
{
	struct state *st = kurir_state(arg);

	while (kurir_sleep(kurir_now() + 1000) == 0) {
		st->ticks++;
		kurir_signal_raise(st->ticked);
	}
}

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct kurir_str error;

	st->ticked = kurir_signal_new(kurir_self_arena(self));
	if (kurir_networks_parse(kurir_self_arena(self), c->networks, &st->networks, &error) < 0)
		return -EINVAL;
	return kurir_group_go(kurir_group_begin(self), "tick", tick, self);
}

static void stop(struct kurir_self *self)
{
	(void)kurir_log(self, KURIR_INFO, 0, "frozen_hooks stops");
}

static int on_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	const struct state *st = kurir_state(self);
	struct conn *mine = kurir_conn_state(conn, self);

	mine->commands++;
	kurir_count(self, COUNT_SEEN, 1);
	if (kurir_networks_have(&st->networks, kurir_conn_peer(conn)))
		return KURIR_NEXT;
	(void)kurir_reply(conn, 554, "5.7.1", "Not from %.*s", KURIR_ARG(kurir_conn_peer(conn)));
	return KURIR_REJECT;
}

/* Waits for as many ticks as its option says seconds. */
static int helo(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	unsigned until = st->ticks + (unsigned)(c->wait / 1000);
	int r = 0;

	(void)conn;
	while (r == 0 && st->ticks < until)
		r = kurir_signal_wait(st->ticked, kurir_now() + 60000);
	if (r < 0)
		return r;
	return kurir_str_starts_nocase(name, KURIR_STR("CLIENT")) ? KURIR_NEXT : KURIR_DEFER;
}

static int mail(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	const struct conf *c = kurir_conf(self);

	for (size_t i = 0; i < c->senders.count; i++)
		if (kurir_str_equal(c->senders.items[i].key, sender))
			return kurir_reply(kurir_tx_conn(tx), 550, "5.7.1", "%.*s",
				   KURIR_ARG(c->senders.items[i].values.items[0])) == 0
			    ? KURIR_REJECT
			    : -EINVAL;
	if (kurir_str_equal_nocase(sender, c->refused))
		kurir_count(self, COUNT_REFUSED, 1);
	return kurir_str_equal_nocase(sender, c->refused) ? KURIR_REJECT : KURIR_NEXT;
}

static int rcpt(struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *to)
{
	const struct conf *c = kurir_conf(self);
	struct tx *mine = kurir_tx_state(tx, self);
	ssize_t at = kurir_str_find_last(kurir_rcpt_address(to), '@');

	if (at > 0 && ++mine->recipients > c->number)
		return KURIR_DEFER;
	return KURIR_NEXT;
}

static int data(struct kurir_self *self, struct kurir_tx *tx)
{
	struct kurir_str value =
	    kurir_format(kurir_tx_arena(tx), "%zu recipients", kurir_tx_rcpt_count(tx));

	(void)self;
	return kurir_header_add(tx, KURIR_STR("X-Frozen"), value);
}

static int message(struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	struct kurir_str line;
	int r;

	(void)tx;
	while ((r = kurir_readline(body, 4096, &line, KURIR_FOREVER)) == 1)
		if (kurir_str_equal(kurir_str_trim(line), KURIR_STR("virus")))
			return KURIR_REJECT;
	kurir_count(self, COUNT_SEEN, 1);
	return r < 0 ? r : KURIR_NEXT;
}

static void done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	KURIR_EMIT(self, KURIR_INFO, "released", { "id", kurir_tx_id(tx) },
	    { "verdict", kurir_str_of(kurir_verdict_name(verdict)) });
}

static void closed(struct kurir_self *self, struct kurir_conn *conn)
{
	struct conn *mine = kurir_conn_state(conn, self);
	struct kurir_buf b = KURIR_BUF(100);

	(void)kurir_buf_printf(&b, "closed after %u", mine->commands);
	(void)kurir_log(self, KURIR_INFO, 0, "%.*s", KURIR_ARG(kurir_buf_str(&b)));
	kurir_buf_free(&b);
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks),
	.connect = on_connect,
	.helo = helo,
	.mail = mail,
	.rcpt = rcpt,
	.data = data,
	.message = message,
	.done = done,
	.closed = closed,
};

KURIR_MODULE(frozen_hooks, .version = "1.0", .summary = "Hooks as 1.0 had them",
    .caps = KURIR_CAP_BODY | KURIR_CAP_SPAWN, .roles = KURIR_ROLE_EDGE,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state),
    .conn_size = sizeof(struct conn), .tx_size = sizeof(struct tx), .options = options,
    .counters = counters, .check = check, .start = start, .stop = stop, .smtp = &hooks);
