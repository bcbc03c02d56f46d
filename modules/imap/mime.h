/* mime.h - the structure of a message, by offsets into its wire form (RFC 2045, 2046).
 *
 * The parser never fails: what is broken is text/plain, what is too deep or too much is left as
 * one
 * part.  It allocates parts in the arena and borrows all texts from the message. */
#ifndef MIME_H
#define MIME_H

#include <kurir/module.h>

#define MIME_DEPTH_MAX	32
#define MIME_PARTS_MAX	1000
#define MIME_HEADER_MAX (256u * 1024) /* what of a header is looked at */
#define MIME_PARAMS_MAX 32

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
	struct kurir_str header; /* with the empty line behind it */
	struct kurir_str body;
	uint32_t lines;			/* of body */
	struct kurir_str type, subtype; /* "text", "plain" when not given */
	struct mime_field content_type, disposition;
	struct kurir_str id, description, encoding, language, location,
	    md5;		 /* ptr NULL: absent */
	bool multipart, message; /* message: RFC822, its message is child */
	struct mime_part *child, *next;
};

struct mime_part *mime_parse(struct kurir_arena *, struct kurir_str message);

/* mime_header.c: the value of the first field of that name, unfolded and trimmed, in arena; ptr
 * NULL when absent. */
struct kurir_str mime_header_get(
    struct kurir_arena *, struct kurir_str header, struct kurir_str name);
/* The next field: its name, and all of it with its line ends; false at the end of the header. */
bool mime_header_next(
    struct kurir_str *rest, struct kurir_str *ret_name, struct kurir_str *ret_all);
/* value *(";" name "=" value), RFC 2045 section 5.1 */
void mime_field_parse(struct kurir_arena *, struct kurir_str text, struct mime_field *ret);
struct kurir_str mime_unfold(struct kurir_arena *, struct kurir_str);
/* Header and body of one entity. */
void mime_split(
    struct kurir_str entity, struct kurir_str *ret_header, struct kurir_str *ret_body);

/* mime_address.c: RFC 5322 address lists, as ENVELOPE shows them. */
struct mime_address {
	struct kurir_str name, route, mailbox,
	    host; /* ptr NULL: NIL; a group begins with host NULL, and ends with all NULL */
};
size_t mime_addresses(
    struct kurir_arena *, struct kurir_str text, struct mime_address *ret, size_t max);

/* mime_decode.c: transfer encodings and encoded words, to UTF-8 where the charset is one we
 * know. */
/* Without its Content-Transfer-Encoding; false: an unknown one, and the body as it is. */
bool mime_decode_transfer(struct kurir_arena *, const struct mime_part *, struct kurir_str *ret);
struct kurir_str mime_decode_body(struct kurir_arena *, const struct mime_part *);
struct kurir_str mime_decode_words(struct kurir_arena *, struct kurir_str);

#endif
