/* imap_incoming.h - messages that a client sends: what APPEND and REPLACE have in common. */
#ifndef IMAP_INCOMING_H
#define IMAP_INCOMING_H

#include "imap_body.h"

#define IMAP_MESSAGES_MAX 1000 /* of one APPEND */

/* Why it is refused, when the client is not simply wrong (-EBADMSG). */
enum imap_refusal {
	IMAP_REFUSED_NOT,
	IMAP_REFUSED_SIZE,
	IMAP_REFUSED_EMPTY,
	IMAP_REFUSED_NUL,
	IMAP_REFUSED_BINARY, /* RFC 3516: a NUL where it cannot be encoded */
	IMAP_REFUSED_URL,    /* RFC 4469 */
	IMAP_REFUSED_MANY,
};
struct imap_incoming {
	struct imap *s;
	struct imap_args *a;
	struct kurir_str mailbox; /* as the client names it */
	int fd;			  /* all messages, one behind the other; owned */
	uint64_t length;
	uint64_t dropped; /* of it: bytes that no message has any more */
	bool nul;	  /* a literal8 had one */
	struct kurir_append *messages;
	size_t count;
	enum imap_refusal refusal;
	struct kurir_str url; /* that was refused */
};

/* imap_incoming.c.  append-message = [SP flag-list] [SP date-time] SP append-data, as often as
 * there are such, at most max times.  0, -EBADMSG, -EPERM: see refusal; else the session is
 * over. */
int imap_incoming_read(struct imap_incoming *, size_t max) KURIR_PARKS;
/* Replies to what went wrong, and reads what the client sends in spite of it. */
void imap_incoming_refuse(struct imap_incoming *, int r) KURIR_PARKS;
void imap_incoming_end(struct imap_incoming *);
/* mailbox, which may be a literal. */
int imap_incoming_mailbox(struct imap_incoming *) KURIR_PARKS;
/* Where the client may insert, with those of the flags that it may set (RFC 4314 section 4). */
int imap_incoming_store(struct imap_incoming *, struct kurir_changed *ret) KURIR_PARKS;

/* For imap_catenate.c. */
int imap_incoming_literal(struct imap_incoming *, bool text)
    KURIR_PARKS; /* rest begins with it */
int imap_incoming_write(struct imap_incoming *, struct kurir_str);
int imap_incoming_astring(struct imap_incoming *, struct kurir_str *ret) KURIR_PARKS;
int imap_catenate(struct imap_incoming *) KURIR_PARKS; /* "(" cat-part *(SP cat-part) ")" */

/* imap_unbinary.c: the message from begin to the end of the file, again behind it and without
 * NULs; in->dropped grows.  0, -EPERM: see refusal, -errno. */
int imap_unbinary(struct imap_incoming *, uint64_t begin);

/* imap_url.c: what of which message an IMAP URL of this account means (RFC 5092). */
struct imap_url {
	struct kurir_str mailbox; /* UTF-8; empty: the selected one */
	uint32_t validity;	  /* 0: any */
	uint32_t uid;
	struct imap_item item;
};
int imap_url_parse(struct kurir_str, struct imap_url *ret);

#endif
