/* table_pgsql.c - the endpoint "table.pgsql": maps that are queries of a PostgreSQL server.
 *
 * What comes from outside goes into parameters, never into the text of a query. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <tablepool/tablepool.h>

#define TEXT 25 /* pg_type's number of that type */

struct conf {
	struct kurir_str connection, password;
	struct kurir_map queries;
	int64_t connections;
	kurir_time timeout;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("connection", struct conf, connection, NULL,
	    "How to connect, in libpq's words: \"host=127.0.0.1 dbname=mail user=kurir\"."),
	KURIR_OPT_SECRET(
	    "password", struct conf, password, "", "The password, when the server asks for one."),
	KURIR_OPT_MAP("queries", struct conf, queries, NULL,
	    "For each map a statement: $1 is the key, $2 what stands before its @, $3 what stands"
	    " behind it. Its first column is what the key stands for."),
	KURIR_OPT_RANGE("connections", KURIR_INT, int64_t, struct conf, connections, "4", 1,
	    TABLE_LINKS, "Connections at one time; who comes later waits for one."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "10s", 100,
	    300000, "How long a question may wait, and how long its answer may take."),
	{ 0 },
};

/* Until the server can be read from or written to: 0, -ETIMEDOUT. */
static int wait_for(PGconn *c, short events, int64_t until)
{
	struct pollfd p = { .fd = PQsocket(c), .events = events };
	int64_t left = until - table_now();

	while (left > 0) {
		int n = poll(&p, 1, (int)left);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		left = until - table_now();
	}
	return -ETIMEDOUT;
}

static void close_link(void *link)
{
	PQfinish(link);
}

static void quiet(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static PGconn *begin(const struct conf *c)
{
	const char *names[4], *values[4];
	int n = 0;

	names[n] = "dbname"; /* a whole connection string, when it is expanded */
	values[n++] = c->connection.ptr;
	if (c->password.len > 0) {
		names[n] = "password";
		values[n++] = c->password.ptr;
	}
	names[n] = "fallback_application_name";
	values[n++] = "kurir";
	names[n] = NULL;
	values[n] = NULL;
	return PQconnectStartParams(names, values, 1);
}

static void *open_link(const void *conf, int timeout, char error[TABLE_ERROR])
{
	PGconn *c = begin(conf);
	PostgresPollingStatusType s = PGRES_POLLING_WRITING;
	int64_t until = table_now() + timeout;
	const char *why = "there is no memory";
	int r = 0;

	while (c != NULL && PQstatus(c) != CONNECTION_BAD && r == 0 && s != PGRES_POLLING_OK) {
		r = wait_for(c, s == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
		if (r == 0)
			s = PQconnectPoll(c);
		if (s == PGRES_POLLING_FAILED)
			break;
	}
	if (c != NULL && r == 0 && s == PGRES_POLLING_OK) {
		PQsetNoticeProcessor(c, quiet, NULL);
		if (PQsetnonblocking(c, 1) == 0)
			return c;
	}
	if (c != NULL)
		why = r == -ETIMEDOUT ? "the server does not answer" : PQerrorMessage(c);
	(void)snprintf(error, TABLE_ERROR, "%.*s", (int)strcspn(why, "\r\n"), why);
	PQfinish(c);
	return NULL;
}

/* The highest parameter that it names. */
static int parameters(const char *query)
{
	int n = 0;

	for (const char *p = strchr(query, '$'); p != NULL; p = strchr(p + 1, '$'))
		if (p[1] >= '1' && p[1] <= '3' && p[1] - '0' > n)
			n = p[1] - '0';
	return n;
}

/* Sends the statement and takes what comes until there is a result: 0 or -errno. */
static int exchange(PGconn *c, const struct table_job *job, int64_t until)
{
	static const Oid types[3] = { TEXT, TEXT,
		TEXT }; /* also of those that it does not name */
	const char *values[3] = { job->key, job->local, job->domain };
	int r = 0, more = 1;

	if (PQsendQueryParams(
		c, job->query, parameters(job->query), types, values, NULL, NULL, 0) == 0)
		return -EPIPE;
	while (r == 0 && (more = PQflush(c)) == 1)
		r = wait_for(c, POLLOUT, until);
	if (r == 0 && more < 0)
		r = -EPIPE;
	while (r == 0 && PQisBusy(c)) {
		r = wait_for(c, POLLIN, until);
		if (r == 0 && PQconsumeInput(c) == 0)
			r = -EPIPE;
	}
	return r;
}

/* The first column; NULL stands for nothing. */
static int take_rows(const PGresult *result, struct table_job *job)
{
	int r = PQnfields(result) < 1 ? -EINVAL : 0;

	for (int i = 0; i < PQntuples(result) && r == 0; i++)
		if (!PQgetisnull(result, i, 0))
			r = table_job_add(job,
			    (struct kurir_str){
				PQgetvalue(result, i, 0), (size_t)PQgetlength(result, i, 0) });
	return r == 0 && job->count == 0 ? -ENODATA : r;
}

/* A statement that is wrong (classes 22, 42 of SQLSTATE) is no fault of the connection. */
static int judge(const PGresult *result, struct table_job *job)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return take_rows(result, job);
	if (state != NULL && strcmp(state, "22021") == 0) /* no text in the database's encoding */
		return -ENODATA;
	table_job_fail(job, PQresultErrorMessage(result));
	if (PQresultStatus(result) == PGRES_COMMAND_OK)
		table_job_fail(job, "the statement has no rows");
	if (PQresultStatus(result) == PGRES_COMMAND_OK ||
	    (state != NULL && (strncmp(state, "22", 2) == 0 || strncmp(state, "42", 2) == 0)))
		return -EINVAL;
	return -EIO;
}

/* The clock goes on while the results behind the first one are waited for, too. */
static int drain(PGconn *c, int64_t until)
{
	PGresult *result;
	int r = 0;

	for (;;) {
		while (r == 0 && PQisBusy(c)) {
			r = wait_for(c, POLLIN, until);
			if (r == 0 && PQconsumeInput(c) == 0)
				r = -EPIPE;
		}
		if (r < 0 || (result = PQgetResult(c)) == NULL)
			return r;
		PQclear(result);
	}
}

static int ask(void *link, const void *conf, struct table_job *job)
{
	PGconn *c = link;
	int64_t until = table_now() + job->timeout;
	int r = exchange(c, job, until), e;
	PGresult *result;

	(void)conf;
	if (r < 0) {
		table_job_fail(
		    job, r == -ETIMEDOUT ? "the server does not answer" : PQerrorMessage(c));
		return r;
	}
	result = PQgetResult(c);
	r = result == NULL ? -EIO : judge(result, job);
	PQclear(result);
	e = drain(c, until);
	return e < 0 ? e : r;
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

	return tablepool_start(self, &backend, (unsigned)c->connections, c->timeout);
}

static const struct kurir_service services[] = { { .kind = "endpoint",
						     .name = "table.pgsql",
						     .ops = &tablepool_endpoint,
						     .roles = KURIR_ROLE_RESOLVER },
	{ 0 } };

KURIR_MODULE(table_pgsql, .version = "1.0", .summary = "Looks things up in PostgreSQL",
    .roles = KURIR_ROLE_RESOLVER, .caps = KURIR_CAP_NET | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct tablepool), .options = options,
    .counters = tablepool_counters, .services = services, .start = start, .stop = tablepool_stop);
