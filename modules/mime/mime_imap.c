/* mime_imap.c - ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2, the same in RFC 3501).
 *
 *   envelope        = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP
 *                     env-to SP env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")"
 *   address         = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
 *   body            = "(" (body-type-1part / body-type-mpart) ")"
 *   body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
 *   body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
 *   body-fields     = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP
 *                     body-fld-octets
 *   string          = quoted / literal
 *
 * Strings are quoted when they are short and ASCII, else literals, as every client takes them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mime_private.h"

#define QUOTED_MAX   1000
#define ENVELOPE_MAX ((size_t)4 * 1024 * 1024) /* more than fits into a header */

/* What does not fit fills the buffer, so that nothing behind it fits either. */
static int add(struct kurir_buf *b, struct kurir_str s)
{
	int r = kurir_buf_add(b, s);

	if (r < 0)
		b->limit = b->len;
	return r;
}

static int puts_to(struct kurir_buf *b, const char *s)
{
	return add(b, kurir_str_of(s));
}

static int put_number(struct kurir_buf *b, const char *before, uint64_t n, const char *behind)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "%s%llu%s", before, (unsigned long long)n, behind);
	return puts_to(b, text);
}

static int put_literal(struct kurir_buf *b, struct kurir_str s)
{
	(void)put_number(b, "{", s.len, "}\r\n");
	return add(b, s);
}

int mime_put_string(struct kurir_buf *b, struct kurir_str s)
{
	size_t escapes = 0;
	char *to;

	if (s.len > QUOTED_MAX)
		return put_literal(b, s);
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] < 32 || (unsigned char)s.ptr[i] > 126)
			return put_literal(b, s);
		escapes += s.ptr[i] == '"' || s.ptr[i] == '\\';
	}
	if (kurir_buf_reserve(b, s.len + escapes + 2) < 0) {
		b->limit = b->len;
		return -EMSGSIZE;
	}
	to = b->ptr + b->len;
	*to++ = '"';
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			*to++ = '\\';
		*to++ = s.ptr[i];
	}
	*to++ = '"';
	*to = '\0';
	b->len = (size_t)(to - b->ptr);
	return 0;
}

int mime_put_nstring(struct kurir_buf *b, struct kurir_str s)
{
	return s.ptr ? mime_put_string(b, s) : puts_to(b, "NIL");
}

static void put_addresses(struct kurir_buf *b, struct kurir_arena *arena, struct kurir_str text)
{
	struct kurir_mark mark = kurir_mark(arena);
	struct mime_address *list;
	size_t n, room = 4;

	if (text.len == 0) {
		(void)puts_to(b, "NIL");
		return;
	}
	for (size_t i = 0; i < text.len && room < MIME_ADDRESSES_MAX; i++)
		room += text.ptr[i] == ',' || text.ptr[i] == ':' || text.ptr[i] == ';';
	list = kurir_alloc(arena, room * sizeof(*list));
	n = mime_addresses(arena, text, list, room);
	(void)puts_to(b, n > 0 ? "(" : "NIL");
	for (size_t i = 0; i < n; i++) {
		const struct kurir_str parts[] = { list[i].name, list[i].route, list[i].mailbox,
			list[i].host };

		for (size_t j = 0; j < 4; j++) {
			(void)puts_to(b, j > 0 ? " " : "(");
			(void)mime_put_nstring(b, parts[j]);
		}
		(void)puts_to(b, ")");
	}
	if (n > 0)
		(void)puts_to(b, ")");
	kurir_rewind(arena, mark);
}

/* What stands there once more. */
static void put_again(struct kurir_buf *b, size_t at, size_t len)
{
	if (kurir_buf_reserve(b, len) == 0)
		(void)add(b, kurir_str_part(kurir_buf_str(b), at, len));
}

struct kurir_str mime_envelope(
    struct kurir_arena *arena, const struct kurir_str f[MIME_ENVELOPE_FIELDS])
{
	struct kurir_buf b = KURIR_BUF(ENVELOPE_MAX);
	struct kurir_str envelope;
	size_t from, len;

	(void)kurir_buf_reserve(&b, 512);
	(void)puts_to(&b, "(");
	(void)mime_put_nstring(&b, f[MIME_DATE]);
	(void)puts_to(&b, " ");
	(void)mime_put_nstring(&b, f[MIME_SUBJECT]);
	(void)puts_to(&b, " ");
	from = b.len;
	put_addresses(&b, arena, f[MIME_FROM]);
	len = b.len - from;
	for (size_t i = MIME_SENDER; i <= MIME_BCC; i++) {
		(void)puts_to(&b, " ");
		if (f[i].len == 0 && i <= MIME_REPLY_TO)
			put_again(&b, from, len);
		else
			put_addresses(&b, arena, f[i]);
	}
	for (size_t i = MIME_IN_REPLY_TO; i <= MIME_MESSAGE_ID; i++) {
		(void)puts_to(&b, " ");
		(void)mime_put_nstring(&b, f[i]);
	}
	(void)puts_to(&b, ")");
	envelope = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return envelope;
}

static void put_params(struct kurir_buf *b, const struct mime_field *f)
{
	for (size_t i = 0; i < f->count; i++) {
		(void)puts_to(b, i > 0 ? " " : "(");
		(void)mime_put_string(b, f->params[i].name);
		(void)puts_to(b, " ");
		(void)mime_put_string(b, f->params[i].value);
	}
	(void)puts_to(b, f->count > 0 ? ")" : "NIL");
}

/* body-fld-dsp SP body-fld-lang SP body-fld-loc */
static void put_tail(struct kurir_buf *b, const struct mime_part *p)
{
	if (p->disposition.value.len > 0) {
		(void)puts_to(b, " (");
		(void)mime_put_string(b, p->disposition.value);
		(void)puts_to(b, " ");
		put_params(b, &p->disposition);
		(void)puts_to(b, ") ");
	} else {
		(void)puts_to(b, " NIL ");
	}
	(void)mime_put_nstring(b, p->language);
	(void)puts_to(b, " ");
	(void)mime_put_nstring(b, p->location);
}

static void put_multipart(struct kurir_buf *b, const struct mime_part *p, bool extended)
{
	for (const struct mime_part *c = p->child; c; c = c->next)
		(void)mime_put_structure(b, c, extended);
	(void)puts_to(b, " ");
	(void)mime_put_string(b, p->subtype);
	if (!extended)
		return;
	(void)puts_to(b, " ");
	put_params(b, &p->content_type);
	put_tail(b, p);
}

static void put_single(struct kurir_buf *b, const struct mime_part *p, bool extended)
{
	(void)mime_put_string(b, p->type);
	(void)puts_to(b, " ");
	(void)mime_put_string(b, p->subtype);
	(void)puts_to(b, " ");
	put_params(b, &p->content_type);
	(void)puts_to(b, " ");
	(void)mime_put_nstring(b, p->id);
	(void)puts_to(b, " ");
	(void)mime_put_nstring(b, p->description);
	(void)puts_to(b, " ");
	(void)mime_put_string(b, p->encoding.len > 0 ? p->encoding : KURIR_STR("7bit"));
	(void)put_number(b, " ", p->body.len, "");
	if (p->message) {
		(void)puts_to(b, " ");
		(void)add(b, p->child->envelope);
		(void)puts_to(b, " ");
		(void)mime_put_structure(b, p->child, extended);
	}
	if (p->message || kurir_str_equal_nocase(p->type, KURIR_STR("text")))
		(void)put_number(b, " ", p->lines, "");
	if (!extended)
		return;
	(void)puts_to(b, " ");
	(void)mime_put_nstring(b, p->md5);
	put_tail(b, p);
}

/* Depth is bounded by the parser. */
int mime_put_structure(struct kurir_buf *b, const struct mime_part *p, bool extended)
{
	(void)puts_to(b, "(");
	if (p->multipart)
		put_multipart(b, p, extended);
	else
		put_single(b, p, extended);
	return puts_to(b, ")");
}
