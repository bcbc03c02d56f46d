/* imap_search_parse.c - the keys of a SEARCH.
 *
 *   search     = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)       ; RFC 3501 section 9
 *   search-key = "ALL" / ... / "OR" SP search-key SP search-key / "NOT" SP search-key /
 *                sequence-set / "(" search-key *(SP search-key) ")" */

#include <errno.h>

#include "imap_search.h"

#define TEXT_MAX 1024 /* of a text to look for: the time is that of both multiplied */

enum argument {
	ARG_NONE,
	ARG_TEXT,
	ARG_FIELD,
	ARG_DATE,
	ARG_NUMBER,
	ARG_KEYWORD,
	ARG_UIDS,
	ARG_KEY,
	ARG_KEYS
};

static const struct {
	const char *name;
	enum imap_key_kind kind;
	enum argument argument;
	uint32_t flags;
	bool negated;
	const char *field; /* of a header */
} keys[] = {
	{ "ALL", IMAP_KEY_ALL, ARG_NONE, 0, false, NULL },
	{ "ANSWERED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_ANSWERED, false, NULL },
	{ "DELETED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_DELETED, false, NULL },
	{ "DRAFT", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_DRAFT, false, NULL },
	{ "FLAGGED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_FLAGGED, false, NULL },
	{ "RECENT", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_RECENT, false, NULL },
	{ "SEEN", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_SEEN, false, NULL },
	{ "UNANSWERED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_ANSWERED, true, NULL },
	{ "UNDELETED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_DELETED, true, NULL },
	{ "UNDRAFT", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_DRAFT, true, NULL },
	{ "UNFLAGGED", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_FLAGGED, true, NULL },
	{ "UNSEEN", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_SEEN, true, NULL },
	{ "OLD", IMAP_KEY_FLAGS, ARG_NONE, KURIR_MESSAGE_RECENT, true, NULL },
	{ "NEW", IMAP_KEY_NEW, ARG_NONE, 0, false, NULL },
	{ "KEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, 0, false, NULL },
	{ "UNKEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, 0, true, NULL },
	{ "UID", IMAP_KEY_UIDS, ARG_UIDS, 0, false, NULL },
	{ "LARGER", IMAP_KEY_LARGER, ARG_NUMBER, 0, false, NULL },
	{ "SMALLER", IMAP_KEY_SMALLER, ARG_NUMBER, 0, false, NULL },
	{ "BEFORE", IMAP_KEY_BEFORE, ARG_DATE, 0, false, NULL },
	{ "ON", IMAP_KEY_ON, ARG_DATE, 0, false, NULL },
	{ "SINCE", IMAP_KEY_SINCE, ARG_DATE, 0, false, NULL },
	{ "SENTBEFORE", IMAP_KEY_SENT_BEFORE, ARG_DATE, 0, false, NULL },
	{ "SENTON", IMAP_KEY_SENT_ON, ARG_DATE, 0, false, NULL },
	{ "SENTSINCE", IMAP_KEY_SENT_SINCE, ARG_DATE, 0, false, NULL },
	{ "BCC", IMAP_KEY_HEADER, ARG_TEXT, 0, false, "Bcc" },
	{ "CC", IMAP_KEY_HEADER, ARG_TEXT, 0, false, "Cc" },
	{ "FROM", IMAP_KEY_HEADER, ARG_TEXT, 0, false, "From" },
	{ "SUBJECT", IMAP_KEY_HEADER, ARG_TEXT, 0, false, "Subject" },
	{ "TO", IMAP_KEY_HEADER, ARG_TEXT, 0, false, "To" },
	{ "HEADER", IMAP_KEY_HEADER, ARG_FIELD, 0, false, NULL },
	{ "BODY", IMAP_KEY_BODY, ARG_TEXT, 0, false, NULL },
	{ "TEXT", IMAP_KEY_TEXT, ARG_TEXT, 0, false, NULL },
	{ "NOT", IMAP_KEY_NOT, ARG_KEY, 0, false, NULL },
	{ "OR", IMAP_KEY_OR, ARG_KEYS, 0, false, NULL },
};

static int one_key(struct imap *, struct imap_args *, struct imap_key **ret);

static struct imap_key *new_key(enum imap_key_kind kind)
{
	struct imap_key *k = kurir_alloc(kurir_scratch(), sizeof(*k));

	k->kind = kind;
	return k;
}

static int uid_set(struct imap *s, struct imap_args *a, bool by_uid, struct kurir_uid_set *ret)
{
	bool was = s->by_uid;
	struct imap_args part = *a;
	size_t n = 0;
	int r;

	while (n < a->rest.len && a->rest.ptr[n] != ' ' && a->rest.ptr[n] != ')')
		n++;
	part.rest = kurir_str_part(a->rest, 0, n);
	s->by_uid = by_uid;
	r = imap_set_arg(s, &part, ret);
	s->by_uid = was;
	a->rest = kurir_str_part(a->rest, n, a->rest.len);
	return r;
}

static int argument(struct imap *s, struct imap_args *a, enum argument kind, struct imap_key *k)
{
	struct kurir_str text;

	if (kind == ARG_NONE)
		return 0;
	if (!imap_space(a))
		return -EBADMSG;
	switch (kind) {
	case ARG_FIELD:
		if (imap_astring(a, &k->name) < 0 || !imap_space(a))
			return -EBADMSG;
		/* fall through */
	case ARG_TEXT:
		return imap_astring(a, &k->text) < 0 || k->text.len > TEXT_MAX ? -EBADMSG : 0;
	case ARG_DATE:
		return imap_astring(a, &text) < 0 ? -EBADMSG : imap_date(text, &k->date);
	case ARG_NUMBER:
		return imap_number(a, &k->number);
	case ARG_KEYWORD:
		return imap_atom(a, &k->text);
	case ARG_UIDS:
		return uid_set(s, a, true, &k->uids);
	case ARG_KEY:
		return one_key(s, a, &k->first);
	case ARG_KEYS:
		if (one_key(s, a, &k->first) < 0 || !imap_space(a))
			return -EBADMSG;
		return one_key(s, a, &k->second);
	case ARG_NONE:
		break;
	}
	return -EBADMSG;
}

/* search-key *(SP search-key), up to what must follow them */
static int list(struct imap *s, struct imap_args *a, struct imap_key **ret)
{
	struct imap_key *and = new_key(IMAP_KEY_AND), **tail = &and->first;

	do {
		if (one_key(s, a, tail) < 0)
			return -EBADMSG;
		tail = &(*tail)->next;
	} while (imap_space(a));
	*ret = and;
	return 0;
}

static int named_key(struct imap *s, struct imap_args *a, struct imap_key **ret)
{
	struct kurir_str word;

	if (imap_atom(a, &word) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct imap_key *k, *not ;

		if (!kurir_str_equal_nocase(word, kurir_str_of(keys[i].name)))
			continue;
		k = new_key(keys[i].kind);
		k->flags = keys[i].flags;
		if (keys[i].field)
			k->name = kurir_str_of(keys[i].field);
		if (argument(s, a, keys[i].argument, k) < 0)
			return -EBADMSG;
		*ret = k;
		if (keys[i].negated) {
			not = new_key(IMAP_KEY_NOT);
			not ->first = k;
			*ret = not ;
		}
		return 0;
	}
	return -EBADMSG;
}

static int one_key(struct imap *s, struct imap_args *a, struct imap_key **ret)
{
	int r = -EBADMSG;
	char c = a->rest.len > 0 ? a->rest.ptr[0] : '\0';

	if (++a->depth > IMAP_DEPTH)
		return -EBADMSG;
	if (imap_take(a, '(')) {
		r = list(s, a, ret);
		if (r >= 0 && !imap_take(a, ')'))
			r = -EBADMSG;
	} else if ((c >= '0' && c <= '9') || c == '*') {
		*ret = new_key(IMAP_KEY_UIDS);
		r = uid_set(s, a, false, &(*ret)->uids);
	} else {
		r = named_key(s, a, ret);
	}
	a->depth--;
	return r;
}

int imap_search_parse(struct imap *s, struct imap_args *a, struct imap_key **ret)
{
	struct kurir_str charset;
	int r;

	if (kurir_str_starts_nocase(a->rest, KURIR_STR("CHARSET "))) {
		a->rest = kurir_str_part(a->rest, 8, a->rest.len);
		if (imap_astring(a, &charset) < 0 || !imap_space(a))
			return -EBADMSG;
		if (!kurir_str_equal_nocase(charset, KURIR_STR("UTF-8")) &&
		    !kurir_str_equal_nocase(charset, KURIR_STR("US-ASCII")))
			return -EINVAL;
	}
	r = list(s, a, ret);
	return r >= 0 && !imap_end(a) ? -EBADMSG : r;
}
