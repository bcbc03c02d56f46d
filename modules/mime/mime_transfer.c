/* mime_transfer.c - transfer encodings are undone, leniently (RFC 2045 sections 6.7 and 6.8).
 *
 *   quoted-printable := qp-line *(CRLF qp-line)
 *   qp-line          := *(qp-segment transport-padding CRLF) qp-part transport-padding
 *   qp-segment       := qp-section *(SPACE / TAB) "="
 *   hex-octet        := "=" 2(DIGIT / "A" / "B" / "C" / "D" / "E" / "F")
 *
 * What is not that stays as it is, as does a run of blanks too long to be held.  In base64 what
 * is none of its characters is passed over, and padding ends a group. */

#include <string.h>

#include "mime_private.h"

#define ROOM 1024

struct room {
	char bytes[ROOM];
	size_t used;
	const struct mime_out *out;
};

static void flush(struct room *r)
{
	if (r->used > 0)
		r->out->put(r->out->arg, r->bytes, r->used);
	r->used = 0;
}

static void put(struct room *r, const char *s, size_t n)
{
	if (n > ROOM - r->used)
		flush(r);
	if (n >= ROOM) {
		r->out->put(r->out->arg, s, n);
		return;
	}
	memcpy(r->bytes + r->used, s, n);
	r->used += n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void release(struct mime_transfer *t, struct room *r)
{
	put(r, t->held, t->count);
	t->count = 0;
}

static void hold(struct mime_transfer *t, char c)
{
	t->held[t->count++] = c;
}

/* A line feed, behind what is held: a soft line break, or blanks that were added on the way. */
static void line_feed(struct mime_transfer *t, struct room *r)
{
	bool cr = t->held[t->count - 1] == '\r', soft = t->held[0] == '=';

	t->count = 0;
	if (!soft)
		put(r, cr ? "\r\n" : "\n", cr ? 2 : 1);
}

/* One character behind what is held; false: it is to be looked at again, as nothing is. */
static bool take_held(struct mime_transfer *t, char c, struct room *r)
{
	char last = t->held[t->count - 1];
	bool digit = t->count == 2 && t->held[0] == '=' && hex(last) >= 0;
	char byte;

	if (digit && hex(c) >= 0) {
		byte = (char)(hex(last) << 4 | hex(c));
		t->count = 0;
		put(r, &byte, 1);
		return true;
	}
	if (!digit && c == '\n') {
		line_feed(t, r);
		return true;
	}
	if ((t->count == 1 && last == '=' && hex(c) >= 0) ||
	    (!digit && last != '\r' && (is_blank(c) || c == '\r') &&
		t->count < sizeof(t->held))) {
		hold(t, c);
		return true;
	}
	release(t, r);
	return false;
}

static void feed_quoted(struct mime_transfer *t, struct kurir_str s, struct room *r)
{
	size_t i = 0;

	while (i < s.len) {
		size_t start = i;

		if (t->count > 0) {
			i += take_held(t, s.ptr[i], r);
			continue;
		}
		while (i < s.len && s.ptr[i] != '=' && !is_blank(s.ptr[i]))
			i++;
		/* A single blank inside a line, as most are. */
		while (i + 1 < s.len && s.ptr[i] == ' ' && (unsigned char)s.ptr[i + 1] > ' ' &&
		    s.ptr[i + 1] != '=') {
			i++;
			while (i < s.len && s.ptr[i] != '=' && !is_blank(s.ptr[i]))
				i++;
		}
		put(r, s.ptr + start, i - start);
		if (i < s.len)
			hold(t, s.ptr[i++]);
	}
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void feed_base64(struct mime_transfer *t, struct kurir_str s, struct room *r)
{
	for (size_t i = 0; i < s.len; i++) {
		int d = digit(s.ptr[i]);

		if (s.ptr[i] == '=')
			t->have = 0;
		if (d < 0)
			continue;
		t->bits = t->bits << 6 | (uint32_t)d;
		t->have += 6;
		if (t->have < 8)
			continue;
		t->have -= 8;
		if (r->used == ROOM)
			flush(r);
		r->bytes[r->used++] = (char)(t->bits >> t->have & 0xff);
	}
}

bool mime_transfer_begin(struct mime_transfer *t, struct kurir_str encoding)
{
	*t = (struct mime_transfer){ .kind = MIME_TRANSFER_NONE };
	if (kurir_str_equal_nocase(encoding, KURIR_STR("quoted-printable")))
		t->kind = MIME_TRANSFER_QUOTED;
	else if (kurir_str_equal_nocase(encoding, KURIR_STR("base64")))
		t->kind = MIME_TRANSFER_BASE64;
	else
		return encoding.len == 0 || kurir_str_equal_nocase(encoding, KURIR_STR("7bit")) ||
		    kurir_str_equal_nocase(encoding, KURIR_STR("8bit")) ||
		    kurir_str_equal_nocase(encoding, KURIR_STR("binary"));
	return true;
}

void mime_transfer_feed(struct mime_transfer *t, struct kurir_str s, const struct mime_out *out)
{
	struct room r;

	if (t->kind == MIME_TRANSFER_NONE) {
		if (s.len > 0)
			out->put(out->arg, s.ptr, s.len);
		return;
	}
	r.used = 0;
	r.out = out;
	if (t->kind == MIME_TRANSFER_QUOTED)
		feed_quoted(t, s, &r);
	else
		feed_base64(t, s, &r);
	flush(&r);
}

/* Blanks at the end were added on the way, and "=" there was to join it with nothing. */
void mime_transfer_end(struct mime_transfer *t, const struct mime_out *out)
{
	if (t->count == 2 && t->held[0] == '=' && hex(t->held[1]) >= 0)
		out->put(out->arg, t->held, t->count);
	else if (t->count > 0 && t->held[0] != '=' && t->held[t->count - 1] == '\r')
		out->put(out->arg, "\r", 1);
	t->count = 0;
}
