/* imap_sort.c - SORT and UID SORT (RFC 5256; SORT=DISPLAY, RFC 5957; ESORT, RFC 5267).
 *
 *   sort          = ["UID" SP] "SORT" [search-return-opts] SP sort-criteria SP charset
 *                   1*(SP search-key)
 *   sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"
 *   sort-criterion = ["REVERSE" SP] sort-key
 *   sort-key      = "ARRIVAL" / "CC" / "DATE" / "FROM" / "SIZE" / "SUBJECT" / "TO" /
 *                   "DISPLAYFROM" / "DISPLAYTO"
 *
 * What they are compared by is taken from each message once, and kept until the reply is out. */

#include <errno.h>
#include <stdlib.h>

#include "imap_sort.h"

#define ADDRESSES 4

struct sort {
	struct imap *s;
	struct imap_sort_by by[IMAP_SORT_MAX];
	size_t count;
	bool needs_bytes;
	struct imap_search search;
	struct imap_hits hits;
	struct kurir_arena *arena;
	struct imap_facts facts;
};

union value {
	int64_t number;
	struct kurir_str text;
};
struct row {
	const struct sort *sort;
	uint32_t at;
	union value *values; /* one for each criterion */
};

static int parse_criteria(struct imap_args *a, struct sort *q)
{
	static const char *const names[] = { "ARRIVAL", "SIZE", "DATE", "SUBJECT", "FROM", "TO",
		"CC", "DISPLAYFROM", "DISPLAYTO" };

	if (!imap_take(a, '('))
		return -EBADMSG;
	do {
		struct imap_sort_by *by = &q->by[q->count];
		size_t i = 0;

		if (q->count++ == IMAP_SORT_MAX)
			return -EBADMSG;
		by->reverse = imap_take_word(a, "REVERSE");
		if (by->reverse && !imap_space(a))
			return -EBADMSG;
		while (i < 9 && !imap_take_word(a, names[i]))
			i++;
		if (i == 9)
			return -EBADMSG;
		by->key = (enum imap_sort_key)i;
		q->needs_bytes |= by->key >= IMAP_SORT_DATE;
	} while (imap_space(a));
	return imap_take(a, ')') && imap_space(a) ? 0 : -EBADMSG;
}

static int parse(struct imap *s, struct imap_args *a, struct sort *q)
{
	int r = imap_returns_parse(a, &q->search);

	if (r >= 0)
		r = parse_criteria(a, q);
	if (r >= 0)
		r = imap_charset_parse(a);
	return r < 0 ? r : imap_keys_parse(s, a, &q->search);
}

struct kurir_str imap_folded(struct kurir_arena *arena, struct kurir_str s)
{
	char *out = kurir_alloc(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		out[i] = (char)(s.ptr[i] >= 'a' && s.ptr[i] <= 'z' ? s.ptr[i] - 32 : s.ptr[i]);
	return (struct kurir_str){ out, s.len };
}

/* The first address of a field: its mailbox, or for people its name. */
static struct kurir_str address(
    struct sort *q, struct imap_bytes *b, const char *field, bool show)
{
	struct kurir_str text =
	    mime_header_get(b->arena, imap_bytes_header(b), kurir_str_of(field));
	struct mime_address list[ADDRESSES];
	size_t n = text.ptr ? mime_addresses(b->arena, text, list, ADDRESSES) : 0;

	/* The first may be the beginning of a group: its name is the mailbox then. */
	if (n == 0 || !list[0].mailbox.ptr)
		return KURIR_STR("");
	if (!show)
		return imap_folded(q->arena, list[0].mailbox);
	if (list[0].name.len > 0)
		return imap_folded(q->arena, mime_decode_words(b->arena, list[0].name));
	if (list[0].host.len == 0)
		return imap_folded(q->arena, list[0].mailbox);
	return imap_folded(q->arena,
	    kurir_format(
		b->arena, "%.*s@%.*s", KURIR_ARG(list[0].mailbox), KURIR_ARG(list[0].host)));
}

static struct kurir_str subject(struct sort *q, struct imap_bytes *b)
{
	struct kurir_str text =
	    mime_header_get(b->arena, imap_bytes_header(b), KURIR_STR("Subject"));
	bool reply;

	if (!text.ptr)
		return KURIR_STR("");
	text = mime_base_subject(b->arena, mime_decode_words(b->arena, text), &reply);
	return imap_folded(q->arena, text);
}

int64_t imap_sent_date(struct imap_bytes *b, const struct kurir_message *m)
{
	struct kurir_str text =
	    mime_header_get(b->arena, imap_bytes_header(b), KURIR_STR("Date"));
	int64_t when, day;

	return text.ptr && imap_message_date(text, &when, &day) >= 0 ? when : m->date;
}

static union value value_of(
    struct sort *q, enum imap_sort_key key, const struct kurir_message *m, struct imap_bytes *b)
{
	switch (key) {
	case IMAP_SORT_ARRIVAL:
		return (union value){ .number = m->date };
	case IMAP_SORT_SIZE:
		return (union value){ .number = (int64_t)m->size };
	case IMAP_SORT_DATE:
		return (union value){ .number = imap_sent_date(b, m) };
	case IMAP_SORT_SUBJECT:
		return (union value){ .text = subject(q, b) };
	case IMAP_SORT_FROM:
		return (union value){ .text = address(q, b, "From", false) };
	case IMAP_SORT_TO:
		return (union value){ .text = address(q, b, "To", false) };
	case IMAP_SORT_CC:
		return (union value){ .text = address(q, b, "Cc", false) };
	case IMAP_SORT_DISPLAY_FROM:
		return (union value){ .text = address(q, b, "From", true) };
	case IMAP_SORT_DISPLAY_TO:
		return (union value){ .text = address(q, b, "To", true) };
	}
	return (union value){ .number = 0 };
}

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	const struct sort *q = x->sort;

	for (size_t i = 0; i < q->count; i++) {
		int64_t p = x->values[i].number, o = y->values[i].number;
		int c = q->by[i].key <= IMAP_SORT_DATE
		    ? (p > o) - (p < o)
		    : kurir_str_compare(x->values[i].text, y->values[i].text);

		if (c != 0)
			return q->by[i].reverse ? -c : c;
	}
	return (x->at > y->at) - (x->at < y->at);
}

/* One message that cannot be read is sorted by what the store knows of it. */
KURIR_PARKS static int fill(struct sort *q, struct row *row)
{
	const struct kurir_message *m = imap_at(q->s, row->at);
	struct imap_bytes b;
	int r = 0;

	imap_bytes_begin(&b, imap_facts_get(&q->facts, row->at));
	if (q->needs_bytes && !b.facts[KURIR_FACT_HEADER].ptr)
		r = imap_bytes_open(q->s, m, &b);
	if (r == -ECANCELED) {
		imap_bytes_close(&b);
		return r;
	}
	row->values = kurir_alloc(q->arena, q->count * sizeof(*row->values));
	for (size_t i = 0; i < q->count; i++)
		if (r >= 0 || q->by[i].key < IMAP_SORT_DATE)
			row->values[i] = value_of(q, q->by[i].key, m, &b);
		else if (q->by[i].key == IMAP_SORT_DATE)
			row->values[i].number = m->date;
		else
			row->values[i].text = KURIR_STR("");
	r = b.open || row->at % 64 == 63 ? kurir_yield() : 0;
	imap_bytes_close(&b);
	return r;
}

KURIR_PARKS static int sort(struct sort *q)
{
	struct row *rows = kurir_alloc(q->arena, (q->hits.count + 1) * sizeof(*rows));
	int r = 0;

	imap_facts_begin(&q->facts, q->s, q->needs_bytes ? 1u << KURIR_FACT_HEADER : 0, NULL);
	for (size_t i = 0; i < q->hits.count && r >= 0; i++) {
		rows[i] = (struct row){ .sort = q, .at = q->hits.at[i] };
		r = fill(q, &rows[i]);
		if (r >= 0)
			r = imap_progress(q->s, i, q->hits.count);
	}
	imap_facts_end(&q->facts);
	if (r < 0) {
		q->s->over = true;
		return r;
	}
	qsort(rows, q->hits.count, sizeof(*rows), compare);
	for (size_t i = 0; i < q->hits.count; i++)
		q->hits.at[i] = rows[i].at;
	return 0;
}

KURIR_PARKS void imap_sort(struct imap *s, struct imap_args *a)
{
	struct sort *q = kurir_alloc(kurir_scratch(), sizeof(*q));
	int r = parse(s, a, q);

	q->s = s;
	if (r < 0) {
		imap_search_refuse(s, r);
		return;
	}
	q->arena = kurir_arena_new("imap sort");
	if (imap_find(s, q->search.key, q->arena, &q->hits) >= 0 && sort(q) >= 0) {
		imap_put_found(s, true, &q->search, &q->hits);
		imap_limited_ok(s, q->hits.lowest);
	}
	kurir_arena_free(q->arena);
}
