/* imap_preview.c - the beginning of what a message says, for lists of messages (RFC 8970).
 *
 *   preview = "PREVIEW" SP nstring ; at most 200 characters
 *
 * The first text that is no attachment; lines that quote another message are left out, HTML is
 * left its text. */

#include <string.h>

#include "imap_body.h"

#define LOOK_MAX 16384 /* bytes of the text that are looked at */

static bool is(struct kurir_str s, const char *word)
{
	return kurir_str_equal_nocase(s, kurir_str_of(word));
}

/* The next part in the order of the message; the tree is at most MIME_DEPTH_MAX deep. */
static const struct mime_part *first_text(const struct mime_part *p, const char *subtype)
{
	for (; p; p = p->next) {
		const struct mime_part *found;

		if (p->disposition.value.len > 0 && is(p->disposition.value, "attachment"))
			continue;
		if (!p->child && is(p->type, "text") && is(p->subtype, subtype))
			return p;
		found = p->child ? first_text(p->child, subtype) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* Tags become a space; what is between <style> or <script> and its end is no text. */
static struct kurir_str without_tags(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, in.len + 1);
	bool hidden = false;
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		struct kurir_str rest = kurir_str_part(in, i, in.len);
		ssize_t close;

		if (in.ptr[i] != '<') {
			if (!hidden)
				out[n++] = in.ptr[i];
			continue;
		}
		if (kurir_str_starts_nocase(rest, KURIR_STR("<style")) ||
		    kurir_str_starts_nocase(rest, KURIR_STR("<script")) ||
		    kurir_str_starts_nocase(rest, KURIR_STR("<head")))
			hidden = true;
		if (kurir_str_starts_nocase(rest, KURIR_STR("</style")) ||
		    kurir_str_starts_nocase(rest, KURIR_STR("</script")) ||
		    kurir_str_starts_nocase(rest, KURIR_STR("</head")))
			hidden = false;
		close = kurir_str_find(rest, '>');
		if (close < 0)
			break;
		i += (size_t)close;
		out[n++] = ' ';
	}
	return (struct kurir_str){ out, n };
}

/* The entities that texts have most. */
static struct kurir_str without_entities(struct kurir_arena *arena, struct kurir_str in)
{
	static const struct {
		const char *name;
		char is;
	} known[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' },
		{ "&#39;", '\'' }, { "&nbsp;", ' ' } };
	char *out = kurir_alloc(arena, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		struct kurir_str rest = kurir_str_part(in, i, 8);
		size_t k = 0;

		while (k < 6 && !kurir_str_starts_nocase(rest, kurir_str_of(known[k].name)))
			k++;
		out[n++] = k < 6 ? known[k].is : in.ptr[i];
		if (k < 6)
			i += strlen(known[k].name) - 1;
	}
	return (struct kurir_str){ out, n };
}

/* The length of the UTF-8 character at the beginning of s, or 0. */
static size_t character(struct kurir_str s)
{
	unsigned char c = (unsigned char)s.ptr[0];
	size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;

	if (n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.ptr[i] & 0xC0) != 0x80)
			return 0;
	return n;
}

static struct kurir_str without_quotes(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, in.len + 1);
	size_t n = 0;

	while (in.len > 0) {
		ssize_t lf = kurir_str_find(in, '\n');
		size_t len = lf < 0 ? in.len : (size_t)lf + 1;

		if (in.ptr[0] != '>') {
			memcpy(out + n, in.ptr, len);
			n += len;
		}
		in = kurir_str_part(in, len, in.len);
	}
	return (struct kurir_str){ out, n };
}

/* One line of at most IMAP_PREVIEW_MAX characters; what is no UTF-8 is left out. */
static struct kurir_str one_line(struct kurir_arena *arena, struct kurir_str in)
{
	char *out = kurir_alloc(arena, in.len + 1);
	size_t n = 0, characters = 0;

	while (in.len > 0 && characters < IMAP_PREVIEW_MAX) {
		size_t len = character(in);
		bool blank = (unsigned char)in.ptr[0] <= 32 || in.ptr[0] == 127;

		if (blank && n > 0 && out[n - 1] != ' ') {
			out[n++] = ' ';
			characters++;
		} else if (!blank && len > 0) {
			memcpy(out + n, in.ptr, len);
			n += len;
			characters++;
		}
		in = kurir_str_part(in, len ? len : 1, in.len);
	}
	return kurir_str_trim((struct kurir_str){ out, n });
}

struct kurir_str imap_preview(struct imap_bytes *b)
{
	const struct mime_part *root = imap_bytes_root(b), *plain = first_text(root, "plain");
	const struct mime_part *html = plain ? NULL : first_text(root, "html");
	struct mime_part look;
	struct kurir_str text;

	if (!plain && !html)
		return KURIR_STR("");
	look = plain ? *plain : *html;
	look.body = kurir_str_part(look.body, 0, LOOK_MAX);
	text = mime_decode_body(b->arena, &look);
	if (plain)
		text = without_quotes(b->arena, text);
	else
		text = without_entities(b->arena, without_tags(b->arena, text));
	return one_line(b->arena, text);
}
