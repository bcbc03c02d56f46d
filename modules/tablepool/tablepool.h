/* tablepool.h - what modules have in common that serve a table (kurir/table.h) from a client
 * library that blocks: the endpoint, a few connections, each used by one helper thread at a time,
 * and what happens while the server is away.  Linked into each of them; not a part of the
 * contract. */
#ifndef TABLEPOOL_H
#define TABLEPOOL_H

#include <kurir/table.h>

#define TABLE_ERROR 256
#define TABLE_LINKS 16

/* One question.  What points to texts ends with NUL. */
struct table_job {
	const char *query; /* of the map: a statement, a filter */
	struct kurir_str map;
	char *key, *local, *domain; /* "a@b", "a", "b"; of a key without "@" all of it, and "" */
	char *secret;		    /* to be verified; NULL: texts are wanted */
	int timeout;		    /* milliseconds, for all of it */
	/* The answer. */
	struct kurir_buf values; /* packed texts */
	uint32_t count;
	char error[TABLE_ERROR]; /* why not, for the log: nothing secret */
};

/* All but query() run in a helper thread, and end within about the job's time. */
struct table_backend {
	/* The query of a map; NULL: there is no such map. */
	const char *(*query)(const void *conf, struct kurir_str map, bool verify);
	/* A connection; NULL and an error. */
	void *(*open)(const void *conf, int timeout, char error[TABLE_ERROR]);
	/* 0: table_job_add() was called at least once, or the secret is right; -ENODATA, -EACCES,
	 * -EOPNOTSUPP, -EINVAL, -E2BIG; else the connection is closed. */
	int (*ask)(void *link, const void *conf, struct table_job *);
	void (*close)(void *link);
};
int table_job_add(struct table_job *, struct kurir_str value); /* 0, or -E2BIG, -ENOMEM */
void table_job_fail(struct table_job *, const char *why);      /* its first line */

enum tablepool_counter {
	TABLE_FOUND,
	TABLE_MISSING,
	TABLE_REFUSED,
	TABLE_FAILED,
	TABLE_CONNECTED,
};
extern const char *const tablepool_counters[];

/* The whole state of the module, which registers the endpoint as its service. */
struct tablepool {
	struct kurir_self *self;
	const struct table_backend *backend;
	unsigned most, open; /* connections */
	void *idle[TABLE_LINKS];
	unsigned idle_count;
	struct kurir_signal *freed;
	kurir_time timeout;
	kurir_time again; /* not asked before, while it is down */
	bool down;
};
extern const struct kurir_endpoint_ops tablepool_endpoint;
int tablepool_start(
    struct kurir_self *, const struct table_backend *, unsigned most, kurir_time timeout);
void tablepool_stop(struct kurir_self *);

int64_t table_now(void); /* milliseconds of a clock that only counts up; in any thread */
/* The first text of a map's name in the configuration; NULL: none. */
const char *table_map_of(const struct kurir_map *, struct kurir_str name);

#endif
