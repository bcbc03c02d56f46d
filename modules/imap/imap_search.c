/* imap_search.c - SEARCH and UID SEARCH (RFC 3501 section 6.4.4).
 *
 * What the snapshot can answer is asked first; a message is opened only for keys that need its
 * bytes.
 * Texts are compared without case (ASCII), decoded from transfer encodings and encoded words. */

#include <errno.h>
#include <string.h>

#include "imap_body.h"
#include "imap_search.h"

struct search {
	struct imap *s;
	size_t index;
	struct imap_bytes bytes;
	bool open;
	int error;
};

/* Opens the message when a key needs its bytes for the first time. */
KURIR_PARKS static bool need_bytes(struct search *q)
{
	int r;

	if (q->open)
		return true;
	r = imap_bytes_open(q->s, &q->s->messages[q->index], &q->bytes);
	if (r == -ECANCELED)
		q->error = r;
	q->open = r >= 0;
	return q->open;
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool contains(struct kurir_str hay, struct kurir_str needle)
{
	if (needle.len == 0)
		return true;
	for (size_t i = 0; i + needle.len <= hay.len; i++) {
		size_t j = 0;

		while (j < needle.len && lower(hay.ptr[i + j]) == lower(needle.ptr[j]))
			j++;
		if (j == needle.len)
			return true;
	}
	return false;
}

/* Any field of that name (all of them when it is empty) that contains text. */
static bool header_has(struct kurir_arena *arena, struct kurir_str header, struct kurir_str field,
    struct kurir_str text)
{
	struct kurir_str name, all, rest = kurir_str_part(header, 0, MIME_HEADER_MAX);

	while (mime_header_next(&rest, &name, &all)) {
		struct kurir_mark mark = kurir_mark(arena);
		struct kurir_str value = all;
		bool found;

		if (field.len > 0 && !kurir_str_equal_nocase(name, field))
			continue;
		if (field.len > 0)
			value = kurir_str_part(all, name.len + 1, all.len);
		value = mime_decode_words(arena, mime_unfold(arena, value));
		found = contains(value, text);
		kurir_rewind(arena, mark);
		if (found)
			return true;
	}
	return false;
}

static bool part_has(
    struct kurir_arena *arena, const struct mime_part *p, struct kurir_str text, bool headers)
{
	for (; p; p = p->next) {
		struct kurir_mark mark = kurir_mark(arena);
		bool found = headers && header_has(arena, p->header, KURIR_STR(""), text);

		if (!found && !p->child &&
		    (kurir_str_equal_nocase(p->type, KURIR_STR("text")) ||
			kurir_str_equal_nocase(p->type, KURIR_STR("multipart"))))
			found = contains(mime_decode_body(arena, p), text);
		kurir_rewind(arena, mark);
		if (found || (p->child && part_has(arena, p->child, text, headers || p->message)))
			return true;
	}
	return false;
}

/* The day of the Date: field, as imap_date() counts; 0 when there is none that can be read. */
static int64_t sent_day(struct search *q)
{
	struct kurir_str value = mime_header_get(
	    q->bytes.arena, imap_bytes_root(&q->bytes)->header, KURIR_STR("Date"));
	ssize_t comma = value.ptr ? kurir_str_find(value, ',') : -1;
	char date[16];
	int64_t day;
	size_t n = 0, spaces = 0;

	if (!value.ptr)
		return 0;
	value = kurir_str_trim(kurir_str_part(value, (size_t)(comma + 1), value.len));
	for (size_t i = 0; i < value.len && n < sizeof(date) && spaces < 3; i++) {
		if (value.ptr[i] == ' ') {
			spaces += i == 0 || value.ptr[i - 1] != ' ';
			if (spaces < 3 && value.ptr[i - 1] != ' ')
				date[n++] = '-';
			continue;
		}
		date[n++] = value.ptr[i];
	}
	return imap_date((struct kurir_str){ date, n }, &day) < 0 ? 0 : day;
}

static bool compare_day(enum imap_key_kind kind, int64_t ms, int64_t day)
{
	int64_t that = ms - ms % 86400000;

	switch (kind) {
	case IMAP_KEY_BEFORE:
	case IMAP_KEY_SENT_BEFORE:
		return that < day;
	case IMAP_KEY_ON:
	case IMAP_KEY_SENT_ON:
		return that == day;
	default:
		return that >= day;
	}
}

static bool has_keyword(struct kurir_str list, struct kurir_str word)
{
	while (list.len > 0) {
		ssize_t space = kurir_str_find(list, ' ');
		size_t n = space < 0 ? list.len : (size_t)space;

		if (kurir_str_equal_nocase(kurir_str_part(list, 0, n), word))
			return true;
		list = kurir_str_part(list, space < 0 ? n : n + 1, list.len);
	}
	return false;
}

/* Keys that the message's bytes answer. */
KURIR_PARKS static bool match_bytes(struct search *q, const struct imap_key *k)
{
	struct mime_part *root;

	if (!need_bytes(q))
		return false;
	root = imap_bytes_root(&q->bytes);
	switch (k->kind) {
	case IMAP_KEY_HEADER:
		return header_has(q->bytes.arena, root->header, k->name, k->text);
	case IMAP_KEY_BODY:
		return part_has(q->bytes.arena, root, k->text, false);
	case IMAP_KEY_TEXT:
		return part_has(q->bytes.arena, root, k->text, true);
	default:
		return compare_day(k->kind, sent_day(q), k->date);
	}
}

/* Depth is bounded by the parser. */
KURIR_PARKS static bool match(struct search *q, const struct imap_key *k)
{
	const struct kurir_message *m = &q->s->messages[q->index];

	switch (k->kind) {
	case IMAP_KEY_ALL:
		return true;
	case IMAP_KEY_AND:
		for (const struct imap_key *i = k->first; i; i = i->next)
			if (!match(q, i))
				return false;
		return true;
	case IMAP_KEY_OR:
		return match(q, k->first) || match(q, k->second);
	case IMAP_KEY_NOT:
		return !match(q, k->first);
	case IMAP_KEY_FLAGS:
		return (m->flags & k->flags) == k->flags;
	case IMAP_KEY_NEW:
		return (m->flags & (KURIR_MESSAGE_RECENT | KURIR_MESSAGE_SEEN)) ==
		    KURIR_MESSAGE_RECENT;
	case IMAP_KEY_KEYWORD:
		return has_keyword(m->keywords, k->text);
	case IMAP_KEY_UIDS:
		return kurir_uid_set_has(&k->uids, m->uid);
	case IMAP_KEY_LARGER:
		return m->size > k->number;
	case IMAP_KEY_SMALLER:
		return m->size < k->number;
	case IMAP_KEY_BEFORE:
	case IMAP_KEY_ON:
	case IMAP_KEY_SINCE:
		return compare_day(k->kind, m->date, k->date);
	default:
		return match_bytes(q, k);
	}
}

KURIR_PARKS void imap_search(struct imap *s, struct imap_args *a)
{
	struct imap_key *key;
	int r = imap_search_parse(s, a, &key);

	if (r == -EINVAL) {
		imap_no(s, "[BADCHARSET (UTF-8 US-ASCII)] Unknown charset");
		return;
	}
	if (r < 0) {
		imap_bad(s, "These are not search keys");
		return;
	}
	imap_puts(s, "* SEARCH");
	for (size_t i = 0; i < s->view.count; i++) {
		struct search q = { .s = s, .index = i };

		if (match(&q, key))
			kurir_printf(s->stream, " %zu", s->by_uid ? s->messages[i].uid : i + 1);
		if (q.open)
			imap_bytes_close(&q.bytes);
		if (q.error < 0) {
			s->over = true;
			return;
		}
		if (q.open || i % 64 == 63)
			kurir_yield();
	}
	imap_puts(s, "\r\n");
	imap_ok(s, "Done");
}
