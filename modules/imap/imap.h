/* imap.h - one IMAP session, shared by the files of this module (RFC 3501).
 *
 * Before the login a session runs in the edge role (imap_auth.c); afterwards in the access
 * role.  A
 * selected mailbox is a snapshot: sequence numbers are its indices, and it changes only where
 * the protocol lets us tell the client (imap_update.c). */
#ifndef IMAP_H
#define IMAP_H

#include <kurir/auth.h>
#include <kurir/session.h>
#include <kurir/store.h>
#include <kurir/stream.h>

#define IMAP_LINE_MAX	 65536	/* one line of a command, without its literals */
#define IMAP_COMMAND_MAX 262144 /* a whole command with its literals, but for APPEND's message */
#define IMAP_DEPTH	 32	/* parentheses in a command */

struct imap_conf {
	kurir_time idle, login;
	int64_t errors;
	uint64_t append_max;
	bool plaintext;
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
};

enum imap_state { IMAP_NOT_AUTHENTICATED = 1, IMAP_AUTHENTICATED = 2, IMAP_SELECTED = 4 };

struct imap {
	struct kurir_self *self;
	struct kurir_conn *conn;
	struct kurir_stream *stream;
	const struct imap_conf *conf;
	enum imap_state state;
	bool over, handed;
	unsigned bad;
	struct kurir_str tag; /* of the command being run */
	bool by_uid;	      /* it came as UID ... */

	const struct kurir_store_ops *store;
	struct kurir_self *store_self;
	struct kurir_str account;

	/* Selected */
	struct kurir_str mailbox;
	bool read_only;
	struct kurir_arena *box; /* of the snapshot */
	struct kurir_mailbox_view view;
	struct kurir_message *messages; /* view.count of them; ours to change */
};

/* The arguments of a command: what is left to parse. */
struct imap_args {
	struct kurir_str rest;
	unsigned depth;
};

struct imap_command {
	const char *verb;
	unsigned states; /* where it is allowed */
	bool uid;	 /* also as UID ... */
	void (*run)(struct imap *, struct imap_args *) KURIR_PARKS;
};
const struct imap_command *imap_command_find(struct kurir_str verb);

/* imap_args.c: 0 or -EBADMSG; texts are in the scratch arena or borrowed from the command. */
bool imap_space(struct imap_args *);
bool imap_take(struct imap_args *, char); /* this character, if it is next */
bool imap_end(const struct imap_args *);
int imap_atom(struct imap_args *, struct kurir_str *ret);
int imap_astring(struct imap_args *, struct kurir_str *ret);
int imap_nstring_or_list_mailbox(struct imap_args *, struct kurir_str *ret);
int imap_number(struct imap_args *, uint64_t *ret);
int imap_flags(struct imap_args *, uint32_t *ret_flags, struct kurir_str *ret_keywords);
int imap_mailbox(struct imap_args *, struct kurir_str *ret); /* UTF-8, INBOX in capitals */
int imap_date(
    struct kurir_str, int64_t *ret); /* "1-Feb-1994": its day's first millisecond, UTC */
int imap_date_time(struct kurir_str, int64_t *ret);
/* A line that ends in {n} or {n+}: 1, 0 when it does not, -EBADMSG. */
int imap_literal_mark(struct kurir_str line, uint64_t *ret_size, bool *ret_sync);

/* imap_set.c: a set as indices of the snapshot; out of range numbers are dropped for UIDs and an
 * error for sequence numbers. */
struct imap_set {
	size_t count;
	const struct kurir_uid_range *ranges; /* numbers, ascending, apart */
};
int imap_set_parse(
    struct kurir_str, uint32_t largest, struct kurir_arena *, struct imap_set *ret);
int imap_set_arg(struct imap *, struct imap_args *, struct kurir_uid_set *ret_uids);
size_t imap_index_of(const struct imap *, uint32_t uid); /* view.count: not there */

/* imap_out.c */
int imap_ok(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2); /* tagged */
int imap_no(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
int imap_bad(struct imap *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
void imap_failed(struct imap *, int err) KURIR_PARKS;	       /* tagged NO for a store's error */
int imap_string(struct imap *, struct kurir_str) KURIR_PARKS;  /* quoted or literal */
int imap_nstring(struct imap *, struct kurir_str) KURIR_PARKS; /* NIL when ptr is NULL */
int imap_put_flags(struct imap *, const struct kurir_message *) KURIR_PARKS;
int imap_put_mailbox(struct imap *, struct kurir_str utf8) KURIR_PARKS;
int imap_put_uids(struct imap *, const struct kurir_uid_set *) KURIR_PARKS;
int imap_puts(struct imap *, const char *) KURIR_PARKS;
void imap_put_capability(struct imap *) KURIR_PARKS; /* the list, no line end */

/* imap_update.c: the snapshot brought up to date; expunge: the client may be told of removals. */
int imap_view_open(struct imap *, struct kurir_str mailbox, bool read_only) KURIR_PARKS;
void imap_view_close(struct imap *);
int imap_update(struct imap *, bool expunge) KURIR_PARKS;
kurir_time imap_until(const struct imap *); /* deadline of one store call */

/* imap_session.c */
void imap_serve(struct kurir_self *, struct kurir_conn *) KURIR_PARKS;
void imap_resume(struct kurir_self *, struct kurir_conn *, struct kurir_str state) KURIR_PARKS;
/* imap_append.c: whether what came so far is an APPEND whose message comes next. */
bool imap_append_expects(struct kurir_str command);
void imap_append_run(struct imap *, struct kurir_str command, uint64_t size, bool sync)
    KURIR_PARKS;
int imap_read_exactly(struct imap *, char *to, size_t len) KURIR_PARKS;

/* One function a command, in the file of its name. */
#define IMAP_COMMAND(name) void imap_##name(struct imap *, struct imap_args *) KURIR_PARKS
IMAP_COMMAND(capability);
IMAP_COMMAND(noop);
IMAP_COMMAND(logout);
IMAP_COMMAND(id);
IMAP_COMMAND(starttls);
IMAP_COMMAND(authenticate);
IMAP_COMMAND(login);
IMAP_COMMAND(enable);
IMAP_COMMAND(namespace);
IMAP_COMMAND(select);
IMAP_COMMAND(examine);
IMAP_COMMAND(create);
IMAP_COMMAND(delete);
IMAP_COMMAND(rename);
IMAP_COMMAND(subscribe);
IMAP_COMMAND(unsubscribe);
IMAP_COMMAND(list);
IMAP_COMMAND(lsub);
IMAP_COMMAND(status);
IMAP_COMMAND(check);
IMAP_COMMAND(close);
IMAP_COMMAND(unselect);
IMAP_COMMAND(expunge);
IMAP_COMMAND(search);
IMAP_COMMAND(fetch);
IMAP_COMMAND(store);
IMAP_COMMAND(copy);
IMAP_COMMAND(move);
IMAP_COMMAND(idle);

#endif
