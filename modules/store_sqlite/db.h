/* db.h - one connection to a shard's database, with the statements it has prepared.
 *
 * Statements are named by the address of their text, which is a string literal.  Types of what
 * is bound: "i" int64_t, "t" struct kurir_str (ptr NULL is NULL), "b" the same for bytes.  A connection is used by one
 * thread at a time; nothing here calls anything of Kurir but what only looks at texts.
 *
 * Errors: -ENOSPC, -EIO (also what is damaged), -ENOMEM, -EBUSY (another writes), -EEXIST (a
 * constraint), -EAGAIN (cannot be opened or read before the writer has). */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <kurir/module.h>
#include <sqlite3.h>

#define DB_STATEMENTS 128

struct db {
	sqlite3 *sql;
	bool writers; /* as its reader was told */
	unsigned count;
	struct {
		const char *text;
		sqlite3_stmt *statement;
	} statements[DB_STATEMENTS];
};

#define DB_BUSY_MS 10000 /* another generation of this role ends its last batch */

/* db.c */
int db_open_writer(
    struct db *, const char *path); /* made if need be; -EPROTONOSUPPORT: not ours */
int db_open_any(
    struct db *, const char *path, int64_t *ret_version); /* whatever format; 0: new */
/* writers: this process also writes there.  What maps a database's shared memory first decides
 * for all of a process whether it can be written. */
int db_open_reader(struct db *, const char *path, bool writers);
int db_open_cache(struct db *, const char *path); /* what can be made again: any format */
int db_text_run(struct db *, const char *text);	  /* statements without parameters */
void db_close(struct db *);
int db_error(const struct db *, int sqlite); /* of the last call */

/* Runs it to its end: 0 or -errno. */
int db_exec(struct db *, const char *text, const char *types, ...);
/* A statement to be stepped; NULL: *ret_error has why. */
sqlite3_stmt *db_query(struct db *, int *ret_error, const char *text, const char *types, ...);
/* 1 and a row; 0 at the end, -errno: the statement is ready for its next use. */
int db_step(struct db *, sqlite3_stmt *);
void db_done(sqlite3_stmt *); /* before its end was reached; NULL is fine */
/* One number: 0, -ENOENT when there is no row, -errno. */
int db_number(struct db *, int64_t *ret, const char *text, const char *types, ...);
int64_t db_column(sqlite3_stmt *, int);
struct kurir_str db_text(sqlite3_stmt *, int); /* borrowed until the next step */
struct kurir_str db_blob(sqlite3_stmt *, int); /* the same; never NULL */
#define db_last_id(db) sqlite3_last_insert_rowid((db)->sql)
#define db_changed(db) sqlite3_changes((db)->sql)

#endif
