/* conf.c - the core's own options: their tables, and how they are read. */
#include "conf.h"

#include <ctype.h>
#include <string.h>

const struct conf *conf_now;

const char *const conf_role_names[CONF_ROLES + 1] = { "edge", "queue", "resolver", "relay",
	"store", "access", "auth", "control", "worker", NULL };
const char *const conf_cap_names[] = { "net", "body", "rcpt", "spawn", "files", NULL };
const char *const conf_on_error_names[] = { "defer", "next", "reject", NULL };

static const char *const sandbox_names[] = { "required", "best-effort", "off", NULL };
static const char *const to_names[] = { "stderr", "syslog", "journald", NULL };
static const char *const format_names[] = { "text", "json", NULL };
static const char *const level_names[] = { "debug", "info", "notice", "warn", "error", NULL };
static const char *const tls_names[] = { "none", "upgrade", "implicit", NULL };
static const char *const minimum_names[] = { "1.2", "1.3", NULL };
static const char *const isolation_names[] = { "none", "process", NULL };

#define RANGE_INT(n, m, p, lo, hi, h) \
	KURIR_OPT_RANGE(n, KURIR_INT, int64_t, struct conf, m, p, lo, hi, h)
#define RANGE_SPAN(n, m, p, lo, hi, h) \
	KURIR_OPT_RANGE(n, KURIR_SPAN, kurir_time, struct conf, m, p, lo, hi, h)
#define USER(n, m, p, h) \
	{ \
		.name = (n), .type = (enum kurir_type)OPTION_USER, \
		.offset = offsetof(struct conf, m), .preset = (p), .help = (h) \
	}

static const struct kurir_option top_options[] = {
	RANGE_INT("version", version, NULL, 1, CONF_VERSION,
	    "Which presets apply: 1, the version of this format."),
	KURIR_OPT_TEXT("hostname", struct conf, hostname, NULL,
	    "The name of this server, as others find it in the DNS."),
	KURIR_OPT_PATH("state", struct conf, state, KURIR_STATEDIR,
	    "The folder of the queue and of whatever else must survive a restart."),
	KURIR_OPT_PATH(
	    "run", struct conf, run, KURIR_RUNDIR, "The folder of the control socket."),
	KURIR_OPT_TEXTS("module-path", struct conf, module_path, KURIR_MODULEDIR,
	    "Folders in which modules are looked for, in this order."),
	KURIR_OPT_CHOICE("sandbox", struct conf, sandbox, sandbox_names, "required",
	    "Whether to start when the kernel cannot lock the processes in: required refuses."),
	KURIR_OPT_MAP("pipelines", struct conf, pipelines, "",
	    "Chains of modules by name: each decides about mail in this order."),
	{ 0 }
};

static const struct kurir_option user_options[] = {
	USER("default", users_default, "",
	    "The user of all other roles; empty: the one that started the server."),
	USER("edge", users[0], "", "Runs sessions until they are authenticated."),
	USER("queue", users[1], "", "Runs the queue."),
	USER("resolver", users[2], "", "Runs DNS."),
	USER("relay", users[3], "", "Runs outgoing mail."),
	USER("store", users[4], "", "Owns the mailboxes."),
	USER("access", users[5], "", "Runs authenticated mailbox sessions."),
	USER("auth", users[6], "", "Reads the credentials."),
	USER("control", users[7], "", "Runs the control socket."),
	USER("worker", users[8], "", "Runs modules that have a process of their own."), { 0 }
};

static const struct kurir_option process_options[] = {
	RANGE_INT("edge", processes[0], "1", 1, 256,
	    "Processes for sessions that are not authenticated, and for mail."),
	RANGE_INT("relay", processes[3], "1", 1, 256, "Processes for outgoing mail."),
	RANGE_INT("store", processes[4], "1", 1, 256,
	    "Processes that write mailboxes; each account has one of them."),
	RANGE_INT(
	    "access", processes[5], "1", 1, 256, "Processes for authenticated mailbox sessions."),
	{ 0 }
};

static const struct kurir_option log_options[] = { KURIR_OPT_CHOICE("to", struct conf, log_to,
						       to_names, "stderr", "Where the log goes."),
	KURIR_OPT_CHOICE(
	    "format", struct conf, log_format, format_names, "text", "How a line is written."),
	KURIR_OPT_CHOICE("level", struct conf, log_level, level_names, "info",
	    "The least important lines that are written."),
	{ 0 } };

static const struct kurir_option tls_options[] = {
	KURIR_OPT_CHOICE("minimum", struct conf, tls_minimum, minimum_names, "1.2",
	    "The oldest version of TLS that is spoken."),
	KURIR_OPT_PATH("ca", struct conf, tls_ca, "/etc/ssl/certs/ca-certificates.crt",
	    "The authorities that are trusted when this server connects to others."),
	{ 0 }
};

static const struct kurir_option certificate_options[] = {
	KURIR_OPT_PATH("certificate", struct conf_certificate, certificate, NULL,
	    "A PEM file: the server's certificate first, then the intermediate ones."),
	KURIR_OPT_PATH(
	    "key", struct conf_certificate, key, NULL, "A PEM file with the private key."),
	{ 0 }
};

static const struct kurir_option limit_options[] = {
	RANGE_INT("connections", limit_connections, "10000", 1, 1000000,
	    "Connections at one time; more are told to come back later."),
	RANGE_INT("connections-per-peer", limit_connections_per_peer, "100", 1, 1000000,
	    "Connections at one time from one address (IPv6: from one /64)."),
	RANGE_SPAN("handshake", limit_handshake, "30s", 1000, 600000,
	    "How long a TLS handshake may take on a listener with implicit TLS."),
	RANGE_SPAN("silence", limit_silence, "1m", 2000, 3600000,
	    "A process in which nothing moves for so long is ended and started again."),
	RANGE_SPAN("drain", limit_drain, "5m", 0, 86400000,
	    "How long sessions may go on after a reload."),
	KURIR_OPT_SIZE("memory", struct conf, limit_memory, "0",
	    "What one process may allocate; 0 sets no limit."),
	{ 0 }
};

static const struct kurir_option history_options[] = {
	KURIR_OPT_RANGE("size", KURIR_SIZE, uint64_t, struct conf, history_size, "1G", 0,
	    (int64_t)1 << 44,
	    "What the history of events may take on the disk; 0: none is kept."),
	RANGE_SPAN("age", history_age, "30d", 3600000, 315360000000, "How long it is kept."),
	{ 0 }
};

static const struct kurir_option listener_options[] = {
	KURIR_OPT_TEXT("protocol", struct conf_listener, protocol, NULL,
	    "What is spoken: a protocol that a module provides."),
	KURIR_OPT_TEXTS("address", struct conf_listener, addresses, NULL,
	    "Where to listen: \"192.0.2.1:25\", \"[::]:25\" or \"unix:/path\"."),
	KURIR_OPT_CHOICE("tls", struct conf_listener, tls, tls_names, "none",
	    "Whether TLS never begins, begins on the client's command, or begins at once."),
	KURIR_OPT_TEXT("pipeline", struct conf_listener, pipeline, "",
	    "The chain that decides about what arrives here."),
	KURIR_OPT_RANGE("backlog", KURIR_INT, int64_t, struct conf_listener, backlog, "1024", 1,
	    65535, "Connections that may wait to be accepted."),
	{ 0 }
};

const struct kurir_option conf_module_options[] = {
	KURIR_OPT_CHOICE("on-error", struct conf_module, on_error, conf_on_error_names, "defer",
	    "What follows when a hook of this module cannot decide."),
	KURIR_OPT_RANGE("deadline", KURIR_SPAN, kurir_time, struct conf_module, deadline, "30s",
	    1, 3600000, "How long one call of a hook may take."),
	KURIR_OPT_BOOL("required", struct conf_module, required, "true",
	    "Whether the server may not start without this module."),
	KURIR_OPT_CHOICE("isolation", struct conf_module, isolation, isolation_names, "none",
	    "Whether the module runs in a process of its own."),
	KURIR_OPT_SIZE("memory", struct conf_module, memory, "512M",
	    "What that process may allocate; 0: as \"limits\" says."),
	KURIR_OPT_TEXTS("withhold", struct conf_module, withhold, "",
	    "Capabilities the module asks for and does not get: net, body, rcpt, spawn, files."),
	{ 0 }
};

const struct conf_group conf_groups[] = { { "", CONF_ONE, NULL, top_options, "The server." },
	{ "users", CONF_ONE, "", user_options,
	    "Users of the processes, by name or number, when started as root." },
	{ "processes", CONF_ONE, "", process_options, "How many processes the busy roles have." },
	{ "log", CONF_ONE, "", log_options, "The log." },
	{ "tls", CONF_ONE, "", tls_options, "Encryption." },
	{ "certificates", CONF_LIST, "tls", certificate_options,
	    "Certificates; the client's wish (SNI) chooses one, the first is for the others." },
	{ "limits", CONF_ONE, "", limit_options, "What clients may use together." },
	{ "history", CONF_ONE, "", history_options, "What \"kurirctl explain\" knows." },
	{ "listeners", CONF_NAMED, "", listener_options, "Where clients connect, by any name." },
	{ 0 } };

uint32_t conf_role_bit(struct kurir_str name)
{
	for (unsigned i = 0; i < CONF_ROLES; i++)
		if (kurir_str_equal(name, kurir_str_of(conf_role_names[i])))
			return 1u << i;
	return 0;
}

/* Letters, digits, '-' and '.'; no empty label, none above 63, the whole within 253. */
static bool is_hostname(struct kurir_str s)
{
	size_t label = 0;

	if (s.len == 0 || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool edge = label == 0 || i + 1 == s.len || s.ptr[i + 1] == '.';

		if (c == '.') {
			if (label == 0 || i + 1 == s.len)
				return false;
			label = 0;
		} else if ((!isalnum((unsigned char)c) || (unsigned char)c > 127) &&
		    (c != '-' || edge)) {
			return false;
		} else if (++label > 63) {
			return false;
		}
	}
	return true;
}

static bool is_type(struct option_reader *rd, const struct json *v, enum value_type type)
{
	if (v && v->type != type)
		report_at(rd->report, v, "%s is expected here, this is %s", value_type_name(type),
		    value_type_name(v->type));
	return v && v->type == type;
}

/* The objects in list, one of size bytes each, by their options. */
static void *read_items(struct option_reader *rd, const struct json *list, enum value_type type,
    const struct kurir_option *options, size_t size, size_t *ret_count)
{
	char *items;
	size_t n = 0;

	if (!is_type(rd, list, type))
		return NULL;
	items = frozen_alloc(rd->memory, (list->count + 1) * size);
	for (const struct json *v = list->first; v; v = v->next) {
		if (!is_type(rd, v, VALUE_OBJECT))
			continue;
		option_unknown(rd, &options, 1, NULL, v);
		option_fill(rd, options, v, items + n++ * size);
	}
	*ret_count = n;
	return items;
}

static void read_listeners(struct option_reader *rd, const struct json *list, struct conf *c)
{
	struct conf_listener *l =
	    read_items(rd, list, VALUE_OBJECT, listener_options, sizeof(*l), &c->listener_count);

	c->listeners = l;
	for (const struct json *v = l ? list->first : NULL; v; v = v->next)
		if (v->type == VALUE_OBJECT)
			l++->name = frozen_copy(rd->memory, v->key);
}

/* One group: what it has itself, and the names of what stands in it. */
static void read_group(struct option_reader *rd, const struct conf_group *g,
    const struct json *object, struct conf *c)
{
	const char *within[16];
	size_t n = 0;

	for (const struct conf_group *o = conf_groups; o->name; o++)
		if (o->parent && strcmp(o->parent, g->name) == 0)
			within[n++] = o->name;
	if (!g->parent)
		within[n++] = "modules";
	within[n] = NULL;
	if (object && is_type(rd, object, VALUE_OBJECT))
		option_unknown(rd, &g->options, 1, within, object);
	else
		object = NULL;
	option_fill(rd, g->options, object, c);
}

void conf_read(struct option_reader *rd, const struct json *top, struct conf *c)
{
	const struct json *v;
	struct kurir_str *path;

	for (unsigned i = 0; i < CONF_ROLES; i++)
		c->processes[i] = 1u << i == KURIR_ROLE_WORKER ? 0 : 1; /* plan_read() counts */
	for (const struct conf_group *g = conf_groups; g->name; g++)
		if (g->shape == CONF_ONE)
			read_group(rd, g, g->parent ? json_get(top, g->name) : top, c);
	c->certificates = read_items(rd, json_get(json_get(top, "tls"), "certificates"),
	    VALUE_ARRAY, certificate_options, sizeof(*c->certificates), &c->certificate_count);
	read_listeners(rd, json_get(top, "listeners"), c);
	path = frozen_alloc(rd->memory, (c->module_path.count + 1) * sizeof(*path));
	for (size_t i = 0; i < c->module_path.count; i++)
		path[i] = option_absolute(rd, c->module_path.items[i]);
	c->module_path.items = path;
	v = json_get(top, "hostname");
	if (v && v->type == VALUE_TEXT && !is_hostname(v->text))
		report_at(rd->report, v, "\"%.*s\" is not the name of a host",
		    v->text.len > 60 ? 60 : (int)v->text.len, v->text.ptr);
}

void conf_read_module(struct option_reader *rd, const struct json *block, struct conf_module *m)
{
	const struct json *v, *w;

	option_fill(rd, conf_module_options, block, m);
	v = json_get(block, "withhold");
	if (!v)
		return;
	for (w = v->type == VALUE_ARRAY ? v->first : v; w;
	     w = v->type == VALUE_ARRAY ? w->next : NULL) {
		size_t i = 0, count = sizeof(conf_cap_names) / sizeof(conf_cap_names[0]) - 1;

		if (w->type != VALUE_TEXT)
			continue;
		while (i < count && !kurir_str_equal(w->text, kurir_str_of(conf_cap_names[i])))
			i++;
		if (i == count)
			report_at(rd->report, w,
			    "\"%.*s\" is not a capability: net, body, rcpt, spawn or files%.*s",
			    w->text.len > 60 ? 60 : (int)w->text.len, w->text.ptr,
			    KURIR_ARG(option_hint(rd->arena, w->text, conf_cap_names, count)));
	}
}

json_t *conf_write(const struct conf *c)
{
	json_t *top = option_write(top_options, c, true), *list = json_array(),
	       *listeners = json_object();

	for (const struct conf_group *g = conf_groups; g->name; g++)
		if (g->parent && g->shape == CONF_ONE)
			json_object_set_new(top, g->name, option_write(g->options, c, true));
	for (size_t i = 0; i < c->certificate_count; i++)
		json_array_append_new(
		    list, option_write(certificate_options, &c->certificates[i], true));
	json_object_set_new(json_object_get(top, "tls"), "certificates", list);
	for (size_t i = 0; i < c->listener_count; i++)
		json_object_set_new(listeners, c->listeners[i].name.ptr,
		    option_write(listener_options, &c->listeners[i], true));
	json_object_set_new(top, "listeners", listeners);
	return top;
}
