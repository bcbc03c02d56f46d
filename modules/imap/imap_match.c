/* imap_match.c - which messages the keys of a SEARCH mean (RFC 9051 section 6.4.4).
 *
 * What the snapshot can answer is asked first; a message is opened only for keys that need its
 * bytes.  Texts are compared without case (ASCII), decoded from transfer encodings and encoded
 * words. */

#include <errno.h>
#include <string.h>

#include "imap_body.h"
#include "imap_search.h"

/* What the store found for a key, and what it could not tell. */
struct answer {
	const struct imap_key *key;
	struct kurir_uid_set found, unsure;
	struct answer *next;
};
struct search {
	struct imap *s;
	const struct answer *answers;
	size_t index;
	int64_t now;
	struct imap_facts *facts;
	struct imap_bytes bytes;
	bool begun;
	int error;
};

/* What the store knows of the message, asked when a key needs it for the first time. */
KURIR_PARKS static const struct kurir_str *known(struct search *q)
{
	if (!q->begun)
		imap_bytes_begin(&q->bytes, imap_facts_get(q->facts, q->index));
	q->begun = true;
	return q->bytes.facts;
}

/* The header, or all of its bytes when more is needed or the header is not known. */
KURIR_PARKS static bool need(struct search *q, bool header)
{
	int r;

	if ((known(q)[KURIR_FACT_HEADER].ptr && header) || q->bytes.open)
		return true;
	r = imap_bytes_open(q->s, imap_at(q->s, q->index), &q->bytes);
	if (r == -ECANCELED)
		q->error = r;
	return r >= 0;
}

/* The day of the Date: field, as imap_date() counts; 0 when there is none that can be read. */
static int64_t sent_day(struct search *q)
{
	struct kurir_str value =
	    mime_header_get(q->bytes.arena, imap_bytes_header(&q->bytes), KURIR_STR("Date"));
	int64_t when, day;

	return value.ptr && imap_message_date(value, &when, &day) >= 0 ? day : 0;
}

static bool compare_day(enum imap_key_kind kind, int64_t ms, int64_t day)
{
	int64_t that = ms - ms % 86400000;

	switch (kind) {
	case IMAP_KEY_BEFORE:
	case IMAP_KEY_SAVED_BEFORE:
	case IMAP_KEY_SENT_BEFORE:
		return that < day;
	case IMAP_KEY_ON:
	case IMAP_KEY_SAVED_ON:
	case IMAP_KEY_SENT_ON:
		return that == day;
	default:
		return that >= day;
	}
}

/* Keys that the message's bytes answer, if the store has not. */
KURIR_PARKS static bool match_bytes(struct search *q, const struct imap_key *k)
{
	const struct answer *a = q->answers;
	struct mime_needle text;
	uint32_t uid = imap_at(q->s, q->index)->uid;

	while (a && a->key != k)
		a = a->next;
	if (a && kurir_uid_set_has(&a->found, uid))
		return true;
	if (a && !kurir_uid_set_has(&a->unsure, uid))
		return false;
	/* Many keys and a large message: the others have a turn. */
	if (q->bytes.open && kurir_yield() < 0)
		q->error = -ECANCELED;
	if (q->error < 0 || !need(q, k->kind != IMAP_KEY_BODY && k->kind != IMAP_KEY_TEXT))
		return false;
	switch (k->kind) {
	case IMAP_KEY_HEADER:
		text = mime_needle_of(q->bytes.arena, k->text);
		return mime_header_has(
		    q->bytes.arena, imap_bytes_header(&q->bytes), k->name, &text);
	case IMAP_KEY_BODY:
		return mime_message_has(q->bytes.arena, q->bytes.text, k->text, false);
	case IMAP_KEY_TEXT:
		return mime_message_has(q->bytes.arena, q->bytes.text, k->text, true);
	default:
		return compare_day(k->kind, sent_day(q), k->date);
	}
}

KURIR_PARKS static bool has_id(struct search *q, enum kurir_fact which, struct kurir_str text)
{
	struct kurir_str id = known(q)[which];

	return id.len > 0 && kurir_str_equal(id, text);
}

/* Depth is bounded by the parser. */
KURIR_PARKS static bool match(struct search *q, const struct imap_key *k)
{
	const struct kurir_message *m = imap_at(q->s, q->index);

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
		return imap_has_word(m->keywords, k->text);
	case IMAP_KEY_UIDS:
		return kurir_uid_set_has(&k->uids, m->uid);
	case IMAP_KEY_LARGER:
		return m->size > k->number;
	case IMAP_KEY_SMALLER:
		return m->size < k->number;
	case IMAP_KEY_MODSEQ:
		return m->modseq >= k->number;
	case IMAP_KEY_OLDER:
	case IMAP_KEY_YOUNGER:
		return ((q->now - m->date) / 1000 >= (int64_t)k->number) ==
		    (k->kind == IMAP_KEY_OLDER);
	case IMAP_KEY_BEFORE:
	case IMAP_KEY_ON:
	case IMAP_KEY_SINCE:
		return compare_day(k->kind, m->date, k->date);
	case IMAP_KEY_SAVED_BEFORE:
	case IMAP_KEY_SAVED_ON:
	case IMAP_KEY_SAVED_SINCE: /* RFC 8514 section 4.2 */
		return compare_day(k->kind, m->saved ? m->saved : m->date, k->date);
	case IMAP_KEY_SAVED_KNOWN:
		return m->saved != 0;
	case IMAP_KEY_EMAIL_ID:
		return has_id(q, KURIR_FACT_EMAIL_ID, k->text);
	case IMAP_KEY_THREAD_ID:
		return has_id(q, KURIR_FACT_THREAD_ID, k->text);
	default:
		return match_bytes(q, k);
	}
}

/* What of the facts they need, as 1u << enum kurir_fact; depth is bounded by the parser. */
static uint32_t facts_of(const struct imap_key *k)
{
	uint32_t facts = 0;

	for (const struct imap_key *i = k->kind == IMAP_KEY_AND ? k->first : NULL; i; i = i->next)
		facts |= facts_of(i);
	switch (k->kind) {
	case IMAP_KEY_OR:
		return facts_of(k->first) | facts_of(k->second);
	case IMAP_KEY_NOT:
		return facts_of(k->first);
	case IMAP_KEY_EMAIL_ID:
		return 1u << KURIR_FACT_EMAIL_ID;
	case IMAP_KEY_THREAD_ID:
		return 1u << KURIR_FACT_THREAD_ID;
	case IMAP_KEY_HEADER:
	case IMAP_KEY_SENT_BEFORE:
	case IMAP_KEY_SENT_ON:
	case IMAP_KEY_SENT_SINCE:
		return 1u << KURIR_FACT_HEADER;
	default:
		return facts;
	}
}

/* Asks the store for what it can tell of one key; depth is bounded by the parser. */
KURIR_PARKS static void ask_store(
    struct imap *s, const struct imap_key *k, struct kurir_arena *arena, struct answer **ret)
{
	struct kurir_find what = { .field = k->name, .text = k->text };
	struct answer *a;

	for (const struct imap_key *i = k->kind == IMAP_KEY_AND ? k->first : NULL; i; i = i->next)
		ask_store(s, i, arena, ret);
	if (k->kind == IMAP_KEY_OR || k->kind == IMAP_KEY_NOT)
		ask_store(s, k->first, arena, ret);
	if (k->kind == IMAP_KEY_OR)
		ask_store(s, k->second, arena, ret);
	what.place = k->kind == IMAP_KEY_HEADER ? KURIR_FIND_HEADER
	    : k->kind == IMAP_KEY_BODY		? KURIR_FIND_BODY
						: KURIR_FIND_TEXT;
	if (!s->store->find || k->kind < IMAP_KEY_HEADER || k->kind > IMAP_KEY_TEXT)
		return;
	a = kurir_alloc(arena, sizeof(*a));
	a->key = k;
	if (s->store->find(s->store_self, s->place.account, s->place.mailbox, &what,
		imap_until(s), arena, &a->found, &a->unsure) < 0)
		return;
	a->next = *ret;
	*ret = a;
}

/* How many of the newest messages may be looked at (RFC 9738). */
static size_t begin_of(const struct imap *s, struct imap_hits *hits)
{
	size_t max = (size_t)s->conf->messages_max;

	if (max == 0 || s->box.count <= max)
		return 0;
	hits->lowest = imap_box_uid(&s->box, s->box.count - max);
	return s->box.count - max;
}

KURIR_PARKS int imap_find(
    struct imap *s, const struct imap_key *key, struct kurir_arena *arena, struct imap_hits *ret)
{
	struct imap_hits hits = { .at =
				      kurir_alloc(arena, (s->box.count + 1) * sizeof(*hits.at)) };
	struct answer *answers = NULL;
	struct imap_facts facts;
	int64_t now = kurir_wallclock();
	int r = imap_need(s, NULL);

	if (r < 0) {
		imap_failed(s, r);
		return r;
	}
	ask_store(s, key, arena, &answers);
	imap_facts_begin(&facts, s, facts_of(key), NULL);
	for (size_t i = begin_of(s, &hits); i < s->box.count && r >= 0; i++) {
		struct search q = {
			.s = s, .answers = answers, .index = i, .now = now, .facts = &facts
		};
		bool opened;

		if (match(&q, key))
			hits.at[hits.count++] = (uint32_t)i;
		opened = q.bytes.open;
		if (q.begun)
			imap_bytes_close(&q.bytes);
		r = q.error;
		if (r >= 0 && (opened || i % 64 == 63))
			r = kurir_yield();
		if (r >= 0 && (opened || i % 64 == 63))
			r = imap_progress(s, i + 1, s->box.count);
	}
	imap_facts_end(&facts);
	if (r < 0)
		s->over = true;
	else
		*ret = hits;
	return r < 0 ? r : 0;
}
