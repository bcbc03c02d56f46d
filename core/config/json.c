/* json.c - JSON (RFC 8259) with comments and trailing commas, and where each value stands.
 *
 *	value  = object / array / text / number / "true" / "false" / "null"
 *	object = "{" [ member *( "," member ) [ "," ] ] "}"	member = text ":" value
 *	array  = "[" [ value *( "," value ) [ "," ] ] "]"
 *	space  = SP / HT / CR / LF / "//" to the end of the line / between slash-star and
 *	         star-slash
 *
 * A forgotten comma is reported and passed over; other broken syntax ends its file.  Depth and
 * size are bounded, so that the parser may recurse. */
#include "json.h"
#include "json_private.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct json *syntax(struct json_parser *p, const char *at, const struct json *in,
    const char *fmt, ...) KURIR_FMT(4);

static struct json here(const struct json_parser *p, const char *at, const struct json *in)
{
	return (struct json){ .file = p->file,
		.line = p->line,
		.column = (uint32_t)(at - p->line_start) + 1,
		.parent = (struct json *)in };
}

static struct json *syntax(
    struct json_parser *p, const char *at, const struct json *in, const char *fmt, ...)
{
	char text[200];
	struct json where = here(p, at, NULL);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	/* The place is ours, the pointer is that of the array or object we are in. */
	json_report_in(p->report, &where, in, text);
	p->report->broken = true;
	p->stop = true;
	return NULL;
}

static void newline(struct json_parser *p)
{
	p->line++;
	p->line_start = p->at + 1;
}

/* Past the comment that begins at p->at; false when it has no end. */
static bool skip_comment(struct json_parser *p, const struct json *in)
{
	struct json where = here(p, p->at, in);

	if (p->at[1] == '/') {
		while (p->at < p->end && *p->at != '\n')
			p->at++;
		return true;
	}
	for (p->at += 2; p->at + 1 < p->end; p->at++) {
		if (p->at[0] == '*' && p->at[1] == '/') {
			p->at += 2;
			return true;
		}
		if (*p->at == '\n')
			newline(p);
	}
	where.parent = NULL;
	json_report_in(p->report, &where, in, "this comment has no end");
	p->report->broken = p->stop = true;
	p->at = p->end;
	return false;
}

/* To the next byte that means something; 0 at the end. */
static char next(struct json_parser *p, const struct json *in)
{
	while (p->at < p->end) {
		char c = *p->at;

		if (c == '\n')
			newline(p);
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			p->at++;
		else if (c == '/' && p->at + 1 < p->end && (p->at[1] == '/' || p->at[1] == '*')) {
			if (!skip_comment(p, in))
				return 0;
		} else if (c == '\0')
			return (char)0xff; /* no value begins with it */
		else
			return c;
	}
	return 0;
}

static bool hex4(const char *at, const char *end, uint32_t *ret)
{
	uint32_t value = 0;

	if (end - at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = at[i];

		value <<= 4;
		if (c >= '0' && c <= '9')
			value |= (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value |= (unsigned)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	*ret = value;
	return true;
}

/* After a backslash: the decoded character goes to *to.  A sentence when it is wrong. */
static const char *escape(struct json_parser *p, char **to)
{
	static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	uint32_t c, low;

	for (const char *n = names; *n; n += 2) {
		if (p->at < p->end && *p->at == *n) {
			*(*to)++ = n[1];
			p->at++;
			return NULL;
		}
	}
	if (p->at == p->end || *p->at != 'u' || !hex4(p->at + 1, p->end, &c))
		return "there is no such escape: \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX exist";
	p->at += 5;
	if (c >= 0xd800 && c < 0xdc00 && p->end - p->at > 1 && p->at[0] == '\\' &&
	    p->at[1] == 'u' && hex4(p->at + 2, p->end, &low) && low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p->at += 6;
	}
	if (c >= 0xd800 && c < 0xe000)
		return "half a surrogate pair is no character";
	if (c == 0)
		return "\\u0000 is not allowed";
	*to += utf8_put(*to, c);
	return NULL;
}

/* The text whose quote is at p->at; its decoded form is never longer. */
static bool parse_text(struct json_parser *p, const struct json *in, struct kurir_str *ret)
{
	const char *open = p->at++, *quote = p->at;
	const char *wrong;
	char *to, *start;
	uint32_t code;
	size_t n;

	while (quote < p->end && *quote != '"' && *quote != '\n')
		quote += *quote == '\\' && quote + 1 < p->end && quote[1] != '\n' ? 2 : 1;
	if (quote >= p->end || *quote != '"')
		return syntax(p, open, in, "this text has no closing quote");
	start = to = kurir_alloc(p->arena, (size_t)(quote - p->at) + 1);
	while (p->at < quote) {
		if (*p->at == '\\') {
			const char *at = p->at++;

			wrong = escape(p, &to);
			if (wrong)
				return syntax(p, at, in, "%s", wrong);
			continue;
		}
		if ((unsigned char)*p->at < 0x20)
			return syntax(p, p->at, in,
			    "a control character in a text: write it as \\u%04x",
			    (unsigned char)*p->at);
		n = utf8_get((struct kurir_str){ p->at, (size_t)(quote - p->at) }, &code);
		if (n == 0)
			return syntax(p, p->at, in, "this text is not UTF-8");
		memcpy(to, p->at, n);
		to += n;
		p->at += n;
	}
	p->at++;
	*ret = (struct kurir_str){ start, (size_t)(to - start) };
	return true;
}

static bool digits(struct json_parser *p)
{
	const char *start = p->at;

	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return p->at > start;
}

/* Digits as a number of 63 bits; false when it has more. */
static bool small(const char *from, const char *to, uint64_t *ret)
{
	uint64_t n = 0, most = UINT64_MAX >> 1;

	for (; from < to; from++) {
		uint64_t digit = (uint64_t)(*from - '0');

		if (n > (most - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*ret = n;
	return true;
}

/* [ "." 1*DIGIT ] [ ( "e" / "E" ) [ "+" / "-" ] 1*DIGIT ]; *whole is false when there was any. */
static bool fraction(struct json_parser *p, bool *whole)
{
	if (p->at < p->end && *p->at == '.') {
		p->at++;
		*whole = false;
		if (!digits(p))
			return false;
	}
	if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
		p->at++;
		*whole = false;
		if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
			p->at++;
		return digits(p);
	}
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* number = [ "-" ] ( "0" / %x31-39 *DIGIT ) fraction */
static struct json *parse_number(struct json_parser *p, struct json *v)
{
	const char *start = p->at, *first;
	bool good, whole, minus = *p->at == '-';
	uint64_t n = 0;

	p->at += minus;
	first = p->at;
	good = digits(p) && (*first != '0' || p->at == first + 1);
	whole = good && small(first, p->at, &n);
	if (!good || !fraction(p, &whole))
		return syntax(p, start, v->parent, "this is not a number as JSON writes them");
	if (p->at < p->end && is_letter(*p->at))
		return syntax(p, start, v->parent,
		    "a number with a unit is a text: put it into double quotes");
	v->type = whole ? VALUE_INT : VALUE_REAL;
	v->number = whole ? (minus ? -(int64_t)n : (int64_t)n) : 0;
	v->text = kurir_copy(p->arena, (struct kurir_str){ start, (size_t)(p->at - start) });
	return v;
}

static struct json *parse_word(struct json_parser *p, struct json *v)
{
	static const struct {
		const char *word;
		enum value_type type;
		bool truth;
	} words[] = {
		{ "true", VALUE_BOOL, true },
		{ "false", VALUE_BOOL, false },
		{ "null", VALUE_NULL, false },
	};
	const char *start = p->at, *end = start;

	while (end < p->end && is_letter(*end))
		end++;
	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(words[i].word);

		if ((size_t)(end - start) == len && memcmp(start, words[i].word, len) == 0) {
			v->type = words[i].type;
			v->truth = words[i].truth;
			p->at = end;
			return v;
		}
	}
	if (*start == '\'')
		return syntax(p, start, v->parent, "texts stand in double quotes");
	if (end > start)
		return syntax(p, start, v->parent,
		    "%.*s is no value; texts stand in double quotes",
		    (int)(end - start > 40 ? 40 : end - start), start);
	return syntax(p, start, v->parent, "a value was expected here");
}

void json_append(struct json *parent, struct json *child)
{
	child->parent = parent;
	child->index = parent->count++;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static int by_key(const void *va, const void *vb)
{
	const struct json *a = *(const struct json *const *)va,
			  *b = *(const struct json *const *)vb;
	int r = kurir_str_compare(a->key, b->key);

	return r ? r : (a->index > b->index) - (a->index < b->index);
}

static void report_duplicates(struct json_parser *p, const struct json *object)
{
	struct kurir_mark mark = kurir_mark(p->arena);
	const struct json **sorted;
	size_t n = 0;

	/* Of an included file: seen when its members are in their place. */
	if (object->count < 2 || object->index == JSON_SPLICED)
		return;
	sorted = kurir_alloc(p->arena, object->count * sizeof(*sorted));
	for (const struct json *c = object->first; c; c = c->next)
		sorted[n++] = c;
	qsort(sorted, n, sizeof(*sorted), by_key);
	for (size_t i = 1; i < n; i++) {
		const struct json *a = sorted[i - 1], *b = sorted[i];

		if (kurir_str_equal(a->key, b->key))
			report_key(p->report, b, "\"%.*s\" was already given at %s:%u:%u",
			    KURIR_ARG(b->key), a->file, a->key_line, a->key_column);
	}
	kurir_rewind(p->arena, mark);
}

/* After a member or an element: true when there may be another. */
static bool comma(struct json_parser *p, const struct json *in, char close)
{
	char c = next(p, in);

	if (c == ',') {
		p->at++;
		return true;
	}
	if (c == close || p->stop)
		return false;
	if (c == '"' || (close == ']' && (c == '{' || c == '[' || (c >= '0' && c <= '9')))) {
		struct json where = here(p, p->at, NULL);

		json_report_in(p->report, &where, in, "a comma is missing before this");
		p->report->broken = true;
		return true;
	}
	syntax(p, p->at, in,
	    c ? "a comma or %c was expected here" : "the file ends before this is closed by %c",
	    close);
	return false;
}

static struct json *parse_value(struct json_parser *p, struct json *v);

static void parse_member(struct json_parser *p, struct json *object)
{
	struct json *v = kurir_alloc(p->arena, sizeof(*v));

	v->key_line = p->line;
	v->key_column = (uint32_t)(p->at - p->line_start) + 1;
	if (*p->at != '"') {
		syntax(p, p->at, object, "a key in double quotes or } was expected here");
		return;
	}
	if (!parse_text(p, object, &v->key))
		return;
	v->parent = object;
	if (next(p, object) != ':') {
		if (!p->stop)
			syntax(p, p->at, object, "a colon was expected after \"%.*s\"",
			    v->key.len > 40 ? 40 : (int)v->key.len, v->key.ptr);
		return;
	}
	p->at++;
	if (!parse_value(p, v))
		return;
	if (p->include && kurir_str_equal(v->key, KURIR_STR("include")))
		json_include(p, object, v);
	else
		json_append(object, v);
}

static struct json *parse_children(struct json_parser *p, struct json *v, char close)
{
	char c;

	v->type = close == '}' ? VALUE_OBJECT : VALUE_ARRAY;
	if (p->depth >= JSON_DEPTH_MAX)
		return syntax(p, p->at, v->parent,
		    "more than %d arrays and objects within each other", JSON_DEPTH_MAX);
	p->depth++;
	p->at++;
	while ((c = next(p, v)) != close && !p->stop) {
		if (c == 0) {
			syntax(p, p->at, v, "the file ends before this is closed by %c", close);
		} else if (close == '}') {
			parse_member(p, v);
		} else {
			struct json *child = kurir_alloc(p->arena, sizeof(*child));

			child->index = v->count;
			child->parent = v;
			if (parse_value(p, child))
				json_append(v, child);
		}
		if (p->stop || !comma(p, v, close))
			break;
	}
	if (!p->stop)
		p->at++;
	p->depth--;
	if (close == '}')
		report_duplicates(p, v);
	return v;
}

/* v has its parent and key; the rest is filled. */
static struct json *parse_value(struct json_parser *p, struct json *v)
{
	char c = next(p, v->parent);

	v->file = p->file;
	v->line = p->line;
	v->column = (uint32_t)(p->at - p->line_start) + 1;
	if (p->stop)
		return NULL;
	if (c == 0)
		return syntax(p, p->at, v->parent, "the file ends where a value was expected");
	if (c == '{')
		return parse_children(p, v, '}');
	if (c == '[')
		return parse_children(p, v, ']');
	if (c == '"') {
		v->type = VALUE_TEXT;
		return parse_text(p, v->parent, &v->text) ? v : NULL;
	}
	if (c == '-' || (c >= '0' && c <= '9'))
		return parse_number(p, v);
	return parse_word(p, v);
}

struct json *json_parse_with(struct json_parser *p, struct kurir_str text, struct json *parent)
{
	struct json *v = kurir_alloc(p->arena, sizeof(*v));
	char c;

	if (kurir_str_starts(text, KURIR_STR("\xef\xbb\xbf")))
		text = kurir_str_part(text, 3, text.len);
	p->at = p->line_start = text.ptr;
	p->end = text.ptr + text.len;
	p->line = 1;
	v->parent = parent;
	v->index = parent ? JSON_SPLICED : 0;
	if (!parse_value(p, v))
		return NULL;
	c = p->stop ? 0 : next(p, NULL);
	if (c != 0)
		syntax(p, p->at, NULL, "nothing may follow the end of the first value");
	return v;
}

struct json *json_parse(
    struct kurir_arena *arena, const char *file, struct kurir_str text, struct report *report)
{
	struct json_parser p = { .arena = arena, .report = report, .file = file };

	return json_parse_with(&p, text, NULL);
}

const struct json *json_get(const struct json *object, const char *key)
{
	struct kurir_str name = kurir_str_of(key);

	if (!object || object->type != VALUE_OBJECT)
		return NULL;
	for (const struct json *c = object->first; c; c = c->next)
		if (kurir_str_equal(c->key, name))
			return c;
	return NULL;
}

const char *value_type_name(enum value_type type)
{
	static const char *const names[] = { "null", "true or false", "a number",
		"a number with a fraction", "a text", "an array", "an object" };

	return names[type];
}

const char *json_kind(const struct json *v)
{
	if (v->type == VALUE_REAL && !memchr(v->text.ptr, '.', v->text.len) &&
	    !memchr(v->text.ptr, 'e', v->text.len) && !memchr(v->text.ptr, 'E', v->text.len))
		return "a number too large";
	return value_type_name(v->type);
}
