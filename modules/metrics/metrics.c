/* metrics.c - the server's figures over HTTP, as Prometheus fetches them: GET /metrics.
 *
 * One request a connection, which then ends: whoever fetches does so every some seconds.  Nothing
 * that a client sends is kept, or said to anybody. */
#include "metrics.h"

#include <kurir/call.h>
#include <kurir/network.h>
#include <kurir/session.h>
#include <kurir/stream.h>

#include <errno.h>

#define GATHER_TIME 20000 /* ms */

enum { COUNT_REQUESTS, COUNT_REFUSED, COUNT_BAD, COUNT_FAILED };
static const char *const counters[] = { "requests", "refused", "bad", "failed", NULL };

struct conf {
	struct kurir_texts networks;
	kurir_time timeout;
};
struct state {
	struct kurir_networks networks;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXTS("networks", struct conf, networks, "[\"127.0.0.0/8\", \"::1\"]",
	    "Networks whose clients may ask."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "10s", 100,
	    300000, "How long a client may take to ask, and to take the answer."),
	{ 0 },
};

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;
	struct kurir_networks nets;

	return kurir_networks_parse(arena, c->networks, &nets, error);
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct kurir_str error;

	return kurir_networks_parse(kurir_self_arena(self), c->networks, &st->networks, &error);
}

/* Its end, CRLF or LF, is taken off.  0 or -errno; the end of the stream is -EPIPE. */
KURIR_PARKS static int get_line(struct kurir_stream *s, kurir_time until, struct kurir_str *ret)
{
	int r = kurir_readline(s, METRICS_LINE_MAX, ret, until);

	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	while (ret->len > 0 && (ret->ptr[ret->len - 1] == '\n' || ret->ptr[ret->len - 1] == '\r'))
		ret->len--;
	return 0;
}

/* The fields, up to the empty line.  -EINVAL; -EMSGSIZE: too many. */
KURIR_PARKS static int skip_fields(struct kurir_stream *s, bool host_needed, kurir_time until)
{
	unsigned hosts = 0;
	struct kurir_str line;
	int r;

	for (unsigned n = 0; n < METRICS_LINES_MAX; n++) {
		r = get_line(s, until, &line);
		if (r < 0)
			return r;
		if (line.len == 0)
			return hosts == 1 || (hosts == 0 && !host_needed) ? 0 : -EINVAL;
		r = metrics_field(line, KURIR_STR("Host"));
		if (r < 0)
			return r;
		hosts += (unsigned)r;
	}
	return -EMSGSIZE;
}

KURIR_PARKS static void say(struct kurir_conn *conn, const char *status, const char *more,
    struct kurir_str body, bool head, kurir_time until)
{
	struct kurir_stream *s = kurir_conn_stream(conn);
	struct kurir_str top = kurir_format(kurir_scratch(),
	    "HTTP/1.1 %s\r\n"
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	    "Content-Length: %zu\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Connection: close\r\n%s\r\n",
	    status, body.len, more);
	int r = kurir_write(s, top);

	if (r >= 0 && !head)
		r = kurir_write(s, body);
	if (r >= 0)
		(void)kurir_flush(s, until);
}

KURIR_PARKS static void refuse(struct kurir_conn *conn, const char *status, kurir_time until)
{
	say(conn, status, "", kurir_format(kurir_scratch(), "%s\n", status), false, until);
}

/* What was wrong with the request: a client that went, or was silent, is told nothing. */
KURIR_PARKS static void complain(struct kurir_conn *conn, int err, kurir_time until)
{
	if (err == -EMSGSIZE)
		refuse(conn, "431 Request Header Fields Too Large", until);
	else if (err == -EPROTO)
		refuse(conn, "505 HTTP Version Not Supported", until);
	else if (err == -EINVAL || err == -EBADMSG)
		refuse(conn, "400 Bad Request", until);
}

KURIR_PARKS static void answer(
    struct kurir_self *self, struct kurir_conn *conn, bool head, kurir_time span)
{
	struct kurir_request q = { .endpoint = "metrics", .fd = -1, .body = KURIR_STR("") };
	struct kurir_str text;
	int r = kurir_call(self, &q, kurir_now() + GATHER_TIME, kurir_scratch(), &text);

	if (r >= 0) {
		say(conn, "200 OK", "", text, head, kurir_now() + span);
		return;
	}
	kurir_count(self, COUNT_FAILED, 1);
	(void)kurir_log(self, KURIR_WARN, r, "the figures cannot be had now");
	say(conn, "503 Service Unavailable", "Retry-After: 5\r\n",
	    KURIR_STR("503 Service Unavailable\n"), head, kurir_now() + span);
}

/* Who may open a Unix socket may ask there. */
static bool may_ask(const struct state *st, struct kurir_str peer)
{
	return kurir_str_equal(peer, KURIR_STR("unix")) ||
	    kurir_networks_have(&st->networks, peer);
}

KURIR_PARKS static void serve(struct kurir_self *self, struct kurir_conn *conn)
{
	const struct conf *c = kurir_conf(self);
	const struct state *st = kurir_state(self);
	struct kurir_stream *s = kurir_conn_stream(conn);
	kurir_time until = kurir_now() + c->timeout;
	struct metrics_request q;
	struct kurir_str line;
	bool get, head;
	int r = get_line(s, until, &line);

	if (r == 0) {
		line = kurir_copy(kurir_scratch(), line); /* the buffer goes with the next one */
		r = metrics_request(line, &q);
	}
	if (r == 0)
		r = skip_fields(s, q.host_needed, until);
	if (r < 0) {
		kurir_count(self, COUNT_BAD, 1);
		complain(conn, r, until);
		return;
	}
	get = kurir_str_equal(q.method, KURIR_STR("GET"));
	head = kurir_str_equal(q.method, KURIR_STR("HEAD"));
	if (!may_ask(st, kurir_conn_peer(conn))) {
		kurir_count(self, COUNT_REFUSED, 1);
		KURIR_EMIT(self, KURIR_INFO, "connect", { "verdict", KURIR_STR("reject") },
		    { "peer", kurir_conn_peer(conn) },
		    { "why", KURIR_STR("not one of the networks that may ask") });
		refuse(conn, "403 Forbidden", until);
	} else if (!kurir_str_equal(q.path, KURIR_STR("/metrics"))) {
		kurir_count(self, COUNT_BAD, 1);
		refuse(conn, "404 Not Found", until);
	} else if (!get && !head) {
		kurir_count(self, COUNT_BAD, 1);
		say(conn, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
		    KURIR_STR("405 Method Not Allowed\n"), false, until);
	} else {
		kurir_count(self, COUNT_REQUESTS, 1);
		answer(self, conn, head, c->timeout);
	}
}

static const struct kurir_protocol_ops ops = { .size = sizeof(ops),
	.serve = serve,
	.busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: "
		"close\r\n\r\n" };
static const struct kurir_service services[] = { { "protocol", "metrics", &ops, 0 }, { 0 } };

KURIR_MODULE(metrics, .version = "1.0", .summary = "Tells Prometheus the server's figures",
    .roles = KURIR_ROLE_EDGE, .conf_size = sizeof(struct conf), .self_size = sizeof(struct state),
    .options = options, .counters = counters, .services = services, .check = check,
    .start = start);
