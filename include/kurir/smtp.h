/* kurir/smtp.h - the mail transaction, and the hooks that decide about it.
 *
 * One message, from a module's point of view: a client connects (connect), names itself
 * (helo), perhaps logs in (auth), gives a sender (mail: the transaction begins), recipients
 * (rcpt, once each), says it will send (data); the body streams through the filters
 * (filter), lies complete in the spool but is not yet promised (message), and once it is
 * durable or refused the transaction is over (done).  closed comes when the connection ends.
 *
 * The transaction belongs to the core; the protocol module drives it with the kurir_tx_*
 * calls in the second half of this file and prints the replies. */
#ifndef KURIR_SMTP_H
#define KURIR_SMTP_H

#include <kurir/call.h>
#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kurir_rcpt; /* one recipient of a transaction; lives as long as the transaction */

/*
 * Hooks of one point run in the order of the pipeline's list; closed runs in reverse.
 * Every hook runs on the session's own fiber: it may read, write, resolve and sleep as if
 * it were alone.  The void ones observe: they cannot change the outcome, and all of them run.
 *
 * When all say NEXT: connect helo auth mail data message accept.  rcpt refuses with 550 5.7.1
 * "relaying denied", unless the transaction is trusted (kurir_tx_trusted): a module must have
 * said "mine" with ACCEPT.
 */
struct kurir_smtp_hooks {
	size_t size;
	int (*connect)(struct kurir_self *, struct kurir_conn *) KURIR_PARKS;
	int (*helo)(struct kurir_self *, struct kurir_conn *, struct kurir_str name) KURIR_PARKS;
	int (*auth)(struct kurir_self *, struct kurir_conn *, struct kurir_str account)
	    KURIR_PARKS;
	int (*mail)(struct kurir_self *, struct kurir_tx *, struct kurir_str sender) KURIR_PARKS;
	int (*rcpt)(struct kurir_self *, struct kurir_tx *, struct kurir_rcpt *) KURIR_PARKS;
	int (*data)(struct kurir_self *, struct kurir_tx *) KURIR_PARKS;
	/* Asks kurir_filter_body() to change what the client sends.  0 or -errno: then the
	 * message is deferred, or goes on unchanged with "on-error": "next". */
	int (*filter)(struct kurir_self *, struct kurir_tx *, struct kurir_stream **body)
	    KURIR_PARKS;
	int (*message)(struct kurir_self *, struct kurir_tx *, struct kurir_stream *body)
	    KURIR_PARKS;
	void (*done)(struct kurir_self *, struct kurir_tx *, int verdict);
	void (*closed)(struct kurir_self *, struct kurir_conn *);
};

/* DSN parameters of a recipient (RFC 3461). */
enum kurir_notify {
	KURIR_NOTIFY_UNSET = 0, /* not given: as FAILURE, and DELAY as the server likes */
	KURIR_NOTIFY_NEVER = 1u << 0,
	KURIR_NOTIFY_SUCCESS = 1u << 1,
	KURIR_NOTIFY_FAILURE = 1u << 2,
	KURIR_NOTIFY_DELAY = 1u << 3,
};
struct kurir_recipient {
	struct kurir_str address; /* "local@domain", domain in lower case; UTF-8 with SMTPUTF8 */
	uint32_t notify;	  /* enum kurir_notify, or-ed */
	struct kurir_str orcpt;	  /* "rfc822;xtext" as given, or empty */
	uint64_t reserved[4];
};

enum kurir_envelope_flag {
	KURIR_ENV_8BIT = 1u << 0,     /* a byte above 127 came */
	KURIR_ENV_UTF8 = 1u << 1,     /* SMTPUTF8 was given */
	KURIR_ENV_DOTLINE = 1u << 2,  /* a line begins with a dot: stuff when sending */
	KURIR_ENV_RET_FULL = 1u << 3, /* RET=FULL */
	KURIR_ENV_RET_HDRS = 1u << 4, /* RET=HDRS */
	KURIR_ENV_BOUNCE = 1u << 5,   /* a notification made here */
	KURIR_ENV_HOLD = 1u << 6,     /* waits in the queue until somebody releases it */
};
/* What the spool keeps of a transaction beside the body. */
struct kurir_envelope {
	/* the message's id: [0-9a-z]{10,24}, made by the core, in every log line */
	struct kurir_str id;
	struct kurir_str sender;			/* "" is the null reverse-path */
	struct kurir_str envid;				/* RFC 3461, xtext as given */
	uint32_t flags;					/* enum kurir_envelope_flag */
	int64_t arrived;				/* kurir_wallclock() */
	struct kurir_str peer, helo, account, listener; /* where it came from */
	size_t count;
	const struct kurir_recipient *recipients;
	uint64_t reserved[8];
};
KURIR_API int kurir_put_envelope(struct kurir_buf *, const struct kurir_envelope *);
/* Texts are borrowed from the input, the list is in arena.  0 or -EBADMSG. */
KURIR_API int kurir_get_envelope(
    struct kurir_reader *, struct kurir_arena *, struct kurir_envelope *ret);
/* Unique on this machine across processes and restarts, sorts by time. */
KURIR_API struct kurir_str kurir_message_id(struct kurir_arena *);

/* For hooks: what the transaction knows, and what the session will say.  Texts are borrowed until
 * the transaction ends or a module changes what they are; "" is the null reverse-path, and what is
 * not known. */
KURIR_API struct kurir_conn *kurir_tx_conn(struct kurir_tx *);
KURIR_API struct kurir_arena *kurir_tx_arena(struct kurir_tx *);
KURIR_API struct kurir_str kurir_tx_id(struct kurir_tx *);
KURIR_API struct kurir_str kurir_tx_sender(struct kurir_tx *);
KURIR_API struct kurir_str kurir_tx_helo(struct kurir_tx *);
KURIR_API bool kurir_tx_trusted(
    struct kurir_tx *); /* authenticated, or from a network that may relay */
KURIR_API size_t kurir_tx_rcpt_count(struct kurir_tx *);
/* From 0, in the order they came; NULL behind the last. */
KURIR_API struct kurir_rcpt *kurir_tx_rcpt_at(struct kurir_tx *, size_t);
KURIR_API struct kurir_str kurir_rcpt_address(struct kurir_rcpt *);
/* Its copy takes the place of the address (CAP_RCPT): 0, -EPERM, -EINVAL for what cannot be one. */
KURIR_API int kurir_rcpt_set_address(struct kurir_tx *, struct kurir_rcpt *, struct kurir_str);
/* The reply of the verdict that follows: code 2xx/4xx/5xx must match it, xyz "4.7.1" or NULL;
 * one line, cut and cleaned by the core.  0 or -EINVAL. */
KURIR_API int kurir_reply(struct kurir_conn *, int code, const char *xyz, const char *, ...)
    KURIR_FMT(4);
/* A header field (RFC 5322 section 2.2) put above the message before it is spooled (CAP_BODY): until
 * the data hooks have returned.  LF in value folds: SP or HT follows.  Copied. 0; -EPERM, -EINVAL no
 * field, -EBUSY too late, -EMSGSIZE. */
KURIR_API int kurir_header_add(struct kurir_tx *, struct kurir_str name, struct kurir_str value);

/*
 * Changes a message (CAP_BODY): reads all of from and writes to "to" what shall be there instead,
 * CRLF lines without dot-stuffing.  It runs on a fiber of its own.  The streams are the core's,
 * which never closes them before this has returned: when the message is given up (the client has
 * gone, the spool is full, the server stops) its waits say -ECANCELED or -EPIPE, and it returns.
 * 0: all was written; what it left unread is dropped.  -errno: the message is deferred, as half of
 * it has gone on already.  Waiting for the client takes as long as it takes: use KURIR_FOREVER.
 */
typedef int kurir_body_fn(void *arg, struct kurir_stream *from, struct kurir_stream *to)
    KURIR_PARKS;
/* In a filter hook: puts fn above *body.  arg must live as long as the transaction. */
KURIR_API int kurir_filter_body(
    struct kurir_tx *, struct kurir_stream **body, kurir_body_fn *fn, void *arg);
/* In a message hook: what fn makes of the spooled message takes its place.  It begins with
 * kurir_tx_top() bytes that are this server's own and shall stay.  Parks until all is done.
 * 0, or -errno: the message is what it was.  The hook's own body still reads the old one. */
KURIR_API int kurir_message_rewrite(struct kurir_tx *, kurir_body_fn *fn, void *arg) KURIR_PARKS;
/* How many bytes at the top of a spooled message are this server's: Received and what
 * kurir_header_add() put there. */
KURIR_API size_t kurir_tx_top(struct kurir_tx *);
/* The bytes that lie in the spool now: all of the message from the message hooks on, and in a
 * kurir_message_rewrite() those that were written so far. */
KURIR_API uint64_t kurir_tx_size(struct kurir_tx *);
/* Changes of the envelope in any hook of the transaction (CAP_RCPT): 0, -EPERM, -EINVAL for what
 * cannot be an address.  Nobody is asked again; a message whose last recipient was dropped is
 * answered like any other, and forgotten (-ENOENT: there is no such recipient). */
KURIR_API int kurir_tx_set_sender(struct kurir_tx *, struct kurir_str);
KURIR_API int kurir_rcpt_add(struct kurir_tx *, struct kurir_str address);
KURIR_API int kurir_rcpt_drop(struct kurir_tx *, struct kurir_rcpt *);
/* The message will be taken, and then wait in the queue until somebody releases it (CAP_RCPT);
 * why is told by an event. */
KURIR_API int kurir_tx_hold(struct kurir_tx *, struct kurir_str why);
/* A fact for the story of this message: a field of the event that tells that it was taken or
 * refused.  name: lower case, valid as long as the module; the value is copied, and cut.  What is
 * told beyond eight facts, or in a process of its own, is not kept. */
KURIR_API void kurir_tx_note(struct kurir_tx *, const char *name, struct kurir_str value);

/*
 * For protocol modules (smtp, lmtp). Each call runs the chain of its point for the connection's
 * pipeline, records the event, and returns the verdict: KURIR_ACCEPT (NEXT was resolved),
 * REJECT, DEFER, DISCARD, HANGUP. *ret is what to print; when no module set a reply: the
 * default, with the given text for accept.
 */
struct kurir_answer {
	int code;	       /* 250 */
	struct kurir_str xyz;  /* "2.1.0" or empty */
	struct kurir_str text; /* borrowed until the next call for this connection */
};
KURIR_API int kurir_session_connect(struct kurir_conn *, struct kurir_answer *ret) KURIR_PARKS;
KURIR_API int kurir_session_helo(struct kurir_conn *, struct kurir_str, struct kurir_answer *ret)
    KURIR_PARKS;
KURIR_API int kurir_session_auth(
    struct kurir_conn *, struct kurir_str account, struct kurir_answer *ret) KURIR_PARKS;
KURIR_API void kurir_session_closed(struct kurir_conn *) KURIR_PARKS;

struct kurir_tx_params {
	struct kurir_str sender, envid;
	uint32_t flags; /* KURIR_ENV_ 8BIT UTF8 RET_* */
	bool trusted;
	uint64_t reserved[6];
};
/* Begins the transaction when accepted; *ret_tx lives until kurir_tx_end(). */
KURIR_API int kurir_tx_mail(struct kurir_conn *, const struct kurir_tx_params *,
    struct kurir_tx **ret_tx, struct kurir_answer *ret) KURIR_PARKS;
KURIR_API int kurir_tx_rcpt(
    struct kurir_tx *, const struct kurir_recipient *, struct kurir_answer *ret) KURIR_PARKS;
KURIR_API int kurir_tx_data(struct kurir_tx *, struct kurir_answer *ret) KURIR_PARKS;
/* The body: begin, write in pieces (copied into the spool; wire form without dot-stuffing, CRLF
 * line ends), then finish: filters' end, message hooks, durability. After finish returned
 * ACCEPT the message is this server's responsibility. flags: DOTLINE, 8BIT found in the body.
 * With filters the pieces go through them; without, straight to the spool. */
KURIR_API int kurir_tx_body_begin(struct kurir_tx *, struct kurir_str trace_headers) KURIR_PARKS;
KURIR_API int kurir_tx_body_write(struct kurir_tx *, struct kurir_str)
    KURIR_PARKS; /* 0 or sticky -errno */
KURIR_API int kurir_tx_body_finish(
    struct kurir_tx *, uint32_t flags, kurir_time, struct kurir_answer *ret) KURIR_PARKS;
/* Ends it in any state; what was not finished is forgotten, in the spool too. */
KURIR_API void kurir_tx_end(struct kurir_tx *) KURIR_PARKS;

#ifdef __cplusplus
}
#endif
#endif
