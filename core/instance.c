/* instance.c - the configured instances of this process, and what modules ask about
 * themselves. */
#include "instance.h"
#include "conf.h"
#include "conn.h"
#include "count.h"
#include "instance_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kurir_self *instance_list;
unsigned instance_count;
size_t instance_conn_bytes, instance_tx_bytes;

static struct kurir_self **list_end = &instance_list;
static struct frozen *frozen_memory;

static size_t aligned(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

struct kurir_self *instance_new(const struct module *module, const char *name, void *conf)
{
	struct kurir_arena *arena = kurir_arena_new(name);
	struct kurir_self *self = kurir_alloc(arena, sizeof(*self));

	self->magic = INSTANCE_MAGIC;
	self->module = module;
	self->name = name;
	self->conf = conf;
	self->arena = arena;
	self->state = kurir_alloc(arena, module->m.self_size + 1);
	self->index = instance_count++;
	self->conn_offset = instance_conn_bytes;
	self->tx_offset = instance_tx_bytes;
	instance_conn_bytes += aligned(module->m.conn_size);
	instance_tx_bytes += aligned(module->m.tx_size);
	if (module->counters)
		self->counters = count_new(name, module->m.counters);
	*list_end = self;
	list_end = &self->next;
	return self;
}

void instance_freeze(struct frozen *memory)
{
	frozen_memory = memory;
}

void instance_reset(void)
{
	struct kurir_self *after;

	for (struct kurir_self *s = instance_list; s; s = after) {
		after = s->next;
		s->magic = 0;
		kurir_arena_free(s->arena);
	}
	instance_list = NULL;
	list_end = &instance_list;
	instance_count = 0;
	instance_conn_bytes = instance_tx_bytes = 0;
}

struct kurir_self *instance_find(struct kurir_str name)
{
	for (struct kurir_self *s = instance_list; s; s = s->next)
		if (kurir_str_equal(kurir_str_of(s->name), name))
			return s;
	return NULL;
}

KURIR_PARKS static int start_one(struct kurir_self *s)
{
	int r = 0;

	s->group = kurir_group_begin(s);
	if (s->module->m.start)
		r = s->module->m.start(s);
	if (r < 0) {
		kurir_group_end(s->group);
		s->group = NULL;
		return r;
	}
	s->started = true;
	return 0;
}

KURIR_PARKS static void stop_one(struct kurir_self *s)
{
	struct kurir_group *group = s->group;

	if (!s->started)
		return;
	s->started = false;
	/* Cleared only after its end: fibers that are being cancelled may still look. */
	kurir_group_end(group);
	s->group = NULL;
	if (s->module->m.stop)
		s->module->m.stop(s);
}

KURIR_PARKS int instance_start_all(uint32_t roles)
{
	int r;

	for (struct kurir_self *s = instance_list; s; s = s->next) {
		if (s->started || !(s->module->m.roles & roles))
			continue;
		r = start_one(s);
		if (r < 0 && !s->required) {
			s->failed = true;
			kurir_log(s, KURIR_ERROR, r,
			    "%s cannot start; it is not required, the server runs without it",
			    s->name);
			continue;
		}
		if (r < 0) {
			kurir_log(s, KURIR_ERROR, r, "%s cannot start", s->name);
			instance_stop_all();
			return r;
		}
	}
	if (frozen_memory)
		frozen_seal(frozen_memory);
	frozen_memory = NULL;
	return 0;
}

KURIR_PARKS void instance_stop_all(void)
{
	struct kurir_self *s, **all;
	unsigned n = 0;

	all = calloc(instance_count + 1, sizeof(struct kurir_self *));
	if (!all)
		abort();
	for (s = instance_list; s; s = s->next)
		all[n++] = s;
	while (n > 0)
		stop_one(all[--n]);
	free(all);
}

const void *kurir_service_at(const char *kind, unsigned n, struct kurir_self **ret_owner)
{
	for (struct kurir_self *s = instance_list; s; s = s->next) {
		if (s->failed)
			continue;
		for (const struct kurir_service *p = s->module->m.services; p && p->kind; p++) {
			if (strcmp(p->kind, kind) == 0 && n-- == 0) {
				if (ret_owner)
					*ret_owner = s;
				return p->ops;
			}
		}
	}
	return NULL;
}

const void *kurir_service_find(const char *kind, const char *name, struct kurir_self **ret_owner)
{
	for (struct kurir_self *s = instance_list; s; s = s->next) {
		if (s->failed)
			continue;
		for (const struct kurir_service *p = s->module->m.services; p && p->kind; p++) {
			if (strcmp(p->kind, kind) == 0 &&
			    (!name || (p->name && strcmp(p->name, name) == 0))) {
				if (ret_owner)
					*ret_owner = s;
				return p->ops;
			}
		}
	}
	return NULL;
}

static struct kurir_self *checked(struct kurir_self *self)
{
	if (!self || self->magic != INSTANCE_MAGIC)
		abort();
	return self;
}

const void *kurir_conf(struct kurir_self *self)
{
	return checked(self)->conf;
}

void *kurir_state(struct kurir_self *self)
{
	return checked(self)->state;
}

struct kurir_arena *kurir_self_arena(struct kurir_self *self)
{
	return checked(self)->arena;
}

const char *kurir_self_name(struct kurir_self *self)
{
	return checked(self)->name;
}

void *kurir_conn_state(struct kurir_conn *conn, struct kurir_self *self)
{
	return (char *)conn_slots(conn) + checked(self)->conn_offset;
}

struct kurir_str kurir_hostname(void)
{
	return conf_now ? conf_now->hostname : KURIR_STR("localhost");
}

struct kurir_str kurir_state_path(struct kurir_arena *arena, const char *name)
{
	struct kurir_str state = conf_now ? conf_now->state : KURIR_STR("");

	return kurir_format(arena, "%.*s/%s", KURIR_ARG(state), name);
}
