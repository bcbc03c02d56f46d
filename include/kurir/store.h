/* kurir/store.h - mailboxes: accounts, folders, messages.  Service kind "store".
 *
 * POP3, IMAP and local delivery are views of one model.  An account has mailboxes and e-mails.  An
 * e-mail is its bytes, which never change, and what was read from them once; it has an id and
 * belongs to a thread.  A message is an e-mail in a mailbox: with a UID there that only grows,
 * flags, and the time it came there; copying one makes another message of the same e-mail.  A
 * mailbox has an id and a UIDVALIDITY that are never reused.  Every change - a message that
 * comes, is flagged, or goes, a mailbox that is made, renamed, or removed - takes the next
 * mod-sequence of its account, and what went is remembered: so "what is new since" has an answer
 * for IMAP (RFC 7162) and JMAP (RFC 8620 section 5.2) from the same numbers.
 * All calls work on whole mailboxes or on ranges: none is made once a message.
 *
 * The functions are callable in the access role; those that change something ask the
 * account's one writer in the store role and return when the change is durable.
 * Errors of all: -ENOENT no such mailbox or message, -EEXIST, -EINVAL a name that cannot be,
 * -EDQUOT, -ENOSPC, -EIO, -ETIMEDOUT, -ECANCELED.  A function that a store does not have is NULL:
 * the caller then does with the others. */
#ifndef KURIR_STORE_H
#define KURIR_STORE_H

#include <kurir/call.h>
#include <kurir/module.h>
#include <kurir/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kurir_mailbox_flag {
	KURIR_MAILBOX_SUBSCRIBED = 1u << 0,
	/* only a level of the hierarchy; without CHILDREN: a name that is subscribed, no more */
	KURIR_MAILBOX_NOSELECT = 1u << 1,
	KURIR_MAILBOX_CHILDREN = 1u << 2,
	KURIR_MAILBOX_DRAFTS = 1u << 8, /* special use, RFC 6154 */
	KURIR_MAILBOX_SENT = 1u << 9,
	KURIR_MAILBOX_TRASH = 1u << 10,
	KURIR_MAILBOX_JUNK = 1u << 11,
	KURIR_MAILBOX_ARCHIVE = 1u << 12,
	KURIR_MAILBOX_ALL = 1u << 13,
	KURIR_MAILBOX_FLAGGED = 1u << 14,
	KURIR_MAILBOX_IMPORTANT = 1u << 15, /* RFC 8457 */
	KURIR_MAILBOX_USES = 0xff00,
};
/* Names are UTF-8 with '/' between levels; INBOX is spelt so, whatever the client wrote. */
struct kurir_mailbox {
	struct kurir_str name;
	uint32_t flags; /* enum kurir_mailbox_flag */
	/* RFC 8474: stays when it is renamed; or empty: the store has none */
	struct kurir_str id;
	/* With KURIR_LIST_COUNTS, and not for NOSELECT: */
	uint32_t uid_validity, uid_next;
	uint32_t messages, recent, unseen, deleted;
	uint64_t bytes;	 /* of all messages, in wire form */
	uint64_t modseq; /* the highest of its messages, also of those that went */
	uint64_t reserved[4];
};
#define KURIR_LIST_COUNTS (1u << 0)

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
	int64_t saved; /* when it came into this mailbox (RFC 8514); 0: the store does not know */
};
struct kurir_mailbox_view {
	uint32_t uid_validity, uid_next;
	uint64_t modseq; /* the highest */
	size_t count;
	const struct kurir_message *messages; /* by UID, ascending */
	struct kurir_str id;		      /* as in kurir_mailbox */
	uint64_t reserved[2];
};

struct kurir_uid_range { /* both ends included */
	uint32_t first, last;
};
struct kurir_uid_set {
	size_t count;
	const struct kurir_uid_range *ranges; /* ascending, apart */
};
KURIR_API bool kurir_uid_set_has(const struct kurir_uid_set *, uint32_t uid);

/* What a session has to know of a mailbox before it asks for messages. */
struct kurir_mailbox_outline {
	struct kurir_mailbox_view view; /* count, but no messages */
	struct kurir_uid_set uids;	/* of all of them */
	uint32_t recent;		/* RECENT are those from this UID on; 0: none */
	uint32_t unseen;		/* the first UID without SEEN; 0: all have it */
	struct kurir_str keywords;	/* that messages have or had; some may come twice */
	uint64_t reserved[2];
};

/* What became of a mailbox after a mod-sequence. */
struct kurir_mailbox_changes {
	struct kurir_mailbox_view now; /* messages: only those that are new or were changed */
	/* What went, by UID; it may name more than were there (all that are gone), never one that
	 * is still there. */
	struct kurir_uid_set vanished;
	uint64_t reserved[2];
};

/* What a store knows of a message without its bytes.  Texts of the first three are in IMAP's own
 * form (RFC 9051 section 7.5.2), ready to be sent. */
enum kurir_fact {
	KURIR_FACT_ENVELOPE,
	KURIR_FACT_BODY,      /* the structure without extension data */
	KURIR_FACT_STRUCTURE, /* BODYSTRUCTURE */
	KURIR_FACT_PREVIEW,   /* RFC 8970: UTF-8, at most 256 characters */
	KURIR_FACT_EMAIL_ID,
	KURIR_FACT_THREAD_ID, /* RFC 8474 */
	KURIR_FACT_HEADER,    /* the message's header with the empty line behind it */
};
#define KURIR_FACTS	 (KURIR_FACT_HEADER + 1) /* how many this header knows */
#define KURIR_FACTS_ROOM 16			 /* and later ones */
struct kurir_message_facts {
	uint32_t uid;
	struct kurir_str texts[KURIR_FACTS_ROOM]; /* ptr NULL: not asked for, or not known */
};
#define KURIR_FACTS_MAX 256 /* messages in one call */

/* A text to be found, without regard to case, anywhere in a place (RFC 9051 section 6.4.4). */
enum kurir_find_place {
	KURIR_FIND_HEADER = 1, /* the decoded value of header fields of that name */
	KURIR_FIND_BODY,       /* the decoded text of the body's parts */
	KURIR_FIND_TEXT,       /* all headers, and the body */
};
struct kurir_find {
	enum kurir_find_place place;
	struct kurir_str field; /* "Subject"; HEADER only */
	struct kurir_str text;	/* UTF-8; empty with HEADER: has the field at all */
	uint64_t reserved[2];
};

/* RFC 9208: usage and limits of an account; a limit of 0 is none. */
struct kurir_quota {
	uint64_t bytes, bytes_limit, messages, messages_limit;
	uint64_t reserved[4];
};

/* RFC 5464: entries of a mailbox, or (mailbox empty) of the account. "/private/comment" */
struct kurir_entry {
	struct kurir_str name, value; /* value.ptr NULL: there is none; to set: remove it */
};

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
	uint32_t keeps;		  /* FLAGS_SET: flags that stay what they are; none of flags */
	bool keeps_keywords;	  /* FLAGS_SET: so do keywords; there are none here then */
	uint64_t reserved[3];
};
/* What was done.  For COPY and MOVE target has the new UIDs, in the order of uids. */
struct kurir_changed {
	struct kurir_uid_set uids;
	uint32_t target_validity;
	struct kurir_uid_set target;
	/* The highest mod-sequence of the mailbox before and after.  Who knows all of it as it was
	 * before knows all of it after: messages that were changed have the one after.  0: the
	 * store does not say. */
	uint64_t before, modseq;
	uint64_t reserved[2];
};

struct kurir_append {
	/* With RECENT: who appends has a view of the mailbox, and tells of the message itself; where
	 * kurir_changed has mod-sequences the store takes that for the first look at it. */
	uint32_t flags;
	struct kurir_str keywords;
	int64_t date; /* 0: now */
	int fd; /* holds the message in wire form; borrowed; one and the same for all of a call */
	uint64_t offset, length;
	uint64_t reserved[4];
};

enum kurir_manage_kind {
	KURIR_MANAGE_CREATE = 1,
	KURIR_MANAGE_DELETE,
	KURIR_MANAGE_RENAME,
	KURIR_MANAGE_SUBSCRIBE,
	KURIR_MANAGE_UNSUBSCRIBE,
};
struct kurir_manage {
	enum kurir_manage_kind kind;
	struct kurir_str mailbox;
	struct kurir_str new_name; /* RENAME */
	/* CREATE: of KURIR_MAILBOX_USES (RFC 6154), in stores that have set_entries */
	uint32_t uses;
	uint64_t reserved[2];
};

struct kurir_store_ops {
	size_t size;
	/* want: KURIR_LIST_*, or-ed. */
	int (*list)(struct kurir_self *, struct kurir_str account, uint32_t want, kurir_time,
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
	/* *ret_id, in arena: of the mailbox that was made; else empty. */
	int (*manage)(struct kurir_self *, struct kurir_str account, const struct kurir_manage *,
	    kurir_time, struct kurir_arena *, struct kurir_str *ret_id) KURIR_PARKS;
	/* Waits until something in the mailbox may have changed since the view: 1; or
	 * -ETIMEDOUT, -ECANCELED. */
	int (*wait)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_mailbox_view *, kurir_time) KURIR_PARKS;
	/* One POP3 session a mailbox (RFC 1939 section 8): 0 and a lock that ends with the
	 * arena, or -EBUSY. */
	int (*lock)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    kurir_time, struct kurir_arena *) KURIR_PARKS;
	/* What happened after that mod-sequence; claim_recent as for view. -ESTALE: what went is not
	 * remembered that long, take a view. */
	int (*changes)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    uint64_t since, bool claim_recent, kurir_time, struct kurir_arena *,
	    struct kurir_mailbox_changes *ret) KURIR_PARKS;
	/* A store that has it has ids of mailboxes and e-mails.
	 * Of those messages of the set that are there, by UID; at most KURIR_FACTS_MAX, so ask again
	 * from behind the last. want: 1u << enum kurir_fact, or-ed. */
	int (*facts)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_uid_set *, uint32_t want, kurir_time, struct kurir_arena *,
	    struct kurir_message_facts **ret, size_t *ret_count) KURIR_PARKS;
	/* Messages of the mailbox that have it, and those that have to be looked at because the
	 * store cannot tell (yet).  -ENOTSUP: look at all. */
	int (*find)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_find *, kurir_time, struct kurir_arena *,
	    struct kurir_uid_set *ret_found, struct kurir_uid_set *ret_unsure) KURIR_PARKS;
	int (*quota)(struct kurir_self *, struct kurir_str account, kurir_time,
	    struct kurir_quota *ret) KURIR_PARKS;
	/* All entries of a mailbox. */
	int (*entries)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    kurir_time, struct kurir_arena *, struct kurir_entry **ret, size_t *ret_count)
	    KURIR_PARKS;
	/* All of them or none; -EMSGSIZE: too many or too long.  Names that begin with "/" are those
	 * of RFC 5464, all others the callers' own: neither take room from the others. */
	int (*set_entries)(struct kurir_self *, struct kurir_str account,
	    struct kurir_str mailbox, const struct kurir_entry *, size_t count, kurir_time)
	    KURIR_PARKS;
	/* As view, but only those messages of the set that are there. */
	int (*part)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    const struct kurir_uid_set *, kurir_time, struct kurir_arena *,
	    struct kurir_mailbox_view *ret) KURIR_PARKS;
	/* One mailbox as list with KURIR_LIST_COUNTS has it, when that costs less. */
	int (*status)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    kurir_time, struct kurir_arena *, struct kurir_mailbox *ret) KURIR_PARKS;
	/* As view, but without the messages, when that costs less; part has them later. */
	int (*outline)(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
	    bool claim_recent, kurir_time, struct kurir_arena *,
	    struct kurir_mailbox_outline *ret) KURIR_PARKS;
	/* Waits until the account's mod-sequence is another than *modseq, and says which it is: 1; or
	 * -ETIMEDOUT, -ECANCELED.  Everything in the account takes a new one: also subscriptions and
	 * entries. */
	int (*wait_account)(struct kurir_self *, struct kurir_str account, uint64_t *modseq,
	    kurir_time) KURIR_PARKS;
};

/* For stores whose changes are made in another role: packed as in kurir/call.h.  Sets go into the
 * arena, texts are borrowed from the input.  0, -EMSGSIZE; -EBADMSG. */
KURIR_API int kurir_put_uid_set(struct kurir_buf *, const struct kurir_uid_set *);
KURIR_API int kurir_get_uid_set(
    struct kurir_reader *, struct kurir_arena *, struct kurir_uid_set *ret);
KURIR_API int kurir_put_change(struct kurir_buf *, const struct kurir_change *);
KURIR_API int kurir_get_change(
    struct kurir_reader *, struct kurir_arena *, struct kurir_change *ret);
KURIR_API int kurir_put_changed(struct kurir_buf *, const struct kurir_changed *);
KURIR_API int kurir_get_changed(
    struct kurir_reader *, struct kurir_arena *, struct kurir_changed *ret);

/* Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7 (RFC 3501 section 5.1.3).
 * The characters of also are encoded although they are ASCII. 0, -EINVAL for what is not UTF-8
 * (or not its encoding), -EMSGSIZE; on an error the buffer has a part of it. */
KURIR_API int kurir_utf7_encode(struct kurir_buf *, struct kurir_str utf8, const char *also);
KURIR_API int kurir_utf7_decode(struct kurir_buf *, struct kurir_str utf7);

#ifdef __cplusplus
}
#endif
#endif
