/* usage.c - what a shard has, for administrators. */
#include "sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE 500

int usage_accounts(struct shard *s, struct kurir_str after, struct kurir_buf *reply)
{
	struct kurir_buf rows = KURIR_BUF(KURIR_CALL_MAX);
	uint32_t n = 0;
	int r;
	sqlite3_stmt *q = db_query(&s->db, &r,
	    "SELECT name, messages, bytes FROM account WHERE name > ? ORDER BY name LIMIT ?",
	    "ti", after, (int64_t)PAGE);
	while (r >= 0 && (r = db_step(&s->db, q)) == 1) {
		(void)kurir_put_text(&rows, db_text(q, 0));
		(void)kurir_put_u64(&rows, (uint64_t)db_column(q, 1));
		r = kurir_put_u64(&rows, (uint64_t)db_column(q, 2));
		n++;
	}
	db_done(q);
	if (r == 0)
		r = kurir_put_u32(reply, n);
	if (r == 0)
		r = kurir_buf_add(reply, kurir_buf_str(&rows));
	kurir_buf_free(&rows);
	return r;
}

static uint64_t size_of(const char *folder, const char *name)
{
	char path[SHARD_PATH + 300];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int usage_run(struct shard *s, struct kurir_buf *reply)
{
	int64_t live, damaged;
	uint64_t disk = 0;
	uint32_t segments = 0;
	DIR *d = opendir(s->folder);
	if (d == NULL)
		return -errno;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		if (blob_name_id(e->d_name) != 0) {
			segments++;
			disk += size_of(s->folder, e->d_name);
		}
	closedir(d);
	int r = db_number(&s->db, &live, "SELECT coalesce(sum(live), 0) FROM segment", "");
	if (r == 0)
		r = db_number(&s->db, &damaged, "SELECT count(*) FROM segment WHERE damaged", "");
	if (r < 0)
		return r;
	(void)kurir_put_u32(reply, segments);
	(void)kurir_put_u32(reply, (uint32_t)damaged);
	(void)kurir_put_u64(reply, disk);
	(void)kurir_put_u64(reply, (uint64_t)live);
	return kurir_put_u64(
	    reply, size_of(s->folder, "index.db") + size_of(s->folder, "index.db-wal"));
}
