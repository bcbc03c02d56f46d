/* route_static.c - routes that the administrator wrote down: a smarthost, or a host per domain.
 * */
#include "route_text.h"

#include <errno.h>

enum counter { ROUTED, PASSED };

struct conf {
	struct kurir_map routes;
	int tls;
	struct kurir_str user, password;
};

static int static_check(const void *conf_, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *conf = conf_;
	if ((conf->user.len == 0) != (conf->password.len == 0)) {
		*error = KURIR_STR("\"user\" and \"password\" belong together");
		return -EINVAL;
	}
	for (size_t i = 0; i < conf->routes.count; i++) {
		const struct kurir_pair *p = &conf->routes.items[i];
		struct kurir_str transport = { 0 };
		for (size_t k = 0; k < p->values.count; k++) {
			struct route_text t;
			const char *why;
			if (route_text_parse(p->values.items[k], &t, &why) < 0) {
				*error = kurir_format(arena, "route \"%.*s\" of \"%.*s\" %s",
				    KURIR_ARG(kurir_str_part(p->values.items[k], 0, 80)),
				    KURIR_ARG(kurir_str_part(p->key, 0, 80)), why);
				return -EINVAL;
			}
			bool name = !t.literal && p->values.count > 1;
			if (name || (k > 0 && !kurir_str_equal(transport, t.transport))) {
				*error = kurir_format(arena,
				    "several routes of \"%.*s\" must be addresses of one"
				    " transport",
				    KURIR_ARG(kurir_str_part(p->key, 0, 80)));
				return -EINVAL;
			}
			transport = t.transport;
		}
	}
	return 0;
}

static int pack_hop(const struct conf *conf, const struct kurir_pair *p,
    struct kurir_arena *arena, struct kurir_route *ret)
{
	struct kurir_next_hop hop = {
		.tls = (uint8_t)conf->tls, .user = conf->user, .password = conf->password
	};
	struct kurir_str *list = kurir_alloc(arena, (p->values.count + 1) * sizeof(*list));
	for (size_t k = 0; k < p->values.count; k++) {
		struct route_text t;
		const char *why;
		int r = route_text_parse(p->values.items[k], &t, &why);
		if (r < 0)
			return r;
		ret->transport = t.transport;
		hop.port = t.port;
		if (t.literal)
			list[hop.addresses.count++] = route_text_address(arena, &t);
		else
			hop.name = t.host;
	}
	hop.addresses.items = list;
	struct kurir_buf b = KURIR_BUF(1u << 16);
	int r = kurir_put_next_hop(&b, &hop);
	ret->parameters = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS static int static_route(struct kurir_self *self, struct kurir_str address,
    kurir_time deadline, struct kurir_arena *arena, struct kurir_route *ret)
{
	const struct conf *conf = kurir_conf(self);
	struct kurir_str domain =
	    kurir_str_part(address, (size_t)(kurir_str_find_last(address, '@') + 1), address.len);
	(void)deadline;
	for (size_t i = 0; i < conf->routes.count; i++) {
		const struct kurir_pair *p = &conf->routes.items[i];
		if (p->values.count == 0 || !route_text_matches(p->key, domain))
			continue;
		*ret = (struct kurir_route){ .kind = KURIR_ROUTE_TO,
			.destination = p->values.items[0] };
		ret->why = kurir_format(arena, "\"%.*s\" is routed to %.*s",
		    KURIR_ARG(kurir_str_part(p->key, 0, 80)),
		    KURIR_ARG(kurir_str_part(p->values.items[0], 0, 80)));
		kurir_count(self, ROUTED, 1);
		return pack_hop(conf, p, arena, ret);
	}
	kurir_count(self, PASSED, 1);
	ret->kind = KURIR_ROUTE_NONE;
	return 0;
}

/* In the order of enum kurir_hop_tls. */
static const char *const tls_choices[] = { "may", "never", "must", "verify", NULL };
static const struct kurir_option options[] = {
	KURIR_OPT_MAP("routes", struct conf, routes, NULL,
	    "Domain, \".domain\" (what is below it) or \"*\", and where its mail goes;"
	    " the first that matches."),
	KURIR_OPT_CHOICE("tls", struct conf, tls, tls_choices, "may",
	    "Whether connections are encrypted; \"verify\" wants a trusted certificate as well."),
	KURIR_OPT_TEXT("user", struct conf, user, "", "Logs in with this name."),
	KURIR_OPT_SECRET("password", struct conf, password, "", "The password of \"user\"."),
	{ 0 },
};
static const char *const counters[] = { "routed", "passed", NULL };
static const struct kurir_route_ops ops = { .size = sizeof(ops), .route = static_route };
static const struct kurir_service services[] = { { "route", "static", &ops, 0 }, { 0 } };

KURIR_MODULE(route_static, .version = "1.0",
    .summary = "Routes domains to the hosts that the configuration names",
    .roles = KURIR_ROLE_QUEUE, .conf_size = sizeof(struct conf), .options = options,
    .counters = counters, .services = services, .check = static_check);
