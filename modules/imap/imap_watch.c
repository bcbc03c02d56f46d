/* imap_watch.c - telling the client things while the session waits for it: a fiber of its own
 * waits for what may happen, and writes.  Once the client says something that fiber ends: not
 * before it has said to its end what it has begun to say. */

#include <errno.h>

#include "imap.h"

KURIR_PARKS static void watch(void *arg)
{
	struct imap_watch *w = arg;
	struct imap *s = w->s;
	int r = 0;

	while (r >= 0 && !s->over) {
		r = w->wait(w);
		if (r < 0)
			break;
		w->telling = true;
		r = w->tell(w);
		if (r >= 0)
			r = kurir_flush(s->stream, imap_until(s));
		w->telling = false;
		kurir_signal_raise(w->told);
		kurir_arena_clear(kurir_scratch());
		if (r >= 0 && w->rest != NULL)
			r = w->rest(w);
	}
}

KURIR_PARKS int imap_watch(struct imap_watch *w, kurir_time until)
{
	struct kurir_group *group;
	struct kurir_str there;
	int r;

	w->told = kurir_signal_new(kurir_scratch());
	group = kurir_group_begin(w->s->self);
	(void)kurir_group_go(group, "imap watch", watch, w);
	r = kurir_peek(w->s->stream, 0, &there, until);
	while (r > 0 && w->telling)
		if (kurir_signal_wait(w->told, until) < 0)
			break;
	if (w->telling) /* in the middle of a reply: nothing sensible can follow */
		w->s->over = true;
	kurir_group_end(group);
	return r < 0 ? r : w->s->over ? -ECANCELED : 0;
}
