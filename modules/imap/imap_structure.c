/* imap_structure.c - BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2).
 *
 *   body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
 *   body-type-1part = media-type SP media-subtype SP body-fields [...] [SP body-ext-1part] */

#include "imap_body.h"

KURIR_PARKS static void put_params(struct imap *s, const struct mime_field *f)
{
	if (f->count == 0) {
		imap_puts(s, "NIL");
		return;
	}
	for (size_t i = 0; i < f->count; i++) {
		imap_puts(s, i ? " " : "(");
		imap_string(s, f->params[i].name);
		imap_puts(s, " ");
		imap_string(s, f->params[i].value);
	}
	imap_puts(s, ")");
}

/* body-fld-dsp SP body-fld-lang SP body-fld-loc */
KURIR_PARKS static void put_tail(struct imap *s, const struct mime_part *p)
{
	if (p->disposition.value.ptr && p->disposition.value.len > 0) {
		imap_puts(s, " (");
		imap_string(s, p->disposition.value);
		imap_puts(s, " ");
		put_params(s, &p->disposition);
		imap_puts(s, ") ");
	} else {
		imap_puts(s, " NIL ");
	}
	imap_nstring(s, p->language);
	imap_puts(s, " ");
	imap_nstring(s, p->location);
}

KURIR_PARKS static void put_multipart(
    struct imap *s, struct kurir_arena *arena, const struct mime_part *p, bool extended)
{
	for (const struct mime_part *c = p->child; c; c = c->next)
		imap_put_structure(s, arena, c, extended);
	imap_puts(s, " ");
	imap_string(s, p->subtype);
	if (!extended)
		return;
	imap_puts(s, " ");
	put_params(s, &p->content_type);
	put_tail(s, p);
}

KURIR_PARKS static void put_single(
    struct imap *s, struct kurir_arena *arena, const struct mime_part *p, bool extended)
{
	/* A multipart without parts has no structure to show: it is shown as text. */
	bool hollow = kurir_str_equal_nocase(p->type, KURIR_STR("multipart"));
	bool text = hollow || kurir_str_equal_nocase(p->type, KURIR_STR("text"));

	imap_string(s, hollow ? KURIR_STR("text") : p->type);
	imap_puts(s, " ");
	imap_string(s, hollow ? KURIR_STR("plain") : p->subtype);
	imap_puts(s, " ");
	put_params(s, &p->content_type);
	imap_puts(s, " ");
	imap_nstring(s, p->id);
	imap_puts(s, " ");
	imap_nstring(s, p->description);
	imap_puts(s, " ");
	imap_string(s, p->encoding.ptr && p->encoding.len > 0 ? p->encoding : KURIR_STR("7bit"));
	kurir_printf(s->stream, " %zu", p->body.len);
	if (p->message) {
		imap_puts(s, " ");
		imap_put_envelope(s, arena, p->child->header);
		imap_puts(s, " ");
		imap_put_structure(s, arena, p->child, extended);
	}
	if (p->message || text)
		kurir_printf(s->stream, " %u", p->lines);
	if (!extended)
		return;
	imap_puts(s, " ");
	imap_nstring(s, p->md5);
	put_tail(s, p);
}

/* Depth is bounded by the parser. */
KURIR_PARKS void imap_put_structure(
    struct imap *s, struct kurir_arena *arena, const struct mime_part *p, bool extended)
{
	imap_puts(s, "(");
	if (p->multipart)
		put_multipart(s, arena, p, extended);
	else
		put_single(s, arena, p, extended);
	imap_puts(s, ")");
}
