/* sqlfile.h - for modules that keep something small in a SQLite file: fixed statements, and
 * batches.  Linked into each of them; not a part of the contract.
 *
 * All but batch_ functions block: they run in helper threads. */
#ifndef SQLFILE_H
#define SQLFILE_H

#include <kurir/module.h>

#include <sqlite3.h>

#define SQLFILE_STATEMENTS 32

struct sqlfile {
	sqlite3 *sql;
	sqlite3_stmt *statements[SQLFILE_STATEMENTS];
	unsigned count;
};
/* What it is for is made again when it is lost, so a crash of the machine may cost the last
 * seconds, and a file that is damaged is put aside (*ret_damaged). */
int sqlfile_open(struct sqlfile *, const char *path, const char *schema, const char *const *texts,
    unsigned count, bool *ret_damaged);
void sqlfile_close(struct sqlfile *);
/* Binds texts, then numbers; runs to the first row: 1, 0 when there is none, or -errno.  After 1
 * the columns can be read until the reset, which is owed. */
int sqlfile_step(struct sqlfile *, unsigned which, unsigned text_count,
    const struct kurir_str *texts, unsigned number_count, const int64_t *numbers);
int sqlfile_next(struct sqlfile *, unsigned which); /* the next row: 1, 0 or -errno */
int64_t sqlfile_number(struct sqlfile *, unsigned which, int column);
struct kurir_str sqlfile_text(struct sqlfile *, unsigned which, int column); /* until reset */
void sqlfile_reset(struct sqlfile *, unsigned which);
/* A statement without rows: 0 or -errno. */
int sqlfile_run(struct sqlfile *, unsigned which, unsigned text_count,
    const struct kurir_str *texts, unsigned number_count, const int64_t *numbers);
int sqlfile_begin(struct sqlfile *);	 /* a transaction ... */
int sqlfile_end(struct sqlfile *, bool); /* ... false: forgets it */
/* Within one: what is done between these is as if it had not been. */
int sqlfile_try(struct sqlfile *);
int sqlfile_untry(struct sqlfile *);

/*
 * Jobs that come while others are done wait, and are then one batch: fn runs for each in a
 * helper thread, all in one transaction that they share the fate of.
 */
struct batch_job {
	int result;
	bool done, left; /* left: nobody waits any more */
	struct batch_job *next;
	void (*drop)(struct batch_job *); /* instead of free(), when the caller does not do it */
};
struct batch {
	struct kurir_self *self;
	struct sqlfile *file;
	int (*fn)(void *arg, struct batch_job *); /* >= 0 or -errno */
	void *arg;
	struct kurir_group *group;
	struct kurir_signal *settled; /* raised after each batch */
	struct batch_job *waiting, **end, *now;
	bool working;
};
/* In start(); its fibers end before stop(). */
void batch_begin(struct batch *, struct kurir_self *, struct sqlfile *,
    int (*fn)(void *arg, struct batch_job *), void *arg);
/* A job is the beginning of what malloc() gave.  >= 0: fn's result, and the caller frees it; else
 * it is gone. */
int batch_do(struct batch *, struct batch_job *) KURIR_PARKS;

#endif
