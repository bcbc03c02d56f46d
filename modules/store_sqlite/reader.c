/* reader.c - connections to the databases of shards, for those who only read.
 *
 * A few stay open a shard, as opening one costs more than what it is asked for; of many who would
 * read at once the others wait for their turn. */
#include "sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define READERS 4 /* of a shard */

struct reader {
	struct db db; /* first: who has this has the reader */
	struct reader *next;
};

struct reader_turn {
	struct kurir_signal *signal;
	bool come;
	struct reader *reader; /* or NULL: there is room for another */
	struct reader_turn *next;
};

static struct shard_view *shard_view_of(struct kurir_self *self, unsigned number)
{
	struct sqlite_self *m = kurir_state(self);
	struct shard_view *v = m->views[number];
	if (v != NULL)
		return v;
	v = kurir_alloc(kurir_self_arena(self), sizeof(*v));
	v->wd = -1;
	if (shard_folder(kurir_conf(self), number, v->folder) < 0)
		return NULL;
	m->views[number] = v;
	return v;
}

struct shard_view *shard_view(struct kurir_self *self, struct kurir_str account)
{
	return shard_view_of(self, shard_of(kurir_conf(self), account));
}

bool reader_is_warm(struct kurir_self *self, struct kurir_str account)
{
	struct shard_view *v = shard_view(self, account);
	return v != NULL && v->idle != NULL;
}

struct db *reader_take(struct kurir_self *self, struct kurir_str account, int *ret_error)
{
	struct shard_view *v = shard_view(self, account);
	struct reader *r = v == NULL ? NULL : v->idle;
	*ret_error = v == NULL ? -ENAMETOOLONG : r == NULL ? -EBUSY : 0;
	if (r == NULL)
		return NULL;
	v->idle = r->next;
	(void)sqlite3_busy_timeout(r->db.sql, 0); /* it may be asked on the loop */
	return &r->db;
}

static void leave(struct shard_view *v, struct reader_turn *t)
{
	struct reader_turn **at = &v->turns;
	while (*at != NULL && *at != t)
		at = &(*at)->next;
	if (*at == t)
		*at = t->next;
}

/* Who waits longest has it, or may open another. */
static void next_turn(struct shard_view *v, struct reader *r)
{
	struct reader_turn *t = v->turns;
	v->turns = t->next;
	t->reader = r;
	t->come = true;
	kurir_signal_raise(t->signal);
}

static void give(struct shard_view *v, struct reader *r)
{
	if (v->turns != NULL) {
		next_turn(v, r);
		return;
	}
	r->next = v->idle;
	v->idle = r;
}

struct opening {
	struct db db;
	char path[SHARD_PATH + 16];
	bool writers;
	int result;
};

/* In a helper thread.  What is asked most is ready then: no account has that name. */
static int open_run(void *arg)
{
	struct opening *o = arg;
	struct account_row account = { .id = 0 };
	struct mailbox_row mailbox;
	o->result = db_open_reader(&o->db, o->path, o->writers);
	if (o->result == 0) {
		(void)account_load(&o->db, KURIR_STR(""), &account);
		(void)mailbox_load(&o->db, &account, KURIR_STR(""), &mailbox);
	}
	return 0;
}

/* One more, which is the caller's; it is idle when nobody waits for it any longer. */
KURIR_PARKS static struct reader *open_one(struct shard_view *v, kurir_time until, int *ret_error)
{
	struct opening *o = kurir_alloc(kurir_scratch(), sizeof(*o));
	struct reader *r = calloc(1, sizeof(*r));
	*ret_error = -ENOMEM;
	if (r == NULL)
		return NULL;
	v->open++;
	(void)snprintf(o->path, sizeof(o->path), "%s/index.db", v->folder);
	o->writers = (kurir_roles() & KURIR_ROLE_STORE) != 0;
	o->result = -EAGAIN;
	*ret_error = kurir_offload(open_run, o, until);
	if (o->result < 0) {
		free(r);
		v->open--;
		if (v->turns != NULL)
			next_turn(v, NULL);
		*ret_error = *ret_error < 0 ? *ret_error
		    : o->result == -EBUSY   ? -EAGAIN /* -EBUSY: all of ours are in use */
					    : o->result;
		return NULL;
	}
	r->db = o->db;
	if (*ret_error < 0)
		give(v, r);
	return *ret_error < 0 ? NULL : r;
}

/* The next that comes, or may be opened. */
KURIR_PARKS static struct reader *wait_for(struct shard_view *v, kurir_time until, int *ret_error)
{
	struct reader_turn t = { .signal = kurir_signal_new(kurir_scratch()) };
	struct reader_turn **at = &v->turns;
	int r = 0;
	while (*at != NULL)
		at = &(*at)->next;
	*at = &t;
	while (r == 0 && !t.come)
		r = kurir_signal_wait(t.signal, until);
	leave(v, &t);
	if (r < 0 && t.reader != NULL)
		give(v, t.reader);
	else if (r < 0 && t.come && v->turns != NULL)
		next_turn(v, NULL);
	*ret_error = r < 0 ? r : -EBUSY;
	return r < 0 ? NULL : t.reader;
}

KURIR_PARKS struct db *reader_wait(
    struct kurir_self *self, struct kurir_str account, kurir_time until, int *ret_error)
{
	struct db *db = reader_take(self, account, ret_error);
	while (db == NULL && *ret_error == -EBUSY) {
		struct shard_view *v = shard_view(self, account);
		struct reader *r = v->open < READERS ? open_one(v, until, ret_error)
						     : wait_for(v, until, ret_error);
		db = r != NULL		   ? &r->db
		    : *ret_error == -EBUSY ? reader_take(self, account, ret_error)
					   : NULL;
	}
	if (db != NULL)
		(void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
	return db;
}

void reader_drop(struct kurir_self *self, struct kurir_str account, struct db *db)
{
	struct shard_view *v = shard_view(self, account);
	db_close(db);
	free(db); /* is a reader's first member */
	v->open--;
	if (v->turns != NULL)
		next_turn(v, NULL);
}

void reader_give(struct kurir_self *self, struct kurir_str account, struct db *db)
{
	give(shard_view(self, account), (struct reader *)(void *)db);
}

/* Whoever comes first need not wait for a shard that is there. */
KURIR_PARKS static void open_all(void *arg)
{
	struct kurir_self *self = arg;
	const struct sqlite_conf *conf = kurir_conf(self);
	int r = 0;
	for (unsigned i = 0; i < (unsigned)conf->shards && r != -ECANCELED; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct shard_view *v = shard_view_of(self, i);
		struct reader *one =
		    v == NULL || v->open > 0 ? NULL : open_one(v, KURIR_FOREVER, &r);
		if (one != NULL)
			give(v, one);
		kurir_rewind(kurir_scratch(), mark);
	}
}

int readers_start(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	return kurir_group_go(m->group, "store-readers", open_all, self);
}

void readers_stop(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	for (unsigned i = 0; i < SHARDS_MAX; i++)
		while (m->views[i] != NULL && m->views[i]->idle != NULL) {
			struct reader *r = m->views[i]->idle;
			m->views[i]->idle = r->next;
			db_close(&r->db);
			free(r);
		}
}
