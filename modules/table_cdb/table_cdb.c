/* table_cdb.c - the endpoint "table.cdb": all maps in one file of cdb(5), which is replaced whole
 * when something changes.
 *
 * A record's key is the name of the map, a colon, and the key; a key may have several records. */
#include <cdb.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tablepool/tablepool.h>
#include <unistd.h>

#define MAP_MAX 200

struct conf {
	struct kurir_str file;
};
struct link {
	struct cdb cdb;
	struct stat st; /* of the file that is open */
	int fd;
	char key[MAP_MAX + 1 + KURIR_TABLE_KEY_MAX + 1];
};

static const struct kurir_option options[] = {
	KURIR_OPT_PATH("file", struct conf, file, NULL,
	    "The file, with keys such as \"mailboxes:paijo@dua.example\"; read anew when another"
	    " has its name."),
	{ 0 },
};

static void close_link(void *link)
{
	struct link *l = link;

	cdb_free(&l->cdb);
	close(l->fd);
	free(l);
}

static void *open_link(const void *conf, int timeout, char error[TABLE_ERROR])
{
	const struct conf *c = conf;
	struct link *l = calloc(1, sizeof(*l));
	int fd = open(c->file.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	(void)timeout;
	if (l != NULL && fd >= 0 && fstat(fd, &l->st) == 0 && S_ISREG(l->st.st_mode) &&
	    cdb_init(&l->cdb, fd) == 0) {
		l->fd = fd;
		return l;
	}
	(void)snprintf(error, TABLE_ERROR, "%s: %s", c->file.ptr,
	    fd < 0 ? strerrordesc_np(errno) : "it is no cdb file");
	if (fd >= 0)
		close(fd);
	free(l);
	return NULL;
}

/* Another file has its name, or it is gone. */
static bool is_old(const struct link *l, const struct conf *c)
{
	struct stat st;

	return stat(c->file.ptr, &st) < 0 || st.st_ino != l->st.st_ino ||
	    st.st_dev != l->st.st_dev;
}

static int take_records(struct link *l, const char *key, unsigned len, struct table_job *job)
{
	struct cdb_find found;
	int r = cdb_findinit(&found, &l->cdb, key, len), e = 0;

	while (r >= 0 && e == 0 && (r = cdb_findnext(&found)) > 0) {
		const char *value = cdb_getdata(&l->cdb);

		e = value == NULL
		    ? -EIO
		    : table_job_add(job, (struct kurir_str){ value, cdb_datalen(&l->cdb) });
	}
	return e < 0 ? e : r < 0 ? -EIO : job->count > 0 ? 0 : -ENODATA;
}

static int ask(void *link, const void *conf, struct table_job *job)
{
	struct link *l = link;
	int n, r;

	if (is_old(l, conf)) {
		table_job_fail(job, "the file was replaced");
		return -ESTALE;
	}
	n = snprintf(l->key, sizeof(l->key), "%.*s:%s", KURIR_ARG(job->map), job->key);
	if (n < 0 || (size_t)n >= sizeof(l->key))
		return -ENODATA;
	r = take_records(l, l->key, (unsigned)n, job);
	if (r == -EIO)
		table_job_fail(job, "the file is damaged");
	return r;
}

/* All maps are in the file, as far as there are any. */
static const char *query_of(const void *conf, struct kurir_str map, bool verify)
{
	(void)conf;
	return verify || map.len > MAP_MAX ? NULL : "";
}

static const struct table_backend backend = { query_of, open_link, ask, close_link };

static int start(struct kurir_self *self)
{
	return tablepool_start(self, &backend, 2, 10000);
}

static const struct kurir_service services[] = { { .kind = "endpoint",
						     .name = "table.cdb",
						     .ops = &tablepool_endpoint,
						     .roles = KURIR_ROLE_RESOLVER },
	{ 0 } };
static const struct kurir_path paths[] = { { .option = "file", .read = KURIR_ROLE_RESOLVER },
	{ 0 } };

KURIR_MODULE(table_cdb, .version = "1.0", .summary = "Looks things up in a cdb file",
    .roles = KURIR_ROLE_RESOLVER, .caps = KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct tablepool), .options = options,
    .counters = tablepool_counters, .services = services, .paths = paths, .start = start,
    .stop = tablepool_stop);
