/* imap_forest.c - the two ways of threading (RFC 5256 section 3).
 *
 * Nothing here recurses, and no chain is longer than DEPTH_MAX: what a header refers to is a
 * stranger's. */

#include <stdlib.h>
#include <string.h>

#include "imap_thread.h"

#define NONE	       IMAP_NO_NODE
#define DEPTH_MAX      1000 /* ancestors of a message */
#define REFERENCES_MAX 100  /* the last so many of a message are looked at */

void imap_forest_init(struct imap_forest *f, struct kurir_arena *arena, size_t messages)
{
	uint32_t slots = 64;

	*f = (struct imap_forest){ .arena = arena,
		.room = (uint32_t)messages * 3 + 64,
		.spare = (uint32_t)messages * 2,
		.first = NONE };
	while (slots < f->room * 2)
		slots *= 2;
	f->nodes = kurir_alloc(arena, f->room * sizeof(*f->nodes));
	f->names = kurir_alloc(arena, f->room * sizeof(*f->names));
	f->ids = kurir_alloc(arena, slots * sizeof(*f->ids));
	f->id_mask = slots - 1;
}

static uint32_t new_node(struct imap_forest *f, struct kurir_str name)
{
	uint32_t i = f->count;

	f->count++;
	f->nodes[i] = (struct imap_node){
		.parent = NONE, .child = NONE, .next = NONE, .subject = KURIR_STR("")
	};
	f->names[i] = name;
	return i;
}

/* The slot of an id: empty, or that of its node. */
static uint32_t *slot_of(struct imap_forest *f, struct kurir_str id)
{
	uint32_t at = (uint32_t)kurir_str_hash(id) & f->id_mask;

	while (f->ids[at] && !kurir_str_equal(f->names[f->ids[at] - 1], id))
		at = (at + 1) & f->id_mask;
	return &f->ids[at];
}

/* A node for an id that a message refers to, or NONE when there are too many. */
static uint32_t referred(struct imap_forest *f, struct kurir_str id)
{
	uint32_t *slot = slot_of(f, id);

	if (*slot)
		return *slot - 1;
	/* The rest of the room is for the messages, and for what joins threads of one subject. */
	if (f->count + f->spare >= f->room)
		return NONE;
	*slot = new_node(f, kurir_copy(f->arena, id)) + 1;
	return *slot - 1;
}

static bool may_link(const struct imap_forest *f, uint32_t parent, uint32_t child)
{
	unsigned depth = 0;

	for (uint32_t i = parent; i != NONE; i = f->nodes[i].parent)
		if (i == child || ++depth > DEPTH_MAX)
			return false;
	return true;
}

/* "<" id ">" at the beginning of what is left; false: there is no more. */
static bool next_id(struct kurir_str *rest, struct kurir_str *ret)
{
	ssize_t open = kurir_str_find(*rest, '<'), close;

	if (open < 0)
		return false;
	*rest = kurir_str_part(*rest, (size_t)open + 1, rest->len);
	close = kurir_str_find(*rest, '>');
	if (close < 0)
		return false;
	*ret = kurir_str_part(*rest, 0, (size_t)close);
	*rest = kurir_str_part(*rest, (size_t)close + 1, rest->len);
	return true;
}

/* The last of those that are named; their text without the others. */
static struct kurir_str last_ids(struct kurir_str text)
{
	unsigned n = 0;

	for (size_t i = text.len; i > 0; i--)
		if (text.ptr[i - 1] == '<' && ++n == REFERENCES_MAX)
			return kurir_str_part(text, i - 1, text.len);
	return text;
}

static uint32_t node_of(struct imap_forest *f, const struct imap_thread_message *m)
{
	struct kurir_str text = m->id, id;
	uint32_t *slot;

	/* Without an id, or with that of another message, it has one of its own. */
	if (!text.ptr || !next_id(&text, &id))
		return new_node(f, (struct kurir_str){ NULL, 0 });
	slot = slot_of(f, id);
	if (*slot && f->nodes[*slot - 1].number)
		return new_node(f, (struct kurir_str){ NULL, 0 });
	if (!*slot)
		*slot = new_node(f, kurir_copy(f->arena, id)) + 1;
	return *slot - 1;
}

static void describe(struct imap_node *n, const struct imap_thread_message *m)
{
	n->number = n->order = m->number;
	n->date = m->date;
	n->subject = m->subject;
	n->reply = m->reply;
}

void imap_forest_add_single(struct imap_forest *f, const struct imap_thread_message *m)
{
	describe(&f->nodes[new_node(f, (struct kurir_str){ NULL, 0 })], m);
}

void imap_forest_add(struct imap_forest *f, const struct imap_thread_message *m)
{
	uint32_t self = node_of(f, m), before = NONE;
	struct kurir_str rest = m->references.ptr ? last_ids(m->references) : KURIR_STR(""), id;

	describe(&f->nodes[self], m);
	while (next_id(&rest, &id)) {
		uint32_t n = referred(f, id);

		if (n == NONE)
			continue;
		if (before != NONE && f->nodes[n].parent == NONE && may_link(f, before, n))
			f->nodes[n].parent = before;
		before = n;
	}
	/* Its own word about its parent counts more than that of others. */
	f->nodes[self].parent = NONE;
	if (before != NONE && may_link(f, before, self))
		f->nodes[self].parent = before;
}

static int by_date(const void *a, const void *b)
{
	const struct imap_node *x = *(struct imap_node *const *)a,
			       *y = *(struct imap_node *const *)b;

	if (x->date != y->date)
		return x->date < y->date ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* The chain of siblings that begins at first, sorted; its new first. */
static uint32_t sort_chain(struct imap_forest *f, uint32_t first, struct imap_node **room)
{
	size_t n = 0;

	for (uint32_t i = first; i != NONE; i = f->nodes[i].next)
		room[n++] = &f->nodes[i];
	if (n < 2)
		return first;
	qsort(room, n, sizeof(*room), by_date);
	for (size_t i = 0; i < n; i++)
		room[i]->next = i + 1 < n ? (uint32_t)(room[i + 1] - f->nodes) : NONE;
	return (uint32_t)(room[0] - f->nodes);
}

static void give_child(struct imap_forest *f, uint32_t parent, uint32_t child)
{
	f->nodes[child].parent = parent;
	f->nodes[child].next = f->nodes[parent].child;
	f->nodes[parent].child = child;
}

/* Nodes without a message go: what is below them belongs to the next that has one. A root that
 * several messages have in common stays. */
static void prune(struct imap_forest *f)
{
	uint32_t *children = kurir_alloc(f->arena, f->count * sizeof(*children));

	for (uint32_t i = 0; i < f->count; i++) {
		uint32_t up = f->nodes[i].parent, top = NONE;

		if (!f->nodes[i].number)
			continue;
		while (up != NONE && !f->nodes[up].number) {
			top = up;
			up = f->nodes[up].parent;
		}
		f->nodes[i].parent = up != NONE ? up : top;
		if (up == NONE && top != NONE)
			children[top]++;
	}
	for (uint32_t i = 0; i < f->count; i++) {
		uint32_t up = f->nodes[i].parent;

		if (!f->nodes[i].number)
			continue;
		if (up != NONE && !f->nodes[up].number && children[up] < 2)
			up = f->nodes[i].parent = NONE;
		if (up != NONE)
			give_child(f, up, i);
	}
}

/* Children are sorted everywhere; a root without a message has its first child's date and
 * subject. */
static void sort_children(struct imap_forest *f, struct imap_node **room)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->nodes[i].child != NONE) {
			struct imap_node *n = &f->nodes[i];

			n->child = sort_chain(f, n->child, room);
			if (!n->number) {
				n->date = f->nodes[n->child].date;
				n->order = f->nodes[n->child].order;
				n->subject = f->nodes[n->child].subject;
				n->reply = f->nodes[n->child].reply;
			}
		}
}

static bool is_root(const struct imap_node *n)
{
	return n->parent == NONE && (n->number || n->child != NONE);
}

static void chain_roots(struct imap_forest *f, struct imap_node **room)
{
	f->first = NONE;
	for (uint32_t i = f->count; i > 0; i--)
		if (is_root(&f->nodes[i - 1])) {
			f->nodes[i - 1].next = f->first;
			f->first = i - 1;
		}
	f->first = sort_chain(f, f->first, room);
}

/* Two threads of one subject become one; which node stands for both. */
static uint32_t join(struct imap_forest *f, uint32_t table, uint32_t current)
{
	struct imap_node *t = &f->nodes[table], *c = &f->nodes[current];
	uint32_t dummy;

	if (!t->number && !c->number) {
		while (c->child != NONE) {
			uint32_t child = c->child;

			c->child = f->nodes[child].next;
			give_child(f, table, child);
		}
		return table;
	}
	if (!t->number || (c->reply && !t->reply)) {
		give_child(f, table, current);
		return table;
	}
	dummy = new_node(f, (struct kurir_str){ NULL, 0 });
	f->nodes[dummy].subject = f->nodes[table].subject;
	give_child(f, dummy, table);
	give_child(f, dummy, current);
	return dummy;
}

/* Whether a thread stands better for its subject than the one that does so far. */
static bool better(const struct imap_node *n, const struct imap_node *than)
{
	return (!n->number && than->number) || (than->reply && !n->reply && than->number);
}

/* Threads whose subjects are the same. */
static void gather(struct imap_forest *f)
{
	memset(f->ids, 0, (f->id_mask + 1) * sizeof(*f->ids));
	for (uint32_t i = 0; i < f->count; i++)
		f->names[i] = f->nodes[i].subject;
	for (uint32_t i = f->first; i != NONE; i = f->nodes[i].next) {
		uint32_t *slot;

		if (f->nodes[i].subject.len == 0)
			continue;
		slot = slot_of(f, f->nodes[i].subject);
		if (!*slot || better(&f->nodes[i], &f->nodes[*slot - 1]))
			*slot = i + 1;
	}
	for (uint32_t i = f->first, next; i != NONE; i = next) {
		uint32_t *slot;

		next = f->nodes[i].next;
		if (f->nodes[i].subject.len == 0)
			continue;
		slot = slot_of(f, f->nodes[i].subject);
		if (*slot != i + 1) {
			*slot = join(f, *slot - 1, i) + 1;
			f->names[*slot - 1] = f->nodes[i].subject;
		}
	}
}

void imap_forest_by_references(struct imap_forest *f)
{
	struct imap_node **room = kurir_alloc(f->arena, f->room * sizeof(struct imap_node *));

	prune(f);
	sort_children(f, room);
	chain_roots(f, room);
	gather(f);
	sort_children(f, room);
	chain_roots(f, room);
}

static int by_subject(const void *a, const void *b)
{
	const struct imap_node *x = *(struct imap_node *const *)a,
			       *y = *(struct imap_node *const *)b;
	int c = kurir_str_compare(x->subject, y->subject);

	return c ? c : by_date(a, b);
}

/* The first of each subject is the parent of the others. */
void imap_forest_by_subject(struct imap_forest *f)
{
	struct imap_node **room = kurir_alloc(f->arena, f->room * sizeof(struct imap_node *));
	uint32_t head = NONE;

	for (uint32_t i = 0; i < f->count; i++)
		room[i] = &f->nodes[i];
	qsort(room, f->count, sizeof(*room), by_subject);
	for (uint32_t i = 0; i < f->count; i++) {
		uint32_t n = (uint32_t)(room[i] - f->nodes);

		if (head != NONE && kurir_str_equal(room[i]->subject, f->nodes[head].subject))
			give_child(f, head, n);
		else
			head = n;
	}
	sort_children(f, room);
	chain_roots(f, room);
}
