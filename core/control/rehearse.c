/* rehearse.c - see rehearse.h.  The edge plays the session (core/mail/simulate.h), then the queue
 * role is asked for the route of each recipient that the message would have. */
#include "rehearse.h"

#include "channel.h"
#include "simulate.h"

#include <kurir/auth.h>
#include <kurir/network.h>
#include <kurir/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE_ENDPOINT "peek.route"
#define ROUTE_TIME     20000
#define ROUTES_MAX     200 /* addresses, with those that aliases stand for */
#define MESSAGE_PRESET "Subject: simulated\r\n\r\nThis message does not exist.\r\n"

/* ---- the queue role ---- */

static json_t *string(struct kurir_str s)
{
	json_t *v = json_stringn(s.ptr, s.len);

	return v != NULL ? v : json_string("?");
}

static json_t *strings(struct kurir_texts list)
{
	json_t *v = json_array();

	for (size_t i = 0; i < list.count; i++)
		json_array_append_new(v, string(list.items[i]));
	return v;
}

/* The hosts that relay_smtp would try. */
static void add_hosts(json_t *v, const struct kurir_route *route)
{
	struct kurir_reader in = KURIR_READER(route->parameters);
	struct kurir_next_hop hop;

	if (!kurir_str_equal(route->transport, KURIR_STR("smtp")) &&
	    !kurir_str_equal(route->transport, KURIR_STR("lmtp")))
		return;
	if (kurir_get_next_hop(&in, kurir_scratch(), &hop) < 0)
		return;
	json_object_set_new(v, "addresses", strings(hop.addresses));
	json_object_set_new(v, "names", strings(hop.names));
	if (hop.name.len > 0)
		json_object_set_new(v, "name", string(hop.name));
}

/* What the first says that knows the address, as the queue asks them. */
KURIR_PARKS static json_t *ask_routes(struct kurir_str address)
{
	static const char *const kinds[] = { "none", "to", "fail", "later", "expand" };
	const struct kurir_route_ops *ops;
	struct kurir_self *owner;
	json_t *v;

	for (unsigned n = 0; (ops = kurir_service_at("route", n, &owner)) != NULL; n++) {
		struct kurir_route route = { 0 };
		int r =
		    ops->route(owner, address, kurir_now() + ROUTE_TIME, kurir_scratch(), &route);

		if (r < 0)
			route = (struct kurir_route){ .kind = KURIR_ROUTE_LATER,
				.xyz = KURIR_STR("4.4.3"),
				.text = kurir_str_of(strerror(-r)) };
		if (route.kind == KURIR_ROUTE_NONE || route.kind > KURIR_ROUTE_EXPAND)
			continue;
		v = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "kind", kinds[route.kind],
		    "by", kurir_self_name(owner), "transport", string(route.transport),
		    "destination", string(route.destination), "why", string(route.why), "xyz",
		    string(route.xyz), "text", string(route.text), "expands",
		    strings(route.addresses));
		if (route.kind == KURIR_ROUTE_TO)
			add_hosts(v, &route);
		return v;
	}
	return json_pack(
	    "{s:s,s:s,s:s}", "kind", "fail", "xyz", "5.4.4", "text", "no route to this domain");
}

KURIR_PARKS static int route_called(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *v = ask_routes(in->body);
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
	int r = text != NULL ? kurir_buf_add(reply, kurir_str_of(text)) : -ENOMEM;

	free(text);
	json_decref(v);
	return r;
}

void rehearse_serve(void)
{
	channel_serve(ROUTE_ENDPOINT, KURIR_ROLE_QUEUE, route_called, NULL);
}

/* ---- the control role ---- */

/* "from=x": 1 and x. */
static int option(const char *arg, const char *name, struct kurir_str *ret)
{
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || arg[n] != '=')
		return 0;
	*ret = kurir_str_of(arg + n + 1);
	return 1;
}

/* "<x>" is x: as people copy addresses. */
static struct kurir_str bare(struct kurir_str s)
{
	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		return kurir_str_part(s, 1, s.len - 2);
	return s;
}

static bool is_clean(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ')
			return false;
	return s.len <= 1000;
}

static bool is_address(struct kurir_str ip)
{
	struct kurir_networks one;
	struct kurir_str error = ip;

	return kurir_str_find(ip, '/') < 0 &&
	    kurir_networks_parse(
		kurir_scratch(), (struct kurir_texts){ 1, &error }, &one, &error) == 0;
}

static const char *read_args(json_t *args, struct simulate_question *q)
{
	struct kurir_str *to = kurir_alloc(kurir_scratch(), 65 * sizeof(*to)), coded, one;
	const char *wrong = NULL;
	bool from = false;
	size_t i;
	json_t *v;

	*q = (struct simulate_question){ .helo = KURIR_STR("client.example"),
		.listener = KURIR_STR(""),
		.peer = KURIR_STR(""),
		.account = KURIR_STR(""),
		.sender = KURIR_STR(""),
		.recipients = { 0, to },
		.message = KURIR_STR(MESSAGE_PRESET) };
	json_array_foreach(args, i, v)
	{
		const char *arg = json_string_value(v);

		if (i == 0 || option(arg, "ip", &q->peer) || option(arg, "helo", &q->helo) ||
		    option(arg, "auth", &q->account) || option(arg, "listener", &q->listener))
			continue;
		if (option(arg, "from", &one)) {
			q->sender = bare(one);
			from = true;
		} else if (option(arg, "to", &one)) {
			to[q->recipients.count++] = bare(one);
			wrong = is_clean(one) ? wrong : "an address is no line of text";
		} else if (!option(arg, "message", &coded) ||
		    kurir_base64_decode(kurir_scratch(), coded, &q->message) < 0) {
			wrong = "a simulation has from, to, ip, helo, auth, listener and message";
		}
	}
	if (!is_clean(q->sender) || !is_clean(q->helo) || !is_clean(q->account))
		wrong = "an address or name is no line of text";
	else if (!from || q->recipients.count == 0)
		wrong = "a simulation needs a sender (--from) and recipients (--to)";
	else if (!is_address(q->peer))
		wrong = "a simulation needs the client's address (--ip)";
	return wrong;
}

/* Of each recipient, and of those that it stands for. */
KURIR_PARKS static json_t *find_routes(json_t *recipients)
{
	json_t *list = json_array(), *asked = json_array(), *v, *route;
	struct kurir_request q = { .endpoint = ROUTE_ENDPOINT, .fd = -1 };
	struct kurir_str answer;
	size_t i, k, n;

	json_array_extend(asked, recipients);
	for (i = 0; i < json_array_size(asked) && i < ROUTES_MAX; i++) {
		const char *address = json_string_value(json_array_get(asked, i));

		q.body = kurir_str_of(address);
		route = NULL;
		if (kurir_call(
			NULL, &q, kurir_now() + ROUTE_TIME + 1000, kurir_scratch(), &answer) >= 0)
			route = control_json(answer);
		if (route == NULL)
			route = json_pack("{s:s,s:s,s:s}", "kind", "later", "xyz", "4.4.3",
			    "text", "the queue does not answer");
		json_object_set_new(route, "address", json_string(address));
		json_array_append_new(list, route);
		json_array_foreach(json_object_get(route, "expands"), k, v)
		{
			for (n = 0; n < json_array_size(asked); n++)
				if (json_equal(json_array_get(asked, n), v))
					break;
			if (n == json_array_size(asked))
				json_array_append(asked, v);
		}
	}
	json_decref(asked);
	return list;
}

KURIR_PARKS const char *rehearse(json_t *args, struct kurir_buf *text, json_t **ret_data)
{
	struct kurir_buf body = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_request request = { .endpoint = SIMULATE_ENDPOINT, .fd = -1 };
	struct simulate_question q;
	struct kurir_str answer;
	const char *wrong = read_args(args, &q), *error;
	json_t *data;
	int r;

	if (wrong != NULL)
		return wrong;
	r = simulate_put(&body, &q);
	request.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(
		    NULL, &request, kurir_now() + SIMULATE_TIME + 5000, kurir_scratch(), &answer);
	kurir_buf_free(&body);
	if (r < 0)
		return r == -EMSGSIZE
		    ? "this message is too long for a simulation"
		    : kurir_format(kurir_scratch(), "it cannot be played: %s", strerror(-r)).ptr;
	data = control_json(answer);
	error = json_string_value(json_object_get(data, "error"));
	if (data == NULL || error != NULL) {
		wrong = error != NULL ? kurir_copy(kurir_scratch(), kurir_str_of(error)).ptr
				      : "the edge gave no answer that can be read";
		json_decref(data);
		return wrong;
	}
	json_object_set_new(data, "peer", string(q.peer));
	json_object_set_new(data, "bytes", json_integer((json_int_t)q.message.len));
	if (json_is_true(json_object_get(data, "kept")))
		json_object_set_new(
		    data, "routes", find_routes(json_object_get(data, "recipients")));
	rehearse_show(data, text);
	*ret_data = data;
	return NULL;
}
