/* imap_thread.c - THREAD and UID THREAD (RFC 5256; the trees are made in imap_forest.c).
 *
 *   thread         = ["UID" SP] "THREAD" SP thread-alg SP charset 1*(SP search-key)
 *   thread-alg     = "ORDEREDSUBJECT" / "REFERENCES"
 *   thread-data    = "THREAD" [SP 1*thread-list]
 *   thread-list    = "(" (thread-members / thread-nested) ")"
 *   thread-members = nz-number *(SP nz-number) [SP thread-nested]
 *   thread-nested  = 2*thread-list */

#include <errno.h>

#include "imap_sort.h"
#include "imap_thread.h"

struct thread {
	bool references;
	struct imap_search search;
	struct imap_hits hits;
	struct imap_forest forest;
	struct imap_facts facts;
};

static int parse(struct imap *s, struct imap_args *a, struct thread *q)
{
	int r;

	q->references = imap_take_word(a, "REFERENCES");
	if (!q->references && !imap_take_word(a, "ORDEREDSUBJECT"))
		return -EBADMSG;
	r = imap_space(a) ? imap_charset_parse(a) : -EBADMSG;
	return r < 0 ? r : imap_keys_parse(s, a, &q->search);
}

static struct kurir_str field(struct imap_bytes *b, const char *name)
{
	return mime_header_get(b->arena, imap_bytes_header(b), kurir_str_of(name));
}

/* What the header says of it.  One that cannot be read is a thread of its own. */
KURIR_PARKS static int add(struct imap *s, struct thread *q, uint32_t at)
{
	const struct kurir_message *m = imap_at(s, at);
	struct imap_thread_message t = {
		.number = s->by_uid ? m->uid : at + 1, .date = m->date, .subject = KURIR_STR("")
	};
	struct imap_bytes b;
	int r = 0;

	imap_bytes_begin(&b, imap_facts_get(&q->facts, at));
	if (!b.facts[KURIR_FACT_HEADER].ptr)
		r = imap_bytes_open(s, m, &b);
	if (r == -ECANCELED) {
		imap_bytes_close(&b);
		return r;
	}
	if (r >= 0) {
		struct kurir_str subject = field(&b, "Subject");

		t.date = imap_sent_date(&b, m);
		t.id = field(&b, "Message-ID");
		t.references = field(&b, "References");
		if (t.references.len == 0)
			t.references = field(&b, "In-Reply-To");
		if (subject.ptr)
			t.subject = imap_folded(q->forest.arena,
			    mime_base_subject(
				b.arena, mime_decode_words(b.arena, subject), &t.reply));
	}
	if (q->references)
		imap_forest_add(&q->forest, &t);
	else
		imap_forest_add_single(&q->forest, &t);
	r = b.open || at % 64 == 63 ? kurir_yield() : 0;
	imap_bytes_close(&b);
	return r;
}

/* One tree, from its root down and up again. */
KURIR_PARKS static void put_tree(struct imap *s, const struct imap_node *nodes, uint32_t root)
{
	uint32_t n = root;

	imap_puts(s, "(");
	for (;;) {
		uint32_t child = nodes[n].child;

		if (nodes[n].number)
			kurir_printf(s->stream, "%u", nodes[n].number);
		if (child != IMAP_NO_NODE) {
			imap_puts(s, nodes[n].number ? " " : "");
			imap_puts(s, nodes[child].next != IMAP_NO_NODE ? "(" : "");
			n = child;
			continue;
		}
		while (n != root) {
			uint32_t up = nodes[n].parent;
			bool siblings = nodes[nodes[up].child].next != IMAP_NO_NODE;

			imap_puts(s, siblings ? ")" : "");
			if (nodes[n].next != IMAP_NO_NODE)
				break;
			n = up;
		}
		if (n == root)
			break;
		imap_puts(s, "(");
		n = nodes[n].next;
	}
	imap_puts(s, ")");
}

KURIR_PARKS static void put(struct imap *s, const struct thread *q)
{
	const struct imap_node *nodes = q->forest.nodes;

	imap_puts(s, q->forest.first == IMAP_NO_NODE ? "* THREAD" : "* THREAD ");
	for (uint32_t i = q->forest.first; i != IMAP_NO_NODE; i = nodes[i].next)
		put_tree(s, nodes, i);
	imap_puts(s, "\r\n");
}

KURIR_PARKS void imap_thread(struct imap *s, struct imap_args *a)
{
	struct thread *q = kurir_alloc(kurir_scratch(), sizeof(*q));
	struct kurir_arena *arena;
	int r = parse(s, a, q);

	if (r < 0) {
		imap_search_refuse(s, r);
		return;
	}
	arena = kurir_arena_new("imap thread");
	r = imap_find(s, q->search.key, arena, &q->hits);
	if (r >= 0)
		imap_forest_init(&q->forest, arena, q->hits.count);
	imap_facts_begin(&q->facts, s, 1u << KURIR_FACT_HEADER, NULL);
	for (size_t i = 0; r >= 0 && i < q->hits.count; i++) {
		r = add(s, q, q->hits.at[i]);
		if (r >= 0)
			r = imap_progress(s, i, q->hits.count);
	}
	imap_facts_end(&q->facts);
	if (r < 0) {
		s->over = true;
	} else {
		if (q->references)
			imap_forest_by_references(&q->forest);
		else
			imap_forest_by_subject(&q->forest);
		put(s, q);
		imap_limited_ok(s, q->hits.lowest);
	}
	kurir_arena_free(arena);
}
