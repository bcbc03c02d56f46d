/* table_sqlite.c - the endpoint "table.sqlite": maps that are queries of a SQLite file, which is
 * never written here.
 *
 * What comes from outside goes into parameters, never into the text of a query. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <tablepool/tablepool.h>

struct conf {
	struct kurir_str file;
	struct kurir_map queries;
	kurir_time timeout;
};

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("file", struct conf, file, NULL, "The database: it is only read."),
	KURIR_OPT_MAP("queries", struct conf, queries, NULL,
	    "For each map a statement: ?1 is the key, ?2 what stands before its @, ?3 what stands"
	    " behind it. Its first column is what the key stands for."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "5s", 100,
	    300000, "How long a question may wait, and how long its answer may take."),
	{ 0 },
};

static void close_link(void *link)
{
	(void)sqlite3_close(link);
}

static void *open_link(const void *conf, int timeout, char error[TABLE_ERROR])
{
	const struct conf *c = conf;
	sqlite3 *db = NULL;
	int r =
	    sqlite3_open_v2(c->file.ptr, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_exec(
		    db, "PRAGMA query_only = 1; PRAGMA trusted_schema = 0", NULL, NULL, NULL);
	if (r == SQLITE_OK) {
		(void)sqlite3_busy_timeout(db, timeout);
		return db;
	}
	(void)snprintf(error, TABLE_ERROR, "%s: %s", c->file.ptr,
	    db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(r));
	(void)sqlite3_close(db);
	return NULL;
}

/* A long answer is cut short. */
static int too_late(void *until)
{
	return table_now() > *(const int64_t *)until;
}

static int take_rows(sqlite3 *db, sqlite3_stmt *s, struct table_job *job)
{
	int r = 0, e;

	while (r == 0 && (e = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);

		if (text != NULL)
			r = table_job_add(
			    job, (struct kurir_str){ text, (size_t)sqlite3_column_bytes(s, 0) });
	}
	if (r < 0)
		return r;
	if (e == SQLITE_DONE)
		return job->count > 0 ? 0 : -ENODATA;
	table_job_fail(job, sqlite3_errmsg(db));
	return e == SQLITE_INTERRUPT || e == SQLITE_BUSY ? -ETIMEDOUT : -EIO;
}

static int ask(void *link, const void *conf, struct table_job *job)
{
	const char *values[3] = { job->key, job->local, job->domain };
	sqlite3 *db = link;
	sqlite3_stmt *s;
	int64_t until;
	int r;

	(void)conf;
	if (sqlite3_prepare_v2(db, job->query, -1, &s, NULL) != SQLITE_OK || s == NULL) {
		table_job_fail(job, sqlite3_errmsg(db));
		return sqlite3_errcode(db) == SQLITE_ERROR ? -EINVAL : -EIO;
	}
	for (int i = 1; i <= sqlite3_bind_parameter_count(s) && i <= 3; i++)
		(void)sqlite3_bind_text(s, i, values[i - 1], -1, SQLITE_STATIC);
	until = table_now() + job->timeout;
	sqlite3_progress_handler(db, 10000, too_late, &until);
	r = take_rows(db, s, job);
	sqlite3_progress_handler(db, 0, NULL, NULL);
	(void)sqlite3_finalize(s);
	return r;
}

static const char *query_of(const void *conf, struct kurir_str map, bool verify)
{
	const struct conf *c = conf;

	return verify ? NULL : table_map_of(&c->queries, map);
}

static const struct table_backend backend = { query_of, open_link, ask, close_link };

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);

	return tablepool_start(self, &backend, 2, c->timeout);
}

/* For --check: is that a database, and does it understand the queries?  None is run. */
static int inspect(const void *conf, struct kurir_arena *arena, const char **ret_option,
    struct kurir_str *ret_error)
{
	const struct conf *c = conf;
	char error[TABLE_ERROR];
	sqlite3 *db = open_link(conf, 0, error);
	sqlite3_stmt *s;
	int r = 0;

	*ret_option = "file";
	if (db == NULL) {
		*ret_error = kurir_format(arena, "%s", error);
		return -EINVAL;
	}
	for (size_t i = 0; i < c->queries.count && r == 0; i++) {
		const struct kurir_pair *q = &c->queries.items[i];
		const char *text = table_map_of(&c->queries, q->key);

		if (text == NULL)
			continue;
		if (sqlite3_prepare_v2(db, text, -1, &s, NULL) == SQLITE_OK && s != NULL) {
			(void)sqlite3_finalize(s);
			continue;
		}
		*ret_option = "queries";
		*ret_error = kurir_format(arena, "\"%.*s\": %s", KURIR_ARG(q->key),
		    sqlite3_errcode(db) == SQLITE_OK ? "there is no statement"
						     : sqlite3_errmsg(db));
		r = -EINVAL;
	}
	(void)sqlite3_close(db);
	return r;
}

static const struct kurir_service services[] = { { .kind = "endpoint",
						     .name = "table.sqlite",
						     .ops = &tablepool_endpoint,
						     .roles = KURIR_ROLE_RESOLVER },
	{ 0 } };
static const struct kurir_path paths[] = { { .option = "file", .read = KURIR_ROLE_RESOLVER },
	{ 0 } };

KURIR_MODULE(table_sqlite, .version = "1.0", .summary = "Looks things up in a SQLite file",
    .roles = KURIR_ROLE_RESOLVER, .caps = KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct tablepool), .options = options,
    .counters = tablepool_counters, .services = services, .paths = paths, .start = start,
    .stop = tablepool_stop, .inspect = inspect);
