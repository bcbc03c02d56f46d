/* pop3.h - one POP3 session, shared by the files of this module. */
#ifndef POP3_H
#define POP3_H

#include <kurir/auth.h>
#include <kurir/session.h>
#include <kurir/store.h>
#include <kurir/stream.h>

#define POP3_STRANGER 100  /* commands without a login */
#define POP3_LINE_MAX 1024 /* RFC 2449 section 4: 255 and more; a password can be long */

struct pop3_conf {
	kurir_time idle, login;
	int64_t errors;
	bool plaintext; /* passwords without TLS */
	bool scram, bearer;
	int64_t expire; /* days; 0: what was retrieved goes at QUIT; -1: never */
};

enum pop3_counter {
	POP3_SESSIONS,
	POP3_LOGINS,
	POP3_LOGIN_FAILURES,
	POP3_COMMANDS,
	POP3_ERRORS,
	POP3_RETRIEVED,
	POP3_DELETED,
	POP3_EXPIRED,
};

enum pop3_state { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2 };

struct pop3 {
	struct kurir_self *self;
	struct kurir_conn *conn;
	struct kurir_stream *stream;
	const struct pop3_conf *conf;
	enum pop3_state state;
	bool over;	   /* leave the loop after this command */
	bool handed;	   /* the connection belongs to the access role now */
	unsigned bad;	   /* commands that failed */
	unsigned commands; /* without a login */
	struct kurir_str user;

	/* TRANSACTION */
	const struct kurir_store_ops *store;
	struct kurir_self *store_self;
	struct kurir_arena *arena; /* of the connection */
	struct kurir_mailbox_view view;
	bool *deleted; /* by message number, from 0 */
	size_t deleted_count;
	bool *retrieved; /* by message number, from 0 */
};

struct pop3_command {
	const char *verb;
	unsigned states;   /* enum pop3_state, or-ed: where it is allowed */
	unsigned min, max; /* arguments */
	void (*run)(struct pop3 *, const struct kurir_str *args, unsigned count) KURIR_PARKS;
};

extern const struct pop3_command pop3_commands[];

/* pop3_line.c: splits a line into at most 4 words; the last takes the rest.  Returns the count,
 * or
 * -EBADMSG for bytes that have no business in a command. */
#define POP3_WORDS 4
int pop3_split(struct kurir_str line, struct kurir_str words[POP3_WORDS]);
/* A message number or count: 0 or -EINVAL. */
int pop3_number(struct kurir_str, uint64_t *ret);

/* pop3_reply.c */
int pop3_ok(struct pop3 *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
int pop3_err(struct pop3 *, const char *, ...) KURIR_PARKS KURIR_FMT(2);
/* The message with dots stuffed, and the final dot; lines >= 0: the header and so many lines of
 * the body. */
int pop3_send_body(struct pop3 *, const struct kurir_body *, int64_t lines) KURIR_PARKS;

/* pop3_session.c */
void pop3_serve(struct kurir_self *, struct kurir_conn *) KURIR_PARKS;
void pop3_resume(struct kurir_self *, struct kurir_conn *, struct kurir_str state) KURIR_PARKS;

/* pop3_auth.c: AUTHORIZATION */
void pop3_capa(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_utf8(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_stls(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_user(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_pass(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_auth(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;

/* pop3_mailbox.c: TRANSACTION and UPDATE */
int pop3_mailbox_open(struct pop3 *) KURIR_PARKS;
void pop3_stat(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_list(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_uidl(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_retr(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_top(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_dele(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_rset(struct pop3 *, const struct kurir_str *, unsigned) KURIR_PARKS;
void pop3_update(struct pop3 *) KURIR_PARKS;

#endif
