/* imap_out.c - what the client gets: status lines, strings, flags, names. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "imap_piece.h"

KURIR_PARKS int imap_puts(struct imap *s, const char *text)
{
	return kurir_write(s->stream, kurir_str_of(text));
}

KURIR_PARKS KURIR_FMT_LIST(3) static int tagged(
    struct imap *s, const char *word, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		n = 0;
	return kurir_printf(s->stream, "%.*s %s %.*s\r\n", KURIR_ARG(s->tag), word,
	    (size_t)n < sizeof(text) ? n : (int)sizeof(text) - 1, text);
}

KURIR_PARKS int imap_ok(struct imap *s, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = tagged(s, "OK", fmt, ap);
	va_end(ap);
	return r;
}

KURIR_PARKS int imap_no(struct imap *s, const char *fmt, ...)
{
	va_list ap;
	int r;

	kurir_count(s->self, IMAP_ERRORS, 1);
	va_start(ap, fmt);
	r = tagged(s, "NO", fmt, ap);
	va_end(ap);
	return r;
}

KURIR_PARKS int imap_bad(struct imap *s, const char *fmt, ...)
{
	va_list ap;
	int r;

	kurir_count(s->self, IMAP_ERRORS, 1);
	s->bad++;
	va_start(ap, fmt);
	r = tagged(s, "BAD", fmt, ap);
	va_end(ap);
	return r;
}

KURIR_PARKS void imap_failed(struct imap *s, int err)
{
	switch (err) {
	case -ENOENT:
		imap_no(s, "[NONEXISTENT] No such mailbox");
		return;
	case -EEXIST:
		imap_no(s, "[ALREADYEXISTS] There is one of that name");
		return;
	case -EINVAL:
	case -ENAMETOOLONG:
		imap_no(s, "[CANNOT] This name cannot be used");
		return;
	case -EACCES:
		imap_no(s, "[NOPERM] You may not do this there");
		return;
	case -EDQUOT:
	case -ENOSPC:
		imap_no(s, "[OVERQUOTA] There is no room");
		return;
	case -ECANCELED:
		imap_no(s, "[UNAVAILABLE] The server is going down");
		s->over = true;
		return;
	}
	kurir_log(s->self, KURIR_WARN, err, "the store failed, answering NO");
	imap_no(s, "[UNAVAILABLE] The mailbox cannot be reached now");
}

KURIR_PARKS void imap_done(struct imap *s, int r)
{
	if (r < 0)
		imap_failed(s, r);
	else
		imap_ok(s, "Done");
}

static bool is_utf8(struct kurir_str t)
{
	struct kurir_buf b = KURIR_BUF(4096);
	int r = kurir_utf7_encode(&b, t, "");

	kurir_buf_free(&b);
	return r >= 0;
}

/* Fits between quotes: printable US-ASCII (or UTF-8 for who asked for it), not too long. */
static bool quotable(const struct imap *s, struct kurir_str t)
{
	bool ascii = true;

	if (t.len > 1000)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if ((unsigned char)t.ptr[i] < 32 || t.ptr[i] == 127)
			return false;
		ascii = ascii && (unsigned char)t.ptr[i] < 127;
	}
	return ascii || ((s->enabled & (IMAP_REV2 | IMAP_UTF8)) && is_utf8(t));
}

KURIR_PARKS int imap_string(struct imap *s, struct kurir_str t)
{
	if (!quotable(s, t)) {
		kurir_printf(s->stream, "{%zu}\r\n", t.len);
		return kurir_write(s->stream, t);
	}
	imap_puts(s, "\"");
	while (t.len > 0) {
		size_t n = 0;

		while (n < t.len && t.ptr[n] != '"' && t.ptr[n] != '\\')
			n++;
		kurir_write(s->stream, kurir_str_part(t, 0, n));
		if (n < t.len) {
			imap_puts(s, t.ptr[n] == '"' ? "\\\"" : "\\\\");
			n++;
		}
		t = kurir_str_part(t, n, t.len);
	}
	return imap_puts(s, "\"");
}

KURIR_PARKS int imap_nstring(struct imap *s, struct kurir_str t)
{
	return t.ptr ? imap_string(s, t) : imap_puts(s, "NIL");
}

static const struct {
	uint32_t flag;
	struct kurir_str name;
} names[] = {
	{ KURIR_MESSAGE_ANSWERED, { "\\Answered", 9 } },
	{ KURIR_MESSAGE_FLAGGED, { "\\Flagged", 8 } },
	{ KURIR_MESSAGE_DELETED, { "\\Deleted", 8 } },
	{ KURIR_MESSAGE_SEEN, { "\\Seen", 5 } },
	{ KURIR_MESSAGE_DRAFT, { "\\Draft", 6 } },
	{ KURIR_MESSAGE_RECENT, { "\\Recent", 7 } },
};

KURIR_PARKS int imap_put_number(
    struct imap *s, const char *before, uint64_t n, const char *behind)
{
	struct imap_piece p;

	p.len = 0;
	imap_piece_text(&p, before);
	imap_piece_number(&p, n);
	imap_piece_text(&p, behind);
	return imap_piece_write(s, &p);
}

KURIR_PARKS int imap_piece_flags(
    struct imap *s, struct imap_piece *p, const struct kurir_message *m)
{
	/* IMAP4rev2 has no \\Recent. */
	uint32_t shown = s->enabled & IMAP_REV2 ? ~(uint32_t)KURIR_MESSAGE_RECENT : ~0u;
	const char *before = "";
	int r = 0;

	imap_piece_text(p, "FLAGS (");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (m->flags & names[i].flag & shown) {
			imap_piece_text(p, before);
			imap_piece_add(p, names[i].name.ptr, names[i].name.len);
			before = " ";
		}
	if (m->keywords.len > 0) {
		imap_piece_text(p, before);
		imap_piece_write(s, p);
		r = kurir_write(s->stream, m->keywords);
	}
	imap_piece_text(p, ")");
	return r;
}

KURIR_PARKS int imap_put_flags(struct imap *s, const struct kurir_message *m)
{
	struct imap_piece p;

	p.len = 0;
	imap_piece_flags(s, &p, m);
	return imap_piece_write(s, &p);
}

KURIR_PARKS int imap_put_mailbox(struct imap *s, struct kurir_str utf8)
{
	struct kurir_buf b = KURIR_BUF(4096);
	int r;

	if (s->enabled & (IMAP_REV2 | IMAP_UTF8))
		return imap_string(s, utf8);
	r = kurir_utf7_encode(&b, utf8, "");
	if (r >= 0)
		r = imap_string(s, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return r;
}

KURIR_PARKS int imap_put_uids(struct imap *s, const struct kurir_uid_set *set)
{
	int r = 0;

	for (size_t i = 0; i < set->count; i++) {
		r = kurir_printf(s->stream, "%s%u", i ? "," : "", set->ranges[i].first);
		if (set->ranges[i].last != set->ranges[i].first)
			r = kurir_printf(s->stream, ":%u", set->ranges[i].last);
	}
	return r;
}

void imap_piece_fetch(const struct imap *s, struct imap_piece *p, size_t index, uint32_t uid)
{
	bool by_uid = (s->enabled & IMAP_UIDONLY) != 0;

	imap_piece_text(p, "* ");
	imap_piece_number(p, by_uid ? uid : index + 1);
	imap_piece_text(p, by_uid ? " UIDFETCH (" : " FETCH (");
}

KURIR_PARKS int imap_put_fetch(struct imap *s, size_t index, uint32_t uid)
{
	struct imap_piece p;

	p.len = 0;
	imap_piece_fetch(s, &p, index, uid);
	return imap_piece_write(s, &p);
}

/* RFC 9585: inprogress = "INPROGRESS" SP "(" quoted-tag SP (number / nil) SP (number / nil) ")" */
KURIR_PARKS int imap_progress(struct imap *s, size_t done, size_t total)
{
	kurir_time now = kurir_now();

	if (now - s->told < s->conf->progress)
		return 0;
	s->told = now;
	kurir_printf(s->stream, "* OK [INPROGRESS (\"%.*s\" %zu %zu)] Still at it\r\n",
	    KURIR_ARG(s->tag), done, total);
	return kurir_flush(s->stream, imap_until(s));
}
