/* tool_imap.c - the connection: TLS, who we are, commands, and responses with their literals. */
#include "tool_imap.h"

#include <kurir/auth.h>

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define RESPONSE_MAX ((size_t)1 << 20)
#define COMMAND_MAX  ((uint64_t)64 << 20) /* what one command is answered with, but for bodies */
#define WAIT_SECONDS 120

static int fail(struct imap *c, int r, const char *fmt, ...) KURIR_FMT(3);
static int fail(struct imap *c, int r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(c->said, sizeof(c->said), fmt, ap);
	va_end(ap);
	for (char *p = c->said; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return r;
}

/* user@host[:port][/]; the user's name may have %XX. */
static int hex(char c)
{
	return c >= '0' && c <= '9'		 ? c - '0'
	    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
						 : -1;
}

static int decode(struct kurir_arena *arena, struct kurir_str s, struct kurir_str *ret)
{
	char *to = kurir_alloc(arena, s.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++, n++) {
		to[n] = s.ptr[i];
		if (s.ptr[i] != '%')
			continue;
		int high = i + 2 < s.len ? hex(s.ptr[i + 1]) : -1;
		int low = i + 2 < s.len ? hex(s.ptr[i + 2]) : -1;
		if (high < 0 || low < 0 || high + low == 0)
			return -EINVAL;
		to[n] = (char)(high << 4 | low);
		i += 2;
	}
	*ret = (struct kurir_str){ to, n };
	return n > 0 ? 0 : -EINVAL;
}

/* host = 1*(any but ":" and "]") / "[" address "]"        [ ":" port ] */
static int host_of(struct kurir_arena *arena, struct kurir_str s, struct imap_source *ret)
{
	uint64_t port;
	bool literal = s.len > 0 && s.ptr[0] == '[';
	ssize_t end = literal ? kurir_str_find(s, ']') : kurir_str_find(s, ':');
	struct kurir_str host =
	    kurir_str_part(s, literal, end < 0 ? s.len : (size_t)end - literal);
	struct kurir_str rest =
	    end < 0 ? KURIR_STR("") : kurir_str_part(s, (size_t)end + literal, s.len);
	if (host.len == 0 || (literal && end < 0))
		return -EINVAL;
	ret->host = kurir_copy(arena, host).ptr;
	ret->port = ret->implicit ? "993" : "143";
	if (rest.len == 0)
		return 0;
	rest = rest.ptr[0] == ':' ? kurir_str_part(rest, 1, rest.len) : KURIR_STR("");
	ret->port = kurir_copy(arena, rest).ptr;
	return kurir_str_number(rest, 65535, &port) < 0 || port == 0 ? -EINVAL : 0;
}

int imap_url(struct kurir_arena *arena, const char *url, struct imap_source *ret)
{
	struct kurir_str s = kurir_str_of(url);
	ret->implicit = kurir_str_starts_nocase(s, KURIR_STR("imaps://"));
	if (!ret->implicit && !kurir_str_starts_nocase(s, KURIR_STR("imap://")))
		return -EINVAL;
	s = kurir_str_part(s, ret->implicit ? 8 : 7, s.len);
	ssize_t at = kurir_str_find_last(s, '@'), slash;
	if (at < 0 || decode(arena, kurir_str_part(s, 0, (size_t)at), &ret->user) < 0)
		return -EINVAL;
	s = kurir_str_part(s, (size_t)at + 1, s.len);
	slash = kurir_str_find(s, '/');
	if (slash >= 0 && (size_t)slash + 1 != s.len)
		return -EINVAL;
	s = kurir_str_part(s, 0, slash < 0 ? s.len : (size_t)slash);
	return host_of(arena, s, ret);
}

static int tls_error(struct imap *c, int n)
{
	int e = errno, kind = SSL_get_error(c->ssl, n);
	unsigned long why = ERR_get_error();
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE ||
	    (kind == SSL_ERROR_SYSCALL && (e == EAGAIN || e == EWOULDBLOCK)))
		return fail(c, -ETIMEDOUT, "the server is silent");
	if (kind == SSL_ERROR_SSL && SSL_get_verify_result(c->ssl) != X509_V_OK)
		return fail(c, -EACCES, "its certificate is not good: %s",
		    X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
	if (kind == SSL_ERROR_SSL && why != 0)
		return fail(c, -ECONNRESET, "TLS: %s", ERR_reason_error_string(why));
	return fail(c, -ECONNRESET, "the connection was closed");
}

static int fill(struct imap *c)
{
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, c->in, sizeof(c->in))
				   : recv(c->fd, c->in, sizeof(c->in), 0);
	if (n <= 0 && c->ssl != NULL)
		return tls_error(c, (int)n);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return fail(c, -ETIMEDOUT, "the server is silent");
	if (n <= 0)
		return fail(c, -ECONNRESET, "the connection was closed");
	c->at = 0;
	c->have = (size_t)n;
	return 0;
}

static int put(struct imap *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = c->ssl != NULL ? SSL_write(c->ssl, p, (int)n)
					      : send(c->fd, p, n, MSG_NOSIGNAL);
		if (done <= 0)
			return c->ssl != NULL ? tls_error(c, (int)done)
					      : fail(c, -ECONNRESET, "the connection was closed");
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Up to n bytes of what came; at least one. */
static int some(struct imap *c, size_t n, struct kurir_str *ret)
{
	int r = c->at == c->have ? fill(c) : 0;
	if (r < 0)
		return r;
	size_t there = c->have - c->at;
	*ret = (struct kurir_str){ c->in + c->at, there < n ? there : n };
	c->at += ret->len;
	return 0;
}

static int add_text(struct imap *c, struct kurir_str s)
{
	if (s.len > c->left || kurir_buf_add(&c->text, s) < 0)
		return fail(c, -EMSGSIZE, "the server says more than can be");
	c->left -= s.len;
	return 0;
}

static int read_line(struct imap *c)
{
	struct kurir_str s;
	bool end = false;
	while (!end) {
		int r = c->at == c->have ? fill(c) : 0;
		if (r < 0)
			return r;
		const char *lf = memchr(c->in + c->at, '\n', c->have - c->at);
		end = lf != NULL;
		r = some(c, end ? (size_t)(lf - (c->in + c->at)) + 1 : c->have, &s);
		if (r == 0)
			r = add_text(c, s);
		if (r < 0)
			return r;
	}
	while (c->text.len > 0 && strchr("\r\n", c->text.ptr[c->text.len - 1]) != NULL)
		c->text.len--;
	c->text.ptr[c->text.len] = '\0';
	return 0;
}

static int read_literal(struct imap *c, uint64_t n)
{
	int r = add_text(c, KURIR_STR("\r\n"));
	while (r == 0 && n > 0) {
		struct kurir_str s;
		r = some(c, n < sizeof(c->in) ? (size_t)n : sizeof(c->in), &s);
		if (r == 0)
			r = add_text(c, s);
		if (r == 0)
			n -= s.len;
	}
	return r;
}

/* A body goes into the file; in the response an empty string is left of it. */
static int read_body(struct imap *c, uint64_t n, size_t brace)
{
	int r = c->body_end != c->body_at ? fail(c, -EPROTO, "two bodies of one message") : 0;
	if (r == 0 && n > IMAP_BODY_MAX)
		r = fail(c, -EMSGSIZE, "a message of %llu bytes", (unsigned long long)n);
	while (r == 0 && n > 0) {
		struct kurir_str s;
		r = some(c, n < sizeof(c->in) ? (size_t)n : sizeof(c->in), &s);
		ssize_t done = r < 0 ? 0 : pwrite(c->body_fd, s.ptr, s.len, (off_t)c->body_end);
		if (r == 0 && done != (ssize_t)s.len)
			r = fail(c, done < 0 ? -errno : -ENOSPC, "no room for a message");
		c->body_end += r == 0 ? s.len : 0;
		n -= r == 0 ? s.len : 0;
	}
	c->text.len = brace;
	return r < 0 ? r : add_text(c, KURIR_STR("\"\""));
}

/* literal = "{" number "}" CRLF *CHAR8; where its brace stands. */
static bool literal_at(struct kurir_str s, size_t *brace, uint64_t *length)
{
	if (s.len < 3 || s.ptr[s.len - 1] != '}')
		return false;
	ssize_t at = kurir_str_find_last(s, '{');
	if (at < 0 ||
	    kurir_str_number(kurir_str_part(s, (size_t)at + 1, s.len - (size_t)at - 2),
		UINT64_MAX >> 1, length) < 0)
		return false;
	*brace = (size_t)at;
	return true;
}

/* Those end with a text for people, which may look like a literal. */
static bool is_status(struct kurir_str s)
{
	static const char *const words[] = { "* OK ", "* NO ", "* BAD ", "* BYE ", "* PREAUTH ",
		"+" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (kurir_str_starts_nocase(s, kurir_str_of(words[i])))
			return true;
	return !kurir_str_starts(s, KURIR_STR("* "));
}

static int read_response(struct imap *c)
{
	static const char body[] = " BODY[] ", first[] = "(BODY[] ";
	size_t brace;
	uint64_t n;
	kurir_buf_clear(&c->text);
	c->body_at = c->body_end;
	for (;;) {
		int r = read_line(c);
		struct kurir_str s = kurir_buf_str(&c->text);
		if (r < 0 || is_status(s) || !literal_at(s, &brace, &n))
			return r;
		struct kurir_str before =
		    brace < 8 ? KURIR_STR("") : kurir_str_part(s, brace - 8, 8);
		bool is_body = kurir_str_equal_nocase(before, kurir_str_of(body)) ||
		    kurir_str_equal_nocase(before, kurir_str_of(first));
		r = is_body && c->body_fd >= 0 ? read_body(c, n, brace) : read_literal(c, n);
		if (r < 0)
			return r;
	}
}

static int note_abilities(struct imap *c, struct kurir_str s)
{
	kurir_buf_clear(&c->can);
	int r = kurir_buf_add(&c->can, KURIR_STR(" "));
	if (r == 0)
		r = kurir_buf_add(&c->can, s);
	if (r == 0)
		r = kurir_buf_add(&c->can, KURIR_STR(" "));
	if (r < 0)
		return fail(c, -EMSGSIZE, "the server says more than can be");
	for (size_t i = 0; i < c->can.len; i++)
		c->can.ptr[i] = (char)toupper((unsigned char)c->can.ptr[i]);
	return 0;
}

bool imap_can(const struct imap *c, const char *capability)
{
	char word[64];
	(void)snprintf(word, sizeof(word), " %s ", capability);
	return c->can.ptr != NULL && strstr(c->can.ptr, word) != NULL;
}

/* The end of a command: tag SP ("OK" / "NO" / "BAD") SP text. */
static int result(struct imap *c, struct kurir_str s)
{
	struct kurir_str text = kurir_str_part(s, 0, 180);
	if (kurir_str_starts_nocase(s, KURIR_STR("OK")))
		return 0;
	return fail(c, kurir_str_starts_nocase(s, KURIR_STR("NO")) ? -EPERM : -EPROTO,
	    "the server says: %.*s", KURIR_ARG(text));
}

/* Responses until the end of the command, or until "+", which is 1. */
static int answers(struct imap *c, imap_see *see, void *arg)
{
	char tag[24];
	int n = snprintf(tag, sizeof(tag), "K%u ", c->commands), r;
	for (;;) {
		if ((r = read_response(c)) < 0)
			return r;
		struct kurir_str s = kurir_buf_str(&c->text);
		if (kurir_str_starts(s, KURIR_STR("+")))
			return 1;
		if (kurir_str_starts(s, kurir_str_of(tag)))
			return result(c, kurir_str_part(s, (size_t)n, s.len));
		if (!kurir_str_starts(s, KURIR_STR("* ")))
			return fail(c, -EPROTO, "the server says what is no response");
		s = kurir_str_part(s, 2, s.len);
		if (kurir_str_starts_nocase(s, KURIR_STR("BYE")))
			return result(c, s) == 0 ? -EPROTO : -ECONNRESET;
		if (kurir_str_starts_nocase(s, KURIR_STR("CAPABILITY ")))
			r = note_abilities(c, kurir_str_part(s, 11, s.len));
		if (r == 0 && see != NULL)
			r = see(arg, s);
		if (r < 0)
			return c->said[0] != '\0'
			    ? r
			    : fail(c, r, "its answer: %s",
				  r == -EPROTO ? "it makes no sense" : strerror(-r));
	}
}

static int send_command(struct imap *c, struct kurir_str command)
{
	char tag[24];
	c->commands++;
	c->left = COMMAND_MAX;
	c->said[0] = '\0';
	int n = snprintf(tag, sizeof(tag), "K%u ", c->commands);
	kurir_buf_clear(&c->text);
	int r = kurir_buf_add(&c->text, (struct kurir_str){ tag, (size_t)n });
	if (r == 0)
		r = kurir_buf_add(&c->text, command);
	if (r == 0)
		r = kurir_buf_add(&c->text, KURIR_STR("\r\n"));
	return r < 0 ? r : put(c, c->text.ptr, c->text.len);
}

int imap_ask(struct imap *c, imap_see *see, void *arg, struct kurir_str command)
{
	int r = send_command(c, command);
	if (r == 0)
		r = answers(c, see, arg);
	return r == 1 ? fail(c, -EPROTO, "the server wants more where nothing is to come") : r;
}

static int connect_to(struct imap *c, const struct imap_source *from)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	struct timeval wait = { .tv_sec = WAIT_SECONDS };
	int r = getaddrinfo(from->host, from->port, &want, &all);
	if (r != 0)
		return fail(c, -EHOSTUNREACH, "%s: %s", from->host, gai_strerror(r));
	r = -EHOSTUNREACH;
	for (struct addrinfo *a = all; a != NULL && r < 0; a = a->ai_next) {
		c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0)
			continue;
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		r = connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
		if (r < 0) {
			close(c->fd);
			c->fd = -1;
		}
	}
	freeaddrinfo(all);
	return r < 0 ? fail(c, r, "cannot connect: %s", strerror(-r)) : 0;
}

static int begin_tls(struct imap *c, const struct imap_source *from)
{
	if (c->at != c->have) /* said before it could be trusted */
		return fail(c, -EPROTO, "the server says something between STARTTLS and TLS");
	c->trust = SSL_CTX_new(TLS_client_method());
	if (c->trust == NULL)
		return fail(c, -ENOMEM, "no TLS");
	(void)SSL_CTX_set_min_proto_version(c->trust, TLS1_2_VERSION);
	SSL_CTX_set_verify(c->trust, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(c->trust, SSL_MODE_AUTO_RETRY);
	if ((from->ca != NULL ? SSL_CTX_load_verify_locations(c->trust, from->ca, NULL)
			      : SSL_CTX_set_default_verify_paths(c->trust)) != 1)
		return fail(c, -EINVAL, "%s: no certificates can be read there",
		    from->ca != NULL ? from->ca : "the system's folder");
	c->ssl = SSL_new(c->trust);
	if (c->ssl == NULL)
		return fail(c, -ENOMEM, "no TLS");
	bool address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), from->host) == 1;
	if ((!address &&
		(SSL_set1_host(c->ssl, from->host) != 1 ||
		    SSL_set_tlsext_host_name(c->ssl, from->host) != 1)) ||
	    SSL_set_fd(c->ssl, c->fd) != 1)
		return fail(c, -EINVAL, "%s: no such name can be", from->host);
	ERR_clear_error();
	int n = SSL_connect(c->ssl);
	return n == 1 ? 0 : tls_error(c, n);
}

static int greeting(struct imap *c)
{
	c->left = COMMAND_MAX;
	int r = read_response(c);
	struct kurir_str s = kurir_buf_str(&c->text);
	if (r < 0)
		return r;
	if (kurir_str_starts_nocase(s, KURIR_STR("* OK")))
		return 0;
	s = kurir_str_part(s, 0, 150);
	return fail(c, -EPROTO, "the server begins with: %.*s", KURIR_ARG(s));
}

static bool quotable(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] > '~')
			return false;
	return true;
}

/* RFC 4616, or LOGIN of those that have nothing else. */
static int log_in(struct imap *c, const struct imap_source *from)
{
	struct kurir_arena *arena = kurir_arena_new("login");
	struct kurir_str s;
	int r;
	if (imap_can(c, "AUTH=PLAIN")) {
		char *plain = kurir_alloc(arena, from->user.len + from->password.len + 2);
		memcpy(plain + 1, from->user.ptr, from->user.len);
		memcpy(plain + from->user.len + 2, from->password.ptr, from->password.len);
		s = kurir_base64_encode(
		    arena, (struct kurir_str){ plain, from->user.len + from->password.len + 2 });
		r = send_command(c, KURIR_STR("AUTHENTICATE PLAIN"));
		if (r == 0)
			r = answers(c, NULL, NULL);
		if (r == 0)
			r = fail(c, -EPROTO, "the server lets anybody in");
		if (r == 1)
			r = put(c, s.ptr, s.len);
		if (r == 0)
			r = put(c, "\r\n", 2);
		if (r == 0)
			r = answers(c, NULL, NULL);
		OPENSSL_cleanse((void *)(uintptr_t)s.ptr, s.len);
		OPENSSL_cleanse(plain, from->user.len + from->password.len + 2);
	} else if (!quotable(from->user) || !quotable(from->password)) {
		r = fail(c, -EINVAL,
		    "the server has no AUTH=PLAIN, which this name or password needs");
	} else {
		s = kurir_format(arena, "LOGIN %.*s %.*s",
		    KURIR_ARG(imap_quote(arena, from->user)),
		    KURIR_ARG(imap_quote(arena, from->password)));
		r = imap_ask(c, NULL, NULL, s);
		OPENSSL_cleanse((void *)(uintptr_t)s.ptr, s.len);
	}
	kurir_arena_free(arena);
	return r == 1 ? fail(c, -EPROTO, "the server asks on") : r;
}

int imap_open(struct imap *c, const struct imap_source *from)
{
	(void)signal(SIGPIPE, SIG_IGN);
	int r = connect_to(c, from);
	if (r == 0 && from->implicit)
		r = begin_tls(c, from);
	if (r == 0)
		r = greeting(c);
	if (r == 0 && !from->implicit) {
		r = imap_ask(c, NULL, NULL, KURIR_STR("STARTTLS"));
		if (r == -EPERM || r == -EPROTO)
			r = fail(c, r, "the server has no STARTTLS; imaps://... may be right");
		if (r == 0)
			r = begin_tls(c, from);
	}
	if (r == 0)
		r = imap_ask(c, NULL, NULL, KURIR_STR("CAPABILITY"));
	if (r == 0)
		r = log_in(c, from);
	return r < 0 ? r : imap_ask(c, NULL, NULL, KURIR_STR("CAPABILITY"));
}

void imap_close(struct imap *c)
{
	if (c->ssl != NULL)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	SSL_CTX_free(c->trust);
	if (c->fd >= 0)
		close(c->fd);
	if (c->text.ptr != NULL)
		OPENSSL_cleanse(c->text.ptr, c->text.room);
	kurir_buf_free(&c->text);
	kurir_buf_free(&c->can);
	c->ssl = NULL;
	c->trust = NULL;
	c->fd = -1;
}
