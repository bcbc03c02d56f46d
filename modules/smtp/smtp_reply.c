/* smtp_reply.c - what the client reads.  Lines wait in the stream's buffer, so that the
 * replies to pipelined commands leave together. */
#include "smtp_private.h"

#include <string.h>

static size_t put(char *to, size_t at, size_t max, const char *p, size_t n)
{
	if (n > max - at)
		n = max - at;
	memcpy(to + at, p, n);
	return at + n;
}

/* RFC 5321 4.2.1:  Reply-line = Reply-code [ SP textstring ] CRLF, 512 octets at most. */
KURIR_PARKS static void line(
    struct smtp *s, int code, char sep, struct kurir_str xyz, struct kurir_str text)
{
	char out[512];
	size_t n = 4, max = sizeof(out) - 2;

	out[0] = (char)('0' + code / 100 % 10);
	out[1] = (char)('0' + code / 10 % 10);
	out[2] = (char)('0' + code % 10);
	out[3] = sep;
	if (xyz.len > 0 && (s->extended || s->state == IN_NEW)) {
		n = put(out, n, max, xyz.ptr, xyz.len);
		n = put(out, n, max, " ", 1);
	}
	n = put(out, n, max, text.ptr, text.len);
	out[n++] = '\r';
	out[n++] = '\n';
	(void)kurir_write(s->io, (struct kurir_str){ out, n });
}

void smtp_say(struct smtp *s, int code, const char *xyz, const char *text)
{
	line(s, code, ' ', kurir_str_of(xyz), kurir_str_of(text));
}

void smtp_line(struct smtp *s, int code, bool last, const char *text)
{
	line(s, code, last ? ' ' : '-', KURIR_STR(""), kurir_str_of(text));
}

void smtp_answer(struct smtp *s, const struct kurir_answer *a)
{
	line(s, a->code, ' ', a->xyz, a->text);
}

void smtp_close(struct smtp *s, const char *why)
{
	s->closing = true;
	if (s->why == NULL)
		s->why = why;
}

void smtp_error(struct smtp *s, int code, const char *xyz, const char *text)
{
	kurir_count(s->self, COUNT_ERRORS, 1);
	smtp_say(s, code, xyz, text);
	if (++s->errors < s->conf->errors || s->closing)
		return;
	kurir_count(s->self, COUNT_LIMITS, 1);
	smtp_say(s, 421, "4.7.0", "Too many errors, closing the connection");
	smtp_close(s, "too many errors");
}
