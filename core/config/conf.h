/* conf.h - the core's own configuration, filled from the same kind of tables as a module's. */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include "option.h"

#include <kurir/session.h>

#define CONF_VERSION 1
#define CONF_ROLES   9 /* bits of enum kurir_role */

enum conf_sandbox { CONF_SANDBOX_REQUIRED, CONF_SANDBOX_BEST_EFFORT, CONF_SANDBOX_OFF };
enum conf_log_to { CONF_LOG_STDERR, CONF_LOG_SYSLOG, CONF_LOG_JOURNALD };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };
enum conf_tls_minimum { CONF_TLS_1_2, CONF_TLS_1_3 };

struct conf_certificate {
	struct kurir_str certificate, key; /* paths of PEM files */
};

struct conf_listener {
	struct kurir_str name;
	struct kurir_str protocol;    /* name of a "protocol" service */
	struct kurir_texts addresses; /* "192.0.2.1:25" "[::]:25" "unix:/path" */
	int tls;		      /* enum kurir_tls_mode */
	struct kurir_str pipeline;    /* may be empty */
	int64_t backlog;
};

/* What the core reads from every block of "modules". */
struct conf_module {
	int on_error;	     /* enum instance_on_error */
	kurir_time deadline; /* a hook may take */
	bool required;
	int isolation;
	uint64_t memory;	     /* with isolation; 0: limit_memory */
	struct kurir_texts withhold; /* names of capabilities */
};

struct conf {
	int64_t version;
	struct kurir_str hostname, state, run;
	struct kurir_texts module_path;
	int sandbox;		    /* enum conf_sandbox */
	struct kurir_map pipelines; /* name -> instances, in order */

	/* By role bit: users[0] is edge. Names, or numbers as digits. Empty: users_default;
	 * that empty too: do not change. */
	struct kurir_str users[CONF_ROLES], users_default;
	int64_t processes[CONF_ROLES];

	int log_to, log_format, log_level; /* log_level: enum kurir_level */

	size_t certificate_count;
	const struct conf_certificate *certificates;
	int tls_minimum;	 /* enum conf_tls_minimum */
	struct kurir_str tls_ca; /* trusted authorities for outgoing connections */

	int64_t limit_connections, limit_connections_per_peer;
	kurir_time limit_handshake; /* for implicit TLS */
	kurir_time limit_drain;	    /* how long an old generation may finish its sessions */
	kurir_time limit_silence;   /* of a process, before it is taken for hung */
	uint64_t limit_memory;	    /* of one process; 0: none */
	uint64_t history_size;	    /* 0: none is kept */
	kurir_time history_age;

	size_t listener_count;
	const struct conf_listener *listeners;
};

/* The configuration of this process; set by plan_apply(), read-only. */
extern const struct conf *conf_now;

/* Fills everything but "modules" from the top of a file; what is wrong is in the reader's
 * report. */
void conf_read(struct option_reader *, const struct json *top, struct conf *);
/* The core's part of a block of "modules". */
void conf_read_module(struct option_reader *, const struct json *block, struct conf_module *);
/* The opposite of conf_read.  New reference. */
json_t *conf_write(const struct conf *);

/* The tables: groups of options, for --schema, --describe and the manual. */
struct conf_group {
	const char *name; /* "" for the top, "log", "tls", ... */
	enum conf_shape {
		CONF_ONE,
		CONF_NAMED,
		CONF_LIST
	} shape;	    /* NAMED: {"any": {...}}; LIST: [{...}] */
	const char *parent; /* the group it stands in */
	const struct kurir_option *options;
	const char *help;
};
extern const struct conf_group conf_groups[]; /* ends with { 0 } */
extern const struct kurir_option conf_module_options[];

/* Role names.  conf_role_bit: 0 when there is none of that name. */
extern const char *const conf_role_names[CONF_ROLES + 1];
uint32_t conf_role_bit(struct kurir_str name);
extern const char *const conf_cap_names[]; /* in the order of enum kurir_cap; ends with NULL */
extern const char *const conf_on_error_names[];

#endif
