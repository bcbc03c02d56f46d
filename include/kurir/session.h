/* kurir/session.h - a client's connection, and the protocols that serve one.
 *
 * The core accepts, counts and limits connections, runs TLS where the listener says
 * "implicit", and calls the listener's protocol on a fiber of the connection's own.  When
 * serve() returns the connection is flushed and closed.  A mailbox protocol authenticates in
 * the edge role and then hands the connection to the access role, where resume() goes on. */
#ifndef KURIR_SESSION_H
#define KURIR_SESSION_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a client wants, for rehearse() below. */
struct kurir_rehearsal {
	size_t size;
	struct kurir_str helo;	  /* what it calls itself */
	struct kurir_str account; /* who it has logged in as; empty: nobody */
	struct kurir_str sender;
	struct kurir_texts recipients;
	struct kurir_str message; /* lines that end with LF or CRLF */
	kurir_time until;
	/* Called for each reply: the point it came at ("connect", "rcpt"), what it was about
	 * (an address), its code, and the rest of its lines in one. */
	void (*said)(void *arg, const char *point, struct kurir_str about, int code,
	    struct kurir_str text);
	void *arg;
};

/* Service kind "protocol"; its name is what a listener's "protocol" says. */
struct kurir_protocol_ops {
	size_t size;
	/* Edge: from the accepted (and, for implicit TLS, encrypted) connection to its end. */
	void (*serve)(struct kurir_self *, struct kurir_conn *) KURIR_PARKS;
	/* Access: the session of kurir_conn_account(), with what the edge gave as state
	 * (copied).  Bytes the edge had read but not consumed come first.  NULL: the
	 * protocol has no mailbox part. */
	void (*resume)(struct kurir_self *, struct kurir_conn *, struct kurir_str state)
	    KURIR_PARKS;
	/* The server is too busy: what to say (one line with CRLF) before closing. */
	const char *busy;
	/* Plays the client of a session that serve() serves at the other end of the stream, for
	 * "kurirctl explain --simulate".  0 when it has heard all, or -errno.  NULL: it cannot. */
	int (*rehearse)(struct kurir_self *, struct kurir_stream *,
	    const struct kurir_rehearsal *) KURIR_PARKS;
};

/* "none"; "upgrade": plain first, TLS on the client's command (RFC 3207, 2595); "implicit" (RFC
 * 8314). */
enum kurir_tls_mode { KURIR_TLS_NONE, KURIR_TLS_UPGRADE, KURIR_TLS_IMPLICIT };

/* Texts are borrowed until the connection ends.  The stream is the core's, and NULL in a worker. */
KURIR_API struct kurir_stream *kurir_conn_stream(struct kurir_conn *);
KURIR_API struct kurir_arena *kurir_conn_arena(
    struct kurir_conn *);				       /* until the connection ends */
KURIR_API struct kurir_str kurir_conn_id(struct kurir_conn *); /* unique for this server, short */
KURIR_API struct kurir_str kurir_conn_peer(
    struct kurir_conn *); /* "192.0.2.1" or "2001:db8::1" */
KURIR_API uint16_t kurir_conn_peer_port(struct kurir_conn *);
KURIR_API struct kurir_str kurir_conn_local(struct kurir_conn *);    /* "ip:port" it came in on */
KURIR_API struct kurir_str kurir_conn_listener(struct kurir_conn *); /* the listener's name */
KURIR_API struct kurir_str kurir_conn_protocol(struct kurir_conn *); /* the protocol's name */
KURIR_API struct kurir_str kurir_conn_pipeline(
    struct kurir_conn *); /* the chain's name, may be empty */
KURIR_API enum kurir_tls_mode kurir_conn_tls_mode(
    struct kurir_conn *); /* what the listener says */
KURIR_API bool kurir_conn_encrypted(struct kurir_conn *);
/* Who logged in, or empty.  Set by the protocol in the edge, by the core in access. */
KURIR_API struct kurir_str kurir_conn_account(struct kurir_conn *);
KURIR_API void kurir_conn_set_account(struct kurir_conn *, struct kurir_str account);
/* True for a session that is only played (kurirctl explain --simulate): decide as for any other,
 * but leave nothing behind - count nothing, remember nothing, tell nobody. */
KURIR_API bool kurir_conn_simulated(struct kurir_conn *);
/* True once the server drains (reload, stop): finish the current command, then end. */
KURIR_API bool kurir_conn_draining(struct kurir_conn *);

/* Hands an authenticated connection to the access role.  ticket comes from
 * kurir_authenticate().  On 0 the connection belongs to the other side: return from
 * serve() and do not touch it.  Plain connections move with their descriptor; for TLS the
 * edge goes on carrying the bytes (this call parks until the session ends). */
KURIR_API int kurir_conn_handover(
    struct kurir_conn *, struct kurir_str ticket, struct kurir_str state, kurir_time) KURIR_PARKS;

#ifdef __cplusplus
}
#endif
#endif
