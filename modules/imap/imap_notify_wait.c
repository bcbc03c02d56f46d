/* imap_notify_wait.c - waiting for whatever a client wants to hear of: its account, those of
 * others that it named mailboxes of, and the selected mailbox when that is another's.
 *
 * A fiber waits for each of them; the first that is told of something ends all. */

#include <errno.h>

#include "imap_notify.h"

struct waiter {
	struct imap *s;
	struct kurir_signal *happened;
	struct kurir_str account;
	uint64_t *modseq; /* of the account; NULL: waits for the selected mailbox */
	bool *any;
	int *error;
};

KURIR_PARKS static void wait_one(void *arg)
{
	struct waiter *w = arg;
	struct imap *s = w->s;
	int r = w->modseq
	    ? s->store->wait_account(s->store_self, w->account, w->modseq, KURIR_FOREVER)
	    : s->store->wait(
		  s->store_self, s->place.account, s->place.mailbox, &s->view, KURIR_FOREVER);

	if (r == -ECANCELED)
		return;
	if (r < 0)
		*w->error = r;
	*w->any = true;
	kurir_signal_raise(w->happened);
}

/* Its changes are not those of the account, and they are wanted. */
static bool waits_for_selected(const struct imap *s)
{
	return s->state == IMAP_SELECTED && s->notify->wish.selected_events != 0 &&
	    !kurir_str_equal(s->place.account, s->account);
}

KURIR_PARKS static int wait_for_all(struct imap *s, uint64_t *modseq)
{
	struct imap_notify *n = s->notify;
	struct waiter waiters[IMAP_NOTIFY_OWNERS + 2];
	struct kurir_signal *happened = kurir_signal_new(kurir_scratch());
	struct kurir_group *group;
	bool any = false;
	int error = 0, r = 0;
	size_t count = 0;

	waiters[count++] = (struct waiter){ .account = s->account, .modseq = modseq };
	for (size_t i = 0; i < n->owner_count; i++) {
		n->owners[i].now = n->owners[i].modseq;
		waiters[count++] = (struct waiter){ .account = n->owners[i].account,
			.modseq = &n->owners[i].now };
	}
	if (waits_for_selected(s))
		waiters[count++] = (struct waiter){ .modseq = NULL };
	group = kurir_group_begin(s->self);
	for (size_t i = 0; i < count && r >= 0; i++) {
		waiters[i].s = s;
		waiters[i].happened = happened;
		waiters[i].any = &any;
		waiters[i].error = &error;
		r = kurir_group_go(group, "imap notify", wait_one, &waiters[i]);
	}
	while (r >= 0 && !any)
		r = kurir_signal_wait(happened, KURIR_FOREVER);
	kurir_group_end(group);
	return r < 0 ? r : error < 0 ? error : 1;
}

/* Mostly there is but the account, which needs no other fiber. */
KURIR_PARKS int imap_notify_wait(struct imap *s, uint64_t *modseq)
{
	return s->notify->owner_count > 0 || waits_for_selected(s)
	    ? wait_for_all(s, modseq)
	    : s->store->wait_account(s->store_self, s->account, modseq, KURIR_FOREVER);
}
