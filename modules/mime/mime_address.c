/* mime_address.c - lists of addresses, leniently.
 *
 *   address   = mailbox / group                                ; RFC 5322 section 3.4
 *   mailbox   = [display-name] "<" [route ":"] addr-spec ">" / addr-spec
 *   group     = display-name ":" [mailbox-list] ";" */

#include "mime.h"

static bool is_one(char c, const char *of)
{
	while (*of != '\0' && *of != c)
		of++;
	return *of != '\0';
}

/* Where phrase() will stop: what is allocated for one address is not the length of all of them.
 */
static size_t extent(struct kurir_str s, const char *stops)
{
	size_t i = 0, depth = 0;
	bool quoted = false;

	for (; i < s.len; i++) {
		char c = s.ptr[i];

		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
		} else if (depth > 0) {
			depth += c == '(';
			depth -= c == ')';
		} else if (is_one(c, stops)) {
			break;
		} else {
			quoted = c == '"';
			depth = c == '(';
		}
	}
	return i < s.len ? i : s.len;
}

/* Words up to a special character, quotes removed, runs of space made one; comments go to
 * *comment. */
static struct kurir_str phrase(
    struct kurir_arena *arena, struct kurir_str *s, const char *stops, struct kurir_str *comment)
{
	char *out = kurir_alloc(arena, extent(*s, stops) + 1);
	size_t n = 0, i = 0;

	while (i < s->len && !is_one(s->ptr[i], stops)) {
		char c = s->ptr[i++];

		if (c == '"') {
			while (i < s->len && s->ptr[i] != '"') {
				if (s->ptr[i] == '\\' && i + 1 < s->len)
					i++;
				out[n++] = s->ptr[i++];
			}
			i += i < s->len;
		} else if (c == '(') {
			size_t start = i, depth = 1;

			while (i < s->len && depth > 0) {
				depth += s->ptr[i] == '(';
				depth -= s->ptr[i] == ')';
				i++;
			}
			*comment = kurir_str_part(*s, start, i - start - (depth == 0));
		} else if (c == ' ' || c == '\t') {
			if (n > 0 && out[n - 1] != ' ')
				out[n++] = ' ';
		} else {
			out[n++] = c;
		}
	}
	*s = kurir_str_part(*s, i, s->len);
	return kurir_str_trim((struct kurir_str){ out, n });
}

/* local "@" host; without an "@" the host is empty, as other servers show it. */
static void set_spec(struct mime_address *a, struct kurir_str spec)
{
	ssize_t at = kurir_str_find_last(spec, '@');

	a->mailbox = kurir_str_part(spec, 0, at < 0 ? spec.len : (size_t)at);
	a->host = at < 0 ? KURIR_STR("") : kurir_str_part(spec, (size_t)at + 1, spec.len);
	a->host = kurir_str_trim(a->host);
	a->mailbox = kurir_str_trim(a->mailbox);
}

/* "<" [route ":"] addr-spec ">" */
static void take_angle(struct kurir_arena *arena, struct kurir_str *s, struct mime_address *a)
{
	struct kurir_str ignored, spec;

	*s = kurir_str_part(*s, 1, s->len);
	spec = phrase(arena, s, ">", &ignored);
	*s = kurir_str_part(*s, 1, s->len);
	if (spec.len > 0 && spec.ptr[0] == '@') {
		ssize_t colon = kurir_str_find(spec, ':');

		if (colon > 0) {
			a->route = kurir_str_part(spec, 0, (size_t)colon);
			spec = kurir_str_part(spec, (size_t)colon + 1, spec.len);
		}
	}
	set_spec(a, spec);
}

size_t mime_addresses(
    struct kurir_arena *arena, struct kurir_str s, struct mime_address *ret, size_t max)
{
	size_t n = 0;
	bool group = false;

	while (s.len > 0 && n < max) {
		struct kurir_str comment = { NULL, 0 },
				 words = phrase(arena, &s, "<,:;", &comment);
		struct mime_address a = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
		char stop = s.len > 0 ? s.ptr[0] : ',';

		if (stop == '<') {
			if (words.len > 0)
				a.name = words;
			take_angle(arena, &s, &a);
			ret[n++] = a;
			continue;
		}
		s = kurir_str_part(s, 1, s.len);
		if (stop == ':' && !group) {
			a.mailbox = words;
			ret[n++] = a;
			group = true;
			continue;
		}
		if (words.len > 0) {
			a.name = comment;
			set_spec(&a, words);
			ret[n++] = a;
		}
		if (stop == ';' && group && n < max) {
			ret[n++] = (struct mime_address){ { NULL, 0 }, { NULL, 0 }, { NULL, 0 },
				{ NULL, 0 } };
			group = false;
		}
	}
	if (group && n < max)
		ret[n++] =
		    (struct mime_address){ { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	return n;
}
