/* mime_html.c - the text of HTML, for previews and for who looks for words.
 *
 *   tag     = "<" ["/"] name *(attribute) ">"      comment = "<!--" ... "-->"
 *   entity  = "&" (name / "#" 1*DIGIT / "#x" 1*HEXDIG) [";"]
 *
 * No parser of HTML: what people would not see (<head>, <script>, <style>) is left out, tags that
 * only change how letters look are nothing, others are a space.  Everything has a bound, and any
 * input some text. */

#include <string.h>

#include "mime_private.h"

#define ROOM 1024

struct room {
	char bytes[ROOM];
	size_t used;
	const struct mime_out *out;
};

static void flush(struct room *r)
{
	if (r->used > 0)
		r->out->put(r->out->arg, r->bytes, r->used);
	r->used = 0;
}

static void put(const struct mime_html *h, struct room *r, const char *s, size_t n)
{
	if (h->hidden)
		return;
	if (n > ROOM - r->used)
		flush(r);
	if (n >= ROOM) {
		r->out->put(r->out->arg, s, n);
		return;
	}
	memcpy(r->bytes + r->used, s, n);
	r->used += n;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static struct kurir_str word(const struct mime_html *h)
{
	return (struct kurir_str){ h->word, h->count };
}

/* From 160 on, with one space between. */
static const char latin[] =
    "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn "
    "sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave "
    "Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml "
    "ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN "
    "szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave "
    "iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute "
    "ucirc uuml yacute thorn yuml ";

static const struct {
	const char *name;
	uint32_t code;
} entities[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' },
	{ "ndash", 0x2013 }, { "mdash", 0x2014 }, { "lsquo", 0x2018 }, { "rsquo", 0x2019 },
	{ "sbquo", 0x201a }, { "ldquo", 0x201c }, { "rdquo", 0x201d }, { "bdquo", 0x201e },
	{ "bull", 0x2022 }, { "hellip", 0x2026 }, { "euro", 0x20ac }, { "trade", 0x2122 },
	{ "zwnj", 0x200c }, { "zwj", 0x200d } };

/* 0: none that we know. */
static uint32_t named(struct kurir_str name)
{
	const char *at = latin;

	for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++)
		if (kurir_str_equal(name, kurir_str_of(entities[i].name)))
			return entities[i].code;
	for (uint32_t code = 160; *at != '\0'; code++) {
		size_t n = (size_t)(strchr(at, ' ') - at);

		if (n == name.len && memcmp(at, name.ptr, n) == 0)
			return code;
		at += n + 1;
	}
	return 0;
}

static uint32_t numbered(struct kurir_str s)
{
	bool hex = s.len > 2 && (s.ptr[1] == 'x' || s.ptr[1] == 'X');
	uint32_t code = 0;

	for (size_t i = hex ? 2 : 1; i < s.len; i++) {
		char c = s.ptr[i];
		uint32_t d = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);

		if (d >= (hex ? 16 : 10))
			return 0;
		code = code * (hex ? 16 : 10) + d;
		if (code > 0x10ffff)
			return 0;
	}
	return code >= 0xd800 && code < 0xe000 ? 0 : code;
}

/* What stood behind "&", which next ends: the character, or what was written. */
static void put_entity(struct mime_html *h, char next, struct room *r)
{
	bool number = h->count > 1 && h->word[0] == '#';
	uint32_t code = number ? numbered(word(h)) : named(word(h));
	char bytes[4];

	h->state = MIME_HTML_TEXT;
	if (code == 0) {
		put(h, r, "&", 1);
		put(h, r, h->word, h->count);
	} else if (code == 0xa0) {
		put(h, r, " ", 1);
	} else {
		put(h, r, bytes, mime_utf8_put(bytes, code));
	}
	if (code == 0 && next == ';')
		put(h, r, ";", 1);
}

/* A tag's name is known. */
static void begin_tag(struct mime_html *h, struct room *r)
{
	static const char *const unseen[] = { "head", "script", "style" };
	static const char *const inside[] = { "a", "abbr", "b", "big", "code", "em", "font", "i",
		"ins", "mark", "s", "small", "span", "strong", "sub", "sup", "tt", "u", "wbr" };
	struct kurir_str name = word(h);
	bool end = name.len > 0 && name.ptr[0] == '/';

	name = kurir_str_part(name, end, name.len);
	h->state = MIME_HTML_TAG;
	if (h->hidden) {
		if (end && kurir_str_equal_nocase(name, kurir_str_of(h->hidden)))
			h->hidden = NULL;
		return;
	}
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(inside[i])))
			return;
	put(h, r, " ", 1);
	for (size_t i = 0; i < 3 && !end; i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(unseen[i])))
			h->hidden = unseen[i];
}

/* Behind "<" and in a tag's name; false: c is to be looked at again. */
static bool take_name(struct mime_html *h, char c, struct room *r)
{
	if (h->state == MIME_HTML_OPEN) {
		bool tag = is_word(c) || c == '/' || c == '!' || c == '?';

		h->state = tag ? MIME_HTML_NAME : MIME_HTML_TEXT;
		h->count = 0;
		if (!tag)
			put(h, r, "<", 1);
		if (!tag)
			return false;
	}
	if (h->count < sizeof(h->word) &&
	    (is_word(c) || (h->count == 0 && (c == '/' || c == '!')) ||
		(c == '-' && h->word[0] == '!'))) {
		h->word[h->count++] = c;
		if (!kurir_str_equal(word(h), KURIR_STR("!--")))
			return true;
		h->state = MIME_HTML_COMMENT;
		h->dashes = 2; /* "<!-->" is one, too */
		return true;
	}
	begin_tag(h, r);
	return false;
}

/* In a tag or a comment. */
static void take_tag(struct mime_html *h, char c)
{
	switch (h->state) {
	case MIME_HTML_COMMENT:
		if (c == '>' && h->dashes >= 2)
			h->state = MIME_HTML_TEXT;
		h->dashes = c == '-' ? h->dashes + 1 : 0;
		break;
	case MIME_HTML_QUOTED:
		if (c == h->quote)
			h->state = MIME_HTML_TAG;
		break;
	default:
		if (c == '>')
			h->state = MIME_HTML_TEXT;
		/* A quote that begins no value is none: "<a "b>". */
		if ((c == '"' || c == '\'') && h->quote == '=') {
			h->quote = c;
			h->state = MIME_HTML_QUOTED;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			h->quote = c;
		}
	}
}

/* One character that is not plain text; false: to be looked at again. */
static bool take(struct mime_html *h, char c, struct room *r)
{
	switch (h->state) {
	case MIME_HTML_TEXT:
		h->state = c == '<' ? MIME_HTML_OPEN : MIME_HTML_ENTITY;
		h->count = 0;
		return true;
	case MIME_HTML_OPEN:
	case MIME_HTML_NAME:
		return take_name(h, c, r);
	case MIME_HTML_ENTITY:
		if (h->count < sizeof(h->word) && (is_word(c) || (c == '#' && h->count == 0))) {
			h->word[h->count++] = c;
			return true;
		}
		put_entity(h, c, r);
		return c == ';';
	default:
		take_tag(h, c);
		return true;
	}
}

void mime_html_feed(struct mime_html *h, struct kurir_str s, const struct mime_out *out)
{
	struct room r;
	size_t i = 0;

	r.used = 0;
	r.out = out;
	while (i < s.len) {
		size_t start = i;

		if (h->state != MIME_HTML_TEXT) {
			i += take(h, s.ptr[i], &r);
			continue;
		}
		while (i < s.len && s.ptr[i] != '<' && s.ptr[i] != '&')
			i++;
		put(h, &r, s.ptr + start, i - start);
		if (i < s.len)
			i += take(h, s.ptr[i], &r);
	}
	flush(&r);
}

void mime_html_end(struct mime_html *h, const struct mime_out *out)
{
	struct room r;

	r.used = 0;
	r.out = out;
	if (h->state == MIME_HTML_ENTITY)
		put_entity(h, '\0', &r);
	else if (h->state == MIME_HTML_OPEN)
		put(h, &r, "<", 1);
	flush(&r);
	*h = (struct mime_html){ .state = MIME_HTML_TEXT };
}
