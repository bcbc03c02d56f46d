/* smtp_head.c - the header as it passes: hops are counted, what is missing is noticed; and the
 * fields this server writes itself. */
#include "smtp_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void smtp_head_start(struct smtp_head *h)
{
	*h = (struct smtp_head){ .over = false };
}

static bool begins(const struct smtp_head *h, const char *name)
{
	return kurir_str_starts_nocase(
	    (struct kurir_str){ h->start, h->len }, kurir_str_of(name));
}

static void field(struct smtp_head *h)
{
	if (begins(h, "Received:"))
		h->received++;
	else if (begins(h, "Date:"))
		h->date = true;
	else if (begins(h, "Message-ID:"))
		h->message_id = true;
}

static void take(struct smtp_head *h, const char *p, size_t n)
{
	char *to = h->in_from ? h->from : h->id;
	size_t *len = h->in_from ? &h->from_len : &h->id_len;
	size_t room = (h->in_from ? sizeof(h->from) : sizeof(h->id)) - *len;

	if (n > room) {
		n = room;
		h->from_cut = h->from_cut || h->in_from;
	}
	memcpy(to + *len, p, n);
	*len += n;
}

/* Does the line begin with that name, and a colon, perhaps behind a space? */
static bool is_field(const struct smtp_head *h, const char *name)
{
	size_t n = strlen(name);

	return h->len > n && begins(h, name) &&
	    (h->start[n] == ':' || h->start[n] == ' ' || h->start[n] == '\t');
}

/* Keeps the fields From and Message-ID, with the lines they are folded into.  had: bytes of the
 * line that came in pieces before this one, which are in start when the line is not known yet. */
static void watch(struct smtp_head *h, size_t had, const char *p, size_t n, bool end)
{
	if (!h->known && (h->len > 10 || end)) {
		h->known = true;
		if (h->start[0] != ' ' && h->start[0] != '\t') {
			h->in_from = is_field(h, "From");
			h->in_id = h->id_len == 0 && is_field(h, "Message-ID");
			h->froms += h->in_from;
		}
		if (h->in_from || h->in_id)
			take(h, h->start, had);
	}
	if (h->known && (h->in_from || h->in_id))
		take(h, p, n);
	if (end)
		h->known = false;
}

struct kurir_str smtp_head_id(const struct smtp_head *h)
{
	struct kurir_str s = { h->id, h->id_len };
	ssize_t open = kurir_str_find(s, '<'), end = kurir_str_find_last(s, '>');

	if (open < 0 || end <= open)
		return KURIR_STR("");
	return kurir_str_part(s, (size_t)open + 1, (size_t)(end - open - 1));
}

/* Lines come in pieces; their first 16 bytes are all that is looked at. */
ssize_t smtp_head_feed(struct smtp_head *h, struct kurir_str piece)
{
	size_t pos = 0, line = 0, n, room, had;

	while (pos < piece.len) {
		const char *lf = memchr(piece.ptr + pos, '\n', piece.len - pos);
		size_t end = lf != NULL ? (size_t)(lf - piece.ptr) + 1 : piece.len;

		line = pos;
		n = end - pos;
		room = sizeof(h->start) - h->len;
		if (n > room)
			n = room;
		had = h->len;
		memcpy(h->start + had, piece.ptr + pos, n);
		h->len += n;
		watch(h, had, piece.ptr + pos, end - pos, lf != NULL);
		pos = end;
		if (lf == NULL)
			break;
		if (h->start[0] == '\r' || h->start[0] == '\n') {
			h->over = true;
			/* When the CR came with the piece before, the fields would be torn from
			 * it: say nothing is missing.  A stream keeps CR and LF together. */
			return h->len <= 2 && pos - line >= h->len ? (ssize_t)line : -1;
		}
		field(h);
		h->len = 0;
	}
	return -1;
}

struct kurir_str smtp_date(void)
{
	static char text[40];
	static int64_t second = -1;
	static size_t len;
	int64_t now = kurir_wallclock() / 1000;
	time_t t = (time_t)now;
	struct tm tm;

	if (now != second && gmtime_r(&t, &tm) != NULL) {
		/* The C locale's names are RFC 5322's; nothing here calls setlocale(). */
		len = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
		second = now;
	}
	return (struct kurir_str){ text, len };
}

/* RFC 3848 and RFC 6531 4.3: LMTP, SMTP, ESMTP, UTF8SMTP, with S for TLS and A for AUTH. */
static struct kurir_str with(const struct smtp *s)
{
	bool utf8 = (s->tx_flags & KURIR_ENV_UTF8) != 0;
	bool tls = kurir_conn_encrypted(s->conn);
	const char *base = s->kind == SMTP_LMTP ? utf8 ? "UTF8LMTP" : "LMTP"
	    : !s->extended			? "SMTP"
	    : utf8				? "UTF8SMTP"
						: "ESMTP";

	return kurir_format(kurir_scratch(), "%s%s%s", base, tls && s->extended ? "S" : "",
	    s->authenticated ? "A" : "");
}

struct kurir_str smtp_received(struct smtp *s)
{
	struct kurir_str ip = kurir_conn_peer(s->conn), host = kurir_hostname();
	struct kurir_str tls = kurir_tls_summary(s->io), id = kurir_tx_id(s->tx);
	struct kurir_str w = with(s), date = smtp_date();
	bool six = kurir_str_find(ip, ':') >= 0, one = s->accepted == 1 && s->only_rcpt.len > 0;

	return kurir_format(kurir_scratch(),
	    "Received: from %.*s ([%s%.*s])\r\n\tby %.*s with %.*s%s%.*s%s"
	    " id %.*s%s%.*s%s;\r\n\t%.*s\r\n",
	    KURIR_ARG(s->helo), six ? "IPv6:" : "", KURIR_ARG(ip), KURIR_ARG(host), KURIR_ARG(w),
	    tls.len > 0 ? "\r\n\t(" : "", KURIR_ARG(tls), tls.len > 0 ? ")" : "", KURIR_ARG(id),
	    one ? "\r\n\tfor <" : "", KURIR_ARG(s->only_rcpt), one ? ">" : "", KURIR_ARG(date));
}

struct kurir_str smtp_missing(struct smtp *s)
{
	struct kurir_str date = smtp_date(), id = kurir_tx_id(s->tx), host = kurir_hostname();
	struct kurir_str text = KURIR_STR("");

	if (!s->body.head.date)
		text = kurir_format(kurir_scratch(), "Date: %.*s\r\n", KURIR_ARG(date));
	if (!s->body.head.message_id)
		text = kurir_format(kurir_scratch(), "%.*sMessage-ID: <%.*s@%.*s>\r\n",
		    KURIR_ARG(text), KURIR_ARG(id), KURIR_ARG(host));
	return text;
}
