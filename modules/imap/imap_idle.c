/* imap_idle.c - IDLE (RFC 9051 section 6.3.13, RFC 2177).
 *
 *   idle = "IDLE" CRLF "DONE"
 *
 * A fiber waits for the mailbox while the session's own waits for the client's DONE
 * (imap_watch.c). */

#include <errno.h>

#include "imap_notify.h"

/* A store that has to read all of a mailbox to find what changed is not asked after each of many
 * messages that come one after the other: the larger the mailbox, the longer they gather. */
KURIR_PARKS static int gather(struct imap_watch *w)
{
	const struct imap *s = w->s;
	kurir_time pause = (kurir_time)(s->box.count / 50); /* ms: 2 s with 100,000 messages */

	return imap_store_has(s, changes) || pause == 0 ? 0 : kurir_sleep(kurir_now() + pause);
}

KURIR_PARKS static int wait_for_mailbox(struct imap_watch *w)
{
	struct imap *s = w->s;

	return s->store->wait(
	    s->store_self, s->place.account, s->place.mailbox, &s->view, KURIR_FOREVER);
}

KURIR_PARKS static int tell(struct imap_watch *w)
{
	int r = imap_update(w->s, true);

	imap_rest(w->s);
	return r;
}

/* After NOTIFY what that asked for (RFC 5465 section 4). */
KURIR_PARKS static int while_silent(struct imap *s, kurir_time until)
{
	struct imap_watch w = { .s = s, .wait = wait_for_mailbox, .tell = tell, .rest = gather };

	if (s->notify != NULL)
		return imap_notify_while(s, until, true);
	return s->state == IMAP_SELECTED ? imap_watch(&w, until) : 0;
}

KURIR_PARKS void imap_idle(struct imap *s, struct imap_args *a)
{
	struct kurir_str line;
	kurir_time until;
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
	until = kurir_now() + s->conf->idle;
	r = while_silent(s, until);
	if (r >= 0)
		r = kurir_readline(s->stream, 1024, &line, until);
	if (r == -ETIMEDOUT)
		imap_puts(s, "* BYE Nothing heard for too long\r\n");
	if (r <= 0)
		s->over = true;
	else if (kurir_str_equal_nocase(kurir_str_trim(line), KURIR_STR("DONE")))
		imap_ok(s, "Done");
	else
		imap_bad(s, "DONE was expected");
}
