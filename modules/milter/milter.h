/* milter.h - private to the module: the milter protocol, version 6, as a mail server speaks it.
 *
 *	milter_packet.c   packets, taken apart and put together; no I/O
 *	milter_header.c   the header of a message, and what a milter changes of it; no I/O
 *	milter_link.c     connections to a milter, kept for the next session
 *	milter_message.c  a message on its way to the milter, and what comes back
 *	milter.c          hooks and options
 *
 * packet = length(4, of what follows) command(1) data; numbers are big-endian, texts end with
 * NUL.  A session: options, then for each step of SMTP a command and one reply, unless it was
 * agreed that the step is left out (NO_) or not answered (NR_). */
#ifndef MILTER_H
#define MILTER_H

#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#define MILTER_VERSION	  6
#define MILTER_PACKET_MAX (1u << 20) /* bytes of a packet that is read */
#define MILTER_CHUNK	  65535u     /* of a body, and of a header field, that are sent */
#define MILTER_HEADER_MAX (1u << 20) /* bytes of a header */
#define MILTER_EDITS_MAX  10000u

enum milter_command {
	MILTER_ABORT = 'A',
	MILTER_BODY = 'B',
	MILTER_CONNECT = 'C',
	MILTER_MACRO = 'D',
	MILTER_END = 'E',
	MILTER_HELO = 'H',
	MILTER_QUIT_NEXT = 'K', /* and take another session */
	MILTER_HEADER = 'L',
	MILTER_MAIL = 'M',
	MILTER_END_HEADER = 'N',
	MILTER_OPTIONS = 'O',
	MILTER_QUIT = 'Q',
	MILTER_RCPT = 'R',
	MILTER_DATA = 'T',
};
enum milter_reply {
	MILTER_ADD_RCPT = '+',
	MILTER_DROP_RCPT = '-',
	MILTER_ADD_RCPT_WITH = '2',
	MILTER_SHUTDOWN = '4',
	MILTER_ACCEPT = 'a',
	MILTER_REPLACE_BODY = 'b',
	MILTER_CONTINUE = 'c',
	MILTER_DISCARD = 'd',
	MILTER_CHANGE_FROM = 'e',
	MILTER_FAIL = 'f',
	MILTER_ADD_HEADER = 'h',
	MILTER_INSERT_HEADER = 'i',
	MILTER_CHANGE_HEADER = 'm',
	MILTER_PROGRESS = 'p',
	MILTER_QUARANTINE = 'q',
	MILTER_REJECT = 'r',
	MILTER_SKIP = 's',
	MILTER_TEMPFAIL = 't',
	MILTER_REPLY_CODE = 'y',
};
/* What a milter may do. */
enum {
	MILTER_MAY_ADD_HEADERS = 0x1,
	MILTER_MAY_CHANGE_BODY = 0x2,
	MILTER_MAY_ADD_RCPT = 0x4,
	MILTER_MAY_DROP_RCPT = 0x8,
	MILTER_MAY_CHANGE_HEADERS = 0x10,
	MILTER_MAY_QUARANTINE = 0x20,
	MILTER_MAY_CHANGE_FROM = 0x40,
	MILTER_MAY_ADD_RCPT_WITH = 0x80,
	MILTER_MAY_SET_MACROS = 0x100,
	MILTER_MAY_ALL = 0x1ff,
};
/* What is left out, or not answered. */
enum {
	MILTER_NO_CONNECT = 0x1,
	MILTER_NO_HELO = 0x2,
	MILTER_NO_MAIL = 0x4,
	MILTER_NO_RCPT = 0x8,
	MILTER_NO_BODY = 0x10,
	MILTER_NO_HEADERS = 0x20,
	MILTER_NO_END_HEADER = 0x40,
	MILTER_NR_HEADER = 0x80,
	MILTER_NO_UNKNOWN = 0x100,
	MILTER_NO_DATA = 0x200,
	MILTER_CAN_SKIP = 0x400,
	MILTER_NR_CONNECT = 0x1000,
	MILTER_NR_HELO = 0x2000,
	MILTER_NR_MAIL = 0x4000,
	MILTER_NR_RCPT = 0x8000,
	MILTER_NR_DATA = 0x10000,
	MILTER_NR_UNKNOWN = 0x20000,
	MILTER_NR_END_HEADER = 0x40000,
	MILTER_NR_BODY = 0x80000,
	MILTER_LEADING_SPACE = 0x100000, /* values begin behind the colon */
	/* All but rejected recipients (0x800) and larger chunks. */
	MILTER_CAN_ALL = 0x1ff7ff,
};
enum milter_stage { /* of macros */
	MILTER_AT_CONNECT,
	MILTER_AT_HELO,
	MILTER_AT_MAIL,
	MILTER_AT_RCPT,
	MILTER_AT_DATA,
	MILTER_AT_END,
	MILTER_AT_END_HEADER,
	MILTER_STAGES,
};

/* ---- milter_packet.c ---- */

int milter_put_u32(struct kurir_buf *, uint32_t);
int milter_put_text(
    struct kurir_buf *, struct kurir_str); /* and NUL; what is behind one is cut */
/* Sticky, as kurir_reader is. */
uint32_t milter_get_u32(struct kurir_reader *);
struct kurir_str milter_get_text(struct kurir_reader *);
struct milter_options {
	uint32_t version, actions, protocol;
	struct kurir_str macros[MILTER_STAGES]; /* names with spaces between; empty: as we like */
};
/* The answer to ours: 0, -EBADMSG, or -EPROTO when it wants what was not offered. */
int milter_get_options(struct kurir_str data, struct milter_options *ret);
/* "550 5.7.1 words" (several lines: the first): 0 or -EBADMSG. */
int milter_get_reply_code(
    struct kurir_str data, int *ret_code, char xyz[12], struct kurir_str *ret_text);
/* "<a@b>" as "a@b". */
struct kurir_str milter_bare_address(struct kurir_str);
/* "inet:8891@127.0.0.1", "inet6:...", "unix:/path", "local:/path", or what kurir_dial() takes;
 * -EINVAL. */
int milter_socket(struct kurir_arena *, struct kurir_str, struct kurir_str *ret);

/* ---- milter_header.c ---- */

struct milter_field {
	struct kurir_str name, raw; /* raw: with its line end */
};
struct milter_header {
	struct milter_field *fields;
	size_t count, room;
	bool changed, leading_space;
};
void milter_header_add(
    struct milter_header *, struct kurir_arena *, size_t at, const struct milter_field *);
/* The next field of a header's text; 0 at its end, where *text stands at the empty line or at
 * what is no field. */
int milter_header_next(struct kurir_str *text, struct milter_field *ret);
/* The value as a milter reads it, without line end and CR, in arena. */
struct kurir_str milter_header_value(
    struct kurir_arena *, const struct milter_field *, bool leading_space);
/* One change as it came: 0, -EBADMSG. */
int milter_header_edit(
    struct milter_header *, struct kurir_arena *, enum milter_reply, struct kurir_str data);

/* ---- milter_link.c ---- */

struct milter_conf {
	struct kurir_str socket;
	kurir_time connect_time, command_time, content_time;
	int64_t keep;
	uint64_t body_max;
};
struct milter_link {
	struct kurir_stream *stream;
	struct milter_options options;
	struct kurir_arena *arena;
	bool between; /* nothing was sent since a message that the milter has let continue */
	struct milter_link *next;
};
struct milter { /* state of an instance */
	struct kurir_str address;
	struct milter_link *idle; /* the last used one first */
	int64_t idle_count;
};
enum milter_counter {
	COUNT_SESSIONS,
	COUNT_REUSED,
	COUNT_MESSAGES,
	COUNT_REJECTED,
	COUNT_DEFERRED,
	COUNT_DISCARDED,
	COUNT_CHANGED,
	COUNT_QUARANTINED,
	COUNT_FAILED,
};

/* One that is kept or a new one, options agreed. */
int milter_link_get(struct kurir_self *, struct milter_link **ret) KURIR_PARKS;
/* For the next session, or closed. */
void milter_link_put(struct kurir_self *, struct milter_link *) KURIR_PARKS;
void milter_link_close(struct milter_link *);
/* One packet; flushed by what waits for the reply. */
int milter_send(struct milter_link *, int command, struct kurir_str data) KURIR_PARKS;
/* One packet; data borrowed until the next read. */
int milter_receive(struct milter_link *, int *ret_reply, struct kurir_str *ret_data, kurir_time)
    KURIR_PARKS;

/* ---- milter.c and milter_message.c ---- */

struct milter_conn { /* of a client's connection */
	struct milter_link *link;
	int error;   /* sticky: the milter is of no use any more to this connection */
	bool passed; /* it need not see any more of this connection */
};
struct milter_tx {
	bool open;    /* the milter has seen MAIL, and not the end */
	bool passed;  /* it need not see any more of this message */
	bool discard; /* say yes in the end, keep nothing */
};
/* Macros of a stage, then the command; and the verdict of the reply, or -errno.  no, nr: flags by
 * which it is left out or not answered. */
struct milter_step {
	int command;
	enum milter_stage stage;
	struct kurir_str data;
	uint32_t no, nr;
};
int milter_step(struct kurir_self *, struct kurir_conn *, struct kurir_tx *, struct kurir_rcpt *,
    const struct milter_step *) KURIR_PARKS;
/* A reply that settles something: KURIR_NEXT and so on, or -EPROTO. */
int milter_verdict(struct kurir_self *, struct kurir_conn *, struct kurir_tx *, int reply,
    struct kurir_str data);
int milter_macros(struct kurir_self *, struct kurir_conn *, struct kurir_tx *,
    struct kurir_rcpt *, int command, enum milter_stage) KURIR_PARKS;
int milter_message(struct kurir_self *, struct kurir_tx *, struct kurir_stream *body) KURIR_PARKS;

#endif
