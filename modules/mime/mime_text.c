/* mime_text.c - a text part's bytes through its transfer encoding, its charset, and for HTML
 * without the tags. */

#include <string.h>

#include "mime_private.h"

static struct kurir_str or_empty(struct kurir_str s)
{
	return s.ptr ? s : KURIR_STR("");
}

static void from_charset(void *arg, const char *s, size_t n)
{
	struct mime_textual *t = arg;

	if (t->is_html)
		mime_html_feed(&t->html, (struct kurir_str){ s, n }, &t->to);
	else
		t->to.put(t->to.arg, s, n);
}

static void from_transfer(void *arg, const char *s, size_t n)
{
	struct mime_textual *t = arg;
	struct mime_out next = { from_charset, t };

	mime_charset_feed(&t->charset, (struct kurir_str){ s, n }, &next);
}

void mime_textual_begin(struct kurir_arena *arena, struct mime_textual *t,
    const struct mime_part *part, const struct mime_out *to)
{
	*t = (struct mime_textual){ .to = *to };
	(void)mime_transfer_begin(&t->transfer, or_empty(part->encoding));
	mime_charset_begin(&t->charset, mime_param(arena, &part->content_type, "charset"));
	t->is_html = kurir_str_equal_nocase(part->subtype, KURIR_STR("html"));
}

void mime_textual_feed(struct mime_textual *t, struct kurir_str s)
{
	struct mime_out next = { from_transfer, t };

	mime_transfer_feed(&t->transfer, s, &next);
}

void mime_textual_end(struct mime_textual *t)
{
	struct mime_out transfer = { from_transfer, t }, charset = { from_charset, t };

	mime_transfer_end(&t->transfer, &transfer);
	mime_charset_end(&t->charset, &charset);
	if (t->is_html)
		mime_html_end(&t->html, &t->to);
}

/* A text in memory: never longer than what its bytes can become. */
struct whole {
	char *to;
	size_t len;
};

static void put_whole(void *arg, const char *s, size_t n)
{
	struct whole *w = arg;

	memcpy(w->to + w->len, s, n);
	w->len += n;
}

bool mime_decode_transfer(struct kurir_arena *arena, const struct mime_part *part,
    struct kurir_str body, struct kurir_str *ret)
{
	struct mime_transfer t;
	struct whole w = { NULL, 0 };
	struct mime_out out = { put_whole, &w };
	bool known = mime_transfer_begin(&t, or_empty(part->encoding));

	*ret = body;
	if (t.kind == MIME_TRANSFER_NONE)
		return known;
	w.to = kurir_alloc(arena, body.len + 1);
	mime_transfer_feed(&t, body, &out);
	mime_transfer_end(&t, &out);
	*ret = (struct kurir_str){ w.to, w.len };
	return true;
}
