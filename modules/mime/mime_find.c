/* mime_find.c - texts that are looked for without regard to case (ASCII), in pieces, or in the
 * values of header fields as people read them.
 *
 * Most values are of one line, of ASCII, and have no word that is encoded: those are looked at
 * as they stand. */
#include <string.h>

#include "mime_private.h"

#define ADDRESSES 100 /* of one field */

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

struct mime_needle mime_needle_of(struct kurir_arena *arena, struct kurir_str text)
{
	unsigned char *low = kurir_alloc(arena, text.len + 1);
	uint32_t *back = kurir_alloc(arena, (text.len + 1) * sizeof(*back)), n = 0;

	for (size_t i = 0; i < text.len; i++)
		low[i] = lower(text.ptr[i]);
	for (size_t i = 1; i < text.len; i++) {
		while (n > 0 && low[i] != low[n])
			n = back[n - 1];
		n += low[i] == low[n];
		back[i] = n;
	}
	return (struct mime_needle){ .text = { (char *)low, text.len }, .back = back };
}

bool mime_needle_feed(struct mime_needle *k, struct kurir_str piece)
{
	size_t n = k->at;

	for (size_t i = 0; i < piece.len && n < k->text.len; i++) {
		char c = (char)lower(piece.ptr[i]);

		while (n > 0 && c != k->text.ptr[n])
			n = k->back[n - 1];
		n += c == k->text.ptr[n];
	}
	k->at = n;
	return n == k->text.len;
}

bool mime_needle_in(struct mime_needle *k, struct kurir_str hay)
{
	bool found;

	k->at = 0;
	found = mime_needle_feed(k, hay);
	k->at = 0; /* nothing follows it */
	return found;
}

/* Whether it is one of those that have addresses: they are also looked at without comments and
 * what else a header may have between the parts of one. */
static bool has_addresses(struct kurir_str field)
{
	static const char *const names[] = { "From", "To", "Cc", "Bcc", "Sender", "Reply-To" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (kurir_str_equal_nocase(field, kurir_str_of(names[i])))
			return true;
	return false;
}

static bool is_atext(char c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Behind what follows from there on of those characters. */
static size_t span(struct kurir_str s, size_t at, const char *also)
{
	while (at < s.len && (is_atext(s.ptr[at]) || (s.ptr[at] && strchr(also, s.ptr[at]))))
		at++;
	return at;
}

static bool take(struct kurir_str s, size_t *at, char c)
{
	if (*at == s.len || s.ptr[*at] != c)
		return false;
	++*at;
	return true;
}

/* spec = 1*(atext / ".") "@" 1*(atext / ".") */
static bool take_spec(struct kurir_str s, size_t *at)
{
	size_t middle = span(s, *at, "."), end = span(s, middle + 1, ".");

	if (middle == *at || middle >= s.len || s.ptr[middle] != '@' || end == middle + 1)
		return false;
	*at = end;
	return true;
}

/* mailbox = spec / (DQUOTE *(atext / "." / " " / ",") DQUOTE / *(atext / " ")) [" "] "<" spec ">" */
static bool take_mailbox(struct kurir_str s, size_t *at)
{
	if (take_spec(s, at))
		return true;
	if (take(s, at, '"')) {
		*at = span(s, *at, ". ,");
		if (!take(s, at, '"'))
			return false;
		(void)take(s, at, ' ');
	} else {
		*at = span(s, *at, " ");
	}
	return take(s, at, '<') && take_spec(s, at) && take(s, at, '>');
}

/* Whether the addresses are written as most are, so that none says what the value does not.
 *   list = mailbox *("," [" "] mailbox) */
static bool as_most_are(struct kurir_str value)
{
	size_t at = 0;

	while (take_mailbox(value, &at)) {
		if (at == value.len)
			return true;
		if (!take(value, &at, ','))
			return false;
		(void)take(value, &at, ' ');
	}
	return false;
}

static bool address_has(struct kurir_arena *arena, struct kurir_str value, struct mime_needle *k)
{
	struct mime_address *list;
	size_t n;

	if (as_most_are(value))
		return false;
	list = kurir_alloc(arena, ADDRESSES * sizeof(*list));
	n = mime_addresses(arena, value, list, ADDRESSES);
	for (size_t i = 0; i < n; i++)
		if (list[i].mailbox.ptr && list[i].host.ptr &&
		    mime_needle_in(k,
			kurir_format(arena, "%.*s@%.*s", KURIR_ARG(list[i].mailbox),
			    KURIR_ARG(list[i].host))))
			return true;
	return false;
}

/* Nothing is to be unfolded or decoded. */
static bool is_plain(struct kurir_str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c < ' ' || c > '~' ||
		    (c == '=' && i + 1 < value.len && value.ptr[i + 1] == '?'))
			return false;
	}
	return true;
}

bool mime_header_has(struct kurir_arena *arena, struct kurir_str header, struct kurir_str field,
    struct mime_needle *k)
{
	struct kurir_str name, all, rest = kurir_str_part(header, 0, MIME_HEADER_MAX);

	while (mime_header_next(&rest, &name, &all)) {
		struct kurir_mark mark = kurir_mark(arena);
		struct kurir_str value = all, text;
		bool found;

		if (field.len > 0 && !kurir_str_equal_nocase(name, field))
			continue;
		if (field.len > 0)
			value =
			    kurir_str_part(all, (size_t)kurir_str_find(all, ':') + 1, all.len);
		text = value = kurir_str_trim(value);
		if (!is_plain(value)) {
			value = mime_unfold(arena, value);
			text = mime_decode_words(arena, value);
		}
		found = mime_needle_in(k, text) ||
		    (has_addresses(field) && address_has(arena, value, k));
		kurir_rewind(arena, mark);
		if (found)
			return true;
	}
	return false;
}

/* A text that comes in pieces. */
struct seek {
	struct mime_needle text;
	bool headers; /* also those of the message itself and of its parts */
	bool found;
	struct kurir_arena *arena;
};

static void seek(void *arg, enum mime_text what, const struct mime_part *part, bool within,
    struct kurir_str name, struct kurir_str text)
{
	struct seek *k = arg;
	struct kurir_mark mark;

	(void)part;
	switch (k->found ? MIME_TEXT_BODY_END : what) {
	case MIME_TEXT_BODY:
		k->found = mime_needle_feed(&k->text, text);
		break;
	case MIME_TEXT_BODY_END:
		k->text.at = 0;
		break;
	case MIME_TEXT_NAME:
		k->found = mime_needle_in(&k->text, text);
		break;
	case MIME_TEXT_FIELD:
		mark = kurir_mark(k->arena);
		if (k->headers || within)
			k->found = mime_needle_in(&k->text,
			    kurir_format(
				k->arena, "%.*s: %.*s", KURIR_ARG(name), KURIR_ARG(text)));
		kurir_rewind(k->arena, mark);
		break;
	}
}

/* BODY and TEXT (headers, too). */
bool mime_message_has(
    struct kurir_arena *arena, struct kurir_str message, struct kurir_str text, bool headers)
{
	struct kurir_mark mark = kurir_mark(arena);
	struct seek k = {
		.text = mime_needle_of(arena, text), .headers = headers, .arena = arena
	};
	const struct mime_options options = { .text = seek, .arg = &k };

	if (text.len == 0)
		return true;
	mime_read(arena, message, &options);
	kurir_rewind(arena, mark);
	return k.found;
}
