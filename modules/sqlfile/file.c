/* file.c - a SQLite file and its fixed statements. */
#include "sqlfile.h"

#include <errno.h>
#include <stdio.h>

static const char pragmas[] =
    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA trusted_schema = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;";

static int error_of(int r)
{
	switch (r & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

static int exec(struct sqlfile *f, const char *text)
{
	return error_of(sqlite3_exec(f->sql, text, NULL, NULL, NULL));
}

static int open_once(struct sqlfile *f, const char *path, const char *schema,
    const char *const *texts, unsigned count)
{
	int r = error_of(sqlite3_open_v2(path, &f->sql,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));

	if (r == 0)
		r = exec(f, pragmas);
	if (r == 0)
		r = exec(f, schema);
	for (f->count = 0; f->count < count && r == 0; f->count++)
		r = error_of(sqlite3_prepare_v3(f->sql, texts[f->count], -1,
		    SQLITE_PREPARE_PERSISTENT, &f->statements[f->count], NULL));
	return r;
}

static void put_aside(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char from[1100], to[1100];

	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(from, sizeof(from), "%s%s", path, ends[i]);
		(void)snprintf(to, sizeof(to), "%s.damaged%s", path, ends[i]);
		(void)rename(from, to);
	}
}

int sqlfile_open(struct sqlfile *f, const char *path, const char *schema,
    const char *const *texts, unsigned count, bool *ret_damaged)
{
	int r;

	*f = (struct sqlfile){ .sql = NULL };
	r = open_once(f, path, schema, texts, count);
	*ret_damaged = r == -EUCLEAN;
	if (r == -EUCLEAN) {
		sqlfile_close(f);
		put_aside(path);
		r = open_once(f, path, schema, texts, count);
	}
	if (r < 0)
		sqlfile_close(f);
	return r;
}

void sqlfile_close(struct sqlfile *f)
{
	for (unsigned i = 0; i < f->count; i++)
		(void)sqlite3_finalize(f->statements[i]);
	(void)sqlite3_close(f->sql);
	*f = (struct sqlfile){ .sql = NULL };
}

int sqlfile_next(struct sqlfile *f, unsigned which)
{
	int r = sqlite3_step(f->statements[which]);

	if (r == SQLITE_ROW)
		return 1;
	sqlfile_reset(f, which);
	return error_of(r);
}

int sqlfile_step(struct sqlfile *f, unsigned which, unsigned text_count,
    const struct kurir_str *texts, unsigned number_count, const int64_t *numbers)
{
	sqlite3_stmt *st = f->statements[which];
	int r = SQLITE_OK;

	sqlfile_reset(f, which);
	for (unsigned i = 0; i < text_count && r == SQLITE_OK; i++)
		r = sqlite3_bind_text(
		    st, (int)i + 1, texts[i].ptr, (int)texts[i].len, SQLITE_TRANSIENT);
	for (unsigned i = 0; i < number_count && r == SQLITE_OK; i++)
		r = sqlite3_bind_int64(st, (int)(text_count + i) + 1, numbers[i]);
	return r == SQLITE_OK ? sqlfile_next(f, which) : error_of(r);
}

int64_t sqlfile_number(struct sqlfile *f, unsigned which, int column)
{
	return sqlite3_column_int64(f->statements[which], column);
}

struct kurir_str sqlfile_text(struct sqlfile *f, unsigned which, int column)
{
	const char *text = (const char *)sqlite3_column_text(f->statements[which], column);

	return text == NULL
	    ? KURIR_STR("")
	    : (struct kurir_str){ text,
		      (size_t)sqlite3_column_bytes(f->statements[which], column) };
}

void sqlfile_reset(struct sqlfile *f, unsigned which)
{
	(void)sqlite3_reset(f->statements[which]); /* says again what the last step said */
}

int sqlfile_run(struct sqlfile *f, unsigned which, unsigned text_count,
    const struct kurir_str *texts, unsigned number_count, const int64_t *numbers)
{
	int r = sqlfile_step(f, which, text_count, texts, number_count, numbers);

	if (r > 0)
		sqlfile_reset(f, which);
	return r < 0 ? r : 0;
}

int sqlfile_begin(struct sqlfile *f)
{
	return exec(f, "BEGIN IMMEDIATE");
}

int sqlfile_end(struct sqlfile *f, bool good)
{
	return exec(f, good ? "COMMIT" : "ROLLBACK");
}

int sqlfile_try(struct sqlfile *f)
{
	return exec(f, "SAVEPOINT trial");
}

int sqlfile_untry(struct sqlfile *f)
{
	return exec(f, "ROLLBACK TO trial; RELEASE trial");
}
