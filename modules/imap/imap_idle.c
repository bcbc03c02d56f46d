/* imap_idle.c - IDLE (RFC 9051 section 6.3.13, RFC 2177).
 *
 *   idle = "IDLE" CRLF "DONE"
 *
 * A fiber waits for the mailbox while the session's own waits for the client's DONE.  All
 * writing happens in the fiber of the mailbox until it has ended. */

#include <errno.h>

#include "imap_notify.h"

/* A store that has to read all of a mailbox to find what changed is not asked after each of many
 * messages that come one after the other: the larger the mailbox, the longer they gather. */
KURIR_PARKS static int gather(const struct imap *s)
{
	kurir_time pause = (kurir_time)(s->box.count / 50); /* ms: 2 s with 100,000 messages */

	return imap_store_has(s, changes) || pause == 0 ? 0 : kurir_sleep(kurir_now() + pause);
}

KURIR_PARKS static void watch(void *arg)
{
	struct imap *s = arg;
	int r = 0;

	while (r >= 0 && !s->over) {
		r = s->store->wait(
		    s->store_self, s->account, s->box.name, &s->view, KURIR_FOREVER);
		if (r >= 0)
			r = imap_update(s, true);
		if (r >= 0)
			r = kurir_flush(s->stream, imap_until(s));
		imap_rest(s);
		kurir_arena_clear(kurir_scratch());
		if (r >= 0)
			r = gather(s);
	}
}

/* For the client's line, and what happens meanwhile; after NOTIFY what that asked for (RFC 5465
 * section 4). */
KURIR_PARKS static int wait(struct imap *s, kurir_time until, struct kurir_str *ret_line)
{
	struct kurir_group *group;
	int r = 1;

	if (s->notify != NULL) {
		r = imap_notify_while(s, until, true);
		return r < 0 ? r : kurir_readline(s->stream, 1024, ret_line, until);
	}
	group = kurir_group_begin(s->self);
	if (s->state == IMAP_SELECTED)
		kurir_group_go(group, "imap idle", watch, s);
	r = kurir_readline(s->stream, 1024, ret_line, until);
	if (r > 0)
		*ret_line = kurir_copy(kurir_scratch(), *ret_line);
	kurir_group_end(group);
	return r;
}

KURIR_PARKS void imap_idle(struct imap *s, struct imap_args *a)
{
	struct kurir_str line;
	int r;

	(void)a;
	kurir_count(s->self, IMAP_IDLES, 1);
	imap_puts(s, "+ Waiting\r\n");
	r = kurir_flush(s->stream, imap_until(s));
	if (r < 0) {
		s->over = true;
		return;
	}
	imap_rest(s);
	r = wait(s, kurir_now() + s->conf->idle, &line);
	if (r == -ETIMEDOUT)
		imap_puts(s, "* BYE Nothing heard for too long\r\n");
	if (r <= 0)
		s->over = true;
	else if (kurir_str_equal_nocase(kurir_str_trim(line), KURIR_STR("DONE")))
		imap_ok(s, "Done");
	else
		imap_bad(s, "DONE was expected");
}
