/* imap_body.h - what FETCH can ask of a message's bytes. */
#ifndef IMAP_BODY_H
#define IMAP_BODY_H

#include "imap.h"

#include <mime/mime.h>

/* Facts of messages, in ascending order of their numbers. */
struct imap_facts {
	struct imap *s;
	uint32_t want; /* 1u << enum kurir_fact, or-ed; 0: none, or the store has none */
	const struct kurir_uid_set *uids;
	struct kurir_arena *arena;
	struct kurir_message_facts *all;
	size_t count, at, used, ahead;
	uint32_t until; /* the last UID that all says something of */
	int error;	/* why it says nothing */
};
/* uids: all that will be asked for, borrowed; NULL: nobody knows. */
void imap_facts_begin(
    struct imap_facts *, struct imap *, uint32_t want, const struct kurir_uid_set *uids);
/* The texts of the message with that index, until the next call: by enum kurir_fact, ptr NULL
 * when it is not known. */
const struct kurir_str *imap_facts_get(struct imap_facts *, size_t index) KURIR_PARKS;
void imap_facts_end(struct imap_facts *);

/* A message while a command looks at it: what the store knows of it, and when that is not enough
 * its bytes. */
struct imap_bytes {
	const struct kurir_str *facts; /* borrowed, by enum kurir_fact; or NULL */
	bool open;
	struct kurir_body body;
	struct kurir_str text; /* once it is in memory */
	bool mapped;
	const struct mime_message *message; /* parsed when first asked for */
	struct kurir_arena *arena;
};
void imap_bytes_begin(struct imap_bytes *, const struct kurir_str *facts);
/* Once, when the bytes are needed; open_in without bringing them into memory. */
int imap_bytes_open(struct imap *, const struct kurir_message *, struct imap_bytes *) KURIR_PARKS;
int imap_bytes_open_in(struct imap *, const struct imap_place *, const struct kurir_message *,
    struct imap_bytes *) KURIR_PARKS;
int imap_bytes_map(struct imap_bytes *); /* 0 or -errno */
void imap_bytes_close(struct imap_bytes *);
const struct mime_message *imap_bytes_message(struct imap_bytes *);
/* The message's header with the empty line behind it; the parts are not looked at for it, nor the
 * bytes when the header is a fact. */
struct kurir_str imap_bytes_header(struct imap_bytes *);
struct kurir_str imap_bytes_envelope(struct imap_bytes *);

/* imap_fetch.c: a FETCH reply for each message from that UID on, with those items. */
int imap_put_new(struct imap *, uint32_t from, struct kurir_str items) KURIR_PARKS;
/* Whether a list of items stands there; it goes. */
int imap_items_check(struct imap_args *);

#define IMAP_ITEMS_MAX 64 /* in one list */
enum imap_item_kind {
	IMAP_ITEM_FLAGS,
	IMAP_ITEM_UID,
	IMAP_ITEM_DATE,
	IMAP_ITEM_SIZE,
	IMAP_ITEM_MODSEQ,
	IMAP_ITEM_SAVEDATE,
	IMAP_ITEM_EMAIL_ID, /* RFC 8474 */
	IMAP_ITEM_THREAD_ID,
	/* These need the message's bytes, or facts. */
	IMAP_ITEM_ENVELOPE,
	IMAP_ITEM_BODY, /* structure without extensions */
	IMAP_ITEM_BODYSTRUCTURE,
	IMAP_ITEM_SECTION,
	IMAP_ITEM_BINARY,
	IMAP_ITEM_BINARY_SIZE,
	IMAP_ITEM_PREVIEW,
};
enum imap_section_text {
	IMAP_TEXT_ALL,
	IMAP_TEXT_HEADER,
	IMAP_TEXT_FIELDS,
	IMAP_TEXT_FIELDS_NOT,
	IMAP_TEXT_TEXT,
	IMAP_TEXT_MIME,
};
#define IMAP_SECTION_DEPTH 32
struct imap_item {
	enum imap_item_kind kind;
	const char *label; /* "RFC822.HEADER": printed instead of BODY[...] */
	bool peek, partial;
	uint64_t start, octets;
	uint32_t numbers[IMAP_SECTION_DEPTH];
	size_t depth;
	enum imap_section_text text;
	struct kurir_str spelled; /* what stands between the brackets, as the client wrote it */
	struct kurir_texts fields;
};
/* imap_fetch_parse.c: fetch-att list of RFC 9051 section 6.4.5; at most max items. */
int imap_items_parse(struct imap_args *, struct imap_item *items, size_t max, size_t *ret_count);
/* What stands between the brackets, as the section of a URL is written, too. */
int imap_section_parse(struct imap_args *, struct imap_item *);
/* imap_section.c: the bytes of a section, borrowed from the message or in arena; ptr NULL:
 * there is no such part. */
struct kurir_str imap_section(struct imap_bytes *, const struct imap_item *);
/* As imap_section(), decoded (RFC 3516); -EOPNOTSUPP for an encoding we do not know. */
int imap_binary(struct imap_bytes *, const struct imap_item *, struct kurir_str *ret);

#endif
