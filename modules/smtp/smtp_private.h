/* smtp_private.h - one session of the smtp module, and what its commands share. */
#ifndef SMTP_PRIVATE_H
#define SMTP_PRIVATE_H

#include <kurir/auth.h>
#include <kurir/module.h>
#include <kurir/network.h>
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include "smtp_parse.h"
#include "smtp_scan.h"

enum smtp_kind { SMTP_MX, SMTP_SUBMISSION, SMTP_LMTP };

/* States, or-ed in the command table. */
enum {
	IN_NEW = 1u << 0,  /* connected, no name yet */
	IN_IDLE = 1u << 1, /* named, no transaction */
	IN_MAIL = 1u << 2, /* has a sender */
	IN_RCPT = 1u << 3, /* has a recipient */
	IN_BDAT = 1u << 4, /* has a part of the body */
	IN_ANY = (1u << 5) - 1,
};

struct smtp_conf {
	struct kurir_texts relay_networks;
	uint64_t message_size;
	int64_t recipients, line_length, errors, commands, received, messages;
	kurir_time idle_time, data_time, session_time, commit_time;
	int line_ends; /* enum smtp_line_ends */
	bool auth_without_tls, scram, bearer, require_tls, auth_on_mx, add_headers, own_senders;
	struct kurir_texts any_sender;
	struct kurir_str greeting;
};
enum smtp_line_ends { LINES_STRICT, LINES_REPAIR };

struct smtp_state { /* of an instance */
	struct kurir_networks relay_networks;
};

enum smtp_counter {
	COUNT_SESSIONS,
	COUNT_COMMANDS,
	COUNT_ERRORS,
	COUNT_MAIL,
	COUNT_RCPT,
	COUNT_RCPT_REFUSED,
	COUNT_MESSAGES,
	COUNT_BYTES,
	COUNT_REFUSED,
	COUNT_DEFERRED,
	COUNT_BAD_LINES,
	COUNT_TOO_BIG,
	COUNT_LOOPS,
	COUNT_TLS,
	COUNT_TLS_FAILED,
	COUNT_INJECTED,
	COUNT_AUTH,
	COUNT_AUTH_FAILED,
	COUNT_TIMEOUTS,
	COUNT_LIMITS,
	COUNT_SENDER_REFUSED,
};

struct smtp_head { /* what the header says while it passes, smtp_head.c */
	bool over, date, message_id, in_line;
	unsigned received;
	size_t len;
	char start[16];		    /* of the line */
	bool known, in_from, in_id; /* what the line is; that it is one of these fields' */
	unsigned froms;
	bool from_cut;
	size_t from_len;
	char from[2048]; /* the field, with its name, as it came */
	size_t id_len;
	char id[300]; /* likewise, of Message-ID */
};

struct smtp_body {
	struct smtp_scan scan;
	struct smtp_head head;
	bool open, loop, too_big;
	int error;   /* of the spool */
	char last;   /* byte that was stored */
	char repair; /* state of smtp_repair() */
};

struct smtp {
	struct kurir_self *self;
	const struct smtp_conf *conf;
	struct kurir_conn *conn;
	struct kurir_stream *io;
	enum smtp_kind kind;
	uint32_t state;
	bool extended; /* EHLO or LHLO, not HELO */
	bool closing, trusted, authenticated, bdat_failed;
	const char *why; /* it ends */
	struct kurir_str helo;
	char helo_space[256];
	struct kurir_tx *tx;
	uint32_t tx_flags;
	unsigned accepted; /* recipients */
	struct kurir_str only_rcpt;
	unsigned errors, commands, messages;
	kurir_time end;
	struct smtp_body body;
};

/* smtp_reply.c: buffered; sent before the session parks on input. */
void smtp_say(struct smtp *, int code, const char *xyz, const char *text) KURIR_PARKS;
void smtp_error(struct smtp *, int code, const char *xyz, const char *text)
    KURIR_PARKS; /* and counts it */
void smtp_answer(struct smtp *, const struct kurir_answer *) KURIR_PARKS;
void smtp_line(struct smtp *, int code, bool last, const char *text) KURIR_PARKS; /* of several */
void smtp_close(struct smtp *, const char *why); /* after what was written is sent */

/* smtp_session.c */
void smtp_serve(struct kurir_self *, struct kurir_conn *, enum smtp_kind) KURIR_PARKS;
void smtp_set_state(struct smtp *, uint32_t state);
void smtp_reset(struct smtp *) KURIR_PARKS; /* ends the transaction, if any */
kurir_time smtp_until(const struct smtp *, kurir_time span);
/* Output is sent, then a line is read without its CRLF: 1, or what the stream says;
 * -EBADMSG: no clean line. */
int smtp_read_line(struct smtp *, size_t max, struct kurir_str *ret) KURIR_PARKS;
/* What a verdict means for the session, when it was not acceptance. */
void smtp_refused(struct smtp *, int verdict, const struct kurir_answer *) KURIR_PARKS;

/* smtp_rehearse.c: the client of a session that is simulated. */
int smtp_rehearse(struct kurir_stream *, const struct kurir_rehearsal *, enum smtp_kind)
    KURIR_PARKS;

/* Commands: args is what follows the verb and its space, borrowed until input is read again. */
typedef void smtp_command_fn(struct smtp *, struct kurir_str args) KURIR_PARKS;
smtp_command_fn smtp_helo, smtp_ehlo, smtp_lhlo, smtp_mail, smtp_rcpt, smtp_data, smtp_bdat,
    smtp_starttls, smtp_auth, smtp_rset, smtp_noop, smtp_quit, smtp_help, smtp_vrfy, smtp_expn;
bool smtp_offers_auth(const struct smtp *);
bool smtp_offers_tls(const struct smtp *);

/* smtp_body.c: what DATA and BDAT share. */
int smtp_body_begin(struct smtp *) KURIR_PARKS;
void smtp_body_piece(struct smtp *, struct kurir_str) KURIR_PARKS;
void smtp_body_finish(struct smtp *) KURIR_PARKS; /* and answers */

/* smtp_head.c */
void smtp_head_start(struct smtp_head *);
/* Looks at the next piece; offset in it where the header's empty line begins, or -1. */
ssize_t smtp_head_feed(struct smtp_head *, struct kurir_str piece);
struct kurir_str smtp_head_id(const struct smtp_head *); /* within "<" and ">", or empty */
struct kurir_str smtp_received(struct smtp *);		 /* the field, in scratch memory */
struct kurir_str smtp_date(void);	      /* RFC 5322 3.3; borrowed until the next second */
struct kurir_str smtp_missing(struct smtp *); /* Date and Message-ID, when they are missing */

/* smtp_owner.c: an account sends as addresses of its own.  0, or *ret refuses: -EACCES for
 * good, another -errno for now. */
bool smtp_senders_limited(const struct smtp *);
int smtp_check_sender(struct smtp *, struct kurir_str sender, struct kurir_answer *ret)
    KURIR_PARKS;
int smtp_check_from(struct smtp *, struct kurir_answer *ret) KURIR_PARKS;

#endif
