/* simulate.c - see simulate.h.
 *
 *   question = text listener, peer, helo, account, sender, message, u32 count, count texts */
#include "simulate.h"

#include "channel.h"
#include "conf.h"
#include "conn.h"
#include "fiber.h"
#include "trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool kurir_conn_simulated(struct kurir_conn *conn)
{
	return conn->from.simulated;
}

int simulate_put(struct kurir_buf *b, const struct simulate_question *q)
{
	int r;

	kurir_put_text(b, q->listener);
	kurir_put_text(b, q->peer);
	kurir_put_text(b, q->helo);
	kurir_put_text(b, q->account);
	kurir_put_text(b, q->sender);
	r = kurir_put_text(b, q->message);
	if (r == 0)
		r = kurir_put_u32(b, (uint32_t)q->recipients.count);
	for (size_t i = 0; i < q->recipients.count && r == 0; i++)
		r = kurir_put_text(b, q->recipients.items[i]);
	return r;
}

int simulate_get(struct kurir_str body, struct kurir_arena *arena, struct simulate_question *ret)
{
	struct kurir_reader in = KURIR_READER(body);
	struct kurir_str *list;
	uint32_t count;

	*ret = (struct simulate_question){ .listener = kurir_get_text(&in) };
	ret->peer = kurir_get_text(&in);
	ret->helo = kurir_get_text(&in);
	ret->account = kurir_get_text(&in);
	ret->sender = kurir_get_text(&in);
	ret->message = kurir_get_text(&in);
	count = kurir_get_u32(&in);
	if (in.error < 0 || count > in.rest.len / 4)
		return -EBADMSG;
	ret->recipients.items = list = kurir_alloc(arena, (count + 1) * sizeof(*list));
	ret->recipients.count = count;
	for (uint32_t i = 0; i < count; i++)
		list[i] = kurir_get_text(&in);
	return in.error;
}

/* One play: the server's fiber, and what the client hears. */
struct play {
	const struct kurir_protocol_ops *ops;
	struct kurir_self *owner;
	const struct conf_listener *at;
	struct kurir_conn *conn;
	struct trace trace;
};

static bool can(struct play *p, const struct conf_listener *l)
{
	struct kurir_str name = kurir_copy(kurir_scratch(), l->protocol);

	p->ops = kurir_service_find("protocol", name.ptr, &p->owner);
	p->at = l;
	return p->ops != NULL &&
	    p->ops->size >= offsetof(struct kurir_protocol_ops, rehearse) + sizeof(void *) &&
	    p->ops->rehearse != NULL;
}

/* NULL, or why not. */
static const char *find_listener(struct play *p, struct kurir_str name)
{
	for (size_t i = 0; i < conf_now->listener_count; i++) {
		const struct conf_listener *l = &conf_now->listeners[i];

		if (name.len > 0 && !kurir_str_equal(l->name, name))
			continue;
		if (can(p, l))
			return NULL;
		if (name.len > 0)
			return "the protocol of that listener takes no mail";
	}
	return name.len > 0 ? "there is no listener of that name"
			    : "there is no listener that takes mail";
}

static void heard(
    void *arg, const char *point, struct kurir_str about, int code, struct kurir_str text)
{
	struct play *p = arg;

	trace_said(&p->trace, point, about, code, text, kurir_self_name(p->owner));
}

KURIR_PARKS static void serve(void *arg)
{
	struct play *p = arg;

	fiber_set_label(kurir_conn_id(p->conn));
	p->ops->serve(p->owner, p->conn);
	fiber_set_label(KURIR_STR(""));
}

static struct kurir_conn *conn_of(
    const struct play *p, const struct simulate_question *q, struct kurir_stream *stream)
{
	static unsigned serial;
	const struct conf_listener *l = p->at;
	struct conn_origin from = { .peer = q->peer,
		.peer_port = 25,
		.local = l->addresses.count > 0 ? l->addresses.items[0] : KURIR_STR(""),
		.listener = l->name,
		.protocol = l->protocol,
		.pipeline = l->pipeline,
		.tls = (enum kurir_tls_mode)l->tls,
		.encrypted = l->tls != KURIR_TLS_NONE,
		.simulated = true };

	return conn_new(stream, &from,
	    kurir_format(kurir_scratch(), SIMULATE_LABEL "%u-%u", kurir_role_index(), ++serial));
}

KURIR_PARKS static int run(struct play *p, const struct simulate_question *q)
{
	struct kurir_rehearsal r = { .size = sizeof(r),
		.helo = q->helo,
		.account = q->account,
		.sender = q->sender,
		.recipients = q->recipients,
		.message = q->message,
		.until = kurir_now() + SIMULATE_TIME,
		.said = heard,
		.arg = p };
	struct kurir_stream *client, *server;
	struct kurir_group *group;
	int e = kurir_stream_pair(&client, &server);

	if (e < 0)
		return e;
	p->conn = conn_of(p, q, server);
	session_of(p->conn)->trace = &p->trace;
	group = kurir_group_begin(NULL);
	e = kurir_group_go(group, "simulation", serve, p);
	if (e == 0)
		e = p->ops->rehearse(p->owner, client, &r);
	kurir_close(client);
	if (e == 0)
		(void)kurir_group_wait(group, r.until);
	kurir_group_end(group);
	kurir_session_closed(p->conn);
	conn_drop(p->conn);
	return e;
}

static json_t *string(struct kurir_str s)
{
	json_t *v = json_stringn(s.ptr, s.len);

	return v != NULL ? v : json_string("?");
}

static json_t *result_of(struct play *p, int e)
{
	json_t *list = json_array(), *v;

	for (size_t i = 0; i < p->trace.count; i++)
		json_array_append_new(list, string(p->trace.recipients[i]));
	v = json_pack("{s:o,s:o,s:o,s:O,s:b,s:o,s:o}", "listener", string(p->at->name),
	    "protocol", string(p->at->protocol), "pipeline", string(p->at->pipeline), "replies",
	    p->trace.replies, "kept", p->trace.kept, "sender", string(p->trace.sender),
	    "recipients", list);
	if (e < 0)
		json_object_set_new(v, "broken", json_string(strerror(-e)));
	return v;
}

KURIR_PARKS static int simulate_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_arena *arena = kurir_arena_new("simulation");
	struct simulate_question q;
	struct play p = { 0 };
	const char *why;
	json_t *v;
	char *text;
	int r = simulate_get(in->body, arena, &q);

	if (r < 0)
		goto out;
	why = find_listener(&p, q.listener);
	if (why != NULL) {
		v = json_pack("{s:s}", "error", why);
	} else {
		trace_begin(&p.trace, arena);
		r = run(&p, &q);
		v = result_of(&p, r);
		trace_end(&p.trace);
	}
	text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
	r = text != NULL ? kurir_buf_add(reply, kurir_str_of(text)) : -ENOMEM;
	free(text);
	json_decref(v);
out:
	kurir_arena_free(arena);
	return r;
}

void simulate_serve(void)
{
	channel_serve(SIMULATE_ENDPOINT, KURIR_ROLE_EDGE, simulate_called, NULL);
}
