/* plan_check.c - what fits together: needs, listeners, addresses, pipelines. */
#include "plan_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static bool provides(const struct planned *it, const char *kind, const char *name)
{
	for (const struct kurir_service *s = it->module ? it->module->m.services : NULL;
	     s && s->kind; s++)
		if (strcmp(s->kind, kind) == 0 &&
		    (!name || (s->name && strcmp(s->name, name) == 0)))
			return true;
	return false;
}

static void check_needs(struct planner *p, const struct planned *it)
{
	for (const char *const *need = it->module->m.needs; need && *need; need++) {
		bool self = false, other = false, lost = false;

		for (size_t i = 0; i < p->count; i++) {
			const struct planned *j = &p->items[i];

			lost = lost || !j->module;
			if (!provides(j, *need, NULL))
				continue;
			self = self || j == it;
			other = other || j != it;
		}
		/* What could not be loaded was reported, and may have been what is needed. */
		if (other || lost)
			continue;
		if (self)
			report_key(p->report, it->block,
			    "%.*s needs a \"%s\" service other than its own: no other module "
			    "provides one",
			    KURIR_ARG(it->base), *need);
		else
			report_key(p->report, it->block,
			    "%.*s needs a \"%s\" service: no module provides one",
			    KURIR_ARG(it->base), *need);
	}
}

static void check_protocol(
    struct planner *p, const struct conf_listener *l, const struct json *block)
{
	const struct json *v = json_get(block, "protocol");
	const char *names[64];
	bool lost = false;
	size_t n = 0;

	if (!v || v->type != VALUE_TEXT)
		return;
	for (size_t i = 0; i < p->count; i++) {
		const struct planned *it = &p->items[i];

		if (provides(it, "protocol", l->protocol.ptr)) {
			if (!(it->module->m.roles & KURIR_ROLE_EDGE))
				report_at(p->report, v, "%.*s does not run in the edge role",
				    KURIR_ARG(it->base));
			return;
		}
		lost = lost || !it->module;
		for (const struct kurir_service *s = it->module ? it->module->m.services : NULL;
		     s && s->kind && n < 64; s++)
			if (strcmp(s->kind, "protocol") == 0 && s->name)
				names[n++] = s->name;
	}
	if (!lost)
		report_at(p->report, v, "no module provides the protocol \"%.*s\"%.*s",
		    l->protocol.len > 60 ? 60 : (int)l->protocol.len, l->protocol.ptr,
		    KURIR_ARG(option_hint(p->arena, l->protocol, names, n)));
}

static void check_pipeline(
    struct planner *p, const struct conf_listener *l, const struct json *block)
{
	const struct json *v = json_get(block, "pipeline");
	const struct kurir_map *map = &p->conf.pipelines;
	const char **names = kurir_alloc(p->arena, (map->count + 1) * sizeof(*names));

	if (!v || v->type != VALUE_TEXT || l->pipeline.len == 0)
		return;
	for (size_t i = 0; i < map->count; i++) {
		names[i] = map->items[i].key.ptr;
		if (kurir_str_equal(map->items[i].key, l->pipeline))
			return;
	}
	report_at(p->report, v, "there is no pipeline \"%.*s\"%.*s",
	    l->pipeline.len > 60 ? 60 : (int)l->pipeline.len, l->pipeline.ptr,
	    KURIR_ARG(option_hint(p->arena, l->pipeline, names, map->count)));
}

struct address {
	struct kurir_str text, listener;
	bool any, six;
	uint16_t port; /* 0: a Unix socket */
	unsigned char ip[16];
};

static const char *parse_unix(struct kurir_str s)
{
	if (s.len < 7 || s.ptr[5] != '/')
		return "the path of a Unix socket is absolute: \"unix:/path\"";
	if (s.len - 5 >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "the path of a Unix socket has at most 107 bytes";
	return NULL;
}

static const char *parse_ip(struct kurir_str host, struct address *ret)
{
	static const unsigned char zero[16];
	char ip[INET6_ADDRSTRLEN + 1] = "";

	if (host.len == 0 || kurir_str_equal(host, KURIR_STR("*")))
		return "all addresses are \"0.0.0.0:PORT\" (IPv4) and \"[::]:PORT\" (IPv6)";
	if (host.len < sizeof(ip))
		memcpy(ip, host.ptr, host.len);
	if (inet_pton(ret->six ? AF_INET6 : AF_INET, ip, ret->ip) == 1) {
		ret->any = memcmp(ret->ip, zero, 16) == 0;
		return NULL;
	}
	if (ret->six)
		return "what stands in the brackets is not an IPv6 address";
	if (ip[strspn(ip, "0123456789.")] == '\0')
		return "this is not an IPv4 address";
	return "a listener takes addresses, not names: \"192.0.2.1:25\", \"[::]:25\" or \"unix:/path\"";
}

/* "ip:port", "[ip6]:port" or "unix:/path"; a sentence when it is none. */
static const char *parse_address(struct kurir_str s, struct address *ret)
{
	ssize_t colon = kurir_str_find_last(s, ':');
	struct kurir_str host;
	uint64_t port;

	ret->text = s;
	if (kurir_str_starts(s, KURIR_STR("unix:")))
		return parse_unix(s);
	if (colon < 0 || (s.ptr[0] == '[' && s.ptr[s.len - 1] == ']'))
		return "the port is missing: \"192.0.2.1:25\", \"[::]:25\" or \"unix:/path\"";
	host = kurir_str_part(s, 0, (size_t)colon);
	if (kurir_str_number(kurir_str_part(s, (size_t)colon + 1, s.len), 65535, &port) < 0 ||
	    port == 0)
		return "a port is a number from 1 to 65535";
	ret->port = (uint16_t)port;
	ret->six = host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
	if (!ret->six && kurir_str_find(host, ':') >= 0)
		return "an IPv6 address stands in brackets: \"[2001:db8::1]:25\"";
	return parse_ip(ret->six ? kurir_str_part(host, 1, host.len - 2) : host, ret);
}

static bool same_place(const struct address *a, const struct address *b)
{
	if (a->port == 0 || b->port == 0)
		return a->port == b->port && kurir_str_equal(a->text, b->text);
	return a->port == b->port && a->six == b->six &&
	    (a->any || b->any || memcmp(a->ip, b->ip, 16) == 0);
}

#define ADDRESSES_MAX 500 /* a process is born with them */

static void check_address(
    struct planner *p, const struct json *v, struct address *all, size_t *count)
{
	struct address a = { .listener = KURIR_STR("") };
	const char *wrong;

	if (v->type != VALUE_TEXT)
		return;
	wrong = parse_address(v->text, &a);
	if (wrong) {
		report_at(p->report, v, "%s", wrong);
		return;
	}
	for (const struct json *up = v; up && up->parent; up = up->parent)
		a.listener =
		    up->parent->parent && !up->parent->parent->parent ? up->key : a.listener;
	for (size_t i = 0; i < *count; i++) {
		if (same_place(&all[i], &a)) {
			report_at(p->report, v, "the listener \"%.*s\" already has %.*s",
			    KURIR_ARG(all[i].listener), KURIR_ARG(all[i].text));
			return;
		}
	}
	if (*count < ADDRESSES_MAX)
		all[(*count)++] = a;
	else
		report_at(p->report, v, "more than %d addresses to listen on", ADDRESSES_MAX);
}

static void check_tls(struct planner *p, const struct conf_listener *l, const struct json *block)
{
	const struct json *v = json_get(block, "tls"),
			  *list = json_get(json_get(p->top, "tls"), "certificates");

	if (v && l->tls != KURIR_TLS_NONE && (!list || list->count == 0))
		report_at(p->report, v, "TLS needs a certificate: see \"tls\", \"certificates\"");
}

static void check_listeners(struct planner *p)
{
	const struct json *list = json_get(p->top, "listeners");
	struct address *all = kurir_alloc(p->arena, ADDRESSES_MAX * sizeof(*all));
	const struct conf_listener *l = p->conf.listeners;
	size_t count = 0;

	for (const struct json *v = list && list->type == VALUE_OBJECT ? list->first : NULL; v;
	     v = v->next) {
		const struct json *a = json_get(v, "address");

		if (v->type != VALUE_OBJECT)
			continue;
		check_protocol(p, l, v);
		if (a && a->type == VALUE_ARRAY && a->count == 0)
			report_at(p->report, a, "a listener without an address hears nothing");
		for (const struct json *c = a && a->type == VALUE_ARRAY ? a->first : a; c;
		     c = a->type == VALUE_ARRAY ? c->next : NULL)
			check_address(p, c, all, &count);
		check_tls(p, l, v);
		check_pipeline(p, l, v);
		l++;
	}
}

static void check_link(struct planner *p, const struct json *v)
{
	const char **names = kurir_alloc(p->arena, (p->count + 1) * sizeof(*names));

	for (const struct json *c = v->parent->type == VALUE_ARRAY ? v->parent->first : v; c != v;
	     c = c->next) {
		if (c->type == VALUE_TEXT && kurir_str_equal(c->text, v->text)) {
			report_at(p->report, v, "\"%.*s\" is in this pipeline already",
			    KURIR_ARG(v->text));
			return;
		}
	}
	for (size_t i = 0; i < p->count; i++) {
		const struct planned *it = &p->items[i];

		names[i] = it->name.ptr;
		if (!kurir_str_equal(it->name, v->text))
			continue;
		if (it->module && !it->module->m.smtp)
			report_at(p->report, v,
			    "%.*s has no hooks: it has nothing to say in a pipeline",
			    KURIR_ARG(it->base));
		else if (it->module && !(it->module->m.roles & KURIR_ROLE_EDGE))
			report_at(p->report, v,
			    "%.*s does not run in the edge role, where pipelines are",
			    KURIR_ARG(it->base));
		return;
	}
	report_at(p->report, v, "there is no \"%.*s\" in \"modules\"%.*s",
	    v->text.len > 80 ? 80 : (int)v->text.len, v->text.ptr,
	    KURIR_ARG(option_hint(p->arena, v->text, names, p->count)));
}

static void check_pipelines(struct planner *p)
{
	const struct json *map = json_get(p->top, "pipelines");

	for (const struct json *v = map && map->type == VALUE_OBJECT ? map->first : NULL; v;
	     v = v->next) {
		bool many = v->count > PIPELINE_MAX;

		if (v->type == VALUE_TEXT)
			check_link(p, v);
		else if (many)
			report_at(
			    p->report, v, "more than %d modules in a pipeline", PIPELINE_MAX);
		for (const struct json *c = v->type == VALUE_ARRAY && !many ? v->first : NULL; c;
		     c = c->next)
			if (c->type == VALUE_TEXT)
				check_link(p, c);
	}
}

void plan_check(struct planner *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].module)
			check_needs(p, &p->items[i]);
	check_listeners(p);
	check_pipelines(p);
}
