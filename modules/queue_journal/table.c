/* table.c - messages by their place, segments by their id.  What is in it is what the spool
 * owes somebody; about 150 bytes for a message with one recipient. */
#include "queue_role.h"

#include <stdlib.h>
#include <string.h>

static uint32_t place_hash(uint64_t id, uint64_t offset)
{
	uint64_t h = (id ^ offset >> 3) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(h >> 32);
}

struct segment *table_segment(struct queue *q, uint64_t id, bool create)
{
	struct segment **at = &q->segments;
	while (*at != NULL && (*at)->id < id)
		at = &(*at)->next;
	if (*at != NULL && (*at)->id == id)
		return *at;
	if (!create)
		return NULL;
	struct segment *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	s->id = id;
	s->known = SEGMENT_HEAD;
	s->next = *at;
	*at = s;
	return s;
}

void table_segment_free(struct queue *q, struct segment *s)
{
	for (struct segment **at = &q->segments; *at != NULL; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			free(s);
			return;
		}
}

static void table_grow(struct queue *q)
{
	uint32_t size = q->hash_size == 0 ? 1024 : q->hash_size * 2;
	struct message **hash = calloc(size, sizeof(*hash));
	if (hash == NULL)
		abort();
	for (uint32_t i = 0; i < q->hash_size; i++)
		while (q->hash[i] != NULL) {
			struct message *m = q->hash[i];
			uint32_t slot = place_hash(m->segment->id, m->offset) & (size - 1);
			q->hash[i] = m->hash_next;
			m->hash_next = hash[slot];
			hash[slot] = m;
		}
	free(q->hash);
	q->hash = hash;
	q->hash_size = size;
}

static void hash_add(struct queue *q, struct message *m)
{
	uint32_t slot = place_hash(m->segment->id, m->offset) & (q->hash_size - 1);
	m->hash_next = q->hash[slot];
	q->hash[slot] = m;
}

static void hash_remove(struct queue *q, struct message *m)
{
	uint32_t slot = place_hash(m->segment->id, m->offset) & (q->hash_size - 1);
	for (struct message **at = &q->hash[slot]; *at != NULL; at = &(*at)->hash_next)
		if (*at == m) {
			*at = m->hash_next;
			return;
		}
}

struct message *table_find(struct queue *q, const struct segment *s, uint64_t offset)
{
	if (s == NULL || q->hash_size == 0)
		return NULL;
	struct message *m = q->hash[place_hash(s->id, offset) & (q->hash_size - 1)];
	while (m != NULL && (m->segment != s || m->offset != offset))
		m = m->hash_next;
	return m;
}

struct message *table_add(
    struct queue *q, struct segment *s, uint64_t offset, const struct segment_record *r)
{
	if (q->message_count >= q->hash_size)
		table_grow(q);
	struct message *m = calloc(1, sizeof(*m) + r->recipients * sizeof(m->entries[0]));
	if (m == NULL)
		abort();
	m->segment = s;
	m->offset = offset;
	m->body_file = r->body_file;
	m->arrived = r->arrived;
	m->bytes = (uint32_t)segment_record_bytes(r);
	m->id_hash = r->id_hash;
	m->count = m->undecided = r->recipients;
	for (uint32_t i = 0; i < m->count; i++) {
		m->entries[i].index = i & 0xfffff;
		m->entries[i].lane = r->lane;
		m->entries[i].due = r->arrived;
	}
	s->live++;
	s->live_bytes += m->bytes;
	hash_add(q, m);
	q->message_count++;
	q->entry_count += m->count;
	q->totals.accepted += m->count;
	return m;
}

void table_move(
    struct queue *q, struct message *m, struct segment *s, uint64_t offset, uint32_t bytes)
{
	q->moves++;
	hash_remove(q, m);
	m->segment->live--;
	m->segment->live_bytes -= m->bytes;
	m->segment = s;
	m->offset = offset;
	m->bytes = bytes;
	s->live++;
	s->live_bytes += bytes;
	hash_add(q, m);
}

void table_remove(struct queue *q, struct message *m)
{
	hash_remove(q, m);
	for (uint32_t i = 0; i < m->count; i++)
		if (!entry_decided(&m->entries[i]))
			scheduler_remove(&q->scheduler, &m->entries[i]);
	m->segment->live--;
	m->segment->live_bytes -= m->bytes;
	q->message_count--;
	q->entry_count -= m->undecided;
	q->fresh_bytes -= m->envelope_length;
	free(m->envelope);
	free(m);
}

void queue_forget_envelope(struct queue *q, struct message *m)
{
	q->fresh_bytes -= m->envelope_length;
	m->envelope_length = 0;
	free(m->envelope);
	m->envelope = NULL;
}

struct message *table_message_of(struct entry *e)
{
	char *first = (char *)(e - e->index);
	return (struct message *)(void *)(first - offsetof(struct message, entries));
}

bool table_decide(struct queue *q, struct message *m, struct entry *e, enum entry_state fate)
{
	if (entry_decided(e))
		return false;
	scheduler_remove(&q->scheduler, e);
	e->state = (uint8_t)fate;
	m->undecided--;
	q->entry_count--;
	switch (fate) {
	case ENTRY_DELIVERED:
		q->totals.delivered++;
		break;
	case ENTRY_BOUNCED:
		q->totals.bounced++;
		break;
	case ENTRY_CANCELLED:
		q->totals.cancelled++;
		break;
	default: /* EXPANDED: those that it stands for were accepted in its place */
		q->totals.accepted--;
		break;
	}
	return true;
}

struct message *table_walk(struct queue *q, uint32_t *bucket, struct message *after)
{
	if (after != NULL && after->hash_next != NULL)
		return after->hash_next;
	if (after != NULL)
		(*bucket)++;
	while (*bucket < q->hash_size && q->hash[*bucket] == NULL)
		(*bucket)++;
	return *bucket < q->hash_size ? q->hash[*bucket] : NULL;
}
