/* mime.h - what a message is made of and says, from one pass over its bytes (RFC 5322, 2045 to
 * 2047, 2231).
 *
 *   struct mime_parser *p = mime_begin(arena, options);
 *   mime_feed(p, piece);                               as often as there are bytes
 *   const struct mime_message *m = mime_end(p);
 *
 * The parser has an answer for every input and holds nothing that grows with the message: it
 * keeps the tree of parts, and of the bytes at most one header and one line.  Places in the tree
 * are offsets into the message as it was fed.  All of it lives in the arena; nothing is borrowed
 * from what was fed.  Nothing here parks; it runs in helper threads, too.
 *
 * What is broken or beyond a bound:
 *   - a field with no value that can be read is as if it were not there: text/plain, 7bit; of
 *     two with the same name the first counts;
 *   - a multipart without a part (no boundary, none found, or too deep) is shown as text/plain,
 *     a message/rfc822 that is too deep, too much, or encoded as application/octet-stream;
 *   - with the last part that may be, delimiters are looked for no more: it has all that follows;
 *   - a line longer than MIME_LINE_MAX delimits nothing, a boundary longer than
 *     MIME_BOUNDARY_MAX is none;
 *   - of a header the first MIME_HEADER_MAX bytes are read, and of all headers together
 *     MIME_HEADERS_MAX; offsets go on being exact;
 *   - of a field the first MIME_PARAMS_MAX parameters count, or MIME_ADDRESSES_MAX addresses. */
#ifndef MIME_H
#define MIME_H

#include <kurir/module.h>

#define MIME_DEPTH_MAX	   32
#define MIME_PARTS_MAX	   1000
#define MIME_LINE_MAX	   1000
#define MIME_BOUNDARY_MAX  250
#define MIME_HEADER_MAX	   (256u * 1024)
#define MIME_HEADERS_MAX   (1024u * 1024)
#define MIME_PARAMS_MAX	   32
#define MIME_ADDRESSES_MAX 1000
#define MIME_PREVIEW_MAX   200 /* characters */

/* Octets of the message. */
struct mime_range {
	uint64_t at, len;
};
struct mime_param {
	struct kurir_str name, value;
};
/* A value with parameters: Content-Type, Content-Disposition. */
struct mime_field {
	struct kurir_str value; /* ptr NULL: the field is not there */
	struct mime_param *params;
	size_t count;
};
struct mime_part {
	struct mime_range header; /* with the empty line behind it */
	struct mime_range body;	  /* without the line end before a delimiter */
	uint32_t lines;		  /* of body */
	unsigned depth;
	struct kurir_str type, subtype; /* "text", "plain" when not given */
	struct mime_field content_type, disposition;
	struct kurir_str id, description, encoding, language, location,
	    md5;		   /* ptr NULL: absent */
	struct kurir_str envelope; /* of a message, in IMAP's form; else ptr NULL */
	/* message: message/rfc822, whose message is child; encoded: not 7bit, 8bit or binary. */
	bool multipart, message, encoded;
	struct mime_part *child, *next;
};
/* The whole, and what lists and threads want of its header; unfolded, ptr NULL: absent. */
struct mime_message {
	struct mime_part *root;
	struct kurir_str subject, message_id, in_reply_to, references;
	struct kurir_str preview; /* RFC 8970; empty: there is no text, or it was not wanted */
};

/* Texts as people read them, in UTF-8, while the message is fed: for who looks for words.  SEARCH
 * TEXT (RFC 9051 section 6.4.4) means all of them, BODY those of bodies, attachments' names and
 * the headers within, HEADER those of part->depth 0. */
enum mime_text {
	MIME_TEXT_FIELD = 1, /* a header field: name, and its value in one piece */
	MIME_TEXT_BODY,	     /* of a text part, HTML without its tags; in pieces of any size */
	MIME_TEXT_BODY_END,  /* no more of this part's text: what follows does not adjoin it */
	MIME_TEXT_NAME,	     /* of an attachment, in one piece */
};
struct mime_options {
	bool preview;
	/* NULL: not wanted.  part->depth 0 is the message itself; its child is not known yet.
	 * within: it stands in a message/rfc822 that the message has as a part. */
	void (*text)(void *arg, enum mime_text, const struct mime_part *, bool within,
	    struct kurir_str name, struct kurir_str text);
	void *arg;
};

struct mime_parser;
struct mime_parser *mime_begin(struct kurir_arena *, const struct mime_options *);
void mime_feed(struct mime_parser *, struct kurir_str piece);
const struct mime_message *mime_end(struct mime_parser *);
/* All of it at once, and of a message that is in memory: what a range means. */
const struct mime_message *mime_read(
    struct kurir_arena *, struct kurir_str message, const struct mime_options *);
struct kurir_str mime_bytes(struct kurir_str message, struct mime_range);

/* mime_imap.c: in the form of RFC 9051 section 7.5.2, ready to be sent to any client. 0, or
 * -EMSGSIZE when the buffer's limit is passed, which is then where it ends. */
int mime_put_string(struct kurir_buf *, struct kurir_str);
int mime_put_nstring(struct kurir_buf *, struct kurir_str); /* NIL when ptr is NULL */
int mime_put_structure(struct kurir_buf *, const struct mime_part *, bool extended);

/* mime_header.c: fields of a header that is in memory.  The value of the first of that name,
 * unfolded and trimmed, in arena; ptr NULL when absent. */
struct kurir_str mime_header_get(
    struct kurir_arena *, struct kurir_str header, struct kurir_str name);
/* The next field: its name, and all of it with its line ends; false at the end of the header. */
bool mime_header_next(
    struct kurir_str *rest, struct kurir_str *ret_name, struct kurir_str *ret_all);
/* value *(";" name "=" value) */
void mime_field_parse(struct kurir_arena *, struct kurir_str text, struct mime_field *ret);
/* A parameter as people read it, in UTF-8: RFC 2231 and 2047 are undone; ptr NULL: absent. */
struct kurir_str mime_param_text(
    struct kurir_arena *, const struct mime_field *, struct kurir_str name);
struct kurir_str mime_unfold(struct kurir_arena *, struct kurir_str);
/* Header and body of one entity. */
void mime_split(
    struct kurir_str entity, struct kurir_str *ret_header, struct kurir_str *ret_body);

/* mime_address.c: address lists, as ENVELOPE shows them. */
struct mime_address {
	struct kurir_str name, route, mailbox,
	    host; /* ptr NULL: NIL; a group begins with host NULL, and ends with all NULL */
};
size_t mime_addresses(
    struct kurir_arena *, struct kurir_str text, struct mime_address *ret, size_t max);

/* mime_words.c: encoded words to UTF-8 (RFC 2047). */
struct kurir_str mime_decode_words(struct kurir_arena *, struct kurir_str);

/* mime_find.c: a text that is looked for, without regard to case (ASCII).  back: how much of it
 * may have begun anew when it does not go on behind so many characters (Knuth, Morris and Pratt),
 * so that no byte is looked at again and again, whatever somebody looks for. */
struct mime_needle {
	struct kurir_str text; /* in small letters */
	const uint32_t *back;
	size_t at; /* characters of it that stood at the end of the last piece */
};
struct mime_needle mime_needle_of(struct kurir_arena *, struct kurir_str text);
/* Whether it ends in this piece, or did before. */
bool mime_needle_feed(struct mime_needle *, struct kurir_str piece);
bool mime_needle_in(struct mime_needle *, struct kurir_str whole);
/* Whether the decoded text of a message has it (BODY of RFC 9051 section 6.4.4), or also its
 * headers (TEXT). */
bool mime_message_has(
    struct kurir_arena *, struct kurir_str message, struct kurir_str text, bool headers);
/* Any field of that name (all of them when it is empty) that has it, decoded; or has an address
 * that does, without what may stand between its parts. */
bool mime_header_has(
    struct kurir_arena *, struct kurir_str header, struct kurir_str field, struct mime_needle *);

/* mime_text.c: a part's body, in memory, without its Content-Transfer-Encoding; false: an
 * unknown one, and the body as it is. */
bool mime_decode_transfer(
    struct kurir_arena *, const struct mime_part *, struct kurir_str body, struct kurir_str *ret);

/* mime_subject.c: the subject (decoded) without what replies, forwards and lists put around it
 * (RFC 5256 section 2.1), in arena; *ret_reply: there was such a thing. */
struct kurir_str mime_base_subject(
    struct kurir_arena *, struct kurir_str subject, bool *ret_reply);

#endif
