/* milter_header.c - the header of a message, and what a milter changes of it.  No I/O. */
#include "milter.h"

#include <errno.h>
#include <string.h>

void milter_header_add(
    struct milter_header *h, struct kurir_arena *arena, size_t at, const struct milter_field *f)
{
	if (h->count == h->room) {
		size_t room = h->room > 0 ? h->room * 2 : 32;
		struct milter_field *more = kurir_alloc(arena, room * sizeof(*more));

		if (h->count > 0)
			memcpy(more, h->fields, h->count * sizeof(*more));
		h->fields = more;
		h->room = room;
	}
	if (at > h->count)
		at = h->count;
	memmove(h->fields + at + 1, h->fields + at, (h->count - at) * sizeof(*h->fields));
	h->fields[at] = *f;
	h->count++;
}

static bool good_name(struct kurir_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	return name.len > 0;
}

/* RFC 5322 2.2: field-name ":" unstructured CRLF, and lines that begin with WSP. */
int milter_header_next(struct kurir_str *text, struct milter_field *ret)
{
	ssize_t colon = kurir_str_find(*text, ':');
	size_t end = 0;

	if (colon <= 0)
		return 0;
	ret->name = kurir_str_part(*text, 0, (size_t)colon);
	/* RFC 5322 4.5: obsolete syntax has white space before the colon. */
	while (ret->name.len > 0 && strchr(" \t", ret->name.ptr[ret->name.len - 1]) != NULL)
		ret->name.len--;
	if (!good_name(ret->name))
		return 0;
	do {
		ssize_t lf = kurir_str_find(kurir_str_part(*text, end, text->len), '\n');

		end = lf < 0 ? text->len : end + (size_t)lf + 1;
	} while (end < text->len && (text->ptr[end] == ' ' || text->ptr[end] == '\t'));
	ret->raw = kurir_str_part(*text, 0, end);
	*text = kurir_str_part(*text, end, text->len);
	return 1;
}

struct kurir_str milter_header_value(
    struct kurir_arena *arena, const struct milter_field *f, bool leading_space)
{
	ssize_t colon = kurir_str_find(f->raw, ':');
	struct kurir_str v = kurir_str_part(f->raw, (size_t)(colon + 1), f->raw.len);
	char *to;
	size_t n = 0;

	if (!leading_space && v.len > 0 && v.ptr[0] == ' ')
		v = kurir_str_part(v, 1, v.len);
	while (v.len > 0 && (v.ptr[v.len - 1] == '\n' || v.ptr[v.len - 1] == '\r'))
		v.len--;
	to = kurir_alloc(arena, v.len + 1);
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] != '\r')
			to[n++] = v.ptr[i];
	return (struct kurir_str){ to, n };
}

/* A field of the milter's making; -EBADMSG when its value would end the field too early. */
static int make(struct kurir_arena *arena, struct kurir_str name, struct kurir_str value,
    bool leading_space, struct milter_field *ret)
{
	char *to = kurir_alloc(arena, name.len + 2 * value.len + 8);
	size_t n = 0;

	if (!good_name(name))
		return -EBADMSG;
	memcpy(to, name.ptr, name.len);
	n = name.len;
	to[n++] = ':';
	if (!leading_space)
		to[n++] = ' ';
	while (value.len > 0 && strchr("\r\n", value.ptr[value.len - 1]) != NULL)
		value.len--;
	for (size_t i = 0; i < value.len; i++) {
		char next = i + 1 < value.len ? value.ptr[i + 1] : '\0';

		if (value.ptr[i] == '\r')
			continue;
		if (value.ptr[i] == '\n') {
			if (next != ' ' && next != '\t')
				return -EBADMSG;
			to[n++] = '\r';
		}
		to[n++] = value.ptr[i];
	}
	to[n++] = '\r';
	to[n++] = '\n';
	ret->raw = (struct kurir_str){ to, n };
	ret->name = kurir_str_part(ret->raw, 0, name.len);
	return 0;
}

/* The n-th field of that name, from 1; count when there is none. */
static size_t find(const struct milter_header *h, struct kurir_str name, uint32_t n)
{
	size_t i;

	for (i = 0; i < h->count; i++)
		if (kurir_str_equal_nocase(h->fields[i].name, name) && n-- <= 1)
			break;
	return i;
}

int milter_header_edit(struct milter_header *h, struct kurir_arena *arena, enum milter_reply what,
    struct kurir_str data)
{
	struct kurir_reader r = KURIR_READER(data);
	uint32_t index = what == MILTER_ADD_HEADER ? 0 : milter_get_u32(&r);
	struct kurir_str name = milter_get_text(&r), value = milter_get_text(&r);
	struct milter_field f;
	size_t at = h->count;

	if (r.error < 0 || make(arena, name, value, h->leading_space, &f) < 0)
		return -EBADMSG;
	/* Our own Received is not seen by the milter, which counts it: 0 and 1 are the first. */
	if (what == MILTER_INSERT_HEADER)
		at = index > 0 ? index - 1 : 0;
	if (what == MILTER_CHANGE_HEADER) {
		at = find(h, name, index);
		if (at < h->count && value.len == 0) {
			h->count--;
			memmove(h->fields + at, h->fields + at + 1,
			    (h->count - at) * sizeof(*h->fields));
			h->changed = true;
			return 0;
		}
		if (at < h->count) {
			h->fields[at] = f;
			h->changed = true;
			return 0;
		}
		if (value.len == 0)
			return 0; /* it is not there already */
	}
	milter_header_add(h, arena, at, &f);
	h->changed = true;
	return 0;
}
