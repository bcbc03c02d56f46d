/* imap_search_parse.c - what a SEARCH is asked for.
 *
 *   search        = "SEARCH" [search-return-opts] SP ["CHARSET" SP astring SP] search-key
 *                   *(SP search-key)                           ; RFC 9051 section 9
 *   search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
 *   search-return-opt  = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" /
 *                        "PARTIAL" SP partial-range            ; RFC 9394
 *   partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number
 *   search-key = "ALL" / ... / "OR" SP search-key SP search-key / "NOT" SP search-key /
 *                sequence-set / "(" search-key *(SP search-key) ")" /
 *                "OLDER" SP nz-number / "YOUNGER" SP nz-number             ; RFC 5032
 *                "MODSEQ" [SP entry-name SP entry-type] SP mod-sequence /  ; RFC 7162
 *                "SAVEDBEFORE" SP date / "SAVEDON" SP date /
 *                "SAVEDSINCE" SP date / "SAVEDATESUPPORTED" /              ; RFC 8514
 *                "EMAILID" SP objectid / "THREADID" SP objectid            ; RFC 8474 */

#include <errno.h>

#include "imap_search.h"

#define TEXT_MAX 1024 /* of a text to look for: the time is that of both multiplied */

enum argument {
	ARG_NONE,
	ARG_TEXT,
	ARG_FIELD,
	ARG_DATE,
	ARG_NUMBER,
	ARG_SPAN,
	ARG_MODSEQ,
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
	{ "OLDER", IMAP_KEY_OLDER, ARG_SPAN, 0, false, NULL },
	{ "YOUNGER", IMAP_KEY_YOUNGER, ARG_SPAN, 0, false, NULL },
	{ "MODSEQ", IMAP_KEY_MODSEQ, ARG_MODSEQ, 0, false, NULL },
	{ "BEFORE", IMAP_KEY_BEFORE, ARG_DATE, 0, false, NULL },
	{ "ON", IMAP_KEY_ON, ARG_DATE, 0, false, NULL },
	{ "SINCE", IMAP_KEY_SINCE, ARG_DATE, 0, false, NULL },
	{ "SAVEDBEFORE", IMAP_KEY_SAVED_BEFORE, ARG_DATE, 0, false, NULL },
	{ "SAVEDON", IMAP_KEY_SAVED_ON, ARG_DATE, 0, false, NULL },
	{ "SAVEDSINCE", IMAP_KEY_SAVED_SINCE, ARG_DATE, 0, false, NULL },
	{ "SAVEDATESUPPORTED", IMAP_KEY_SAVED_KNOWN, ARG_NONE, 0, false, NULL },
	{ "EMAILID", IMAP_KEY_EMAIL_ID, ARG_TEXT, 0, false, NULL },
	{ "THREADID", IMAP_KEY_THREAD_ID, ARG_TEXT, 0, false, NULL },
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

/* The metadata item of a flag, or none, and from which mod-sequence on: all flags have one. */
static int modseq(struct imap_args *a, struct imap_key *k)
{
	struct kurir_str name;

	if (imap_next_is(a, '"') &&
	    (imap_string_arg(a, &name) < 0 || !imap_space(a) || imap_atom(a, &name) < 0 ||
		!imap_space(a)))
		return -EBADMSG;
	return imap_number64(a, &k->number);
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
		return imap_number64(a, &k->number);
	case ARG_SPAN:
		return imap_number(a, &k->number) < 0 || k->number == 0 ? -EBADMSG : 0;
	case ARG_MODSEQ:
		return modseq(a, k);
	case ARG_KEYWORD:
		return imap_atom(a, &k->text);
	case ARG_UIDS:
		return imap_set_uids(s, a, &k->uids);
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

/* search-key *(SP search-key), up to what must follow them. */
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
	} else if ((c >= '0' && c <= '9') || c == '*' || c == '$') {
		/* Who wanted UIDs only has no other numbers. */
		if (c != '$' && (s->enabled & IMAP_UIDONLY))
			return -EBADMSG;
		*ret = new_key(IMAP_KEY_UIDS);
		r = imap_set_numbers(s, a, false, &(*ret)->uids);
	} else {
		r = named_key(s, a, ret);
	}
	a->depth--;
	return r;
}

int imap_partial_parse(struct imap_args *a, struct imap_partial *ret)
{
	struct kurir_str before = a->rest;
	struct imap_partial p = { .backward = imap_take(a, '-') };
	uint64_t first, last;

	if (imap_number(a, &first) < 0 || first == 0 || !imap_take(a, ':') ||
	    imap_take(a, '-') != p.backward || imap_number(a, &last) < 0 || last == 0)
		return -EBADMSG;
	p.first = (uint32_t)(first < last ? first : last);
	p.last = (uint32_t)(first < last ? last : first);
	p.spelled = kurir_str_part(before, 0, before.len - a->rest.len);
	*ret = p;
	return 0;
}

void imap_partial_of(
    const struct imap_partial *p, size_t count, size_t *ret_begin, size_t *ret_end)
{
	size_t first = p->first - 1, last = p->last;

	if (last > count)
		last = count;
	if (first > last)
		first = last;
	*ret_begin = p->backward ? count - last : first;
	*ret_end = p->backward ? count - first : last;
}

int imap_returns_parse(struct imap_args *a, struct imap_search *ret)
{
	static const struct {
		const char *name;
		enum imap_return option;
	} known[] = { { "MIN", IMAP_RETURN_MIN }, { "MAX", IMAP_RETURN_MAX },
		{ "ALL", IMAP_RETURN_ALL }, { "COUNT", IMAP_RETURN_COUNT },
		{ "SAVE", IMAP_RETURN_SAVE }, { "PARTIAL", IMAP_RETURN_PARTIAL } };

	if (!imap_take_word(a, "RETURN"))
		return 0;
	ret->extended = true;
	if (!imap_space(a) || !imap_take(a, '('))
		return -EBADMSG;
	while (!imap_take(a, ')')) {
		size_t i = 0;

		while (i < 6 && !imap_take_word(a, known[i].name))
			i++;
		if (i == 6 || (ret->returns & known[i].option & IMAP_RETURN_PARTIAL))
			return -EBADMSG;
		ret->returns |= known[i].option;
		if (known[i].option == IMAP_RETURN_PARTIAL &&
		    (!imap_space(a) || imap_partial_parse(a, &ret->partial) < 0))
			return -EBADMSG;
		if (!imap_space(a) && !imap_next_is(a, ')'))
			return -EBADMSG;
	}
	if ((ret->returns & IMAP_RETURN_PARTIAL) && (ret->returns & IMAP_RETURN_ALL))
		return -EBADMSG;
	if (ret->returns == 0)
		ret->returns = IMAP_RETURN_ALL;
	return imap_space(a) ? 0 : -EBADMSG;
}

int imap_charset_parse(struct imap_args *a)
{
	struct kurir_str charset;

	if (imap_astring(a, &charset) < 0 || !imap_space(a))
		return -EBADMSG;
	return kurir_str_equal_nocase(charset, KURIR_STR("UTF-8")) ||
		kurir_str_equal_nocase(charset, KURIR_STR("US-ASCII"))
	    ? 0
	    : -EINVAL;
}

static bool asks_modseq(const struct imap_key *k)
{
	for (; k; k = k->next)
		if (k->kind == IMAP_KEY_MODSEQ || asks_modseq(k->first) || asks_modseq(k->second))
			return true;
	return false;
}

int imap_keys_parse(struct imap *s, struct imap_args *a, struct imap_search *ret)
{
	int r = list(s, a, &ret->key);

	if (r < 0 || !imap_end(a))
		return -EBADMSG;
	ret->modseq = asks_modseq(ret->key);
	return 0;
}

int imap_search_parse(struct imap *s, struct imap_args *a, struct imap_search *ret)
{
	int r;

	*ret = (struct imap_search){ .key = NULL };
	r = imap_returns_parse(a, ret);
	if (r >= 0 && imap_take_word(a, "CHARSET")) {
		/* RFC 6855: UTF8=ACCEPT has no other charset to name. */
		if (!imap_space(a) || (s->enabled & IMAP_UTF8))
			return -EBADMSG;
		r = imap_charset_parse(a);
	}
	return r < 0 ? r : imap_keys_parse(s, a, ret);
}
