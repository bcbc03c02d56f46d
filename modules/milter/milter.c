/* milter.c - shows sessions and messages to a milter, and does what it says. */
#include "milter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const counters[] = { "sessions", "reused", "messages", "rejected", "deferred",
	"discarded", "changed", "quarantined", "failed", NULL };

#define RANGE(name, type, ct, member, preset, low, high, help) \
	KURIR_OPT_RANGE(name, type, ct, struct milter_conf, member, preset, low, high, help)
static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("socket", struct milter_conf, socket, NULL,
	    "Where the milter listens: inet:PORT@ADDRESS, inet6:PORT@ADDRESS or unix:/PATH."),
	RANGE("connect-time", KURIR_SPAN, kurir_time, connect_time, "10s", 100, 600000,
	    "How long a connection to the milter may take."),
	RANGE("command-time", KURIR_SPAN, kurir_time, command_time, "25s", 100, 3600000,
	    "How long the milter may think about a command."),
	RANGE("content-time", KURIR_SPAN, kurir_time, content_time, "5m", 100, 3600000,
	    "How long it may think about a whole message."),
	RANGE("keep", KURIR_INT, int64_t, keep, "8", 0, 1000,
	    "Connections that a process keeps for the next sessions."),
	KURIR_OPT_RANGE("body-size", KURIR_SIZE, uint64_t, struct milter_conf, body_max, "16M",
	    1024, 1 << 30, "How large a body may be that the milter puts in place of another."),
	{ 0 },
};

/* ---- one step: macros, command, reply ---- */

static int fail(struct kurir_self *self, struct milter_conn *mc, int r)
{
	kurir_count(self, COUNT_FAILED, 1);
	milter_link_close(mc->link);
	mc->link = NULL;
	mc->error = r;
	return r;
}

static int reply_code(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str data)
{
	struct kurir_str text;
	char xyz[12];
	int code, r = milter_get_reply_code(data, &code, xyz, &text);

	(void)self;
	if (r < 0)
		return -EPROTO;
	if (kurir_reply(conn, code, xyz[0] != '\0' ? xyz : NULL, "%.*s",
		KURIR_ARG(kurir_str_part(text, 0, 400))) < 0)
		(void)kurir_reply(
		    conn, code, NULL, "%.*s", KURIR_ARG(kurir_str_part(text, 0, 400)));
	return code == 421 ? KURIR_HANGUP : code >= 500 ? KURIR_REJECT : KURIR_DEFER;
}

static void tell(struct kurir_self *self, struct kurir_conn *conn, struct kurir_tx *tx, int v)
{
	kurir_count(self,
	    v == KURIR_REJECT	     ? COUNT_REJECTED
		: v == KURIR_DISCARD ? COUNT_DISCARDED
				     : COUNT_DEFERRED,
	    1);
	KURIR_EMIT(self, KURIR_DEBUG, tx != NULL ? "mail" : "connect",
	    { "id", tx != NULL ? kurir_tx_id(tx) : KURIR_STR("") },
	    { "peer", kurir_conn_peer(conn) }, { "milter", kurir_str_of(kurir_verdict_name(v)) });
}

int milter_verdict(struct kurir_self *self, struct kurir_conn *conn, struct kurir_tx *tx,
    int reply, struct kurir_str data)
{
	int v;

	switch (reply) {
	case MILTER_CONTINUE:
		return KURIR_NEXT;
	case MILTER_ACCEPT:
		return KURIR_ACCEPT;
	case MILTER_DISCARD:
		v = KURIR_DISCARD;
		break;
	case MILTER_REJECT:
		v = KURIR_REJECT;
		break;
	case MILTER_TEMPFAIL:
	case MILTER_FAIL:
		v = KURIR_DEFER;
		break;
	case MILTER_SHUTDOWN:
		v = KURIR_HANGUP;
		break;
	case MILTER_REPLY_CODE:
		v = reply_code(self, conn, data);
		break;
	default:
		return kurir_log(
		    self, KURIR_ERROR, -EPROTO, "the milter answered '%c' (%d)", reply, reply);
	}
	if (v >= 0)
		tell(self, conn, tx, v);
	return v;
}

int milter_step(struct kurir_self *self, struct kurir_conn *conn, struct kurir_tx *tx,
    struct kurir_rcpt *rcpt, const struct milter_step *step)
{
	const struct milter_conf *c = kurir_conf(self);
	struct milter_conn *mc = kurir_conn_state(conn, self);
	struct kurir_mark mark = kurir_mark(kurir_scratch());
	struct kurir_str data;
	uint32_t protocol;
	int reply = MILTER_PROGRESS, r;

	if (mc->link == NULL)
		return mc->error < 0 ? mc->error : -ENOTCONN;
	protocol = mc->link->options.protocol;
	if ((protocol & step->no) != 0)
		return KURIR_NEXT;
	r = milter_macros(self, conn, tx, rcpt, step->command, step->stage);
	if (r == 0)
		r = milter_send(mc->link, step->command, step->data);
	if (r == 0 && (protocol & step->nr) != 0)
		return KURIR_NEXT;
	while (r == 0 && reply == MILTER_PROGRESS)
		r = milter_receive(mc->link, &reply, &data, kurir_now() + c->command_time);
	/* After SKIP no more of these are shown, as those who ask know. */
	if (r == 0 && reply == MILTER_SKIP && (protocol & MILTER_CAN_SKIP) != 0)
		r = MILTER_SKIP;
	else if (r == 0)
		r = milter_verdict(self, conn, tx, reply, data);
	kurir_rewind(kurir_scratch(), mark);
	return r < 0 ? fail(self, mc, r) : r;
}

/* ---- macros ---- */

struct macro {
	const char *name;
	struct kurir_str value;
};

static struct kurir_str local_ip(struct kurir_conn *conn)
{
	struct kurir_str s = kurir_conn_local(conn);
	ssize_t colon = kurir_str_find_last(s, ':');

	s = kurir_str_part(s, 0, colon < 0 ? s.len : (size_t)colon);
	return kurir_str_starts(s, KURIR_STR("[")) && s.len > 1 ? kurir_str_part(s, 1, s.len - 2)
								: s;
}

static struct kurir_str domain_of(struct kurir_str address)
{
	return kurir_str_part(
	    address, (size_t)(kurir_str_find_last(address, '@') + 1), address.len);
}

/* All that we know at a stage; those without a value are not sent.  Returns how many. */
static size_t known(struct kurir_conn *conn, struct kurir_tx *tx, struct kurir_rcpt *rcpt,
    enum milter_stage stage, struct macro *to)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str tls = kurir_tls_summary(kurir_conn_stream(conn)), none = KURIR_STR("");
	struct kurir_str account = kurir_conn_account(conn);
	ssize_t space = kurir_str_find(tls, ' ');
	size_t n = 0;

#define MACRO(name, value) to[n++] = (struct macro){ (name), (value) }
	MACRO("j", kurir_hostname());
	MACRO("{daemon_name}", kurir_conn_listener(conn));
	MACRO("v", KURIR_STR("Kurir"));
	MACRO("_", kurir_format(arena, "[%.*s]", KURIR_ARG(kurir_conn_peer(conn))));
	MACRO("{if_addr}", local_ip(conn));
	MACRO("{client_addr}", kurir_conn_peer(conn));
	MACRO("{client_port}", kurir_format(arena, "%u", kurir_conn_peer_port(conn)));
	MACRO("{client_name}", KURIR_STR("unknown"));
	if (stage >= MILTER_AT_HELO && space > 0) {
		MACRO("{tls_version}", kurir_str_part(tls, 0, (size_t)space));
		MACRO("{cipher}", kurir_str_part(tls, (size_t)space + 1, tls.len));
	}
	if (tx != NULL) {
		MACRO("i", kurir_tx_id(tx));
		MACRO("{auth_type}", account.len > 0 ? KURIR_STR("PLAIN") : none);
		MACRO("{auth_authen}", account);
		MACRO("{mail_addr}", kurir_tx_sender(tx));
		MACRO("{mail_host}", domain_of(kurir_tx_sender(tx)));
	}
	if (rcpt != NULL) {
		MACRO("{rcpt_addr}", kurir_rcpt_address(rcpt));
		MACRO("{rcpt_host}", domain_of(kurir_rcpt_address(rcpt)));
		MACRO("{rcpt_mailer}", KURIR_STR("smtp"));
	}
#undef MACRO
	return n;
}

/* names = *( name ( SP / "," ) ); "i" and "{i}" are one. */
static bool wanted(struct kurir_str names, struct kurir_str name)
{
	if (names.len == 0)
		return true;
	if (kurir_str_starts(name, KURIR_STR("{")))
		name = kurir_str_part(name, 1, name.len - 2);
	while (names.len > 0) {
		size_t end = 0;
		struct kurir_str one;

		while (end < names.len && names.ptr[end] != ' ' && names.ptr[end] != ',')
			end++;
		one = kurir_str_part(names, 0, end);
		if (kurir_str_starts(one, KURIR_STR("{")))
			one = kurir_str_part(one, 1, one.len - 2);
		if (kurir_str_equal(one, name))
			return true;
		names = kurir_str_part(names, end + 1, names.len);
	}
	return false;
}

int milter_macros(struct kurir_self *self, struct kurir_conn *conn, struct kurir_tx *tx,
    struct kurir_rcpt *rcpt, int command, enum milter_stage stage)
{
	const struct milter_conn *mc = kurir_conn_state(conn, self);
	struct kurir_str names = mc->link->options.macros[stage];
	struct kurir_buf b = KURIR_BUF(MILTER_CHUNK);
	struct macro list[32];
	size_t n = known(conn, tx, rcpt, stage, list);
	char head = (char)command;
	int r = kurir_buf_add(&b, (struct kurir_str){ &head, 1 });

	for (size_t i = 0; i < n && r == 0; i++) {
		struct kurir_str name = kurir_str_of(list[i].name);

		if (list[i].value.len == 0 || !wanted(names, name))
			continue;
		r = milter_put_text(&b, name);
		if (r == 0)
			r = milter_put_text(&b, list[i].value);
	}
	if (r == 0)
		r = milter_send(mc->link, MILTER_MACRO, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

/* ---- hooks ---- */

KURIR_PARKS static int simple_step(struct kurir_self *self, struct kurir_conn *conn,
    struct kurir_tx *tx, struct kurir_rcpt *rcpt, const struct milter_step *step)
{
	int v = milter_step(self, conn, tx, rcpt, step);

	return v == MILTER_SKIP ? KURIR_NEXT : v;
}

KURIR_PARKS static int send_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	struct kurir_str ip = kurir_conn_peer(conn), name;
	uint16_t port = htons(kurir_conn_peer_port(conn));
	struct kurir_buf b = KURIR_BUF(1024);
	bool six = kurir_str_find(ip, ':') >= 0, four = !six && kurir_str_find(ip, '.') > 0;
	char family = four ? '4' : six ? '6' : 'U', raw[2];
	struct milter_step step = { MILTER_CONNECT, MILTER_AT_CONNECT, KURIR_STR(""),
		MILTER_NO_CONNECT, MILTER_NR_CONNECT };
	int v;

	memcpy(raw, &port, 2);
	name = four || six ? kurir_format(kurir_scratch(), "[%.*s]", KURIR_ARG(ip))
			   : KURIR_STR("localhost");
	v = milter_put_text(&b, name);
	if (v == 0)
		v = kurir_buf_add(&b, (struct kurir_str){ &family, 1 });
	if (v == 0 && family != 'U')
		v = kurir_buf_add(&b, (struct kurir_str){ raw, 2 });
	if (v == 0 && family != 'U')
		v = milter_put_text(&b, ip);
	step.data = kurir_buf_str(&b);
	if (v == 0)
		v = simple_step(self, conn, NULL, NULL, &step);
	kurir_buf_free(&b);
	return v;
}

/* Before there is a message: what the verdict is for the connection. */
static int of_connection(struct milter_conn *mc, int v)
{
	if (v == KURIR_ACCEPT || v == KURIR_DISCARD) {
		mc->passed = v == KURIR_ACCEPT;
		return KURIR_NEXT;
	}
	return v;
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	struct milter_conn *mc = kurir_conn_state(conn, self);
	int r = milter_link_get(self, &mc->link);

	if (r < 0) {
		kurir_count(self, COUNT_FAILED, 1);
		return mc->error = r;
	}
	kurir_count(self, COUNT_SESSIONS, 1);
	return of_connection(mc, send_connect(self, conn));
}

KURIR_PARKS static int at_helo(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	struct milter_conn *mc = kurir_conn_state(conn, self);
	struct kurir_buf b = KURIR_BUF(2048);
	struct milter_step step = { MILTER_HELO, MILTER_AT_HELO, KURIR_STR(""), MILTER_NO_HELO,
		MILTER_NR_HELO };
	int v;

	if (mc->passed)
		return KURIR_NEXT;
	v = milter_put_text(&b, kurir_str_part(name, 0, 1000));
	step.data = kurir_buf_str(&b);
	if (v == 0)
		v = simple_step(self, conn, NULL, NULL, &step);
	kurir_buf_free(&b);
	return of_connection(mc, v);
}

/* "<address>" and NUL. */
KURIR_PARKS static int address_step(struct kurir_self *self, struct kurir_tx *tx,
    struct kurir_rcpt *rcpt, struct kurir_str address, struct milter_step *step)
{
	struct kurir_buf b = KURIR_BUF(4096);
	int v = milter_put_text(&b, kurir_format(kurir_scratch(), "<%.*s>", KURIR_ARG(address)));

	step->data = kurir_buf_str(&b);
	if (v == 0)
		v = simple_step(self, kurir_tx_conn(tx), tx, rcpt, step);
	kurir_buf_free(&b);
	return v;
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	const struct milter_conn *mc = kurir_conn_state(kurir_tx_conn(tx), self);
	struct milter_tx *mt = kurir_tx_state(tx, self);
	struct milter_step step = { MILTER_MAIL, MILTER_AT_MAIL, KURIR_STR(""), MILTER_NO_MAIL,
		MILTER_NR_MAIL };
	int v;

	if (mc->passed)
		return KURIR_NEXT;
	mt->open = true;
	v = address_step(self, tx, NULL, sender, &step);
	mt->passed = v == KURIR_ACCEPT;
	return v == KURIR_ACCEPT ? KURIR_NEXT : v;
}

static bool passed(struct kurir_self *self, struct kurir_tx *tx)
{
	const struct milter_conn *mc = kurir_conn_state(kurir_tx_conn(tx), self);
	const struct milter_tx *mt = kurir_tx_state(tx, self);

	return mc->passed || mt->passed || mt->discard;
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	struct milter_tx *mt = kurir_tx_state(tx, self);
	struct milter_step step = { MILTER_RCPT, MILTER_AT_RCPT, KURIR_STR(""), MILTER_NO_RCPT,
		MILTER_NR_RCPT };
	int v;

	if (passed(self, tx))
		return KURIR_NEXT;
	v = address_step(self, tx, rcpt, kurir_rcpt_address(rcpt), &step);
	mt->discard = v == KURIR_DISCARD;
	/* Whether the recipient is ours is for others to say. */
	return v == KURIR_ACCEPT || v == KURIR_DISCARD ? KURIR_NEXT : v;
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	struct kurir_conn *conn = kurir_tx_conn(tx);
	const struct milter_conn *mc = kurir_conn_state(conn, self);
	struct milter_tx *mt = kurir_tx_state(tx, self);
	struct milter_step step = { MILTER_DATA, MILTER_AT_DATA, KURIR_STR(""), MILTER_NO_DATA,
		MILTER_NR_DATA };
	int v;

	if (passed(self, tx) || (mc->link != NULL && mc->link->options.version < 4))
		return KURIR_NEXT;
	v = simple_step(self, conn, tx, NULL, &step);
	mt->passed = v == KURIR_ACCEPT;
	mt->discard = v == KURIR_DISCARD;
	return v == KURIR_ACCEPT || v == KURIR_DISCARD ? KURIR_NEXT : v;
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct milter_tx *mt = kurir_tx_state(tx, self);

	if (mt->discard)
		return KURIR_DISCARD;
	if (passed(self, tx))
		return KURIR_NEXT;
	kurir_count(self, COUNT_MESSAGES, 1);
	return milter_message(self, tx, body);
}

KURIR_PARKS static void at_done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	const struct milter_conn *mc = kurir_conn_state(kurir_tx_conn(tx), self);
	struct milter_tx *mt = kurir_tx_state(tx, self);

	(void)verdict;
	if (mt->open && mc->link != NULL)
		(void)milter_send(mc->link, MILTER_ABORT, KURIR_STR(""));
	mt->open = false;
}

KURIR_PARKS static void at_closed(struct kurir_self *self, struct kurir_conn *conn)
{
	struct milter_conn *mc = kurir_conn_state(conn, self);

	if (mc->link != NULL)
		milter_link_put(self, mc->link);
	mc->link = NULL;
}

/* ---- the instance ---- */

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct milter_conf *c = conf;
	struct kurir_str address;

	if (milter_socket(arena, c->socket, &address) == 0)
		return 0;
	*error = kurir_format(arena,
	    "\"%.*s\" is no socket such as inet:8891@127.0.0.1 or unix:/run/milter.sock",
	    KURIR_ARG(kurir_str_part(c->socket, 0, 100)));
	return -EINVAL;
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct milter_conf *c = kurir_conf(self);

	return milter_socket(
	    kurir_self_arena(self), c->socket, &((struct milter *)kurir_state(self))->address);
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	struct milter *m = kurir_state(self);

	while (m->idle != NULL) {
		struct milter_link *l = m->idle;

		m->idle = l->next;
		milter_link_close(l);
	}
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.connect = at_connect,
	.helo = at_helo,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.message = at_message,
	.done = at_done,
	.closed = at_closed };

KURIR_MODULE(milter, .version = "1.0",
    .summary = "Asks a milter, a filter for mail servers in a process of its own",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_NET | KURIR_CAP_BODY | KURIR_CAP_RCPT,
    .conf_size = sizeof(struct milter_conf), .self_size = sizeof(struct milter),
    .conn_size = sizeof(struct milter_conn), .tx_size = sizeof(struct milter_tx),
    .options = options, .counters = counters, .check = check, .start = start, .stop = stop,
    .smtp = &hooks);
