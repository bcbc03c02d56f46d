/* db.c - SQLite, as the rest of this module wants it. */
#include "db.h"

#include "schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CACHE_KIB "-8192"
#define READ_KIB  "-2048" /* of each who reads; what is read often the system has in memory */
#define WAL_PAGES "4000"  /* until a checkpoint: 16 MiB */

static int error_of(int sqlite)
{
	switch (sqlite & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY: /* the writer died: the next one has to recover the log first */
		return -EAGAIN;
	default:
		return -EIO;
	}
}

int db_error(const struct db *db, int sqlite)
{
	/* A full disk is an I/O error to SQLite when it comes at a bad moment. */
	if ((sqlite & 0xff) == SQLITE_IOERR && sqlite3_system_errno(db->sql) == ENOSPC)
		return -ENOSPC;
	return error_of(sqlite);
}

int db_text_run(struct db *db, const char *text)
{
	return db_error(db, sqlite3_exec(db->sql, text, NULL, NULL, NULL));
}

static int open_file(struct db *db, const char *path, int flags, const char *pragmas)
{
	*db = (struct db){ .count = 0 };
	int r = error_of(sqlite3_open_v2(path, &db->sql, flags | SQLITE_OPEN_NOMUTEX, NULL));
	if (r == 0)
		r = db_text_run(db, pragmas);
	if (r < 0)
		db_close(db);
	return r;
}

/* A new one waits for the writer, who makes it. */
static int is_ours(struct db *db)
{
	int64_t version;
	int r = db_number(db, &version, "PRAGMA user_version", "");
	return r < 0			? r
	    : version == 0		? -EAGAIN
	    : version != SCHEMA_VERSION ? -EPROTONOSUPPORT
					: 0;
}

/* Not mapped: a fault in a file that is not in memory waits for all that the disk reads ahead. */
int db_open_reader(struct db *db, const char *path, bool writers)
{
	char uri[1100];
	int n = snprintf(
	    uri, sizeof(uri), "file:%s?mode=ro%s", path, writers ? "" : "&readonly_shm=1");
	if (n < 0 || (size_t)n >= sizeof(uri) || strpbrk(path, "?#%") != NULL)
		return -ENAMETOOLONG;
	int r = open_file(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
	    "PRAGMA cache_size = " READ_KIB
	    "; PRAGMA query_only = 1; PRAGMA trusted_schema = 0; PRAGMA temp_store = MEMORY;");
	if (r < 0)
		return r;
	(void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
	db->writers = writers;
	r = is_ours(db);
	if (r < 0)
		db_close(db);
	return r;
}

int db_open_any(struct db *db, const char *path, int64_t *ret_version)
{
	int r = open_file(db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	    "PRAGMA wal_autocheckpoint = " WAL_PAGES "; PRAGMA cache_size = " CACHE_KIB
	    "; PRAGMA trusted_schema = 0; PRAGMA secure_delete = 0; PRAGMA temp_store = MEMORY;"
	    "PRAGMA journal_size_limit = 67108864;");
	if (r == 0 && (r = db_number(db, ret_version, "PRAGMA user_version", "")) < 0)
		db_close(db);
	return r;
}

int db_open_writer(struct db *db, const char *path)
{
	int64_t version;
	int r = db_open_any(db, path, &version);
	if (r < 0)
		return r;
	if (version == 0)
		r = db_text_run(db, schema_text);
	else if (version != SCHEMA_VERSION)
		r = -EPROTONOSUPPORT;
	if (r < 0)
		db_close(db);
	return r;
}

int db_open_cache(struct db *db, const char *path)
{
	return open_file(db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
	    "PRAGMA wal_autocheckpoint = " WAL_PAGES "; PRAGMA cache_size = " CACHE_KIB
	    "; PRAGMA trusted_schema = 0; PRAGMA temp_store = MEMORY;"
	    "PRAGMA journal_size_limit = 67108864;");
}

void db_close(struct db *db)
{
	for (unsigned i = 0; i < db->count; i++)
		(void)sqlite3_finalize(db->statements[i].statement);
	(void)sqlite3_close(db->sql);
	*db = (struct db){ .sql = NULL };
}

static int prepare(struct db *db, const char *text, sqlite3_stmt **ret)
{
	for (unsigned i = 0; i < db->count; i++)
		if (db->statements[i].text == text) {
			*ret = db->statements[i].statement;
			return 0;
		}
	if (db->count == DB_STATEMENTS)
		return -ENOMEM;
	int r = sqlite3_prepare_v3(db->sql, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
	if (r != SQLITE_OK)
		return db_error(db, r);
	db->statements[db->count].text = text;
	db->statements[db->count++].statement = *ret;
	return 0;
}

static int bind(struct db *db, sqlite3_stmt *s, const char *types, va_list list)
{
	int r = SQLITE_OK;
	for (int i = 0; types[i] != '\0' && r == SQLITE_OK; i++) {
		if (types[i] == 'i') {
			r = sqlite3_bind_int64(s, i + 1, va_arg(list, int64_t));
			continue;
		}
		struct kurir_str t = va_arg(list, struct kurir_str);
		r = t.ptr == NULL ? sqlite3_bind_null(s, i + 1)
		    : types[i] == 'b'
		    ? sqlite3_bind_blob64(s, i + 1, t.ptr, t.len, SQLITE_STATIC)
		    : sqlite3_bind_text64(s, i + 1, t.ptr, t.len, SQLITE_STATIC, SQLITE_UTF8);
	}
	return db_error(db, r);
}

static int query_list(
    struct db *db, const char *text, const char *types, va_list list, sqlite3_stmt **ret)
{
	int r = prepare(db, text, ret);
	return r < 0 ? r : bind(db, *ret, types, list);
}

int db_step(struct db *db, sqlite3_stmt *s)
{
	int r = sqlite3_step(s);
	if (r == SQLITE_ROW)
		return 1;
	r = sqlite3_reset(s);
	return r == SQLITE_OK ? 0 : db_error(db, sqlite3_extended_errcode(db->sql));
}

void db_done(sqlite3_stmt *s)
{
	if (s != NULL)
		(void)sqlite3_reset(s);
}

int db_exec(struct db *db, const char *text, const char *types, ...)
{
	sqlite3_stmt *s;
	va_list list;
	va_start(list, types);
	int r = query_list(db, text, types, list, &s);
	va_end(list);
	while (r == 0 && (r = db_step(db, s)) == 1)
		r = 0;
	return r;
}

sqlite3_stmt *db_query(struct db *db, int *ret_error, const char *text, const char *types, ...)
{
	sqlite3_stmt *s;
	va_list list;
	va_start(list, types);
	*ret_error = query_list(db, text, types, list, &s);
	va_end(list);
	return *ret_error < 0 ? NULL : s;
}

int db_number(struct db *db, int64_t *ret, const char *text, const char *types, ...)
{
	sqlite3_stmt *s;
	va_list list;
	va_start(list, types);
	int r = query_list(db, text, types, list, &s);
	va_end(list);
	if (r == 0)
		r = db_step(db, s);
	if (r == 0)
		return -ENOENT;
	if (r < 0)
		return r;
	*ret = db_column(s, 0);
	db_done(s);
	return 0;
}

int64_t db_column(sqlite3_stmt *s, int i)
{
	return sqlite3_column_int64(s, i);
}

struct kurir_str db_text(sqlite3_stmt *s, int i)
{
	const char *p = (const char *)sqlite3_column_text(s, i);
	return (struct kurir_str){ p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(s, i) };
}

struct kurir_str db_blob(sqlite3_stmt *s, int i)
{
	const char *p = sqlite3_column_blob(s, i);
	return p == NULL ? KURIR_STR("")
			 : (struct kurir_str){ p, (size_t)sqlite3_column_bytes(s, i) };
}
