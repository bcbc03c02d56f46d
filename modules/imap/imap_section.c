/* imap_section.c - the bytes that BODY[...] names (RFC 9051 section 6.4.5, RFC 3516). */

#include <errno.h>
#include <string.h>

#include "imap_body.h"

static const struct kurir_str none = { NULL, 0 };

/* Part n of an entity: of a multipart its n-th child, else part 1 is the entity itself. */
static const struct mime_part *child(const struct mime_part *p, uint32_t n, bool top)
{
	const struct mime_part *c;

	if (p->message && !top)
		p = p->child;
	if (!p->multipart)
		return n == 1 ? p : NULL;
	for (c = p->child; c && n > 1; n--)
		c = c->next;
	return c;
}

static bool wanted(const struct kurir_texts *fields, struct kurir_str name)
{
	for (size_t i = 0; i < fields->count; i++)
		if (kurir_str_equal_nocase(fields->items[i], name))
			return true;
	return false;
}

/* The fields named (or all the others), and the empty line. */
static struct kurir_str select_fields(
    struct kurir_arena *arena, struct kurir_str header, const struct imap_item *item)
{
	char *out = kurir_alloc(arena, header.len + 3);
	struct kurir_str name, all, rest = header;
	size_t n = 0;

	while (mime_header_next(&rest, &name, &all)) {
		if (name.len == 0 ||
		    wanted(&item->fields, name) != (item->text == IMAP_TEXT_FIELDS))
			continue;
		memcpy(out + n, all.ptr, all.len);
		n += all.len;
	}
	memcpy(out + n, "\r\n", 2);
	return (struct kurir_str){ out, n + 2 };
}

/* The message a part stands for: itself at the top, its content when it is message/rfc822. */
static const struct mime_part *as_message(const struct mime_part *p, size_t depth)
{
	if (depth == 0)
		return p;
	return p->message ? p->child : NULL;
}

/* Of the message itself: not all of it has to be looked at. */
static struct kurir_str top_section(struct imap_bytes *b, const struct imap_item *item)
{
	struct kurir_str header;

	if (item->text == IMAP_TEXT_ALL)
		return b->text;
	header = imap_bytes_header(b);
	if (item->text == IMAP_TEXT_HEADER)
		return header;
	return item->text == IMAP_TEXT_TEXT ? kurir_str_part(b->text, header.len, b->text.len)
					    : select_fields(b->arena, header, item);
}

static const struct mime_part *part_of(struct imap_bytes *b, const struct imap_item *item)
{
	const struct mime_part *p = imap_bytes_message(b)->root;

	for (size_t i = 0; i < item->depth && p; i++)
		p = child(p, item->numbers[i], i == 0);
	return p;
}

struct kurir_str imap_section(struct imap_bytes *b, const struct imap_item *item)
{
	const struct mime_part *p, *m;

	if (item->depth == 0)
		return top_section(b, item);
	p = part_of(b, item);
	if (!p)
		return none;
	if (item->text == IMAP_TEXT_ALL)
		return mime_bytes(b->text, p->body);
	if (item->text == IMAP_TEXT_MIME)
		return mime_bytes(b->text, p->header);
	m = as_message(p, item->depth);
	if (!m)
		return none;
	if (item->text == IMAP_TEXT_HEADER)
		return mime_bytes(b->text, m->header);
	if (item->text == IMAP_TEXT_TEXT)
		return mime_bytes(b->text, m->body);
	return select_fields(b->arena, mime_bytes(b->text, m->header), item);
}

int imap_binary(struct imap_bytes *b, const struct imap_item *item, struct kurir_str *ret)
{
	const struct mime_part *p;

	*ret = item->depth == 0 ? b->text : none;
	if (item->depth == 0)
		return 0;
	p = part_of(b, item);
	if (!p)
		return 0;
	/* Encodings of what has parts are not allowed, and not undone. */
	*ret = mime_bytes(b->text, p->body);
	if (p->multipart || p->message)
		return 0;
	return mime_decode_transfer(b->arena, p, *ret, ret) ? 0 : -EOPNOTSUPP;
}
