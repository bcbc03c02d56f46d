/* route_text.c - parses routes such as "smtp:[192.0.2.1]:2525".  No I/O, no memory. */
#include "route_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define SMTP_PORT 25
#define LMTP_PORT 24

static bool is_address(int family, struct kurir_str s)
{
	char text[64];
	unsigned char out[16];
	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 0, s.len) != NULL)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return inet_pton(family, text, out) == 1;
}

/* RFC 952, 1123: letters, digits, hyphens and dots; no empty label; 253 bytes at most. */
static bool is_name(struct kurir_str s)
{
	char before = '.';
	if (s.len == 0 || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '_';
		if (!letter && c != '-' && c != '.')
			return false;
		if ((c == '.' || c == '-') && before == '.')
			return false;
		before = c;
	}
	return before != '.' && before != '-';
}

static int parse_port(struct kurir_str s, uint16_t *ret)
{
	uint64_t n;
	if (kurir_str_number(s, UINT16_MAX, &n) < 0 || n == 0)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

/*
 * route     = transport ":" ( place [ ":" port ] / path )
 * transport = "smtp" / "lmtp"
 * place     = host-name / "[" ( IPv4 / IPv6 ) "]" / IPv4
 * path      = "unix:/" *CHAR            ; lmtp only
 * port      = 1*5DIGIT                  ; 25 for smtp, 24 for lmtp
 */
int route_text_parse(struct kurir_str s, struct route_text *ret, const char **ret_error)
{
	struct route_text t = { .transport = KURIR_STR("smtp"), .port = SMTP_PORT };
	if (kurir_str_starts(s, KURIR_STR("lmtp:"))) {
		t.transport = KURIR_STR("lmtp");
		t.port = LMTP_PORT;
	} else if (!kurir_str_starts(s, KURIR_STR("smtp:"))) {
		*ret_error = "must begin with \"smtp:\" or \"lmtp:\"";
		return -EINVAL;
	}
	s = kurir_str_part(s, 5, s.len);
	if (kurir_str_starts(s, KURIR_STR("unix:/"))) {
		if (!kurir_str_equal(t.transport, KURIR_STR("lmtp")) || s.len > 100 ||
		    memchr(s.ptr, '\0', s.len) != NULL) {
			*ret_error =
			    "has a socket path, which only \"lmtp:\" takes, up to 95 bytes";
			return -EINVAL;
		}
		t.host = s;
		t.literal = true;
		*ret = t;
		return 0;
	}
	struct kurir_str rest;
	if (s.len > 0 && s.ptr[0] == '[') {
		ssize_t end = kurir_str_find(s, ']');
		t.host = kurir_str_part(s, 1, end > 0 ? (size_t)end - 1 : 0);
		t.literal = true;
		if (end < 0 || (!is_address(AF_INET, t.host) && !is_address(AF_INET6, t.host))) {
			*ret_error = "has no IP address between [ and ]";
			return -EINVAL;
		}
		rest = kurir_str_part(s, (size_t)end + 1, s.len);
	} else {
		ssize_t colon = kurir_str_find(s, ':');
		t.host = kurir_str_part(s, 0, colon < 0 ? s.len : (size_t)colon);
		rest = kurir_str_part(s, t.host.len, s.len);
		t.literal = is_address(AF_INET, t.host);
		if (!t.literal && !is_name(t.host)) {
			*ret_error = "names no host (an IPv6 address stands in [ ])";
			return -EINVAL;
		}
	}
	if (rest.len > 0 &&
	    (rest.ptr[0] != ':' || parse_port(kurir_str_part(rest, 1, rest.len), &t.port) < 0)) {
		*ret_error = "ends with something that is no port from 1 to 65535";
		return -EINVAL;
	}
	*ret = t;
	return 0;
}

struct kurir_str route_text_address(struct kurir_arena *arena, const struct route_text *t)
{
	if (kurir_str_starts(t->host, KURIR_STR("unix:")))
		return t->host;
	if (kurir_str_find(t->host, ':') >= 0)
		return kurir_format(arena, "[%.*s]:%u", KURIR_ARG(t->host), t->port);
	return kurir_format(arena, "%.*s:%u", KURIR_ARG(t->host), t->port);
}

/* pattern = "*" / "." domain / domain */
bool route_text_matches(struct kurir_str pattern, struct kurir_str domain)
{
	if (kurir_str_equal(pattern, KURIR_STR("*")))
		return true;
	if (pattern.len > 0 && pattern.ptr[0] == '.')
		return domain.len > pattern.len &&
		    kurir_str_equal_nocase(
			kurir_str_part(domain, domain.len - pattern.len, pattern.len), pattern);
	return kurir_str_equal_nocase(pattern, domain);
}
