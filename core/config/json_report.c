/* json_report.c - "file:line:column: /json/pointer: sentence", once for each mistake. */
#include "json_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends the pointer of v (RFC 6901: "~" is "~0", "/" is "~1").  The depth is bounded. */
static void put_pointer(struct kurir_buf *out, const struct json *v)
{
	if (!v->parent)
		return;
	put_pointer(out, v->parent);
	if (v->index == JSON_SPLICED)
		return;
	if (v->parent->type != VALUE_OBJECT) {
		kurir_buf_printf(out, "/%u", v->index);
		return;
	}
	kurir_buf_add(out, KURIR_STR("/"));
	for (size_t i = 0; i < v->key.len; i++) {
		char c = v->key.ptr[i];

		if (c == '~')
			kurir_buf_add(out, KURIR_STR("~0"));
		else if (c == '/')
			kurir_buf_add(out, KURIR_STR("~1"));
		else if ((unsigned char)c < 0x20 || c == 0x7f)
			kurir_buf_printf(out, "\\u%04x", (unsigned char)c);
		else
			kurir_buf_add(out, (struct kurir_str){ &c, 1 });
	}
}

static bool begin(
    struct report *r, const char *file, uint32_t line, uint32_t column, const struct json *in)
{
	size_t before;

	if (r->errors++ >= REPORT_MAX) {
		if (r->errors == REPORT_MAX + 1)
			kurir_buf_add(&r->text, KURIR_STR("... and more\n"));
		return false;
	}
	if (file)
		kurir_buf_printf(&r->text, "%s:%u:%u: ", file, line, column);
	before = r->text.len;
	if (in)
		put_pointer(&r->text, in);
	if (file && r->text.len == before)
		kurir_buf_add(&r->text, KURIR_STR("/"));
	if (file)
		kurir_buf_add(&r->text, KURIR_STR(": "));
	return true;
}

/* Control characters of the file do not reach the terminal. */
KURIR_FMT_LIST(2) static void sentence(struct report *r, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text) - 1, fmt, ap);

	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof(text) - 2)
		n = sizeof(text) - 2;
	for (int i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	text[n++] = '\n';
	kurir_buf_add(&r->text, (struct kurir_str){ text, (size_t)n });
}

void json_report_in(
    struct report *r, const struct json *where, const struct json *in, const char *text)
{
	if (begin(r, where->file, where->line, where->column, in)) {
		kurir_buf_add(&r->text, kurir_str_of(text));
		kurir_buf_add(&r->text, KURIR_STR("\n"));
	}
}

void report_at(struct report *r, const struct json *where, const char *fmt, ...)
{
	va_list ap;

	if (!begin(r, where->file, where->line, where->column, where))
		return;
	va_start(ap, fmt);
	sentence(r, fmt, ap);
	va_end(ap);
}

void report_key(struct report *r, const struct json *where, const char *fmt, ...)
{
	va_list ap;

	if (!begin(r, where->file, where->key_line, where->key_column, where))
		return;
	va_start(ap, fmt);
	sentence(r, fmt, ap);
	va_end(ap);
}

void report_line(struct report *r, const char *fmt, ...)
{
	va_list ap;

	if (!begin(r, NULL, 0, 0, NULL))
		return;
	va_start(ap, fmt);
	sentence(r, fmt, ap);
	va_end(ap);
}
