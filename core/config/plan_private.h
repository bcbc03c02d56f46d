/* plan_private.h - a plan in the making. */
#ifndef CORE_PLAN_PRIVATE_H
#define CORE_PLAN_PRIVATE_H

#include "modload.h"
#include "plan.h"

/* A block of "modules" and what became of it. */
struct planned {
	const struct json *block;
	struct kurir_str name, base; /* "route_static/corp", "route_static" */
	struct module *module;	     /* NULL: not loaded */
	struct conf_module core;
	void *conf;
	uint32_t caps;	 /* granted */
	uint32_t worker; /* as in plan_instance */
};

struct planner {
	struct kurir_arena *arena;
	struct option_reader rd;
	struct report *report;
	const char *file; /* absolute */
	const struct json *top;
	struct conf conf;
	size_t count;
	struct planned *items;
	json_t *warnings;
};

#define PIPELINE_MAX 240 /* instances */

/* Where relative paths of file start. */
struct kurir_str plan_folder(struct kurir_arena *, const char *file);
/* plan_modules.c */
struct kurir_str plan_not_found(
    struct kurir_arena *, struct kurir_str name, const struct kurir_texts *path);
void plan_modules(struct planner *);
/* plan_check.c: what can only be seen when all modules are known. */
void plan_check(struct planner *);
/* plan_isolate.c: who gets a worker, and whether that can be. */
void plan_isolate(struct planner *);
void plan_host(struct planner *); /* on this host, if it is the server's */
/* plan_text.c */
char *plan_write(struct planner *, bool secrets); /* for free(3) */

#endif
