/* probe.c - lets a script ask what modules ask each other: "kurirctl probe '{...}'".
 * The argument is a JSON object with "do": lookup, route, send, login, redeem, account.  It is
 * a queue, too,
 * whose messages are the files that are named by their references. */
#include <kurir/accounts.h>
#include <kurir/auth.h>
#include <kurir/dns.h>
#include <kurir/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPAN 60000

static struct kurir_str text_of(json_t *in, const char *key)
{
	const char *s = json_string_value(json_object_get(in, key));

	return s != NULL ? kurir_copy(kurir_scratch(), kurir_str_of(s)) : KURIR_STR("");
}

static struct kurir_texts texts_of(json_t *in, const char *key)
{
	json_t *list = json_object_get(in, key);
	size_t count = json_array_size(list);
	struct kurir_str *items = kurir_alloc(kurir_scratch(), (count + 1) * sizeof(*items));

	for (size_t i = 0; i < count; i++)
		items[i] = kurir_copy(
		    kurir_scratch(), kurir_str_of(json_string_value(json_array_get(list, i))));
	return (struct kurir_texts){ count, items };
}

static json_t *string(struct kurir_str s)
{
	json_t *j = json_stringn(s.ptr, s.len);

	if (j != NULL)
		return j;
	/* Not UTF-8: as hexadecimal digits. */
	char *p = kurir_alloc(kurir_scratch(), 2 * s.len + 1);

	for (size_t i = 0; i < s.len; i++) {
		p[2 * i] = "0123456789abcdef"[(unsigned char)s.ptr[i] >> 4];
		p[2 * i + 1] = "0123456789abcdef"[s.ptr[i] & 15];
	}
	return json_stringn(p, 2 * s.len);
}

static json_t *strings(struct kurir_texts t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t.count; i++)
		json_array_append_new(list, string(t.items[i]));
	return list;
}

KURIR_PARKS static json_t *lookup(struct kurir_self *self, json_t *in)
{
	struct kurir_self *owner = NULL;
	const struct kurir_dns_ops *dns = kurir_service_find("dns", NULL, &owner);
	struct kurir_dns_answer a = { 0 };
	json_t *records = json_array();
	int r = dns->lookup(owner, text_of(in, "name"),
	    (enum kurir_dns_type)json_integer_value(json_object_get(in, "type")),
	    kurir_now() + (kurir_time)json_integer_value(json_object_get(in, "span")),
	    kurir_scratch(), &a);

	(void)self;
	for (size_t i = 0; r == 0 && i < a.count; i++)
		json_array_append_new(records,
		    json_pack("{s:i,s:o}", "preference", a.records[i].preference, "text",
			string(a.records[i].text)));
	if (r < 0) {
		json_decref(records);
		return json_pack("{s:i}", "result", r);
	}
	return json_pack("{s:i,s:i,s:b,s:o,s:o,s:o,s:i}", "result", r, "status", a.status,
	    "secure", a.secure, "canonical", string(a.canonical), "summary", string(a.summary),
	    "records", records, "ttl", (int)a.ttl);
}

KURIR_PARKS static json_t *route(struct kurir_self *self, json_t *in)
{
	struct kurir_self *owner = NULL;
	const struct kurir_route_ops *ops = kurir_service_find("route", NULL, &owner);
	struct kurir_route to = { 0 };
	struct kurir_next_hop hop = { 0 };
	int r =
	    ops->route(owner, text_of(in, "address"), kurir_now() + SPAN, kurir_scratch(), &to);

	(void)self;
	if (r == 0 && to.kind == KURIR_ROUTE_TO) {
		struct kurir_reader rd = KURIR_READER(to.parameters);

		r = kurir_get_next_hop(&rd, kurir_scratch(), &hop);
	}
	if (r < 0)
		return json_pack("{s:i}", "result", r);
	return json_pack("{s:i,s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:i,s:o,s:o}", "result", r, "kind",
	    to.kind, "xyz", string(to.xyz), "text", string(to.text), "why", string(to.why),
	    "destination", string(to.destination), "addresses", strings(hop.addresses), "names",
	    strings(hop.names), "tls", hop.tls, "tlsa", strings(hop.tlsa), "tlsa_names",
	    strings(hop.tlsa_names));
}

static void read_envelope(json_t *in, struct kurir_envelope *e)
{
	struct kurir_texts to = texts_of(in, "to");
	struct kurir_recipient *rcpts =
	    kurir_alloc(kurir_scratch(), (to.count + 1) * sizeof(*rcpts));

	for (size_t i = 0; i < to.count; i++) {
		rcpts[i].address = to.items[i];
		rcpts[i].notify = (uint32_t)json_integer_value(json_object_get(in, "notify"));
		rcpts[i].orcpt = text_of(in, "orcpt");
	}
	e->id = KURIR_STR("probe00000000");
	e->sender = text_of(in, "from");
	e->envid = text_of(in, "envid");
	e->flags = (uint32_t)json_integer_value(json_object_get(in, "flags"));
	e->peer = e->helo = e->account = e->listener = KURIR_STR("");
	e->count = to.count;
	e->recipients = rcpts;
}

KURIR_PARKS static json_t *do_send(struct kurir_self *self, json_t *in)
{
	struct kurir_next_hop hop = { .addresses = texts_of(in, "addresses"),
		.names = texts_of(in, "names"),
		.name = text_of(in, "name"),
		.port = (uint16_t)json_integer_value(json_object_get(in, "port")),
		.tls = (uint8_t)json_integer_value(json_object_get(in, "tls")),
		.user = text_of(in, "user"),
		.password = text_of(in, "password") };
	struct kurir_job job = {
		.ref = text_of(in, "file"), .destination = KURIR_STR("site"), .attempt = 1
	};
	struct kurir_buf params = KURIR_BUF(65536), body = KURIR_BUF(KURIR_CALL_MAX);
	struct kurir_str tlsa = text_of(in, "tlsa"), reply;
	struct kurir_request rq = { .fd = -1 };
	struct kurir_result *results;
	json_t *list = json_array();
	int r;

	if (tlsa.len > 0) {
		char *raw = kurir_alloc(kurir_scratch(), tlsa.len);
		struct kurir_str *item = kurir_alloc(kurir_scratch(), sizeof(*item));
		unsigned v;

		for (size_t i = 0; i + 1 < tlsa.len; i += 2)
			raw[i / 2] = sscanf(tlsa.ptr + i, "%2x", &v) == 1 ? (char)v : 0;
		*item = (struct kurir_str){ raw, tlsa.len / 2 };
		hop.tlsa = (struct kurir_texts){ 1, item };
	}
	read_envelope(in, &job.envelope);
	results = kurir_alloc(kurir_scratch(), (job.envelope.count + 1) * sizeof(*results));
	r = kurir_put_next_hop(&params, &hop);
	job.parameters = kurir_buf_str(&params);
	if (r == 0)
		r = kurir_put_job(&body, &job);
	rq.endpoint =
	    kurir_format(kurir_scratch(), "transport.%.*s", KURIR_ARG(text_of(in, "transport")))
		.ptr;
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, kurir_now() + SPAN, kurir_scratch(), &reply);
	if (r == 0) {
		struct kurir_reader rd = KURIR_READER(reply);

		r = kurir_get_results(&rd, kurir_scratch(), results, job.envelope.count);
	}
	for (size_t i = 0; r == 0 && i < job.envelope.count; i++)
		json_array_append_new(list,
		    json_pack("{s:i,s:i,s:o,s:o,s:o,s:b,s:b}", "fate", results[i].fate, "code",
			(int)results[i].code, "xyz", string(results[i].xyz), "text",
			string(results[i].text), "remote", string(results[i].remote), "dsn",
			results[i].relayed_dsn, "site", results[i].site));
	kurir_buf_free(&params);
	kurir_buf_free(&body);
	return json_pack("{s:i,s:o}", "result", r, "results", list);
}

KURIR_PARKS static json_t *login(struct kurir_self *self, json_t *in)
{
	struct kurir_credentials c = { .user = text_of(in, "user"),
		.password = text_of(in, "password"),
		.authzid = text_of(in, "authzid"),
		.protocol = text_of(in, "protocol"),
		.peer = text_of(in, "peer"),
		.encrypted = true };
	struct kurir_identity id = { .account = KURIR_STR("") };
	kurir_time start = kurir_now();
	int r = kurir_authenticate(self, &c, kurir_now() + SPAN, kurir_scratch(), &id);

	return json_pack("{s:i,s:o,s:o,s:i}", "result", r, "account", string(id.account),
	    "ticket", string(id.ticket), "ms", (int)(kurir_now() - start));
}

KURIR_PARKS static json_t *redeem(struct kurir_self *self, json_t *in)
{
	struct kurir_buf body = KURIR_BUF(4096);
	struct kurir_request rq = { .endpoint = "ticket.redeem", .fd = -1 };
	struct kurir_str reply = KURIR_STR(""), account = KURIR_STR("");
	struct kurir_reader rd;
	int r = kurir_put_text(&body, text_of(in, "ticket"));

	if (r == 0)
		r = kurir_put_text(&body, text_of(in, "protocol"));
	rq.body = kurir_buf_str(&body);
	if (r == 0)
		r = kurir_call(self, &rq, kurir_now() + SPAN, kurir_scratch(), &reply);
	rd = KURIR_READER(reply);
	if (r == 0)
		account = kurir_get_text(&rd);
	kurir_buf_free(&body);
	return json_pack("{s:i,s:o}", "result", r, "account", string(account));
}

KURIR_PARKS static json_t *account(struct kurir_self *self, json_t *in)
{
	struct kurir_self *owner = NULL;
	const struct kurir_accounts_ops *ops = kurir_service_find("accounts", NULL, &owner);
	struct kurir_account_match m = { 0 };
	int r = ops->find(owner, text_of(in, "address"), kurir_now() + SPAN, kurir_scratch(), &m);

	(void)self;
	return json_pack("{s:i,s:i,s:o,s:o}", "result", r, "kind", m.kind, "account",
	    string(m.account), "addresses", strings(m.addresses));
}

KURIR_PARKS static int called(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	static const struct {
		const char *word;
		json_t *(*run)(struct kurir_self *, json_t *);
	} words[] = { { "lookup", lookup }, { "route", route }, { "send", do_send },
		{ "login", login }, { "redeem", redeem }, { "account", account } };
	json_t *body = json_loadb(in->body.ptr, in->body.len, 0, NULL), *args, *what = NULL,
	       *out = NULL;
	const char *word;
	char *text;
	int r;

	args = json_object_get(body, "args");
	if (json_array_size(args) == 1)
		what = json_loads(json_string_value(json_array_get(args, 0)), 0, NULL);
	word = json_string_value(json_object_get(what, "do"));
	for (size_t i = 0; word != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0)
			out = json_pack("{s:o}", "data", words[i].run(self, what));
	if (out == NULL)
		out = json_pack("{s:s}", "error", "what?");
	text = json_dumps(out, 0);
	r = kurir_buf_add(reply, kurir_str_of(text));
	free(text);
	json_decref(out);
	json_decref(what);
	json_decref(body);
	return r;
}

KURIR_PARKS static int open_body(
    struct kurir_self *self, struct kurir_str ref, struct kurir_body *ret)
{
	struct kurir_str path = kurir_copy(kurir_scratch(), ref);
	int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
	struct stat st;

	(void)self;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct kurir_body){ .fd = fd, .length = (uint64_t)st.st_size };
	return 0;
}

static const struct kurir_endpoint_ops probe_ops = { sizeof(probe_ops), called, NULL };
static const struct kurir_queue_ops queue_ops = { .size = sizeof(queue_ops), .open = open_body };
static const struct kurir_service services[] = {
	{ .kind = "endpoint", .name = "ctl.probe", .ops = &probe_ops, .roles = KURIR_ROLE_QUEUE },
	/* Only the edge and access may ask the auth role. */
	{ .kind = "endpoint",
	    .name = "ctl.probe-edge",
	    .ops = &probe_ops,
	    .roles = KURIR_ROLE_EDGE },
	{ .kind = "queue", .name = "probe", .ops = &queue_ops }, { 0 }
};

KURIR_MODULE(probe, .version = "1", .summary = "Lets a script ask what modules ask each other",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_RELAY, .services = services);
