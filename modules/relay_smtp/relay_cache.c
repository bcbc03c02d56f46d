/* relay_cache.c - connections that wait for another message to the same host.
 * One fiber says goodbye to those that waited too long. */
#include "relay.h"

#include <errno.h>

struct relay_cache {
	struct kurir_self *self;
	struct kurir_group *group;
	struct kurir_signal *changed;
	struct relay_conn *list; /* the one that waits longest is last */
	int64_t count;
};

static struct relay_conn *take_at(struct relay_cache *k, struct relay_conn **at)
{
	struct relay_conn *c = *at;

	*at = c->next;
	c->next = NULL;
	k->count--;
	return c;
}

static struct relay_conn **oldest(struct relay_cache *k)
{
	struct relay_conn **at = &k->list;

	while (*at != NULL && (*at)->next != NULL)
		at = &(*at)->next;
	return at;
}

KURIR_PARKS static void cache_keeper(void *arg)
{
	struct relay_cache *k = arg;
	int r = 0;

	while (r != -ECANCELED) {
		struct relay_conn **at = oldest(k);

		if (*at != NULL && (*at)->idle_until <= kurir_now()) {
			relay_quit(take_at(k, at));
			continue;
		}
		r = kurir_signal_wait(
		    k->changed, *at != NULL ? (*at)->idle_until : KURIR_FOREVER);
	}
}

struct relay_cache *relay_cache_new(struct kurir_self *self)
{
	struct kurir_arena *arena = kurir_self_arena(self);
	struct relay_cache *k = kurir_alloc(arena, sizeof(*k));

	k->self = self;
	k->changed = kurir_signal_new(arena);
	k->group = kurir_group_begin(self);
	if (kurir_group_go(k->group, "relay cache", cache_keeper, k) < 0)
		return NULL;
	return k;
}

static struct relay_conn *find(struct relay_cache *k, struct kurir_str key)
{
	for (struct relay_conn **at = &k->list; *at != NULL; at = &(*at)->next)
		if (kurir_str_equal((*at)->key, key) && (*at)->idle_until > kurir_now())
			return take_at(k, at);
	return NULL;
}

/* What a host said unasked must not be read as its answer to the next command. */
KURIR_PARKS static bool silent(struct relay_conn *c)
{
	struct kurir_str said;

	return kurir_peek(c->stream, 0, &said, kurir_now()) == -ETIMEDOUT;
}

KURIR_PARKS struct relay_conn *relay_cache_take(struct relay_cache *k, struct kurir_str key)
{
	struct relay_conn *c;

	while ((c = find(k, key)) != NULL && !silent(c))
		relay_quit(c);
	return c;
}

KURIR_PARKS void relay_cache_put(struct relay_cache *k, struct relay_conn *c)
{
	const struct relay_conf *conf = kurir_conf(k->self);

	/* Something the host said without being asked: it is going away. */
	if (c->broken || c->messages >= conf->reuse || conf->idle == 0 || conf->cached == 0 ||
	    kurir_pending(c->stream) > 0) {
		relay_quit(c);
		return;
	}
	c->idle_until = kurir_now() + conf->idle;
	c->next = k->list;
	k->list = c;
	k->count++;
	kurir_signal_raise(k->changed);
	if (k->count > conf->cached)
		relay_quit(take_at(k, oldest(k)));
}

void relay_cache_end(struct relay_cache *k)
{
	while (k->list != NULL)
		relay_free(take_at(k, &k->list));
}
