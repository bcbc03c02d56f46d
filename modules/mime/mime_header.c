/* mime_header.c - header fields, and their parameters.
 *
 *   field     = field-name ":" unstructured CRLF, folded lines begin with WSP ; RFC 5322, 2.2
 *   content   = value *(";" parameter)                                        ; RFC 2045, 5.1
 *   parameter = attribute "=" (token / quoted-string)
 *   attribute = name ["*" 1*DIGIT] ["*"]                                      ; RFC 2231
 *   extended  = charset "'" [language] "'" *("%" 2HEXDIG / attribute-char) */

#include <stdio.h>
#include <string.h>

#include "mime_private.h"

void mime_split(struct kurir_str entity, struct kurir_str *ret_header, struct kurir_str *ret_body)
{
	size_t at = 0;

	while (at < entity.len) {
		const char *lf = memchr(entity.ptr + at, '\n', entity.len - at);
		size_t next = lf ? (size_t)(lf - entity.ptr) + 1 : entity.len;
		size_t len = next - at;

		if (entity.ptr[at] == '\n' || (len == 2 && entity.ptr[at] == '\r')) {
			at = next;
			break;
		}
		at = next;
	}
	*ret_header = kurir_str_part(entity, 0, at);
	*ret_body = kurir_str_part(entity, at, entity.len);
}

bool mime_header_next(
    struct kurir_str *rest, struct kurir_str *ret_name, struct kurir_str *ret_all)
{
	size_t at = 0;
	ssize_t colon;

	if (rest->len == 0)
		return false;
	do {
		const char *lf = memchr(rest->ptr + at, '\n', rest->len - at);

		at = lf ? (size_t)(lf - rest->ptr) + 1 : rest->len;
	} while (at < rest->len && (rest->ptr[at] == ' ' || rest->ptr[at] == '\t'));
	*ret_all = kurir_str_part(*rest, 0, at);
	*rest = kurir_str_part(*rest, at, rest->len);
	colon = kurir_str_find(*ret_all, ':');
	*ret_name = kurir_str_trim(kurir_str_part(*ret_all, 0, colon < 0 ? 0 : (size_t)colon));
	return true;
}

struct kurir_str mime_unfold(struct kurir_arena *arena, struct kurir_str s)
{
	char *out = kurir_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n' && s.ptr[i] != '\0')
			out[n++] = s.ptr[i] == '\t' ? ' ' : s.ptr[i];
	return kurir_str_trim((struct kurir_str){ out, n });
}

struct kurir_str mime_header_get(
    struct kurir_arena *arena, struct kurir_str header, struct kurir_str want)
{
	struct kurir_str name, all, rest = kurir_str_part(header, 0, MIME_HEADER_MAX);

	while (mime_header_next(&rest, &name, &all))
		if (kurir_str_equal_nocase(name, want)) {
			ssize_t colon = kurir_str_find(all, ':');

			return mime_unfold(
			    arena, kurir_str_part(all, (size_t)colon + 1, all.len));
		}
	return (struct kurir_str){ NULL, 0 };
}

/* Skips white space and comments. */
static struct kurir_str skip_space(struct kurir_str s)
{
	size_t i = 0, depth = 0;

	while (
	    i < s.len && (depth > 0 || s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '(')) {
		if (s.ptr[i] == '\\' && depth > 0)
			i++;
		else if (s.ptr[i] == '(')
			depth++;
		else if (s.ptr[i] == ')')
			depth--;
		i++;
	}
	return kurir_str_part(s, i < s.len ? i : s.len, s.len);
}

/* A token, or a quoted string without its quotes. */
static struct kurir_str take_value(struct kurir_arena *arena, struct kurir_str *s)
{
	struct kurir_str v;
	size_t i = 0, n = 0;
	char *out;

	if (s->len == 0 || s->ptr[0] != '"') {
		while (i < s->len && s->ptr[i] != ';' && s->ptr[i] != ' ' && s->ptr[i] != '\t' &&
		    s->ptr[i] != '(')
			i++;
		v = kurir_str_part(*s, 0, i);
		*s = kurir_str_part(*s, i, s->len);
		return v;
	}
	/* Only what it needs, as there may be many in a long line. */
	for (i = 1; i < s->len && s->ptr[i] != '"'; i++)
		i += s->ptr[i] == '\\';
	out = kurir_alloc(arena, i);
	for (i = 1; i < s->len && s->ptr[i] != '"'; i++) {
		if (s->ptr[i] == '\\' && i + 1 < s->len)
			i++;
		out[n++] = s->ptr[i];
	}
	*s = kurir_str_part(*s, i + 1, s->len);
	return (struct kurir_str){ out, n };
}

void mime_field_parse(struct kurir_arena *arena, struct kurir_str text, struct mime_field *ret)
{
	*ret = (struct mime_field){ .value = { NULL, 0 } };
	if (!text.ptr)
		return;
	ret->params = kurir_alloc(arena, MIME_PARAMS_MAX * sizeof(*ret->params));
	text = skip_space(text);
	ret->value = kurir_str_trim(take_value(arena, &text));
	while (ret->count < MIME_PARAMS_MAX) {
		ssize_t semicolon = kurir_str_find(text, ';'), equal;
		struct mime_param *p = &ret->params[ret->count];

		if (semicolon < 0)
			return;
		text = skip_space(kurir_str_part(text, (size_t)semicolon + 1, text.len));
		/* Not beyond the next one, as there may be many. */
		semicolon = kurir_str_find(text, ';');
		equal = kurir_str_find(
		    kurir_str_part(text, 0, semicolon < 0 ? text.len : (size_t)semicolon), '=');
		if (equal < 0)
			continue;
		p->name = kurir_str_trim(kurir_str_part(text, 0, (size_t)equal));
		text = skip_space(kurir_str_part(text, (size_t)equal + 1, text.len));
		p->value = take_value(arena, &text);
		if (p->name.len > 0)
			ret->count++;
	}
}

/* What name a parameter has: the n-th piece of it, and whether it is encoded. */
static bool is_piece(struct kurir_str name, struct kurir_str want, unsigned n, bool *ret_encoded)
{
	char number[16];
	struct kurir_str rest = kurir_str_part(name, want.len, name.len);

	if (!kurir_str_starts_nocase(name, want))
		return false;
	*ret_encoded = rest.len > 0 && rest.ptr[rest.len - 1] == '*';
	if (*ret_encoded)
		rest.len--;
	if (rest.len == 0)
		return n == 0;
	(void)snprintf(number, sizeof(number), "*%u", n);
	return kurir_str_equal(rest, kurir_str_of(number));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%" and two digits are a byte. */
static void add_encoded(struct kurir_buf *b, struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool byte = s.ptr[i] == '%' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 &&
		    hex(s.ptr[i + 2]) >= 0;
		char c = byte ? (char)(hex(s.ptr[i + 1]) << 4 | hex(s.ptr[i + 2])) : s.ptr[i];

		(void)kurir_buf_add(b, (struct kurir_str){ &c, 1 });
		i += byte ? 2 : 0;
	}
}

/* charset "'" [language] "'" at the beginning of the first piece is taken away. */
static struct kurir_str take_charset(struct kurir_str *s)
{
	ssize_t first = kurir_str_find(*s, '\''), second;
	struct kurir_str charset = KURIR_STR(""), rest;

	if (first < 0)
		return charset;
	rest = kurir_str_part(*s, (size_t)first + 1, s->len);
	second = kurir_str_find(rest, '\'');
	if (second < 0)
		return charset;
	charset = kurir_str_part(*s, 0, (size_t)first);
	*s = kurir_str_part(rest, (size_t)second + 1, rest.len);
	return charset;
}

static void put_text(void *arg, const char *s, size_t n)
{
	(void)kurir_buf_add(arg, (struct kurir_str){ s, n });
}

static struct kurir_str in_charset(
    struct kurir_arena *arena, struct kurir_str bytes, struct kurir_str name)
{
	struct kurir_buf text = KURIR_BUF(4 * bytes.len + 16);
	struct mime_out out = { put_text, &text };
	struct mime_charset charset;
	struct kurir_str ret;

	mime_charset_begin(&charset, name);
	mime_charset_feed(&charset, bytes, &out);
	mime_charset_end(&charset, &out);
	ret = kurir_copy(arena, kurir_buf_str(&text));
	kurir_buf_free(&text);
	return ret;
}

struct kurir_str mime_param_text(
    struct kurir_arena *arena, const struct mime_field *f, struct kurir_str name)
{
	struct kurir_buf bytes = KURIR_BUF(MIME_HEADER_MAX);
	struct kurir_str charset = KURIR_STR(""), ret = { NULL, 0 };
	bool encoded = false, any = false;
	unsigned n = 0;

	/* Pieces may stand in any order; they are as many as a field has parameters. */
	for (bool found = true; found; n++) {
		found = false;
		for (size_t i = 0; i < f->count && !found; i++) {
			struct kurir_str value = f->params[i].value;
			bool piece_encoded;

			found = is_piece(f->params[i].name, name, n, &piece_encoded);
			if (!found)
				continue;
			if (piece_encoded && n == 0)
				charset = take_charset(&value);
			if (piece_encoded)
				add_encoded(&bytes, value);
			else
				(void)kurir_buf_add(&bytes, value);
			any = true;
			encoded |= piece_encoded || n > 0;
		}
	}
	if (any && encoded)
		ret = in_charset(arena, kurir_buf_str(&bytes), charset);
	else if (any)
		ret = mime_decode_words(arena, kurir_buf_str(&bytes));
	kurir_buf_free(&bytes);
	return ret;
}
