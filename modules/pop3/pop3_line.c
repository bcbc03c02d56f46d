/* pop3_line.c - one command line into words.  No I/O, no opinion.
 *
 *   command = keyword *(SP argument) CRLF           ; RFC 1939 section 3
 *   keyword, argument: printable US-ASCII; PASS takes the whole rest of the line, and UTF-8. */

#include <errno.h>

#include "pop3.h"

int pop3_split(struct kurir_str line, struct kurir_str words[POP3_WORDS])
{
	int n = 0;
	bool pass = kurir_str_starts_nocase(line, KURIR_STR("PASS "));

	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.ptr[i] < 32 || line.ptr[i] == 127)
			return -EBADMSG;
	if (pass) {
		words[0] = kurir_str_part(line, 0, 4);
		words[1] = kurir_str_part(line, 5, line.len);
		return 2;
	}
	while (line.len > 0 && n < POP3_WORDS) {
		ssize_t space = kurir_str_find(line, ' ');

		if (space == 0) {
			line = kurir_str_part(line, 1, line.len);
			continue;
		}
		if (space < 0 || n == POP3_WORDS - 1)
			space = (ssize_t)line.len;
		words[n++] = kurir_str_part(line, 0, (size_t)space);
		line = kurir_str_part(line, (size_t)space, line.len);
	}
	return n;
}

int pop3_number(struct kurir_str s, uint64_t *ret)
{
	if (s.len > 10)
		return -EINVAL;
	return kurir_str_number(s, UINT32_MAX, ret) < 0 ? -EINVAL : 0;
}
