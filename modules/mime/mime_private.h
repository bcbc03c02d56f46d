/* mime_private.h - the stages that a message's bytes go through. */
#ifndef MIME_PRIVATE_H
#define MIME_PRIVATE_H

#include "mime.h"

/* Where a stage's bytes go. */
struct mime_out {
	void (*put)(void *arg, const char *, size_t);
	void *arg;
};

/* mime_transfer.c: RFC 2045 section 6.  False: an encoding we do not know, and nothing is
 * changed. */
struct mime_transfer {
	enum { MIME_TRANSFER_NONE, MIME_TRANSFER_QUOTED, MIME_TRANSFER_BASE64 } kind;
	uint32_t bits; /* base64 */
	unsigned have;
	char held[80]; /* quoted-printable: what has to be seen to its end */
	size_t count;
};
bool mime_transfer_begin(struct mime_transfer *, struct kurir_str encoding);
void mime_transfer_feed(struct mime_transfer *, struct kurir_str, const struct mime_out *);
void mime_transfer_end(struct mime_transfer *, const struct mime_out *);

/* mime_charset.c: to UTF-8; what is in none, or an unknown one, becomes UTF-8 with U+FFFD in the
 * place of what is none.  Characters come out whole. */
struct mime_charset {
	enum {
		MIME_CHARSET_UTF8,
		MIME_CHARSET_TABLE,
		MIME_CHARSET_UTF16,
		MIME_CHARSET_UTF7,
		MIME_CHARSET_ICONV,
	} kind;
	const uint16_t *table;
	void *iconv; /* open until mime_charset_end() */
	bool little, begun, shifted;
	uint32_t surrogate, bits;
	unsigned have;
	char held[16]; /* the beginning of a character */
	size_t count;
};
void mime_charset_begin(struct mime_charset *, struct kurir_str name);
void mime_charset_feed(struct mime_charset *, struct kurir_str, const struct mime_out *);
void mime_charset_end(struct mime_charset *, const struct mime_out *);
/* The name of the glibc converter that may be used for a charset; NULL: none. */
const char *mime_charset_iconv(struct kurir_str name);
size_t mime_utf8_put(char to[4], uint32_t code);
/* The length of the character that s begins with; 0: it is none; more than s.len: it may become
 * one of that length. */
size_t mime_utf8_length(struct kurir_str s);

/* mime_charset_tables.c: of the upper half of a charset with one byte a character; NULL: no such
 * table. */
const uint16_t *mime_charset_table(struct kurir_str name);

/* mime_html.c: HTML in UTF-8 to its text. */
struct mime_html {
	enum {
		MIME_HTML_TEXT,
		MIME_HTML_OPEN,	   /* behind "<" */
		MIME_HTML_NAME,	   /* of a tag */
		MIME_HTML_TAG,	   /* up to ">" */
		MIME_HTML_QUOTED,  /* in a tag's attribute */
		MIME_HTML_COMMENT, /* up to "-->" */
		MIME_HTML_ENTITY,  /* behind "&" */
	} state;
	char word[12]; /* name of a tag or an entity */
	size_t count;
	char quote;
	unsigned dashes;
	const char *hidden; /* what is in this element is no text */
};
void mime_html_feed(struct mime_html *, struct kurir_str, const struct mime_out *);
void mime_html_end(struct mime_html *, const struct mime_out *);

/* mime_text.c: a text part's bytes to text. */
struct mime_textual {
	struct mime_transfer transfer;
	struct mime_charset charset;
	struct mime_html html;
	bool is_html;
	struct mime_out to;
};
void mime_textual_begin(struct kurir_arena *, struct mime_textual *, const struct mime_part *,
    const struct mime_out *);
void mime_textual_feed(struct mime_textual *, struct kurir_str);
void mime_textual_end(struct mime_textual *);

/* mime_preview.c: the beginning of a text as one line. */
struct mime_preview {
	char text[MIME_PREVIEW_MAX * 4 + 4];
	size_t len, characters;
	bool plain; /* lines that begin with ">" are left out */
	bool inside, quoted;
	bool full;
};
void mime_preview_put(struct mime_preview *, const char *, size_t);
struct kurir_str mime_preview_text(const struct mime_preview *);

/* mime_entity.c: what the header of an entity says of it.  message: it is a message's header, and
 * has an envelope; ret is for the root's. */
void mime_entity(struct kurir_arena *, struct kurir_str header, struct mime_part *,
    bool in_digest, bool message, struct mime_message *ret);
/* A parameter, also as RFC 2231 has it; empty when absent. */
struct kurir_str mime_param(struct kurir_arena *, const struct mime_field *, const char *name);

/* mime_imap.c: what ENVELOPE is made of, as it stands in the header; unfolded. */
enum mime_envelope_field {
	MIME_DATE,
	MIME_SUBJECT,
	MIME_FROM,
	MIME_SENDER,
	MIME_REPLY_TO,
	MIME_TO,
	MIME_CC,
	MIME_BCC,
	MIME_IN_REPLY_TO,
	MIME_MESSAGE_ID,
	MIME_ENVELOPE_FIELDS,
};
struct kurir_str mime_envelope(
    struct kurir_arena *, const struct kurir_str fields[MIME_ENVELOPE_FIELDS]);

#endif
