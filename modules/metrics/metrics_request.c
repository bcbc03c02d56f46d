/* metrics_request.c - the head of an HTTP request.
 *
 * RFC 9112 3:     request-line   = method SP request-target SP HTTP-version
 *                 request-target = absolute-path [ "?" query ] / "http://" authority ...
 *                 HTTP-version   = "HTTP/1." DIGIT
 * RFC 9112 5:     field-line     = field-name ":" OWS field-value OWS
 * RFC 9110 5.6.2: method and field-name are tokens */
#include "metrics.h"

#include <errno.h>
#include <string.h>

static bool is_token(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
			return false;
	}
	return s.len > 0;
}

static bool is_visible(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '!' || s.ptr[i] > '~')
			return false;
	return s.len > 0;
}

int metrics_request(struct kurir_str line, struct metrics_request *ret)
{
	const struct kurir_str http = KURIR_STR("http://");
	ssize_t first = kurir_str_find(line, ' '), last = kurir_str_find_last(line, ' '), at;
	struct kurir_str method, target, version;

	if (first < 0 || first == last)
		return -EINVAL;
	method = kurir_str_part(line, 0, (size_t)first);
	target = kurir_str_part(line, (size_t)first + 1, (size_t)(last - first) - 1);
	version = kurir_str_part(line, (size_t)last + 1, line.len);
	if (!is_token(method) || !is_visible(target))
		return -EINVAL;
	if (version.len != 8 || !kurir_str_starts(version, KURIR_STR("HTTP/1.")) ||
	    version.ptr[7] < '0' || version.ptr[7] > '9')
		return -EPROTO;
	if (kurir_str_starts_nocase(target, http)) {
		target = kurir_str_part(target, http.len, target.len);
		at = kurir_str_find(target, '/');
		target = at < 0 ? KURIR_STR("/") : kurir_str_part(target, (size_t)at, target.len);
	}
	at = kurir_str_find(target, '?');
	ret->method = method;
	ret->path = at < 0 ? target : kurir_str_part(target, 0, (size_t)at);
	ret->host_needed = version.ptr[7] != '0';
	return 0;
}

int metrics_field(struct kurir_str line, struct kurir_str name)
{
	ssize_t colon = kurir_str_find(line, ':');

	if (colon < 0 || !is_token(kurir_str_part(line, 0, (size_t)colon)))
		return -EINVAL;
	return kurir_str_equal_nocase(kurir_str_part(line, 0, (size_t)colon), name);
}
