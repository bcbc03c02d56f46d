/* plan.h - what a configuration comes to: which modules in which roles, who answers what, which
 * paths, all values resolved.
 *
 * A planner process makes the plan (plan_make: it loads the modules); the supervisor reads it
 * (plan_read: it loads none) and gives each role process its part (plan_for_role), which that
 * process reads and carries out (plan_apply). Secrets stand in the text of a plan: it goes
 * through pipes and memory files only. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "conf.h"

struct plan_instance {
	struct kurir_str name;	 /* "route_static" or "route_static/corp" */
	struct kurir_str module; /* "route_static" */
	/* absolute path of the shared object; empty: could not load, not required */
	struct kurir_str file;
	uint32_t roles;
	uint32_t caps;
	uint32_t worker; /* 1 + the index of the process that it has for itself; 0: none */
	uint32_t points; /* with worker: 1u << enum chain_point, of its hooks */
	struct conf_module conf;
	const struct json *options;
};
struct plan_endpoint {
	struct kurir_str name;
	uint32_t role; /* one bit */
};
struct plan_path {
	struct kurir_str path; /* absolute */
	uint32_t read, write;  /* roles */
	bool make;	       /* a folder below "state": the supervisor makes it */
	uint32_t worker;       /* as in plan_instance: only that worker may use it */
};

struct plan {
	struct kurir_arena *arena;
	struct frozen *memory;
	struct kurir_str text; /* the JSON form */
	struct kurir_str file; /* the configuration it was made from */
	struct conf conf;
	size_t instance_count;
	struct plan_instance *instances; /* configuration order */
	size_t endpoint_count;
	struct plan_endpoint *endpoints;
	size_t path_count;
	struct plan_path *paths;
	struct kurir_texts warnings; /* optional modules that are missing */
	uint32_t roles;		     /* those that are needed */
	bool dials;		     /* the resolver connects for others */
};

/* Reads a configuration and loads its modules. NULL when anything is wrong: see report.
 * secrets: whether they stand in the text (without them the plan is for looking at only). */
struct plan *plan_make(const char *file, bool secrets, struct report *);
/* Of a text that plan_make() or plan_for_role() made. 0 or -EINVAL with a sentence in arena. */
int plan_read(struct kurir_str text, struct kurir_arena *arena, struct plan **ret,
    struct kurir_str *ret_error);
int plan_user(struct kurir_str name, unsigned *ret_uid, unsigned *ret_gid); /* or -EINVAL */
void plan_free(struct plan *); /* not after plan_apply(): its values are in use */
/* The part that concerns these roles: instances of other roles, with their secrets, are left
 * out, and those of other workers. */
struct kurir_str plan_for_role(
    const struct plan *, struct kurir_arena *, uint32_t roles, unsigned index);
/* Loads the modules of these roles and makes their instances (not started), and conf_now. 0 or
 * -errno; *error says why. */
int plan_apply(struct plan *, uint32_t roles, struct kurir_arena *, struct kurir_str *ret_error);

/* kurird's own commands; what they return is the program's exit status. out and err:
 * descriptors. */
int conf_main_check(const char *file, int err); /* --check: silent when all is well */
int conf_main_plan(const char *file, int out,
    int err); /* --plan: the plan on out; on a terminal secrets are hidden */
int conf_main_schema(const char *file, int out, int err); /* --schema: file may be NULL */
int conf_main_describe(
    const char *file, const char *name, int out, int err); /* --describe NAME; "core" too */

#endif
