/* login_backoff.c - who failed too often must wait.  A table of fixed size, so that an attacker
 * with a million names pushes out entries and not the server; keys are keyed digests, so that
 * nobody can choose which. */
#include "login.h"

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

/* How many count now. */
static uint32_t failures(
    const struct backoff_entry *e, const struct backoff_rule *rule, kurir_time now)
{
	return now - e->last > rule->forget ? 0 : e->failures;
}

bool backoff_has_room(
    const struct backoff *b, uint64_t key, const struct backoff_rule *rule, kurir_time now)
{
	const struct backoff_entry *e = find(b, key);

	return e == NULL || e->held == 0 ||
	    (uint64_t)failures(e, rule, now) + e->held < rule->free_failures;
}

void backoff_hold(struct backoff *b, uint64_t key, kurir_time now)
{
	struct backoff_entry *e = make(b, key);

	if (e->last == 0)
		e->last = now; /* a new one is not the first to be pushed out */
	e->held++;
}

void backoff_release(struct backoff *b, uint64_t key)
{
	struct backoff_entry *e = find(b, key);

	if (e != NULL && e->held > 0)
		e->held--;
}

void backoff_fail(
    struct backoff *b, uint64_t key, const struct backoff_rule *rule, kurir_time now)
{
	struct backoff_entry *e = make(b, key);
	kurir_time span = rule->first;

	e->failures = failures(e, rule, now);
	e->last = now;
	if (e->failures < UINT32_MAX)
		e->failures++;
	if (e->failures <= rule->free_failures)
		return;
	for (uint32_t n = rule->free_failures + 1; n < e->failures && span < rule->most; n++)
		span *= 2;
	e->until = now + (span < rule->most ? span : rule->most);
}

void backoff_clear(struct backoff *b, uint64_t key)
{
	struct backoff_entry *e = find(b, key);

	if (e == NULL)
		return;
	e->failures = 0;
	e->until = e->last = 0;
	if (e->held == 0)
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
