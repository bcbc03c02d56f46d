/* imap_notify_parse.c - the arguments of NOTIFY (RFC 5465 section 8).
 *
 *   notify       = "SET" [SP "STATUS"] 1*(SP event-group) / "NONE"
 *   event-group  = "(" filter SP events ")"
 *   filter       = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
 *                  ("subtree" / "mailboxes") SP (mailbox / "(" mailbox *(SP mailbox) ")")
 *   events       = "(" event *(SP event) ")" / "NONE"
 *   event        = "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"] / "MessageExpunge" /
 *                  "FlagChange" / "MailboxName" / "SubscriptionChange" /
 *                  "MailboxMetadataChange" / "ServerMetadataChange" / atom
 *
 * Section 5 wants MessageNew and MessageExpunge together, and both with FlagChange.  A client
 * that asks for one of them gets that one. */

#include <errno.h>

#include "imap_body.h"
#include "imap_notify.h"

static const struct {
	const char *name;
	uint32_t event;
} events[] = {
	{ "MessageNew", IMAP_EVENT_NEW },
	{ "MessageExpunge", IMAP_EVENT_EXPUNGE },
	{ "FlagChange", IMAP_EVENT_FLAGS },
	{ "MailboxName", IMAP_EVENT_NAME },
	{ "SubscriptionChange", IMAP_EVENT_SUBSCRIPTION },
	{ "MailboxMetadataChange", IMAP_EVENT_METADATA },
	{ "ServerMetadataChange", IMAP_EVENT_SERVER_METADATA },
};

static uint32_t event_of(struct kurir_str name)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(events[i].name)))
			return events[i].event;
	return IMAP_EVENT_UNKNOWN;
}

/* *ret_items: of FETCH, with their parentheses. */
static int one_event(struct imap_args *a, uint32_t *ret, struct kurir_str *ret_items)
{
	struct kurir_str name, before;
	struct imap_args b;
	uint32_t event;

	if (imap_atom(a, &name) < 0)
		return -EBADMSG;
	event = event_of(name);
	*ret |= event;
	b = *a;
	if (event != IMAP_EVENT_NEW || !imap_space(&b) || !imap_next_is(&b, '('))
		return 0;
	before = b.rest;
	if (imap_items_check(&b) < 0)
		return -EBADMSG;
	*ret_items = kurir_str_part(before, 0, before.len - b.rest.len);
	*a = b;
	return 0;
}

static int event_list(struct imap_args *a, uint32_t *ret, struct kurir_str *ret_items)
{
	*ret = 0;
	*ret_items = KURIR_STR("");
	if (imap_take_word(a, "NONE"))
		return 0;
	if (!imap_take(a, '('))
		return -EBADMSG;
	do
		if (one_event(a, ret, ret_items) < 0)
			return -EBADMSG;
	while (imap_space(a));
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

static int names(struct imap_args *a, struct imap_notify_group *g)
{
	bool list;

	if (!imap_space(a))
		return -EBADMSG;
	list = imap_take(a, '(');
	g->names = kurir_alloc(kurir_scratch(), IMAP_NOTIFY_NAMES * sizeof(*g->names));
	do
		if (g->count == IMAP_NOTIFY_NAMES || imap_mailbox(a, &g->names[g->count++]) < 0)
			return -EBADMSG;
	while (list && imap_space(a));
	return !list || imap_take(a, ')') ? 0 : -EBADMSG;
}

static int filter(struct imap_args *a, struct imap_notify_group *g)
{
	static const struct {
		const char *name;
		enum imap_filter filter;
	} known[] = { { "selected", IMAP_FILTER_SELECTED },
		{ "selected-delayed", IMAP_FILTER_DELAYED }, { "inboxes", IMAP_FILTER_PERSONAL },
		{ "personal", IMAP_FILTER_PERSONAL }, { "subscribed", IMAP_FILTER_SUBSCRIBED },
		{ "subtree", IMAP_FILTER_SUBTREE }, { "mailboxes", IMAP_FILTER_MAILBOXES } };
	struct kurir_str name;

	if (imap_atom(a, &name) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(known[i].name))) {
			g->filter = known[i].filter;
			return g->filter >= IMAP_FILTER_SUBTREE ? names(a, g) : 0;
		}
	return -EBADMSG;
}

static int group(struct imap_args *a, struct imap_notify_wish *w)
{
	struct imap_notify_group g = { .count = 0 };
	struct kurir_str items;

	if (!imap_take(a, '(') || filter(a, &g) < 0 || !imap_space(a) ||
	    event_list(a, &g.events, &items) < 0 || !imap_take(a, ')'))
		return -EBADMSG;
	if (g.filter >= IMAP_FILTER_PERSONAL) {
		if (items.len > 0 || w->count == IMAP_NOTIFY_GROUPS)
			return -EBADMSG;
		w->groups[w->count++] = g;
		return 0;
	}
	/* Section 6.1: one of the two, and events of messages only. */
	if (w->selected || w->delayed ||
	    (g.events & ~(uint32_t)(IMAP_EVENTS_MESSAGE | IMAP_EVENT_UNKNOWN)))
		return -EBADMSG;
	w->selected = g.filter == IMAP_FILTER_SELECTED;
	w->delayed = !w->selected;
	w->selected_events = g.events;
	w->items = items;
	return 0;
}

int imap_notify_parse(struct imap_args *a, struct imap_notify_wish *ret)
{
	uint32_t all = 0;

	*ret = (struct imap_notify_wish){ .items = KURIR_STR("") };
	if (imap_take_word(a, "NONE")) {
		ret->none = true;
		return imap_end(a) ? 0 : -EBADMSG;
	}
	if (!imap_take_word(a, "SET") || !imap_space(a))
		return -EBADMSG;
	ret->status = imap_take_word(a, "STATUS");
	if (ret->status && !imap_space(a))
		return -EBADMSG;
	do
		if (group(a, ret) < 0)
			return -EBADMSG;
	while (imap_space(a));
	if (!imap_end(a))
		return -EBADMSG;
	all = ret->selected_events;
	for (size_t i = 0; i < ret->count; i++)
		all |= ret->groups[i].events;
	return all & IMAP_EVENT_UNKNOWN ? -ENOTSUP : 0;
}
