/* backoff.c - who failed too often must wait.  A table of fixed size, so that an attacker with
 * a million
 * names pushes out entries and not the server; keys are keyed digests, so that nobody can choose
 * which. */
#include "auth_file.h"

#include <arpa/inet.h>
#include <string.h>

static size_t set_of(uint64_t key)
{
	return (size_t)(key % (BACKOFF_SLOTS / BACKOFF_WAYS)) * BACKOFF_WAYS;
}

static struct backoff_entry *find(const struct backoff *b, uint64_t key)
{
	size_t set = set_of(key);

	for (size_t i = set; i < set + BACKOFF_WAYS; i++)
		if (b->entries[i].key == key)
			return (struct backoff_entry *)&b->entries[i];
	return NULL;
}

static struct backoff_entry *make(struct backoff *b, uint64_t key)
{
	struct backoff_entry *e = find(b, key), *oldest;
	size_t set = set_of(key);

	if (e != NULL)
		return e;
	oldest = &b->entries[set];
	for (size_t i = set; i < set + BACKOFF_WAYS; i++) {
		if (b->entries[i].key == 0) {
			oldest = &b->entries[i];
			break;
		}
		if (b->entries[i].last < oldest->last)
			oldest = &b->entries[i];
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->key = key;
	return oldest;
}

bool backoff_locked(const struct backoff *b, uint64_t key, kurir_time now)
{
	const struct backoff_entry *e = find(b, key);

	return e != NULL && e->until > now;
}

struct backoff_mark backoff_fail(
    struct backoff *b, uint64_t key, const struct backoff_rule *rule, kurir_time now)
{
	struct backoff_entry *e = make(b, key);
	struct backoff_mark mark = { .before = e->until, .after = e->until };
	kurir_time span = rule->first;

	if (e->failures > 0 && now - e->last > rule->forget)
		e->failures = 0;
	e->last = now;
	if (e->failures < UINT32_MAX)
		e->failures++;
	if (e->failures <= rule->free_failures)
		return mark;
	for (uint32_t n = rule->free_failures + 1; n < e->failures && span < rule->most; n++)
		span *= 2;
	e->until = now + (span < rule->most ? span : rule->most);
	mark.after = e->until;
	return mark;
}

/* What other failures locked stays locked. */
void backoff_undo(struct backoff *b, uint64_t key, const struct backoff_mark *mark)
{
	struct backoff_entry *e = find(b, key);

	if (e == NULL || e->failures == 0)
		return;
	e->failures--;
	if (e->until == mark->after)
		e->until = mark->before;
}

void backoff_clear(struct backoff *b, uint64_t key)
{
	struct backoff_entry *e = find(b, key);

	if (e != NULL)
		memset(e, 0, sizeof(*e));
}

void backoff_praise(struct backoff *b, uint64_t key, kurir_time now)
{
	make(b, key)->last = now;
}

bool backoff_praised(const struct backoff *b, uint64_t key, kurir_time now, kurir_time span)
{
	const struct backoff_entry *e = find(b, key);

	return e != NULL && now - e->last <= span;
}

struct kurir_str backoff_network(struct kurir_arena *arena, struct kurir_str peer)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	if (peer.len >= sizeof(text))
		return kurir_copy(arena, peer);
	memcpy(text, peer.ptr, peer.len);
	text[peer.len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		v4.s_addr &= htonl(0xffffff00u);
		(void)inet_ntop(AF_INET, &v4, text, sizeof(text));
		return kurir_format(arena, "%s/24", text);
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memset(v6.s6_addr + 8, 0, 8);
		(void)inet_ntop(AF_INET6, &v6, text, sizeof(text));
		return kurir_format(arena, "%s/64", text);
	}
	return kurir_copy(arena, peer);
}
