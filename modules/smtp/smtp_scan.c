/* smtp_scan.c - dot-unstuffing, the end of DATA, and lines that lie about where they end.
 * Only CRLF "." CRLF ends a message.  Runs are found by memchr() and never copied. */
#include "smtp_scan.h"

#include <string.h>

void smtp_scan_start(struct smtp_scan *s, bool dots)
{
	*s = (struct smtp_scan){ .dots = dots, .line_start = true };
}

static bool has_8bit(const char *p, size_t n)
{
	uint64_t all = 0, word;

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		all |= word;
	}
	for (; n > 0; p++, n--)
		all |= (unsigned char)*p;
	return (all & 0x8080808080808080u) != 0;
}

/* From pos to behind the line's end; what is wrong in between is noted.  Stops before a CR
 * that nothing follows. */
static size_t one_line(struct smtp_scan *s, const char *p, size_t pos, size_t n)
{
	const char *lf = memchr(p + pos, '\n', n - pos);
	size_t end = lf != NULL ? (size_t)(lf - p) : n;
	const char *cr = memchr(p + pos, '\r', end - pos);
	size_t at = cr != NULL ? (size_t)(cr - p) : n;

	if (cr == NULL) {
		if (lf != NULL)
			s->seen |= SCAN_BARE_LF;
		return lf != NULL ? end + 1 : n;
	}
	if (at + 1 < end) {
		s->seen |= SCAN_BARE_CR;
		return at + 1;
	}
	if (lf != NULL) {
		s->line_start = true;
		return end + 1;
	}
	if (s->dots)
		return at;
	s->after_cr = true;
	return n;
}

static enum smtp_scan_result give(struct smtp_scan *s, const char *p, size_t n, size_t used,
    struct kurir_str *ret_run, size_t *ret_used, enum smtp_scan_result result)
{
	*ret_run = (struct kurir_str){ p, n };
	*ret_used = used;
	s->bytes += n;
	if (n > 0 && memchr(p, '\0', n) != NULL)
		s->seen |= SCAN_NUL;
	if ((s->seen & SCAN_8BIT) == 0 && has_8bit(p, n))
		s->seen |= SCAN_8BIT;
	return result;
}

/* DATA, and a line begins with a dot: the end, or one dot too many. */
static enum smtp_scan_result dot(struct smtp_scan *s, const char *p, size_t pos, size_t n,
    struct kurir_str *ret_run, size_t *ret_used)
{
	if (n - pos < 2 || (p[pos + 1] == '\r' && n - pos < 3))
		return give(s, p, pos, pos, ret_run, ret_used, SCAN_MORE);
	if (p[pos + 1] == '\r' && p[pos + 2] == '\n')
		return give(s, p, pos, pos + 3, ret_run, ret_used, SCAN_END);
	if (p[pos + 1] == '.')
		s->seen |= SCAN_DOTLINE;
	s->line_start = false;
	return give(s, p, pos, pos + 1, ret_run, ret_used, SCAN_RUN);
}

enum smtp_scan_result smtp_scan(
    struct smtp_scan *s, struct kurir_str in, struct kurir_str *ret_run, size_t *ret_used)
{
	const char *p = in.ptr;
	size_t pos = 0, next, n = in.len;

	if (s->after_cr && n > 0) {
		s->after_cr = false;
		s->line_start = p[0] == '\n';
		if (p[0] == '\n')
			pos = 1;
		else
			s->seen |= SCAN_BARE_CR;
	}
	while (pos < n) {
		if (s->line_start && p[pos] == '.') {
			if (s->dots)
				return dot(s, p, pos, n, ret_run, ret_used);
			s->seen |= SCAN_DOTLINE;
		}
		s->line_start = false;
		next = one_line(s, p, pos, n);
		if (next == pos) /* a CR at the end of what is there */
			break;
		pos = next;
	}
	return give(s, p, pos, pos, ret_run, ret_used, SCAN_MORE);
}

size_t smtp_repair(struct kurir_str run, char *state, char *out)
{
	size_t i, n = 0;

	for (i = 0; i < run.len; i++) {
		char c = run.ptr[i];

		if (*state == '\r') { /* its CRLF is written already */
			*state = 0;
			if (c == '\n')
				continue;
		}
		if (c == '\0')
			continue;
		if (c == '\r' || c == '\n') {
			out[n++] = '\r';
			out[n++] = '\n';
			*state = c;
			continue;
		}
		out[n++] = c;
		*state = 0;
	}
	return n;
}
