/* imap.h - one IMAP session, shared by the files of this module (RFC 9051, and RFC 3501).
 *
 * Before the login a session runs in the edge role (imap_login.c); afterwards in the access
 * role.  A selected mailbox is a snapshot (imap_box.h): sequence numbers are its indices, and it
 * changes only where the protocol lets us tell the client (imap_update.c).  What a client has to
 * ask for before we may answer in another form is in enabled (imap_enable.c). */
#ifndef IMAP_H
#define IMAP_H

#include <kurir/auth.h>
#include <kurir/session.h>
#include <kurir/store.h>
#include <kurir/stream.h>

#include "imap_box.h"
#include "imap_place.h"

#define IMAP_LINE_MAX	 65536	/* one line of a command, without its literals */
#define IMAP_COMMAND_MAX 262144 /* a whole command with its literals, but for APPEND's message */
#define IMAP_DEPTH	 32	/* parentheses in a command */
#define IMAP_STRANGER	 100	/* commands without a login */

struct imap_conf {
	kurir_time idle, login, progress;
	int64_t errors, messages_max;
	uint64_t append_max;
	bool plaintext, scram, bearer;
};

enum imap_counter {
	IMAP_SESSIONS,
	IMAP_LOGINS,
	IMAP_LOGIN_FAILURES,
	IMAP_COMMANDS,
	IMAP_ERRORS,
	IMAP_RETRIEVED,
	IMAP_APPENDED,
	IMAP_EXPUNGED,
	IMAP_IDLES,
	IMAP_COMPRESSED,
	IMAP_RIGHTS_CHANGED,
};

enum imap_state { IMAP_NOT_AUTHENTICATED = 1, IMAP_AUTHENTICATED = 2, IMAP_SELECTED = 4 };

enum imap_enabled {
	IMAP_REV2 = 1u << 0,
	IMAP_UTF8 = 1u << 1, /* UTF8=ACCEPT, RFC 6855 */
	IMAP_CONDSTORE = 1u << 2,
	IMAP_UIDONLY = 1u << 3,
	IMAP_QRESYNC = 1u << 4,
};

/* Whether the store has a function; one of an older ABI may be shorter. */
#define imap_store_has(s, member) \
	((s)->store->size > offsetof(struct kurir_store_ops, member) && (s)->store->member)

struct imap {
	struct kurir_self *self;
	struct kurir_conn *conn;
	struct kurir_stream *stream;
	const struct imap_conf *conf;
	enum imap_state state;
	uint32_t enabled; /* enum imap_enabled */
	bool over, handed, compressed;
	unsigned bad, commands; /* that failed; without a login */
	struct kurir_str tag;	/* of the command being run */
	bool by_uid;		/* it came as UID ... */
	kurir_time told;	/* when its client last heard that it still runs */

	const struct kurir_store_ops *store;
	struct kurir_self *store_self;
	struct kurir_str account;

	struct imap_notify *notify; /* NULL: the client has not said what it wants to hear of */

	/* Selected */
	bool read_only;
	struct imap_place place; /* where it is, and what may be done; texts in: */
	struct kurir_arena *place_arena;
	struct imap_box box;		/* the snapshot; box.name is the mailbox */
	struct kurir_mailbox_view view; /* what the client knows of it; without messages */
	struct kurir_buf keywords;	/* all that the client was told of, one space between */
	struct kurir_arena *saved_arena;
	struct kurir_uid_set saved; /* "$", RFC 5182 */
};

/* The arguments of a command: what is left to parse. */
struct imap_args {
	struct kurir_str rest;
	unsigned depth;
	bool utf8; /* names of mailboxes are UTF-8, not modified UTF-7 */
};

enum imap_command_flag {
	IMAP_BY_UID = 1u << 0,	/* also as UID ... */
	IMAP_NUMBERS = 1u << 1, /* has message numbers, unless it came as UID ... */
	IMAP_BARE = 1u << 2,	/* takes no arguments */
	IMAP_STREAMS = 1u << 3, /* reads its literals itself: they may be messages */
};
struct imap_command {
	const char *verb;
	unsigned states; /* where it is allowed */
	unsigned flags;	 /* enum imap_command_flag */
	void (*run)(struct imap *, struct imap_args *) KURIR_PARKS;
};
const struct imap_command *imap_command_find(struct kurir_str verb);
/* tag SP ["UID" SP] verb: what stands in front of the arguments; NULL: no such command. */
const struct imap_command *imap_command_parse(
    struct imap_args *, struct kurir_str *ret_tag, bool *ret_by_uid);

/* imap_args.c: 0 or -EBADMSG; texts are in the scratch arena or borrowed from the command. */
bool imap_space(struct imap_args *);
bool imap_take(struct imap_args *, char);	       /* this character, if it is next */
bool imap_take_word(struct imap_args *, const char *); /* this word, if it is next */
bool imap_next_is(const struct imap_args *, char);
bool imap_end(const struct imap_args *);
int imap_atom(struct imap_args *, struct kurir_str *ret);
int imap_astring(struct imap_args *, struct kurir_str *ret);
int imap_string_arg(struct imap_args *, struct kurir_str *ret);
int imap_list_mailbox(struct imap_args *, struct kurir_str *ret);
int imap_number(struct imap_args *, uint64_t *ret);   /* of 32 bits */
int imap_number64(struct imap_args *, uint64_t *ret); /* of 63 bits */
int imap_flags(struct imap_args *, uint32_t *ret_flags, struct kurir_str *ret_keywords);
/* UTF-8, INBOX in capitals.  What is not the encoding it should be is IMAP_NO_NAME, which no
 * mailbox can have: the store refuses it, and no pattern finds it. */
#define IMAP_NO_NAME KURIR_STR("\0")
int imap_mailbox(struct imap_args *, struct kurir_str *ret);
/* 1: the whole rest is the mark of a literal, {n} {n+} or, when it is binary, with "~". */
int imap_literal_next(
    const struct imap_args *, uint64_t *ret_size, bool *ret_sync, bool *ret_binary);
/* A line that ends in {n} or {n+}: 1, 0 when it does not, -EBADMSG. */
int imap_literal_mark(struct kurir_str line, uint64_t *ret_size, bool *ret_sync);
/* Whether word is one of the words of list, which have one space between; without case. */
bool imap_has_word(struct kurir_str list, struct kurir_str word);

/* imap_date.c */
int imap_date(
    struct kurir_str, int64_t *ret); /* "1-Feb-1994": its day's first millisecond, UTC */
int imap_date_time(struct kurir_str, int64_t *ret);
/* A Date: field (RFC 5322): when, and the first millisecond of the day it says. */
int imap_message_date(struct kurir_str, int64_t *ret_when, int64_t *ret_day);

/* imap_set.c: a set as indices of the snapshot; out of range numbers are dropped for UIDs and an
 * error for sequence numbers. */
struct imap_set {
	size_t count;
	const struct kurir_uid_range *ranges; /* numbers, ascending, apart */
};
int imap_set_parse(
    struct kurir_str, uint32_t largest, struct kurir_arena *, struct imap_set *ret);
/* sequence-set or "$", up to a space, ")" or the end; strict: all its numbers are there. */
int imap_set_uids(struct imap *, struct imap_args *, struct kurir_uid_set *ret);
int imap_set_numbers(struct imap *, struct imap_args *, bool strict, struct kurir_uid_set *ret);
int imap_set_arg(struct imap *, struct imap_args *, struct kurir_uid_set *ret_uids);
/* Appends to ranges, which has room; ascending numbers join. */
void imap_set_add(struct kurir_uid_range *ranges, size_t *count, uint32_t number);
void imap_saved_clear(struct imap *);

/* imap_limit.c: RFC 9738.  The set without the messages that are too many, the oldest of them;
 * *ret_lowest: the lowest UID that is left, or 0 when it was not cut. */
int imap_limit(struct imap *, struct kurir_uid_set *, uint32_t *ret_lowest);
/* Tagged OK, with the limit where it was one. */
int imap_limited_ok(struct imap *, uint32_t lowest) KURIR_PARKS;

/* imap_out.c */
int imap_ok(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2); /* tagged */
int imap_no(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
int imap_bad(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
void imap_failed(struct imap *, int err) KURIR_PARKS;	       /* tagged NO for a store's error */
void imap_done(struct imap *, int r) KURIR_PARKS;	       /* tagged OK, or imap_failed() */
int imap_string(struct imap *, struct kurir_str) KURIR_PARKS;  /* quoted or literal */
int imap_nstring(struct imap *, struct kurir_str) KURIR_PARKS; /* NIL when ptr is NULL */
int imap_put_flags(struct imap *, const struct kurir_message *) KURIR_PARKS;
int imap_put_mailbox(struct imap *, struct kurir_str utf8) KURIR_PARKS;
int imap_put_uids(struct imap *, const struct kurir_uid_set *) KURIR_PARKS;
int imap_puts(struct imap *, const char *) KURIR_PARKS;
/* A number between two texts of a few words. */
int imap_put_number(struct imap *, const char *, uint64_t, const char *) KURIR_PARKS;
/* "* 5 FETCH (" or, once the client wants nothing but UIDs, "* 17 UIDFETCH (". */
int imap_put_fetch(struct imap *, size_t index, uint32_t uid) KURIR_PARKS;
/* Says now and then that the command still runs (RFC 9585). */
int imap_progress(struct imap *, size_t done, size_t total) KURIR_PARKS;

/* imap_enable.c: the client used something of CONDSTORE (RFC 7162 section 3.1). */
void imap_enable_condstore(struct imap *) KURIR_PARKS;

/* imap_capability.c */
void imap_put_capability(struct imap *) KURIR_PARKS; /* the list, no line end */
bool imap_may_log_in(const struct imap *);
bool imap_may_scram(const struct imap *);
bool imap_may_bind(const struct imap *); /* to the TLS connection */
bool imap_may_bearer(const struct imap *);
bool imap_may_upgrade(const struct imap *);
/* What the store can do. */
bool imap_can_resync(const struct imap *); /* it remembers what went */
bool imap_has_ids(const struct imap *);
bool imap_has_quota(const struct imap *);
bool imap_has_metadata(const struct imap *);
bool imap_keeps_uses(const struct imap *);
bool imap_can_notify(const struct imap *);

/* imap_update.c: the snapshot brought up to date. */
int imap_view_open(struct imap *, struct kurir_str mailbox, bool read_only, uint32_t *ret_unseen)
    KURIR_PARKS;
void imap_view_close(struct imap *);
/* expunge: the client may be told of removals. */
int imap_update(struct imap *, bool expunge) KURIR_PARKS;
/* And of the flags of all of those, changed or not. */
int imap_update_telling(struct imap *, bool expunge, const struct kurir_uid_set *) KURIR_PARKS;
/* A FETCH reply that was not asked for: of one message, its flags, and its mod-sequence for who
 * wants to know it. */
void imap_tell_message(struct imap *, size_t index, const struct kurir_message *, bool flags)
    KURIR_PARKS;
/* Messages that this session appended to the mailbox it has selected; false, and nothing is told,
 * when others changed it meanwhile, or the store does not say whether they did. */
bool imap_tell_appended(struct imap *, const struct kurir_append *, size_t count,
    const struct kurir_changed *) KURIR_PARKS;
/* Makes known what the store has of those messages (NULL: of all), as it is now; then imap_at()
 * may be asked for them, by their indices. */
int imap_need(struct imap *, const struct kurir_uid_set *) KURIR_PARKS;
/* Nothing will be asked for a while: what is known of messages is given back, but for their
 * UIDs. */
void imap_rest(struct imap *);
struct kurir_message *imap_at(const struct imap *, size_t index);
kurir_time imap_until(const struct imap *);	   /* deadline of one store call */
void imap_put_keywords(struct imap *) KURIR_PARKS; /* FLAGS and PERMANENTFLAGS */

/* imap_session.c */
void imap_serve(struct kurir_self *, struct kurir_conn *) KURIR_PARKS;
void imap_resume(struct kurir_self *, struct kurir_conn *, struct kurir_str state) KURIR_PARKS;
int imap_read_exactly(struct imap *, char *to, size_t len) KURIR_PARKS;
/* The next line of the command being run, without its line end, in the scratch arena. */
int imap_next_line(struct imap *, struct imap_args *) KURIR_PARKS;
/* A client that did not wait for our word has sent the rest of a command that is refused: it is
 * read, as nothing tells it from commands.  What is too large to be read ends the session. */
void imap_skip_literals(struct imap *, struct imap_args *) KURIR_PARKS;

/* imap_login.c: checks the password and, when it is right, gives the session away. */
struct sasl;
void imap_log_in(struct imap *, struct sasl *) KURIR_PARKS;
void imap_refuse(struct imap *, int err, struct kurir_str user) KURIR_PARKS;
/* imap_authenticate.c: an exchange with this client. */
struct sasl imap_exchange(struct imap *);

/* imap_watch.c: what is told while the session waits for the client. */
struct imap_watch {
	struct imap *s;
	int (*wait)(struct imap_watch *)
	    KURIR_PARKS; /* for something to happen: -errno ends it */
	int (*tell)(struct imap_watch *) KURIR_PARKS; /* -errno: nothing was said, and it ends */
	int (*rest)(struct imap_watch *) KURIR_PARKS; /* before it waits again; or NULL */
	uint64_t modseq;			      /* for wait and tell */
	bool idle;
	bool telling;
	struct kurir_signal *told;
};
/* Returns when the client has said something, or has gone: 0; or -errno. */
int imap_watch(struct imap_watch *, kurir_time) KURIR_PARKS;

/* imap_status.c */
enum imap_status_item {
	IMAP_STATUS_MESSAGES = 1u << 0,
	IMAP_STATUS_RECENT = 1u << 1,
	IMAP_STATUS_UIDNEXT = 1u << 2,
	IMAP_STATUS_UIDVALIDITY = 1u << 3,
	IMAP_STATUS_UNSEEN = 1u << 4,
	IMAP_STATUS_DELETED = 1u << 5,
	IMAP_STATUS_SIZE = 1u << 6,
	IMAP_STATUS_HIGHESTMODSEQ = 1u << 7,
	IMAP_STATUS_APPENDLIMIT = 1u << 8,
	IMAP_STATUS_DELETED_STORAGE = 1u << 9, /* RFC 9208 */
	IMAP_STATUS_MAILBOXID = 1u << 10,      /* RFC 8474 */
};
#define IMAP_STATUS_KNOWN 11
extern const char *const imap_status_names[IMAP_STATUS_KNOWN];
int imap_status_items(struct imap_args *, uint32_t *ret_items); /* "(" status-att ... ")" */
/* The RECENT reply, before IMAP4rev2. */
void imap_put_recent(struct imap *) KURIR_PARKS;
/* The STATUS reply; of a mailbox whose counts are there, or not. */
int imap_put_counts(struct imap *, const struct kurir_mailbox *, uint32_t items) KURIR_PARKS;
int imap_put_status(struct imap *, struct kurir_str mailbox, uint32_t items) KURIR_PARKS;

/* imap_list.c: one LIST reply, as SELECT gives it. */
int imap_put_list_of(struct imap *, struct kurir_str mailbox) KURIR_PARKS;

/* One function a command, in the file of its name. */
#define IMAP_COMMAND(name) void imap_##name(struct imap *, struct imap_args *) KURIR_PARKS
IMAP_COMMAND(append);
IMAP_COMMAND(authenticate);
IMAP_COMMAND(capability);
IMAP_COMMAND(close);
IMAP_COMMAND(compress);
IMAP_COMMAND(copy);
IMAP_COMMAND(create);
IMAP_COMMAND(delete);
IMAP_COMMAND(deleteacl);
IMAP_COMMAND(enable);
IMAP_COMMAND(examine);
IMAP_COMMAND(expunge);
IMAP_COMMAND(fetch);
IMAP_COMMAND(getacl);
IMAP_COMMAND(getmetadata);
IMAP_COMMAND(getquota);
IMAP_COMMAND(getquotaroot);
IMAP_COMMAND(id);
IMAP_COMMAND(idle);
IMAP_COMMAND(list);
IMAP_COMMAND(listrights);
IMAP_COMMAND(login);
IMAP_COMMAND(logout);
IMAP_COMMAND(lsub);
IMAP_COMMAND(move);
IMAP_COMMAND(myrights);
IMAP_COMMAND(namespace);
IMAP_COMMAND(noop);
IMAP_COMMAND(notify);
IMAP_COMMAND(rename);
IMAP_COMMAND(replace);
IMAP_COMMAND(search);
IMAP_COMMAND(select);
IMAP_COMMAND(setacl);
IMAP_COMMAND(setmetadata);
IMAP_COMMAND(sort);
IMAP_COMMAND(starttls);
IMAP_COMMAND(status);
IMAP_COMMAND(store);
IMAP_COMMAND(subscribe);
IMAP_COMMAND(thread);
IMAP_COMMAND(unselect);
IMAP_COMMAND(unsubscribe);

#endif
