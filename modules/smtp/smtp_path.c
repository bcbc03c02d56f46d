/* smtp_path.c - reverse-path and forward-path.
 *
 * RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3:
 *   Reverse-path  = Path / "<>"
 *   Forward-path  = Path                      ; and "<Postmaster>"
 *   Path          = "<" [ A-d-l ":" ] Mailbox ">"
 *   A-d-l         = At-domain *( "," At-domain )   ; ignored
 *   Mailbox       = Local-part "@" ( Domain / address-literal )
 *   Local-part    = Dot-string / Quoted-string
 *   Dot-string    = Atom *("." Atom)
 *   Quoted-string = DQUOTE *( %d32-33 / %d35-91 / %d93-126 / "\" %d32-126 ) DQUOTE
 *   Domain        = sub-domain *("." sub-domain)
 *   sub-domain    = Let-dig [Ldh-str]         ; / U-label
 *   address-literal = "[" ( IPv4 / "IPv6:" IPv6 / Standardized-tag ":" 1*dcontent ) "]"
 */
#include "smtp_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define LOCAL_MAX  255 /* RFC 5321 4.5.3.1.1: 64 at least; VERP and SRS need more */
#define DOMAIN_MAX 255
#define PATH_MAX_  512 /* with a source route */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_atext(char c, unsigned allowed)
{
	if ((unsigned char)c >= 0x80)
		return (allowed & PATH_UTF8) != 0;
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool smtp_is_utf8(struct kurir_str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0, j, len;
	uint32_t code;

	while (i < s.len) {
		if (p[i] < 0x80) {
			i++;
			continue;
		}
		len = p[i] >= 0xf0 ? 4 : p[i] >= 0xe0 ? 3 : 2;
		if (p[i] < 0xc2 || p[i] > 0xf4 || len > s.len - i)
			return false;
		code = p[i] & (0x7fu >> len);
		for (j = 1; j < len; j++) {
			if ((p[i + j] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i + j] & 0x3fu);
		}
		if ((len == 3 && code < 0x800) || (len == 4 && code < 0x10000) ||
		    code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 0xa0)
			return false;
		i += len;
	}
	return true;
}

static bool is_ip(int family, struct kurir_str s)
{
	unsigned char space[16];
	char text[64];

	if (s.len >= sizeof(text) || memchr(s.ptr, 0, s.len) != NULL)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return inet_pton(family, text, space) == 1;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent */
static bool is_tagged(struct kurir_str in)
{
	size_t i;

	for (i = 0; i < in.len && (is_alnum(in.ptr[i]) || in.ptr[i] == '-'); i++)
		;
	if (i == 0 || i + 1 >= in.len || in.ptr[i] != ':' || in.ptr[i - 1] == '-')
		return false;
	for (i++; i < in.len; i++)
		if (in.ptr[i] < '!' || in.ptr[i] > '~' || strchr("[\\]", in.ptr[i]) != NULL)
			return false;
	return true;
}

bool smtp_is_literal(struct kurir_str s)
{
	struct kurir_str in;

	if (s.len < 3 || s.len > 255 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
		return false;
	in = kurir_str_part(s, 1, s.len - 2);
	if (kurir_str_starts_nocase(in, KURIR_STR("IPv6:")))
		return is_ip(AF_INET6, kurir_str_part(in, 5, in.len));
	return is_ip(AF_INET, in) || is_tagged(in);
}

/* How many bytes at the start of s are a domain; 0: none. */
static size_t domain_length(struct kurir_str s, unsigned allowed)
{
	size_t i = 0, label = 0;

	while (i < s.len) {
		char c = s.ptr[i];
		bool letter = is_alnum(c) || c == '_' ||
		    ((unsigned char)c >= 0x80 && (allowed & PATH_UTF8) != 0);

		if (letter || (c == '-' && label > 0))
			label++;
		else if (c == '.' && label > 0 && s.ptr[i - 1] != '-')
			label = 0;
		else
			break;
		if (label > 63 && (allowed & PATH_UTF8) == 0)
			return 0;
		i++;
	}
	if (label == 0 || s.ptr[i - 1] == '-')
		return 0;
	return i;
}

bool smtp_is_domain(struct kurir_str s, unsigned allowed)
{
	return s.len <= DOMAIN_MAX && domain_length(s, allowed) == s.len && s.len > 0;
}

static bool is_dot_string(const char *p, size_t n, unsigned allowed)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] == '.') {
			if (i == 0 || i + 1 == n || p[i - 1] == '.')
				return false;
		} else if (!is_atext(p[i], allowed)) {
			return false;
		}
	return n > 0;
}

/* Takes a quoted string; out gets it in its shortest form (room: 2 + 2 * LOCAL_MAX). */
static int quoted(
    struct kurir_str s, unsigned allowed, size_t *ret_used, char *out, size_t *ret_len)
{
	char plain[LOCAL_MAX];
	size_t i, n = 0, len = 0;

	for (i = 1; i < s.len && s.ptr[i] != '"'; i++) {
		char c = s.ptr[i];

		if (c == '\\') {
			if (++i == s.len)
				return -EINVAL;
			c = s.ptr[i];
			if ((unsigned char)c >= 0x80)
				return -EINVAL;
		}
		if ((unsigned char)c < ' ' || c == 0x7f)
			return -EINVAL;
		if ((unsigned char)c >= 0x80 && (allowed & PATH_UTF8) == 0)
			return -EILSEQ;
		if (n == sizeof(plain))
			return -EMSGSIZE;
		plain[n++] = c;
	}
	if (i == s.len)
		return -EINVAL;
	*ret_used = i + 1;
	if (is_dot_string(plain, n, allowed)) {
		memcpy(out, plain, n);
		*ret_len = n;
		return 0;
	}
	out[len++] = '"';
	for (i = 0; i < n; i++) {
		if (plain[i] == '"' || plain[i] == '\\')
			out[len++] = '\\';
		out[len++] = plain[i];
	}
	out[len++] = '"';
	*ret_len = len;
	return 0;
}

/* "@one,@two:" is taken and forgotten (RFC 5321 appendix C). */
static int source_route(struct kurir_str *s, unsigned allowed)
{
	for (;;) {
		size_t n;

		if (s->len == 0 || s->ptr[0] != '@')
			return -EINVAL;
		*s = kurir_str_part(*s, 1, s->len);
		n = domain_length(*s, allowed);
		if (n == 0 || n == s->len)
			return -EINVAL;
		*s = kurir_str_part(*s, n, s->len);
		if (s->ptr[0] != ':' && s->ptr[0] != ',')
			return -EINVAL;
		*s = kurir_str_part(*s, 1, s->len);
		if (s->ptr[-1] == ':')
			return 0;
	}
}

static int local_part(struct kurir_str *s, unsigned allowed, char *out, size_t *ret_len)
{
	size_t i;
	int r;

	if (s->len > 0 && s->ptr[0] == '"') {
		r = quoted(*s, allowed, &i, out, ret_len);
		if (r < 0)
			return r;
	} else {
		for (i = 0; i < s->len && (s->ptr[i] == '.' || is_atext(s->ptr[i], allowed)); i++)
			;
		if (i < s->len && (unsigned char)s->ptr[i] >= 0x80)
			return -EILSEQ;
		if (i > LOCAL_MAX)
			return -EMSGSIZE;
		if (!is_dot_string(s->ptr, i, allowed))
			return -EINVAL;
		memcpy(out, s->ptr, i);
		*ret_len = i;
	}
	*s = kurir_str_part(*s, i, s->len);
	return 0;
}

static int domain_part(struct kurir_str *s, unsigned allowed, struct kurir_str *ret)
{
	ssize_t close = kurir_str_find(*s, ']');
	size_t n;

	if (s->len > 0 && s->ptr[0] == '[') {
		n = close < 0 ? 0 : (size_t)close + 1;
		if (n == 0 || !smtp_is_literal(kurir_str_part(*s, 0, n)))
			return -EINVAL;
	} else {
		n = domain_length(*s, allowed);
		if (n < s->len && (unsigned char)s->ptr[n] >= 0x80)
			return -EILSEQ;
	}
	if (n == 0)
		return -EINVAL;
	if (n > DOMAIN_MAX)
		return -EMSGSIZE;
	*ret = kurir_str_part(*s, 0, n);
	*s = kurir_str_part(*s, n, s->len);
	return 0;
}

static int finish(struct kurir_str s, struct kurir_str *rest)
{
	if (s.len == 0 || s.ptr[0] != '>')
		return -EINVAL;
	*rest = kurir_str_part(s, 1, s.len);
	return 0;
}

int smtp_path(
    struct kurir_str *rest, unsigned allowed, struct kurir_arena *arena, struct kurir_str *ret)
{
	struct kurir_str s = *rest, domain;
	char local[2 + 2 * LOCAL_MAX];
	size_t n;
	int r;

	if (s.len < 2 || s.ptr[0] != '<')
		return -EINVAL;
	s = kurir_str_part(s, 1, s.len);
	if (s.ptr[0] == '>') {
		*ret = KURIR_STR("");
		return (allowed & PATH_NULL) != 0 ? finish(s, rest) : -EINVAL;
	}
	if ((allowed & PATH_POSTMASTER) != 0 &&
	    kurir_str_starts_nocase(s, KURIR_STR("postmaster>"))) {
		*ret = KURIR_STR("postmaster");
		return finish(kurir_str_part(s, 10, s.len), rest);
	}
	if (s.ptr[0] == '@') {
		r = source_route(&s, allowed);
		if (r < 0)
			return r;
	}
	r = local_part(&s, allowed, local, &n);
	if (r < 0)
		return r;
	if (s.len == 0 || s.ptr[0] != '@')
		return -EINVAL;
	s = kurir_str_part(s, 1, s.len);
	r = domain_part(&s, allowed, &domain);
	if (r < 0)
		return r;
	if (finish(s, &s) < 0)
		return -EINVAL;
	if ((size_t)(s.ptr - rest->ptr) > PATH_MAX_)
		return -EMSGSIZE;
	if (!smtp_is_utf8(kurir_str_part(*rest, 0, (size_t)(s.ptr - rest->ptr))))
		return -EILSEQ;
	domain = kurir_lower(arena, domain);
	*ret = kurir_format(arena, "%.*s@%.*s", (int)n, local, KURIR_ARG(domain));
	*rest = s;
	return 0;
}
