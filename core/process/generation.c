/* generation.c - the listeners, folders and processes of one plan. */
#include "generation.h"
#include "bind.h"
#include "keywatch.h"
#include "notify.h"
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generation *generation_newest;

/* A socket for this address that is there already: from systemd, or an older generation's. */
static int listener_found(const struct conf_listener *l, struct kurir_str address)
{
	struct kurir_str name;
	int fd;

	for (struct generation *g = generation_newest; g != NULL; g = g->older)
		for (unsigned i = 0; i < g->listener_count; i++)
			if (bind_matches(address, g->listeners[i]))
				return fcntl(g->listeners[i], F_DUPFD_CLOEXEC, 3);
	for (unsigned i = 0; notify_listener(i, &fd, &name); i++)
		if (bind_matches(address, fd) || kurir_str_equal(name, l->name))
			return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return -1;
}

static int generation_listen(struct generation *g, struct kurir_buf *why)
{
	const struct conf *c = &g->plan->conf;
	size_t n = 0;

	for (size_t i = 0; i < c->listener_count; i++)
		n += c->listeners[i].addresses.count;
	g->listeners = kurir_alloc(g->arena, sizeof(int) * (n + 1));
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct conf_listener *l = &c->listeners[i];

		for (size_t k = 0; k < l->addresses.count; k++) {
			struct kurir_str a = l->addresses.items[k];
			int fd = listener_found(l, a), r = 0;

			if (fd < 0)
				r = bind_listen(a, l->backlog, &fd);
			if (r < 0) {
				(void)kurir_buf_printf(why,
				    "cannot listen on %.*s (listener \"%.*s\"): %s", KURIR_ARG(a),
				    KURIR_ARG(l->name),
				    r == -EACCES	   ? "only root may use ports below 1024"
					: r == -EADDRINUSE ? "another program uses that port"
							   : strerror(-r));
				return r;
			}
			g->listeners[g->listener_count++] = fd;
		}
	}
	return 0;
}

static int generation_lock(struct generation *g, struct kurir_buf *why)
{
	struct kurir_str state = g->plan->conf.state;
	int r;

	for (const struct generation *o = generation_newest; o != NULL; o = o->older)
		if (kurir_str_equal(o->plan->conf.state, state)) {
			g->lock = fcntl(o->lock, F_DUPFD_CLOEXEC, 3);
			return g->lock < 0 ? -errno : 0;
		}
	r = role_lock_state(g->plan, &g->lock);
	if (r < 0)
		(void)kurir_buf_printf(why, "cannot have the folder %.*s: %s", KURIR_ARG(state),
		    r == -EBUSY ? "another server has it, or is still ending" : strerror(-r));
	return r;
}

static void generation_add(struct generation *g, uint32_t bit, unsigned index, unsigned count)
{
	struct process *p = kurir_alloc(g->arena, sizeof(*p)), **end = &g->processes;

	p->of = g;
	p->role = bit;
	p->index = index;
	p->count = count;
	p->control.fd = -1;
	(void)snprintf(
	    p->name, sizeof(p->name), "%s-%u", conf_role_names[__builtin_ctz(bit)], index);
	while (*end != NULL)
		end = &(*end)->next;
	*end = p;
}

int generation_new(struct plan *plan, struct kurir_buf *why, struct generation **ret)
{
	static unsigned number;
	struct kurir_arena *arena = kurir_arena_new("generation");
	struct generation *g = kurir_alloc(arena, sizeof(*g));
	int r;

	g->arena = arena;
	g->plan = plan;
	g->number = ++number;
	g->lock = -1;
	r = role_make_folders(plan);
	if (r < 0)
		(void)kurir_buf_printf(why, "cannot make the folders: %s", strerror(-r));
	if (r >= 0)
		r = generation_lock(g, why);
	if (r >= 0)
		r = generation_listen(g, why);
	if (r < 0) {
		generation_free(g);
		return r;
	}
	for (unsigned i = 0; i < CONF_ROLES; i++) {
		uint32_t bit = 1u << i;
		unsigned count = (unsigned)plan->conf.processes[i];

		for (unsigned k = 0; ((plan->roles | KURIR_ROLE_CONTROL) & bit) && k < count; k++)
			generation_add(g, bit, k, count);
	}
	*ret = g;
	return 0;
}

void generation_free(struct generation *g)
{
	for (struct generation **p = &generation_newest; *p != NULL; p = &(*p)->older)
		if (*p == g) {
			*p = g->older;
			break;
		}
	for (unsigned i = 0; i < g->listener_count; i++)
		(void)close(g->listeners[i]);
	if (g->lock >= 0)
		(void)close(g->lock);
	keywatch_end(g);
	plan_free(g->plan);
	kurir_arena_free(g->arena);
}

bool generation_has(const struct generation *g, uint32_t roles, bool alive)
{
	for (const struct process *p = g->processes; p != NULL; p = p->next)
		if ((p->role & roles) && (!alive || p->pid > 0))
			return true;
	return false;
}

void generation_start(struct generation *g)
{
	g->older = generation_newest;
	generation_newest = g;
	keywatch_begin(g);
	for (struct process *p = g->processes; p != NULL; p = p->next)
		process_start(p);
}
