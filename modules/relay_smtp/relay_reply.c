/* relay_reply.c - what a server says.  Takes any bytes; never does I/O.
 *
 * RFC 5321 4.2:  Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP [
 * textstring ] ] CRLF
 * RFC 3463 2:    status-code = class "." subject "." detail, at the beginning of the text */
#include "relay.h"

#include <errno.h>
#include <string.h>

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of a status code of this class that stands before a space or the end; 0: none. */
static size_t status_length(struct kurir_str s, char first)
{
	size_t i = 2, part;

	if (s.len < 5 || s.ptr[0] != first || s.ptr[1] != '.')
		return 0;
	for (unsigned n = 0; n < 2; n++) {
		for (part = 0; i < s.len && digit(s.ptr[i]); part++)
			i++;
		if (part == 0 || part > 3)
			return 0;
		if (n == 0 && (i >= s.len || s.ptr[i++] != '.'))
			return 0;
	}
	return i == s.len || s.ptr[i] == ' ' ? i : 0;
}

static void add_text(struct relay_reply *r, struct kurir_str text)
{
	if (text.len == 0)
		return;
	if (r->text_len > 0 && r->text_len < sizeof(r->text))
		r->text[r->text_len++] = ' ';
	for (size_t i = 0; i < text.len && r->text_len < sizeof(r->text); i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		r->text[r->text_len++] = (char)(c < ' ' || c == 127 ? '?' : c);
	}
}

int relay_reply_line(struct relay_reply *r, struct kurir_str line)
{
	struct kurir_str text;
	bool more;
	size_t n;
	int code;

	while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	if (line.len < 3 || !digit(line.ptr[0]) || !digit(line.ptr[1]) || !digit(line.ptr[2]))
		return -EPROTO;
	code = (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + (line.ptr[2] - '0');
	if (code < 200 || code > 599 ||
	    (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
		return -EPROTO;
	if (r->lines > 0 && r->code != code)
		return -EPROTO;
	if (++r->lines > RELAY_LINES_MAX)
		return -EPROTO;
	r->code = code;
	more = line.len > 3 && line.ptr[3] == '-';
	text = kurir_str_part(line, 4, line.len);
	n = status_length(text, line.ptr[0]);
	if (n > 0 && n <= sizeof(r->xyz)) {
		if (r->xyz_len == 0) {
			memcpy(r->xyz, text.ptr, n);
			r->xyz_len = n;
		}
		text = kurir_str_part(text, n + 1, text.len);
	}
	add_text(r, kurir_str_trim(text));
	return more;
}

/* ehlo-line = ehlo-keyword *( SP ehlo-param ); RFC 5321 4.1.1.1.  AUTH= is how some spell it. */
void relay_offer_line(struct relay_offer *o, struct kurir_str line)
{
	static const struct {
		const char *word;
		uint32_t ext;
	} words[] = {
		{ "PIPELINING", RELAY_EXT_PIPELINING },
		{ "8BITMIME", RELAY_EXT_8BITMIME },
		{ "SMTPUTF8", RELAY_EXT_SMTPUTF8 },
		{ "DSN", RELAY_EXT_DSN },
		{ "STARTTLS", RELAY_EXT_STARTTLS },
		{ "SIZE", RELAY_EXT_SIZE },
	};
	struct kurir_str rest = kurir_str_trim(kurir_str_part(line, 4, line.len)), word;
	ssize_t sp = kurir_str_find(rest, ' ');

	word = kurir_str_part(rest, 0, sp < 0 ? rest.len : (size_t)sp);
	rest = kurir_str_trim(kurir_str_part(rest, word.len, rest.len));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (kurir_str_equal_nocase(word, kurir_str_of(words[i].word)))
			o->ext |= words[i].ext;
	if (kurir_str_equal_nocase(word, KURIR_STR("SIZE"))) {
		uint64_t size;

		if (kurir_str_number(rest, UINT64_MAX / 2, &size) == 0)
			o->size = size;
		return;
	}
	if (kurir_str_starts_nocase(word, KURIR_STR("AUTH="))) {
		rest = kurir_str_part(line, 4, line.len);
		rest = kurir_str_trim(kurir_str_part(rest, 5, rest.len));
	} else if (!kurir_str_equal_nocase(word, KURIR_STR("AUTH"))) {
		return;
	}
	while (rest.len > 0) {
		sp = kurir_str_find(rest, ' ');
		word = kurir_str_part(rest, 0, sp < 0 ? rest.len : (size_t)sp);
		rest = kurir_str_trim(kurir_str_part(rest, word.len, rest.len));
		if (kurir_str_equal_nocase(word, KURIR_STR("PLAIN")))
			o->ext |= RELAY_EXT_PLAIN;
		else if (kurir_str_equal_nocase(word, KURIR_STR("LOGIN")))
			o->ext |= RELAY_EXT_LOGIN;
	}
}
