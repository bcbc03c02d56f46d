/* imap_result.c - what a search found, as the client wants to hear it (RFC 9051 section 7.3.4;
 * RFC 4731, 5182, 5267, 7162 section 3.1.5, 9394).
 *
 *   esearch-response   = "ESEARCH" [SP "(" "TAG" SP tag-string ")"] [SP "UID"]
 *                        *(SP search-return-data)
 *   search-return-data = "MIN" SP nz-number / "MAX" SP nz-number / "ALL" SP sequence-set /
 *                        "COUNT" SP number / "MODSEQ" SP mod-sequence-value /
 *                        "PARTIAL" SP "(" partial-range SP (sequence-set / nil) ")"
 *   mailbox-data       = "SEARCH" *(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"] */

#include <stdlib.h>

#include "imap_search.h"

static uint32_t number_of(const struct imap *s, uint32_t index)
{
	return s->by_uid ? imap_box_uid(&s->box, index) : index + 1;
}

/* In the order they have, ascending neighbours joined. */
KURIR_PARKS static void put_set(
    struct imap *s, const struct imap_hits *hits, size_t begin, size_t end)
{
	while (begin < end) {
		uint32_t first = number_of(s, hits->at[begin]), last = first;
		size_t i = begin + 1;

		while (i < end && number_of(s, hits->at[i]) == last + 1) {
			last++;
			i++;
		}
		kurir_printf(s->stream, "%u", first);
		if (last != first)
			kurir_printf(s->stream, ":%u", last);
		if (i < end)
			imap_puts(s, ",");
		begin = i;
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* "$": all that the client heard of; with MIN or MAX alone, just those. */
static void save(struct imap *s, const struct imap_search *q, const struct imap_hits *hits,
    size_t begin, size_t end)
{
	uint32_t only = q->returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX);
	size_t n = 0, count = 0;
	struct kurir_uid_range *ranges;
	uint32_t *at;

	imap_saved_clear(s);
	if (end == begin)
		return;
	s->saved_arena = kurir_arena_new("imap saved");
	at = kurir_alloc(s->saved_arena, (hits->count + 2) * sizeof(*at));
	if (only && !(q->returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT | IMAP_RETURN_PARTIAL))) {
		if (only & IMAP_RETURN_MIN)
			at[n++] = hits->at[0];
		if ((only & IMAP_RETURN_MAX) && (n == 0 || hits->at[hits->count - 1] != at[0]))
			at[n++] = hits->at[hits->count - 1];
	} else {
		for (size_t i = begin; i < end; i++)
			at[n++] = hits->at[i];
	}
	qsort(at, n, sizeof(*at), by_number);
	ranges = kurir_alloc(s->saved_arena, n * sizeof(*ranges));
	for (size_t i = 0; i < n; i++)
		imap_set_add(ranges, &count, imap_box_uid(&s->box, at[i]));
	s->saved = (struct kurir_uid_set){ count, ranges };
}

/* The highest of those that the reply is about. */
static uint64_t modseq_of(
    const struct imap *s, const struct imap_search *q, const struct imap_hits *hits)
{
	bool ends = (q->returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX)) &&
	    !(q->returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT | IMAP_RETURN_PARTIAL));
	uint64_t highest = 0;

	for (size_t i = 0; i < hits->count; i++) {
		bool first = (q->returns & IMAP_RETURN_MIN) && i == 0;
		bool last = (q->returns & IMAP_RETURN_MAX) && i + 1 == hits->count;

		if ((!ends || first || last) && imap_at(s, hits->at[i])->modseq > highest)
			highest = imap_at(s, hits->at[i])->modseq;
	}
	return highest;
}

KURIR_PARKS static void put_partial(struct imap *s, const struct imap_search *q,
    const struct imap_hits *hits, size_t begin, size_t end)
{
	kurir_printf(s->stream, " PARTIAL (%.*s ", KURIR_ARG(q->partial.spelled));
	if (begin < end)
		put_set(s, hits, begin, end);
	else
		imap_puts(s, "NIL");
	imap_puts(s, ")");
}

KURIR_PARKS static void put_esearch(
    struct imap *s, const struct imap_search *q, const struct imap_hits *hits)
{
	size_t begin = 0, end = hits->count;

	if (q->returns & IMAP_RETURN_PARTIAL)
		imap_partial_of(&q->partial, hits->count, &begin, &end);
	if (q->returns & IMAP_RETURN_SAVE)
		save(s, q, hits, begin, end);
	if (q->returns == IMAP_RETURN_SAVE)
		return;
	kurir_printf(
	    s->stream, "* ESEARCH (TAG \"%.*s\")%s", KURIR_ARG(s->tag), s->by_uid ? " UID" : "");
	if (hits->count > 0) {
		if (q->returns & IMAP_RETURN_MIN)
			kurir_printf(s->stream, " MIN %u", number_of(s, hits->at[0]));
		if (q->returns & IMAP_RETURN_MAX)
			kurir_printf(
			    s->stream, " MAX %u", number_of(s, hits->at[hits->count - 1]));
		if (q->returns & IMAP_RETURN_ALL) {
			imap_puts(s, " ALL ");
			put_set(s, hits, 0, hits->count);
		}
	}
	if (q->returns & IMAP_RETURN_COUNT)
		kurir_printf(s->stream, " COUNT %zu", hits->count);
	if (q->returns & IMAP_RETURN_PARTIAL)
		put_partial(s, q, hits, begin, end);
	if (q->modseq && hits->count > 0)
		kurir_printf(
		    s->stream, " MODSEQ %llu", (unsigned long long)modseq_of(s, q, hits));
	imap_puts(s, "\r\n");
}

KURIR_PARKS void imap_put_found(
    struct imap *s, bool sorted, const struct imap_search *q, const struct imap_hits *hits)
{
	struct imap_search all = *q;

	if (q->modseq)
		imap_enable_condstore(s);
	/* IMAP4rev2 knows no SEARCH reply. */
	if (!q->extended && (s->enabled & IMAP_REV2) && !sorted) {
		all.returns = IMAP_RETURN_ALL;
		all.extended = true;
	}
	if (all.extended) {
		put_esearch(s, &all, hits);
		return;
	}
	imap_puts(s, sorted ? "* SORT" : "* SEARCH");
	for (size_t i = 0; i < hits->count; i++)
		kurir_printf(s->stream, " %u", number_of(s, hits->at[i]));
	if (q->modseq && hits->count > 0)
		kurir_printf(
		    s->stream, " (MODSEQ %llu)", (unsigned long long)modseq_of(s, q, hits));
	imap_puts(s, "\r\n");
}
