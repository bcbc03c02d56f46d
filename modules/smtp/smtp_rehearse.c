/* smtp_rehearse.c - plays the client of a session, for "kurirctl explain --simulate".
 *
 * Each command waits for the reply to the one before, so that what the hooks said is told
 * reply by reply.  It goes on as far as a client would: no message without a recipient. */
#include "smtp_private.h"

#include <errno.h>
#include <string.h>

struct client {
	struct kurir_stream *io;
	const struct kurir_rehearsal *r;
	bool lmtp;
	unsigned accepted;
};

/* RFC 5321 4.2:  Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP ... ] CRLF
 * The code, or -errno; the server's end of the stream is -EPIPE. */
KURIR_PARKS static int hear(struct client *c, const char *point, struct kurir_str about)
{
	struct kurir_buf text = KURIR_BUF(16384);
	struct kurir_str l;
	bool more = true;
	uint64_t code = 0;
	int r = 0;

	while (more && r >= 0) {
		r = kurir_readline(c->io, 4096, &l, c->r->until);
		if (r <= 0) {
			r = r < 0 ? r : -EPIPE;
			break;
		}
		l = kurir_str_trim(l);
		if (l.len < 3 || kurir_str_number(kurir_str_part(l, 0, 3), 999, &code) < 0)
			r = -EPROTO;
		more = l.len > 3 && l.ptr[3] == '-';
		if (text.len > 0)
			(void)kurir_buf_add(&text, KURIR_STR(" "));
		(void)kurir_buf_add(&text, kurir_str_part(l, 4, l.len));
	}
	if (r >= 0)
		c->r->said(c->r->arg, point, about, (int)code, kurir_buf_str(&text));
	kurir_buf_free(&text);
	return r < 0 ? r : (int)code;
}

KURIR_PARKS static int say(
    struct client *c, const char *point, struct kurir_str about, struct kurir_str line)
{
	int r = kurir_write(c->io, line);

	if (r >= 0)
		r = kurir_write(c->io, KURIR_STR("\r\n"));
	if (r >= 0)
		r = kurir_flush(c->io, c->r->until);
	return r < 0 ? r : hear(c, point, about);
}

static bool has_eighth_bit(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] & 0x80) != 0)
			return true;
	return false;
}

static bool needs_utf8(const struct kurir_rehearsal *r)
{
	bool needs = has_eighth_bit(r->sender);

	for (size_t i = 0; i < r->recipients.count && !needs; i++)
		needs = has_eighth_bit(r->recipients.items[i]);
	return needs;
}

/* A line at a time: its end is CRLF, and a dot before it is doubled (RFC 5321 4.5.2). */
KURIR_PARKS static int put_message(struct client *c)
{
	struct kurir_str rest = c->r->message;
	int r = 0;

	while (rest.len > 0 && r >= 0) {
		ssize_t end = kurir_str_find(rest, '\n');
		size_t n = end < 0 ? rest.len : (size_t)end;
		struct kurir_str line = kurir_str_part(rest, 0, n);

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len > 0 && line.ptr[0] == '.')
			r = kurir_write(c->io, KURIR_STR("."));
		if (r >= 0)
			r = kurir_write(c->io, line);
		if (r >= 0)
			r = kurir_write(c->io, KURIR_STR("\r\n"));
		rest = kurir_str_part(rest, n + 1, rest.len);
	}
	if (r >= 0)
		r = kurir_write(c->io, KURIR_STR(".\r\n"));
	return r < 0 ? r : kurir_flush(c->io, c->r->until);
}

KURIR_PARKS static int send_message(struct client *c)
{
	int r = say(c, "data", KURIR_STR(""), KURIR_STR("DATA"));
	unsigned replies = c->lmtp ? c->accepted : 1; /* RFC 2033 4.2 */

	if (r != 354)
		return r;
	r = put_message(c);
	for (unsigned i = 0; i < replies && r >= 0; i++)
		r = hear(c, "message", KURIR_STR(""));
	return r;
}

KURIR_PARKS static int log_in(struct client *c)
{
	struct kurir_arena *a = kurir_scratch();
	struct kurir_str name = kurir_base64_encode(a, c->r->account);

	return say(
	    c, "auth", c->r->account, kurir_format(a, "AUTH EXTERNAL %.*s", KURIR_ARG(name)));
}

KURIR_PARKS static int transact(struct client *c)
{
	const struct kurir_rehearsal *r = c->r;
	struct kurir_arena *a = kurir_scratch();
	struct kurir_str line = kurir_format(a, "MAIL FROM:<%.*s>%s%s", KURIR_ARG(r->sender),
	    needs_utf8(r) ? " SMTPUTF8" : "", has_eighth_bit(r->message) ? " BODY=8BITMIME" : "");
	int code = say(c, "mail", r->sender, line);

	if (code < 0 || code >= 300)
		return code;
	for (size_t i = 0; i < r->recipients.count; i++) {
		struct kurir_str to = r->recipients.items[i];

		line = kurir_format(a, "RCPT TO:<%.*s>", KURIR_ARG(to));
		code = say(c, "rcpt", to, line);
		if (code < 0 || code == 421)
			return code;
		c->accepted += code < 300;
	}
	return c->accepted > 0 ? send_message(c) : code;
}

/* Nothing of it may end a line. */
static bool is_clean(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ')
			return false;
	return s.len <= 1000;
}

KURIR_PARKS int smtp_rehearse(
    struct kurir_stream *io, const struct kurir_rehearsal *r, enum smtp_kind kind)
{
	struct client c = { .io = io, .r = r, .lmtp = kind == SMTP_LMTP };
	bool clean = is_clean(r->helo) && is_clean(r->account) && is_clean(r->sender);
	int code;

	for (size_t i = 0; i < r->recipients.count; i++)
		clean = clean && is_clean(r->recipients.items[i]);
	if (!clean)
		return -EINVAL;
	code = hear(&c, "connect", KURIR_STR(""));
	if (code >= 0 && code < 300)
		code = say(&c, "helo", r->helo,
		    kurir_format(kurir_scratch(), "%s %.*s", c.lmtp ? "LHLO" : "EHLO",
			KURIR_ARG(r->helo)));
	if (code >= 0 && code < 300 && r->account.len > 0)
		code = log_in(&c);
	if (code >= 0 && code < 300)
		code = transact(&c);
	if (code < 0)
		return code;
	(void)kurir_write(io, KURIR_STR("QUIT\r\n"));
	(void)kurir_flush(io, r->until);
	return 0;
}
