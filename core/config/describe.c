/* describe.c - what can be written, for people: --describe. */
#include "describe.h"

#include "chain.h"
#include "plan_private.h"

#include <string.h>

static void options(struct kurir_buf *out, const struct kurir_option *table)
{
	for (const struct kurir_option *o = table; o && o->name; o++)
		option_describe(out, o);
}

static void names(struct kurir_buf *out, const char *title, const char *const *list)
{
	if (!list || !*list)
		return;
	kurir_buf_printf(out, "%s:", title);
	for (; *list; list++)
		kurir_buf_printf(out, " %s", *list);
	kurir_buf_add(out, KURIR_STR("\n"));
}

static void bits(struct kurir_buf *out, const char *title, uint32_t mask, const char *const *list)
{
	kurir_buf_printf(out, "%s:", title);
	for (unsigned i = 0; i < 32 && list[i]; i++)
		if (mask & (1u << i))
			kurir_buf_printf(out, " %s", list[i]);
	kurir_buf_add(out, mask ? KURIR_STR("\n") : KURIR_STR(" none\n"));
}

void describe_core(struct kurir_buf *out)
{
	for (const struct conf_group *g = conf_groups; g->name; g++) {
		if (g->name[0] == '\0')
			kurir_buf_printf(out, "The top of the file: %s\n", g->help);
		else if (g->shape == CONF_NAMED)
			kurir_buf_printf(
			    out, "\n\"%s\", {\"any name\": {...}}: %s\n", g->name, g->help);
		else
			kurir_buf_printf(out, "\n\"%s\"%s%s%s%s: %s\n", g->name,
			    g->parent && g->parent[0] ? " in \"" : "", g->parent ? g->parent : "",
			    g->parent && g->parent[0] ? "\"" : "",
			    g->shape == CONF_LIST ? ", [{...}]" : "", g->help);
		options(out, g->options);
	}
	kurir_buf_add(out,
	    KURIR_STR(
		"\n\"modules\", {\"module\": {...}, \"module/instance\": {...}}: what every block takes:\n"));
	options(out, conf_module_options);
}

void describe_module(struct kurir_buf *out, const struct module *m)
{
	kurir_buf_printf(out, "%s %s - %s\n", m->m.name, m->m.version ? m->m.version : "",
	    m->m.summary ? m->m.summary : "");
	kurir_buf_printf(out, "file: %s\nABI: %u.%u\n", m->path, m->m.abi_major, m->m.abi_minor);
	bits(out, "roles", m->m.roles & KURIR_ROLE_ALL, conf_role_names);
	bits(out, "capabilities", m->m.caps, conf_cap_names);
	bits(out, "hooks", chain_points_of(m->m.smtp), chain_point_names);
	for (const struct kurir_service *s = m->m.services; s && s->kind; s++)
		kurir_buf_printf(out, "provides: %s %s\n", s->kind, s->name ? s->name : "");
	names(out, "needs", m->m.needs);
	names(out, "counters", m->m.counters);
	kurir_buf_add(out, KURIR_STR("options:\n"));
	options(out, m->m.options);
}
