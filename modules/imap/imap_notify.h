/* imap_notify.h - what a client wants to hear of without asking (RFC 5465). */
#ifndef IMAP_NOTIFY_H
#define IMAP_NOTIFY_H

#include "imap_list.h"

#define IMAP_NOTIFY_GROUPS	 32
#define IMAP_NOTIFY_NAMES	 200  /* in one group */
#define IMAP_NOTIFY_MOST	 5000 /* mailboxes of an account; with more nobody is notified */
#define IMAP_NOTIFY_OWNERS	 16   /* other accounts */
#define IMAP_NOTIFY_MOST_ENTRIES 200  /* mailboxes whose entries are watched */

enum imap_event {
	IMAP_EVENT_NEW = 1u << 0,
	IMAP_EVENT_EXPUNGE = 1u << 1,
	IMAP_EVENT_FLAGS = 1u << 2,
	IMAP_EVENT_NAME = 1u << 3,
	IMAP_EVENT_SUBSCRIPTION = 1u << 4,
	IMAP_EVENT_METADATA = 1u << 5,
	IMAP_EVENT_SERVER_METADATA = 1u << 6,
	IMAP_EVENT_UNKNOWN = 1u << 7,
};
#define IMAP_EVENTS_MESSAGE (IMAP_EVENT_NEW | IMAP_EVENT_EXPUNGE | IMAP_EVENT_FLAGS)
#define IMAP_EVENTS_KNOWN \
	"MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange"

enum imap_filter {
	IMAP_FILTER_SELECTED,
	IMAP_FILTER_DELAYED,
	IMAP_FILTER_PERSONAL, /* and inboxes: mail may be delivered to all of them */
	IMAP_FILTER_SUBSCRIBED,
	IMAP_FILTER_SUBTREE,
	IMAP_FILTER_MAILBOXES,
};
struct imap_notify_group {
	enum imap_filter filter;
	uint32_t events; /* enum imap_event */
	size_t count;	 /* SUBTREE, MAILBOXES */
	struct kurir_str *names;
};
struct imap_notify_wish {
	bool status, none;
	bool selected, delayed; /* which of the two, if any */
	uint32_t selected_events;
	struct kurir_str items; /* of FETCH, for new messages; or empty */
	size_t count;
	struct imap_notify_group groups[IMAP_NOTIFY_GROUPS];
};
/* imap_notify_parse.c: the arguments.  -EBADMSG; -ENOTSUP: an event that is not known. */
int imap_notify_parse(struct imap_args *, struct imap_notify_wish *ret);

/* How the account was when it was looked at. */
struct imap_seen {
	struct kurir_arena *arena;
	struct kurir_mailbox *all; /* by id, as that stays when one is renamed */
	size_t count;
	/* Of each of them whose entries are wanted, and behind them of the account; by name. */
	struct imap_seen_entries {
		struct kurir_entry *all;
		size_t count;
	} * entries;
};
struct imap_notify {
	struct imap_notify_wish wish; /* its texts are in wishes */
	struct kurir_arena *wishes;
	uint64_t modseq;   /* of the account then */
	uint32_t uid_next; /* of the selected mailbox: new are those from it on */
	struct imap_seen seen;
	/* Others, of whose mailboxes the client wants to hear by their names. */
	struct imap_notify_owner {
		struct kurir_str account;
		uint64_t modseq, now; /* as it was looked at, and as it is */
	} owners[IMAP_NOTIFY_OWNERS];
	size_t owner_count;
};

/* imap_notify.c */
/* While nothing comes from the client, it is told what it wants to hear.  Returns when something
 * has come, or the stream has ended: 0; or -errno.  idle: also of removals, whose turn it is. */
int imap_notify_while(struct imap *, kurir_time, bool idle) KURIR_PARKS;
void imap_notify_selected(struct imap *); /* another mailbox is selected */
void imap_notify_end(struct imap *);
/* Which events of that mailbox are wanted; without those of messages when it is selected. */
uint32_t imap_notify_events(const struct imap *, const struct kurir_mailbox *);
/* Whether it is of the account. */
bool imap_notify_server(const struct imap *);

/* imap_notify_wait.c: until something may have happened to what the client wants to hear of, with
 * the mod-sequence of the account then: 1; or -errno. */
int imap_notify_wait(struct imap *, uint64_t *modseq) KURIR_PARKS;

/* imap_notify_others.c: -E2BIG: too many others, or too much of them. */
int imap_notify_find_owners(struct imap *) KURIR_PARKS;
int imap_notify_look_at_others(struct imap *, struct imap_seen *) KURIR_PARKS;

/* imap_notify_tell.c */
/* Fills it; 0, or -errno: there is nothing to free. -E2BIG: too much to look at. */
int imap_notify_look(struct imap *, struct imap_seen *ret) KURIR_PARKS;
void imap_notify_tell(struct imap *, const struct imap_seen *was, const struct imap_seen *now)
    KURIR_PARKS;

#endif
