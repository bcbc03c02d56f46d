/* instance.h - the modules of this process and their configured instances. */
#ifndef CORE_INSTANCE_H
#define CORE_INSTANCE_H

#include <kurir/module.h>

#define INSTANCE_MAGIC 0x4b533131u

enum instance_on_error { ON_ERROR_DEFER, ON_ERROR_NEXT, ON_ERROR_REJECT };

/* One module as loaded: a copy of its descriptor, zero-extended to our size. */
struct module {
	struct kurir_module m;
	const char *path;
	uint32_t caps;	   /* granted: asked for and not withheld */
	unsigned counters; /* how many */
	struct module *next;
};

struct kurir_self {
	uint32_t magic;
	const struct module *module;
	const char *name;   /* "route_static" or "route_static/corp" */
	void *conf, *state; /* conf is read-only after start */
	struct kurir_arena *arena;
	struct kurir_group *group; /* its fibers */
	enum instance_on_error on_error;
	kurir_time deadline; /* span a hook may take */
	bool required, started;
	bool failed;	/* to start: the server runs as if it were not configured */
	unsigned index; /* in configuration order; slot of conn_state and tx_state */
	size_t conn_offset, tx_offset; /* into the per-connection and per-transaction blocks */
	uint64_t *counters; /* module->counters of them, in the process's shared page */
	uint32_t worker,
	    points; /* isolated; points: its hooks, worker: 1 + who has them, or 0: here */
	struct kurir_self *next;
};

extern struct kurir_self *instance_list; /* configuration order */
extern unsigned instance_count;
extern size_t instance_conn_bytes, instance_tx_bytes; /* per connection, per transaction */

/* "module" or "module/instance"; NULL when there is none. */
struct kurir_self *instance_find(struct kurir_str name);
/* Calls start() of all whose module plays one of the roles of this process; 0 or -errno of a
 * required one (those started are stopped again). */
int instance_start_all(uint32_t roles) KURIR_PARKS;
void instance_stop_all(void) KURIR_PARKS; /* reverse order */

#endif
