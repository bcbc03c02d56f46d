/* rspamd_head.c - the header of a message, with fields added and others left out.
 *
 * RFC 5322 2.2:  field = name ":" body CRLF *( ( SP / HT ) body CRLF )
 * RFC 2047 2:    encoded-word = "=?UTF-8?B?" base64 "?="          at most 75 bytes */
#include "rspamd.h"

#include <errno.h>
#include <kurir/auth.h>
#include <kurir/stream.h>

#define LINE_MAX_ 65000
#define WORD	  45 /* bytes that an encoded word can hold */

static bool is_name(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == ':')
			return false;
	return s.len > 0 && s.len < 500;
}

/* Whatever the value is, it is one field: its lines are folded. */
int rspamd_head_add(struct kurir_buf *b, struct kurir_str name, struct kurir_str value)
{
	size_t start = b->len;
	int r;

	if (!is_name(name))
		return -EINVAL;
	r = kurir_buf_printf(b, "%.*s: ", KURIR_ARG(name));
	value = kurir_str_trim(value);
	for (size_t i = 0; i < value.len && r == 0; i++) {
		char c = value.ptr[i], after = i + 1 < value.len ? value.ptr[i + 1] : ' ';

		if (c == '\n')
			r = kurir_buf_add(b,
			    after == ' ' || after == '\t' ? KURIR_STR("\r\n")
							  : KURIR_STR("\r\n\t"));
		else if (c != '\r')
			r = kurir_buf_add(
			    b, c == '\0' ? KURIR_STR(" ") : kurir_str_part(value, i, 1));
	}
	if (r == 0)
		r = kurir_buf_add(b, KURIR_STR("\r\n"));
	if (r < 0)
		b->len = start;
	return r;
}

struct kurir_str rspamd_encode(struct kurir_arena *arena, struct kurir_str utf8)
{
	struct kurir_buf b = KURIR_BUF(16384);
	struct kurir_str ret;
	bool plain = true;

	for (size_t i = 0; i < utf8.len; i++)
		plain = plain && utf8.ptr[i] >= ' ' && utf8.ptr[i] <= '~';
	if (plain)
		return utf8;
	while (utf8.len > 0) {
		size_t n = utf8.len < WORD ? utf8.len : WORD;
		struct kurir_str word;

		while (n < utf8.len && n > WORD - 4 && (utf8.ptr[n] & 0xc0) == 0x80)
			n--; /* not within a character */
		word = kurir_base64_encode(arena, kurir_str_part(utf8, 0, n));
		if (kurir_buf_printf(
			&b, "%s=?UTF-8?B?%.*s?=", b.len > 0 ? "\n " : "", KURIR_ARG(word)) < 0)
			break;
		utf8 = kurir_str_part(utf8, n, utf8.len);
	}
	ret = kurir_copy(arena, kurir_buf_str(&b));
	kurir_buf_free(&b);
	return ret;
}

/* So many bytes, or all. */
KURIR_PARKS static int carry(struct kurir_stream *from, struct kurir_stream *to, uint64_t n)
{
	struct kurir_str piece;
	int r = 0;

	while (n > 0 && r >= 0 && (r = kurir_peek(from, 0, &piece, KURIR_FOREVER)) == 1) {
		if (piece.len > n)
			piece.len = (size_t)n;
		r = kurir_write(to, piece);
		kurir_consume(from, piece.len);
		n -= piece.len;
	}
	return r;
}

static bool is_removed(const struct rspamd_head *h, struct kurir_str line)
{
	ssize_t colon = kurir_str_find(line, ':');
	struct kurir_str name =
	    kurir_str_trim(kurir_str_part(line, 0, colon < 0 ? 0 : (size_t)colon));

	for (size_t i = 0; i < h->removed.count; i++)
		if (kurir_str_equal_nocase(h->removed.items[i], name))
			return true;
	return false;
}

KURIR_PARKS int rspamd_head_write(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	const struct rspamd_head *h = arg;
	bool out = false;
	struct kurir_str line;
	int r = carry(from, to, kurir_tx_top(h->tx));

	if (r >= 0)
		r = kurir_write(to, h->added);
	while (r >= 0 && (r = kurir_readline(from, LINE_MAX_, &line, KURIR_FOREVER)) == 1) {
		if (line.ptr[0] != ' ' && line.ptr[0] != '\t')
			out = is_removed(h, line);
		if (!out || line.len <= 2)
			r = kurir_write(to, line);
		if (line.len <= 2)
			break;
	}
	/* A line without end is no field. */
	return r < 0 && r != -EMSGSIZE ? r : carry(from, to, UINT64_MAX);
}
