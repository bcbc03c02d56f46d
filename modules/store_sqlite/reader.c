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

struct shard_view *shard_view(struct kurir_self *self, struct kurir_str account)
{
	struct sqlite_self *m = kurir_state(self);
	const struct sqlite_conf *conf = kurir_conf(self);
	unsigned number = shard_of(conf, account);
	struct shard_view *v = m->views[number];
	if (v != NULL)
		return v;
	v = kurir_alloc(kurir_self_arena(self), sizeof(*v));
	v->wd = -1;
	if (shard_folder(conf, number, v->folder) < 0)
		return NULL;
	m->views[number] = v;
	return v;
}

static struct reader *idle_one(struct shard_view *v)
{
	struct reader *r = v->idle;
	if (r != NULL)
		v->idle = r->next;
	return r;
}

/* One more; NULL: *ret_error, -EBUSY when there are enough. */
static struct reader *open_one(struct shard_view *v, int *ret_error)
{
	char path[SHARD_PATH + 16];
	struct reader *r = v->open < READERS ? calloc(1, sizeof(*r)) : NULL;
	*ret_error = v->open < READERS ? -ENOMEM : -EBUSY;
	if (r == NULL)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/index.db", v->folder);
	*ret_error = db_open_reader(&r->db, path, (kurir_roles() & KURIR_ROLE_STORE) != 0);
	if (*ret_error == 0) {
		v->open++;
		return r;
	}
	free(r);
	return NULL;
}

bool reader_is_warm(struct kurir_self *self, struct kurir_str account)
{
	struct shard_view *v = shard_view(self, account);
	return v != NULL && v->idle != NULL;
}

struct db *reader_take(struct kurir_self *self, struct kurir_str account, int *ret_error)
{
	struct shard_view *v = shard_view(self, account);
	struct reader *r = v == NULL ? NULL : idle_one(v);
	*ret_error = v == NULL ? -ENAMETOOLONG : 0;
	if (v != NULL && r == NULL)
		r = open_one(v, ret_error);
	return r == NULL ? NULL : &r->db;
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

KURIR_PARKS struct db *reader_wait(
    struct kurir_self *self, struct kurir_str account, kurir_time until, int *ret_error)
{
	struct db *db = reader_take(self, account, ret_error);
	while (db == NULL && *ret_error == -EBUSY) {
		struct shard_view *v = shard_view(self, account);
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
			reader_give(self, account, &t.reader->db);
		else if (r < 0 && t.come && v->turns != NULL)
			next_turn(v, NULL);
		*ret_error = r;
		if (r < 0)
			return NULL;
		db = t.reader != NULL ? &t.reader->db : reader_take(self, account, ret_error);
	}
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
	struct shard_view *v = shard_view(self, account);
	struct reader *r = (struct reader *)(void *)db;
	if (v->turns != NULL) {
		next_turn(v, r);
		return;
	}
	r->next = v->idle;
	v->idle = r;
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
