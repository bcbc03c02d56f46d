/* kurir/store.h - mailboxes: accounts, folders, messages.  Service kind "store".
 *
 * POP3, IMAP and local delivery are views of one model.  An account has mailboxes; a
 * mailbox has a UIDVALIDITY that is never reused and messages with UIDs that only grow; every
 * change of a message's flags or existence takes the next mod-sequence of the account.
 * All calls work on whole mailboxes or on ranges: none is made once a message.
 *
 * The functions are callable in the access role; those that change something ask the
 * account's one writer in the store role and return when the change is durable.
 * Errors of all: -ENOENT no such mailbox or message, -EEXIST, -EINVAL a name that cannot be,
 * -EDQUOT, -ENOSPC, -EIO, -ETIMEDOUT, -ECANCELED. */
#ifndef KURIR_STORE_H
#define KURIR_STORE_H

#include <kurir/module.h>
#include <kurir/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kurir_mailbox_flag {
	KURIR_MAILBOX_SUBSCRIBED = 1u << 0,
	KURIR_MAILBOX_NOSELECT = 1u << 1, /* only a level of the hierarchy */
	KURIR_MAILBOX_CHILDREN = 1u << 2,
	KURIR_MAILBOX_DRAFTS = 1u << 8, /* special use, RFC 6154 */
	KURIR_MAILBOX_SENT = 1u << 9,
	KURIR_MAILBOX_TRASH = 1u << 10,
	KURIR_MAILBOX_JUNK = 1u << 11,
	KURIR_MAILBOX_ARCHIVE = 1u << 12,
};
/* Names are UTF-8 with '/' between levels; INBOX is spelt so, whatever the client wrote. */
struct kurir_mailbox {
	struct kurir_str name;
	uint32_t flags; /* enum kurir_mailbox_flag */
};

enum kurir_message_flag {
	KURIR_MESSAGE_SEEN = 1u << 0,
	KURIR_MESSAGE_ANSWERED = 1u << 1,
	KURIR_MESSAGE_FLAGGED = 1u << 2,
	KURIR_MESSAGE_DELETED = 1u << 3,
	KURIR_MESSAGE_DRAFT = 1u << 4,
	KURIR_MESSAGE_RECENT = 1u << 5, /* this view is the first to see it */
};
struct kurir_message {
	uint32_t uid;
	uint32_t flags; /* enum kurir_message_flag */
	/* "$Forwarded work", separated by one space, in order; or empty */
	struct kurir_str keywords;
	uint64_t size; /* bytes in wire form (CRLF) */
	int64_t date;  /* internal date, kurir_wallclock() */
	uint64_t modseq;
	struct kurir_str name; /* the store's own name for it */
};
struct kurir_mailbox_view {
	uint32_t uid_validity, uid_next;
	uint64_t modseq; /* the highest */
	size_t count;
	const struct kurir_message *messages; /* by UID, ascending */
};

struct kurir_uid_range { /* both ends included */
	uint32_t first, last;
};
struct kurir_uid_set {
	size_t count;
	const struct kurir_uid_range *ranges; /* ascending, apart */
};
KURIR_API bool kurir_uid_set_has(const struct kurir_uid_set *, uint32_t uid);

enum kurir_change_kind {
	KURIR_CHANGE_FLAGS_ADD = 1,
	KURIR_CHANGE_FLAGS_REMOVE,
	KURIR_CHANGE_FLAGS_SET,
	/* those of the set that carry DELETED; with force: all of the set */
	KURIR_CHANGE_EXPUNGE,
	KURIR_CHANGE_COPY,
	KURIR_CHANGE_MOVE,
};
struct kurir_change {
	enum kurir_change_kind kind;
	struct kurir_uid_set uids;
	uint32_t flags;
	struct kurir_str keywords;
	bool force;
	struct kurir_str target;  /* COPY, MOVE: the mailbox */
	uint64_t unchanged_since; /* skip messages changed after this mod-sequence; 0: all */
};
/* What was done.  For COPY and MOVE target has the new UIDs, in the order of uids. */
struct kurir_changed {
	struct kurir_uid_set uids;
	uint32_t target_validity;
	struct kurir_uid_set target;
};

struct kurir_append {
	uint32_t flags;
	struct kurir_str keywords;
	int64_t date; /* 0: now */
	int fd;	      /* holds the message in wire form; borrowed */
	uint64_t offset, length;
};

enum kurir_manage_kind {
	KURIR_MANAGE_CREATE = 1,
	KURIR_MANAGE_DELETE,
	KURIR_MANAGE_RENAME,
	KURIR_MANAGE_SUBSCRIBE,
	KURIR_MANAGE_UNSUBSCRIBE,
};

struct kurir_store_ops {
	size_t size;
	int (*list)(struct kurir_self *, struct kurir_str account, kurir_time,
	    struct kurir_arena *, struct kurir_mailbox **ret, size_t *ret_count) KURIR_PARKS;
	/* A snapshot; new messages get their UIDs first. claim_recent: this view takes the
	 * RECENT flags. */
	int (*view)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    bool claim_recent, kurir_time, struct kurir_arena *, struct kurir_mailbox_view *ret)
	    KURIR_PARKS;
	/* The bytes in wire form; the caller closes ret->fd. Finds a message whose flags
	 * another program changed. */
	int (*open)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_message *, kurir_time, struct kurir_body *ret) KURIR_PARKS;
	int (*change)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_change *, kurir_time, struct kurir_arena *,
	    struct kurir_changed *ret) KURIR_PARKS;
	int (*append)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_append *, size_t count, kurir_time, struct kurir_arena *,
	    struct kurir_changed *ret) KURIR_PARKS;
	int (*manage)(struct kurir_self *, struct kurir_str account, enum kurir_manage_kind,
	    struct kurir_str mailbox, struct kurir_str new_name, kurir_time) KURIR_PARKS;
	/* Waits until something in the mailbox may have changed since the view: 1; or
	 * -ETIMEDOUT, -ECANCELED. */
	int (*wait)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_mailbox_view *, kurir_time) KURIR_PARKS;
	/* One POP3 session a mailbox (RFC 1939 section 8): 0 and a lock that ends with the
	 * arena, or -EBUSY. */
	int (*lock)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    kurir_time, struct kurir_arena *) KURIR_PARKS;
};

/* Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7 (RFC 3501 section 5.1.3).
 * The characters of also are encoded although they are ASCII. 0, -EINVAL for what is not UTF-8
 * (or not its encoding), -EMSGSIZE; on an error the buffer has a part of it. */
KURIR_API int kurir_utf7_encode(struct kurir_buf *, struct kurir_str utf8, const char *also);
KURIR_API int kurir_utf7_decode(struct kurir_buf *, struct kurir_str utf7);

#ifdef __cplusplus
}
#endif
#endif
