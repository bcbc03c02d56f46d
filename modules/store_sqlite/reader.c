/* reader.c - connections to the databases of shards, for those who only read. */
#include "sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
	struct db db; /* first: who has this has the reader */
	struct reader *next;
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

struct db *reader_take(struct kurir_self *self, struct kurir_str account, int *ret_error)
{
	struct shard_view *v = shard_view(self, account);
	char path[SHARD_PATH + 16];
	*ret_error = v == NULL ? -ENAMETOOLONG : 0;
	if (v == NULL)
		return NULL;
	if (v->idle != NULL) {
		struct reader *r = v->idle;
		v->idle = r->next;
		return &r->db;
	}
	struct reader *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "%s/index.db", v->folder);
	*ret_error = db_open_reader(&r->db, path, (kurir_roles() & KURIR_ROLE_STORE) != 0);
	if (*ret_error == 0)
		return &r->db;
	free(r);
	return NULL;
}

void reader_drop(struct db *db)
{
	db_close(db);
	free(db); /* is a reader's first member */
}

/* One stays a shard; more are for moments in which many read. */
void reader_give(struct kurir_self *self, struct kurir_str account, struct db *db)
{
	struct shard_view *v = shard_view(self, account);
	struct reader *r = (struct reader *)(void *)db;
	if (v->idle == NULL) {
		r->next = NULL;
		v->idle = r;
		return;
	}
	reader_drop(db);
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
