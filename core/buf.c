/* buf.c - a growing buffer with a limit: what a peer sizes lives here, and can be refused.
 * The byte after the end is NUL whenever there is memory. */
#include <kurir/module.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define BUF_FIRST 64u

int kurir_buf_reserve(struct kurir_buf *b, size_t more)
{
	kurir_assert(b->len <= b->limit);
	if (more > b->limit - b->len)
		return -EMSGSIZE;
	size_t need = b->len + more;
	if (b->ptr && need <= b->room)
		return 0;
	size_t room = b->room ? b->room : BUF_FIRST;
	while (room < need)
		room = room > b->limit / 2 ? b->limit : room * 2;
	if (room > b->limit)
		room = b->limit;
	char *p = realloc(b->ptr, room + 1);
	if (!p)
		check_no_memory();
	b->ptr = p;
	b->room = room;
	p[b->len] = '\0';
	return 0;
}

int kurir_buf_add(struct kurir_buf *b, struct kurir_str s)
{
	int r = kurir_buf_reserve(b, s.len);
	if (r < 0)
		return r;
	if (s.len)
		memcpy(b->ptr + b->len, s.ptr, s.len);
	b->len += s.len;
	b->ptr[b->len] = '\0';
	return 0;
}

int kurir_buf_printf(struct kurir_buf *b, const char *format, ...)
{
	va_list args;
	size_t room = b->ptr ? b->room - b->len : 0;
	va_start(args, format);
	int n = vsnprintf(b->ptr ? b->ptr + b->len : NULL, b->ptr ? room + 1 : 0, format, args);
	va_end(args);
	kurir_assert(n >= 0);
	if (!b->ptr || (size_t)n > room) {
		if (b->ptr)
			b->ptr[b->len] = '\0';
		int r = kurir_buf_reserve(b, (size_t)n);
		if (r < 0)
			return r;
		va_start(args, format);
		(void)vsnprintf(b->ptr + b->len, (size_t)n + 1, format, args);
		va_end(args);
	}
	b->len += (size_t)n;
	return 0;
}

void kurir_buf_cut(struct kurir_buf *b, size_t from_start)
{
	kurir_assert(from_start <= b->len);
	if (!from_start)
		return;
	b->len -= from_start;
	memmove(b->ptr, b->ptr + from_start, b->len);
	b->ptr[b->len] = '\0';
}

struct kurir_str kurir_buf_str(const struct kurir_buf *b)
{
	return b->ptr ? (struct kurir_str){ b->ptr, b->len } : KURIR_STR("");
}

void kurir_buf_clear(struct kurir_buf *b)
{
	b->len = 0;
	if (b->ptr)
		b->ptr[0] = '\0';
}

void kurir_buf_free(struct kurir_buf *b)
{
	free(b->ptr);
	*b = (struct kurir_buf){ .limit = b->limit };
}
