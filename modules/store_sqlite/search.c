/* search.c - the fiber that keeps the full-text indexes up to date, of accounts that search.
 *
 * It works in steps, with pauses as long as the steps, so that it never takes more than half
 * of one processor; after a start it looks at all shards, later at those that something came
 * to. */
#include "search.h"
#include "sqlite.h"

#include <errno.h>

#define GATHER	  1000 /* so that many that come at once are one step */
#define PAUSE_MAX 2000
#define AGAIN	  5000

static int step(void *arg)
{
	return search_step(arg);
}

/* 0 when it is up to date. */
KURIR_PARKS static int catch_up(struct kurir_self *self, unsigned shard)
{
	char folder[SHARD_PATH];
	struct search_index *x = kurir_alloc(kurir_scratch(), sizeof(*x));
	int r = shard_folder(kurir_conf(self), shard, folder);
	if (r < 0)
		return 0;
	x->folder = folder;
	do {
		kurir_time begin = kurir_now();
		r = kurir_offload(step, x, KURIR_FOREVER);
		kurir_time took = kurir_now() - begin;
		if (r == 1 && took > 0)
			r = kurir_sleep(kurir_now() + (took < PAUSE_MAX ? took : PAUSE_MAX)) < 0
			    ? -ECANCELED
			    : 1;
	} while (r == 1 && !kurir_draining());
	search_close(x);
	if (r < 0 && r != -ECANCELED && r != -EBUSY && r != -EAGAIN)
		kurir_log(self, KURIR_WARN, r,
		    "shard %02x: cannot add to the full-text index, searches read messages",
		    shard);
	return r < 0 ? r : 0;
}

/* One look at all shards that something came to, or at all: 0, -EAGAIN when one has to be tried
 * again, -ECANCELED. */
KURIR_PARKS static int look(struct kurir_self *self, bool all)
{
	struct sqlite_self *m = kurir_state(self);
	const struct sqlite_conf *conf = kurir_conf(self);
	int r = 0, result = 0;
	for (unsigned i = 0; i < (unsigned)conf->shards && r != -ECANCELED; i++) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		struct shard *s = m->shards[i];
		if (!all && (s == NULL || !s->news))
			continue;
		if (s != NULL)
			s->news = false;
		r = catch_up(self, i);
		kurir_rewind(kurir_scratch(), mark);
		s = m->shards[i];
		if (r < 0 && s != NULL)
			s->news = true;
		if (r < 0)
			result = -EAGAIN;
	}
	return r == -ECANCELED ? r : result;
}

static bool has_news(struct kurir_self *self)
{
	struct sqlite_self *m = kurir_state(self);
	for (unsigned i = 0; i < SHARDS_MAX; i++)
		if (m->shards[i] != NULL && m->shards[i]->news)
			return true;
	return false;
}

KURIR_PARKS void sqlite_search(void *arg)
{
	struct kurir_self *self = arg;
	struct sqlite_self *m = kurir_state(self);
	bool all = true;
	int r = 0;
	while (r != -ECANCELED && !kurir_draining()) {
		r = look(self, all);
		all = all && r == -EAGAIN;
		if (r == -EAGAIN)
			r = kurir_sleep(kurir_now() + AGAIN);
		else if (r == 0 && !has_news(self))
			r = kurir_signal_wait(m->search, KURIR_FOREVER);
		if (r == 0 && !all)
			r = kurir_sleep(kurir_now() + GATHER);
	}
}
