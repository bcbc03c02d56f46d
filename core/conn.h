/* conn.h - one client connection, from accept to close, in whichever role serves it now. */
#ifndef CORE_CONN_H
#define CORE_CONN_H

#include <kurir/session.h>
#include <kurir/stream.h>

#define CONN_MAGIC 0x4b434e31u

struct session; /* tx.h */

/* Where a connection came from; texts are copied by conn_new(). */
struct conn_origin {
	struct kurir_str peer, local, listener, protocol, pipeline;
	uint16_t peer_port;
	enum kurir_tls_mode tls;
	bool encrypted, simulated; /* access: TLS ends in the edge; see kurir_conn_simulated() */
};

struct kurir_conn {
	uint32_t magic;
	struct kurir_arena *arena;
	struct kurir_stream *stream; /* owned; NULL once it was handed over */
	struct conn_origin from;
	struct kurir_str id, account;
	bool doubtful; /* access may hold the same socket: it must not outlive this connection */
	void *slots;   /* instance_conn_bytes for the modules */
	struct session *session; /* tx.c */
	struct kurir_conn *next, **link;
};

/* Takes the stream.  id empty: a new one is made. */
struct kurir_conn *conn_new(
    struct kurir_stream *, const struct conn_origin *, struct kurir_str id);
/* Flushes (for a few seconds at most), closes, frees. */
void conn_free(struct kurir_conn *) KURIR_PARKS;
/* Closes at once: nothing was said yet. */
void conn_drop(struct kurir_conn *);
unsigned conn_count(void);
/* From now on kurir_conn_draining() says so, to all. */
void conn_drain(void);

/* The memory of the modules, instance_conn_bytes. */
void *conn_slots(struct kurir_conn *);
struct session **conn_session_slot(struct kurir_conn *);

/* handover.c: registers the endpoint that takes connections over (access). */
void handover_serve(void);

#endif
