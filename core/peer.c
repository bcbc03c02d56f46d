/* peer.c - how many connections each client address has. */
#include "listener.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

struct peer {
	struct peer *next;
	char key[64];
	int64_t count;
};
static struct peer *peers[BUCKETS];

/* An IPv6 client has a whole /64. */
static void peer_key(const char *ip, char *ret, size_t size)
{
	struct in6_addr a;
	size_t n = strlen(ip);

	if (inet_pton(AF_INET6, ip, &a) == 1) {
		memset(a.s6_addr + 8, 0, 8);
		(void)inet_ntop(AF_INET6, &a, ret, (socklen_t)size);
		return;
	}
	n = n < size ? n : size - 1;
	memcpy(ret, ip, n);
	ret[n] = 0;
}

static struct peer **peer_find(const char *key)
{
	struct peer **p = &peers[kurir_str_hash(kurir_str_of(key)) % BUCKETS];

	while (*p != NULL && strcmp((*p)->key, key) != 0)
		p = &(*p)->next;
	return p;
}

bool peer_enter(const char *ip, int64_t limit)
{
	char key[64];
	struct peer **p;

	peer_key(ip, key, sizeof(key));
	p = peer_find(key);
	if (*p == NULL) {
		*p = calloc(1, sizeof(**p));
		if (*p == NULL)
			return false;
		memcpy((*p)->key, key, sizeof(key));
	}
	if ((*p)->count >= limit)
		return false;
	(*p)->count++;
	return true;
}

void peer_leave(const char *ip)
{
	char key[64];
	struct peer **p, *gone;

	peer_key(ip, key, sizeof(key));
	p = peer_find(key);
	if (*p == NULL || --(*p)->count > 0)
		return;
	gone = *p;
	*p = gone->next;
	free(gone);
}
