/* http.c - asks a service over HTTP what to do at steps of SMTP: POST with a JSON object, and a
 * JSON object for an answer (http_say.c, http_answer.c).  At the message, "body" sends it along:
 * the object on the first line, the message behind it. */
#include "http.h"

#include <errno.h>
#include <httpc/httpc.h>
#include <kurir/session.h>
#include <string.h>

#define ANSWER_MAX 65536

enum { COUNT_ASKED, COUNT_REJECTED, COUNT_DEFERRED, COUNT_DISCARDED, COUNT_FAILED };
static const char *const counters[] = { "asked", "rejected", "deferred", "discarded", "failed",
	NULL };

struct conf {
	struct kurir_str server, target, token;
	struct kurir_texts at;
	kurir_time timeout;
	uint64_t size;
	bool body, trusted;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("server", struct conf, server, NULL,
	    "Where the service listens: ADDRESS:PORT or unix:/PATH."),
	KURIR_OPT_TEXT("target", struct conf, target, "/", "The path that is asked for."),
	KURIR_OPT_SECRET("token", struct conf, token, "",
	    "Sent as a bearer token, so that the service knows who asks."),
	KURIR_OPT_TEXTS("at", struct conf, at, "rcpt",
	    "The steps it is asked about: connect, helo, auth, mail, rcpt, data, message."),
	KURIR_OPT_BOOL("body", struct conf, body, "false",
	    "Whether the message is sent along when it is asked about."),
	KURIR_OPT_RANGE("size", KURIR_SIZE, uint64_t, struct conf, size, "25M", 0,
	    (int64_t)1 << 40, "Larger messages are not sent along, only asked about."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "10s", 100,
	    600000, "How long the service may take for an answer."),
	KURIR_OPT_BOOL("trusted", struct conf, trusted, "true",
	    "Whether clients that have logged in or may relay are asked about, too."),
	{ 0 },
};

struct state {
	struct http_server server;
	bool at[AT_COUNT];
};

static int point_of(struct kurir_str name)
{
	for (int i = 0; http_points[i] != NULL; i++)
		if (kurir_str_equal(name, kurir_str_of(http_points[i])))
			return i;
	return -1;
}

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;

	for (size_t i = 0; i < c->at.count; i++)
		if (point_of(c->at.items[i]) < 0) {
			*error = kurir_format(arena, "at: there is no step \"%.*s\"",
			    KURIR_ARG(kurir_str_part(c->at.items[i], 0, 40)));
			return -EINVAL;
		}
	for (size_t i = 0; i < c->target.len; i++)
		if (c->target.ptr[i] <= ' ' || c->target.ptr[i] > '~' ||
		    c->target.ptr[0] != '/') {
			*error = KURIR_STR("target: a path begins with \"/\", and has no spaces");
			return -EINVAL;
		}
	return 0;
}

static int refuse(struct kurir_self *self, struct kurir_conn *conn, const struct http_decision *d)
{
	bool later = d->verdict == KURIR_DEFER;
	struct kurir_str xyz = kurir_copy(kurir_scratch(), d->xyz);

	kurir_count(self, later ? COUNT_DEFERRED : COUNT_REJECTED, 1);
	if (d->code == 0 && d->text.len == 0)
		return d->verdict;
	if (kurir_reply(conn,
		d->code != 0 ? d->code
		    : later  ? 450
			     : 550,
		xyz.len > 0 ? xyz.ptr
		    : later ? "4.7.1"
			    : "5.7.1",
		"%.*s",
		KURIR_ARG(d->text.len > 0 ? kurir_str_part(d->text, 0, 400)
					  : KURIR_STR("Refused by policy"))) < 0)
		return kurir_log(
		    self, KURIR_ERROR, -EBADMSG, "the service gave a reply of no use");
	return d->verdict;
}

/* Recipients that are not there are no matter: another module may have dropped them. */
static int drop(struct kurir_tx *tx, struct kurir_str address)
{
	for (size_t i = 0; i < kurir_tx_rcpt_count(tx); i++) {
		struct kurir_rcpt *r = kurir_tx_rcpt_at(tx, i);

		if (kurir_str_equal_nocase(kurir_rcpt_address(r), address))
			return kurir_rcpt_drop(tx, r);
	}
	return 0;
}

static int change(struct kurir_tx *tx, const struct http_decision *d)
{
	int r = d->has_sender ? kurir_tx_set_sender(tx, d->sender) : 0;

	for (size_t i = 0; r >= 0 && i < d->names.count; i++)
		r = kurir_header_add(tx, d->names.items[i], d->values.items[i]);
	for (size_t i = 0; r >= 0 && i < d->add.count; i++)
		r = kurir_rcpt_add(tx, d->add.items[i]);
	for (size_t i = 0; r >= 0 && i < d->drop.count; i++)
		r = drop(tx, d->drop.items[i]);
	if (r >= 0 && d->hold.len > 0)
		r = kurir_tx_hold(tx, d->hold);
	return r;
}

static int obey(struct kurir_self *self, const struct http_step *s, const struct http_decision *d)
{
	int r = s->tx != NULL ? change(s->tx, d) : 0;

	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot do what the service asks for");
	if (d->verdict == KURIR_REJECT || d->verdict == KURIR_DEFER)
		return refuse(self, s->conn, d);
	if (d->verdict == KURIR_DISCARD)
		kurir_count(self, COUNT_DISCARDED, 1);
	return d->verdict;
}

KURIR_PARKS static int ask(struct kurir_self *self, const struct http_step *step,
    struct kurir_stream *body, struct http_answer *ret)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct kurir_arena *arena = kurir_scratch();
	struct http_field fields[] = { { KURIR_STR("Content-Type"),
					   KURIR_STR("application/json") },
		{ KURIR_STR("Authorization"),
		    kurir_format(arena, "Bearer %.*s", KURIR_ARG(c->token)) },
		{ KURIR_STR(""), KURIR_STR("") } };
	struct http_question q = { .method = KURIR_STR("POST"),
		.target = c->target,
		.host = kurir_str_starts(c->server, KURIR_STR("unix:")) ? KURIR_STR("localhost")
									: c->server,
		.fields = fields,
		.body = http_say(arena, step) };

	if (q.body.len == 0)
		return -ENOMEM;
	if (c->token.len == 0)
		fields[1] = fields[2];
	if (body != NULL && c->body && kurir_tx_size(step->tx) <= c->size) {
		fields[0].value = KURIR_STR("application/x-kurir-message");
		q.body = kurir_format(arena, "%.*s\n", KURIR_ARG(q.body));
		q.stream = body;
		q.stream_length = kurir_tx_size(step->tx);
	}
	kurir_count(self, COUNT_ASKED, 1);
	return http_ask(self, &st->server, &q, ANSWER_MAX, kurir_now() + c->timeout, arena, ret);
}

KURIR_PARKS static int decide(
    struct kurir_self *self, const struct http_step *step, struct kurir_stream *body)
{
	const struct conf *c = kurir_conf(self);
	const struct state *st = kurir_state(self);
	struct http_answer a = { .body = KURIR_STR("") };
	struct http_decision d;
	const char *wrong = NULL;
	int r;

	if (!st->at[step->at] || (!c->trusted && step->tx != NULL && kurir_tx_trusted(step->tx)))
		return KURIR_NEXT;
	r = ask(self, step, body, &a);
	if (r == 0 && a.status == 204)
		return KURIR_NEXT;
	if (r == 0 && a.status != 200)
		r = kurir_log(
		    self, KURIR_ERROR, -EPROTO, "the service answers with status %u", a.status);
	else if (r == 0 &&
	    (wrong = http_answer_read(kurir_scratch(), a.body, step->at, &d)) != NULL)
		r = kurir_log(self, KURIR_ERROR, -EBADMSG, "the service's answer: %s", wrong);
	if (r == 0)
		return obey(self, step, &d);
	kurir_count(self, COUNT_FAILED, 1);
	return r;
}

KURIR_PARKS static int at_connect(struct kurir_self *self, struct kurir_conn *conn)
{
	return decide(self, &(struct http_step){ .at = AT_CONNECT, .conn = conn }, NULL);
}

KURIR_PARKS static int at_helo(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	return decide(self, &(struct http_step){ AT_HELO, conn, NULL, name }, NULL);
}

KURIR_PARKS static int at_auth(
    struct kurir_self *self, struct kurir_conn *conn, struct kurir_str account)
{
	return decide(self, &(struct http_step){ AT_AUTH, conn, NULL, account }, NULL);
}

KURIR_PARKS static int at_tx(struct kurir_self *self, enum http_at at, struct kurir_tx *tx,
    struct kurir_str value, struct kurir_stream *body)
{
	return decide(self, &(struct http_step){ at, kurir_tx_conn(tx), tx, value }, body);
}

KURIR_PARKS static int at_mail(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	return at_tx(self, AT_MAIL, tx, sender, NULL);
}

KURIR_PARKS static int at_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	return at_tx(self, AT_RCPT, tx, kurir_rcpt_address(rcpt), NULL);
}

KURIR_PARKS static int at_data(struct kurir_self *self, struct kurir_tx *tx)
{
	return at_tx(self, AT_DATA, tx, KURIR_STR(""), NULL);
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	return at_tx(self, AT_MESSAGE, tx, KURIR_STR(""), body);
}

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);

	st->server.address = c->server;
	for (size_t i = 0; i < c->at.count; i++)
		st->at[point_of(c->at.items[i])] = true;
	return 0;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	struct state *st = kurir_state(self);

	http_close(&st->server);
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks),
	.connect = at_connect,
	.helo = at_helo,
	.auth = at_auth,
	.mail = at_mail,
	.rcpt = at_rcpt,
	.data = at_data,
	.message = at_message };

KURIR_MODULE(http, .version = "1.0", .summary = "Asks a service over HTTP, in JSON",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_NET | KURIR_CAP_BODY | KURIR_CAP_RCPT,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state), .options = options,
    .counters = counters, .check = check, .start = start, .stop = stop, .smtp = &hooks);
