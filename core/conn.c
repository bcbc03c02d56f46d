/* conn.c - client connections: who, from where, by which listener; and the modules' memory
 * for each. */
#include "conn.h"
#include "fiber.h"
#include "instance.h"
#include "loop.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define LAST_FLUSH 5000

static struct kurir_conn *conns;
static unsigned conns_count;
static bool draining;

static struct kurir_conn *checked(struct kurir_conn *c)
{
	if (c == NULL || c->magic != CONN_MAGIC)
		abort();
	return c;
}

/* Six characters of this process, then a count: short, and unique on this server. */
static struct kurir_str conn_new_id(struct kurir_arena *arena)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	static char process[6];
	static uint64_t serial;
	char text[6 + 13];
	size_t n = sizeof(text);

	if (serial == 0) {
		uint64_t r = 0;

		if (getrandom(&r, sizeof(r), 0) < 0)
			r = (uint64_t)kurir_wallclock();
		for (size_t i = 0; i < sizeof(process); i++, r >>= 5)
			process[i] = digits[r & 31];
	}
	for (uint64_t v = ++serial; v > 0 || n > sizeof(text) - 2; v >>= 5)
		text[--n] = digits[v & 31];
	n -= sizeof(process);
	memcpy(text + n, process, sizeof(process));
	return kurir_copy(arena, (struct kurir_str){ text + n, sizeof(text) - n });
}

struct kurir_conn *conn_new(
    struct kurir_stream *stream, const struct conn_origin *from, struct kurir_str id)
{
	struct kurir_arena *arena = kurir_arena_new("connection");
	struct kurir_conn *c = kurir_alloc(arena, sizeof(*c));

	c->magic = CONN_MAGIC;
	c->arena = arena;
	c->stream = stream;
	c->from = *from;
	c->from.peer = kurir_copy(arena, from->peer);
	c->from.local = kurir_copy(arena, from->local);
	c->from.listener = kurir_copy(arena, from->listener);
	c->from.protocol = kurir_copy(arena, from->protocol);
	c->from.pipeline = kurir_copy(arena, from->pipeline);
	c->id = id.len > 0 ? kurir_copy(arena, id) : conn_new_id(arena);
	c->account = KURIR_STR("");
	c->slots = kurir_alloc(arena, instance_conn_bytes + 1);
	c->link = &conns;
	c->next = conns;
	if (conns != NULL)
		conns->link = &c->next;
	conns = c;
	conns_count++;
	return c;
}

void conn_drop(struct kurir_conn *c)
{
	struct kurir_arena *arena = checked(c)->arena;

	if (c->stream != NULL && c->doubtful)
		(void)shutdown(stream_fd(c->stream), SHUT_RDWR);
	if (c->stream != NULL)
		kurir_close(c->stream);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	conns_count--;
	c->magic = 0;
	kurir_arena_free(arena);
}

KURIR_PARKS void conn_free(struct kurir_conn *c)
{
	if (checked(c)->stream != NULL)
		(void)kurir_flush(c->stream, kurir_now() + LAST_FLUSH);
	conn_drop(c);
}

unsigned conn_count(void)
{
	return conns_count;
}

void conn_drain(void)
{
	draining = true;
}

void *conn_slots(struct kurir_conn *c)
{
	return checked(c)->slots;
}

struct session **conn_session_slot(struct kurir_conn *c)
{
	return &checked(c)->session;
}

bool kurir_conn_draining(struct kurir_conn *c)
{
	(void)checked(c);
	return draining;
}

struct kurir_stream *kurir_conn_stream(struct kurir_conn *c)
{
	return checked(c)->stream;
}

struct kurir_arena *kurir_conn_arena(struct kurir_conn *c)
{
	return checked(c)->arena;
}

struct kurir_str kurir_conn_id(struct kurir_conn *c)
{
	return checked(c)->id;
}

struct kurir_str kurir_conn_peer(struct kurir_conn *c)
{
	return checked(c)->from.peer;
}

uint16_t kurir_conn_peer_port(struct kurir_conn *c)
{
	return checked(c)->from.peer_port;
}

struct kurir_str kurir_conn_local(struct kurir_conn *c)
{
	return checked(c)->from.local;
}

struct kurir_str kurir_conn_listener(struct kurir_conn *c)
{
	return checked(c)->from.listener;
}

struct kurir_str kurir_conn_protocol(struct kurir_conn *c)
{
	return checked(c)->from.protocol;
}

struct kurir_str kurir_conn_pipeline(struct kurir_conn *c)
{
	return checked(c)->from.pipeline;
}

enum kurir_tls_mode kurir_conn_tls_mode(struct kurir_conn *c)
{
	return checked(c)->from.tls;
}

bool kurir_conn_encrypted(struct kurir_conn *c)
{
	return checked(c)->from.encrypted ||
	    (c->stream != NULL && kurir_tls_summary(c->stream).len > 0);
}

struct kurir_str kurir_conn_account(struct kurir_conn *c)
{
	return checked(c)->account;
}

void kurir_conn_set_account(struct kurir_conn *c, struct kurir_str account)
{
	c->account = kurir_copy(checked(c)->arena, account);
}
