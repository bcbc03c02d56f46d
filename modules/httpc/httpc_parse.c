/* httpc_parse.c - the lines of an answer (RFC 9112).
 *
 *   status-line = "HTTP/1." DIGIT SP 3DIGIT [ SP text ]         section 4
 *   field-line  = token ":" OWS value OWS                       section 5; folded lines are
 * refused
 *   chunk       = 1*HEXDIG [ chunk-ext ] CRLF                   section 7.1
 *
 * Content-Length and Transfer-Encoding together, two different lengths, and any coding but
 * chunked are refused: nobody knows then where the answer ends (section 6.3). */
#include "httpc.h"

#include <errno.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int http_parse_status(struct kurir_str line, struct http_head *ret)
{
	const struct kurir_str begin = KURIR_STR("HTTP/1.");

	*ret = (struct http_head){ 0 };
	if (line.len < begin.len + 5 || !kurir_str_starts(line, begin) ||
	    !is_digit(line.ptr[7]) || line.ptr[8] != ' ' || !is_digit(line.ptr[9]) ||
	    !is_digit(line.ptr[10]) || !is_digit(line.ptr[11]) ||
	    (line.len > 12 && line.ptr[12] != ' '))
		return -EPROTO;
	ret->minor = line.ptr[7] != '0';
	ret->status = (unsigned)((line.ptr[9] - '0') * 100 + (line.ptr[10] - '0') * 10 +
	    (line.ptr[11] - '0'));
	return ret->status >= 100 ? 0 : -EPROTO;
}

static int number(struct kurir_str text, uint64_t *ret)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 18)
		return -EPROTO;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.ptr[i]))
			return -EPROTO;
		n = n * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	*ret = n;
	return 0;
}

int http_parse_field(struct kurir_str line, struct http_head *head)
{
	ssize_t colon = kurir_str_find(line, ':');
	struct kurir_str name, value;
	uint64_t length;

	if (colon <= 0)
		return -EPROTO;
	name = kurir_str_part(line, 0, (size_t)colon);
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
			return -EPROTO;
	value = kurir_str_trim(kurir_str_part(line, (size_t)colon + 1, line.len));
	if (kurir_str_equal_nocase(name, KURIR_STR("Content-Length"))) {
		if (number(value, &length) < 0 || head->chunked ||
		    (head->has_length && head->length != length))
			return -EPROTO;
		head->has_length = true;
		head->length = length;
	} else if (kurir_str_equal_nocase(name, KURIR_STR("Transfer-Encoding"))) {
		if (!kurir_str_equal_nocase(value, KURIR_STR("chunked")) || head->has_length ||
		    head->chunked)
			return -EPROTO;
		head->chunked = true;
	} else if (kurir_str_equal_nocase(name, KURIR_STR("Connection"))) {
		head->close |= kurir_str_equal_nocase(value, KURIR_STR("close"));
		head->keep |= kurir_str_equal_nocase(value, KURIR_STR("keep-alive"));
	}
	return 0;
}

static int hex(char c)
{
	if (c >= 'a')
		c = (char)(c - 'a' + 'A');
	return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int http_parse_chunk(struct kurir_str line, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < line.len && hex(line.ptr[i]) >= 0; i++) {
		if (i == 15)
			return -EPROTO;
		n = n << 4 | (uint64_t)hex(line.ptr[i]);
	}
	if (i == 0 || (i < line.len && line.ptr[i] != ';' && line.ptr[i] != ' '))
		return -EPROTO;
	*ret = n;
	return 0;
}
