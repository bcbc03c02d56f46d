/* kurir/queue.h - the promise: what was answered 250 is kept here until its fate is known.
 *
 * Service kind "queue". The edge writes messages and makes them durable; the queue role decides
 * which recipient is due and calls a transport; transports read the body. A message is named by
 * an opaque reference that is valid as long as one of its recipients is undecided. */
#ifndef KURIR_QUEUE_H
#define KURIR_QUEUE_H

#include <kurir/module.h>
#include <kurir/smtp.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kurir_spool; /* a message being written */

struct kurir_body {
	int fd;		 /* open for reading; owned by the caller: close it */
	uint64_t offset; /* of the first byte of the header */
	uint64_t length; /* wire form: CRLF line ends, not dot-stuffed */
	uint64_t reserved[2];
};

struct kurir_queue_ops {
	size_t size;
	/* EDGE (and QUEUE, for bounces).  size_hint 0: unknown. */
	int (*begin)(struct kurir_self *, uint64_t size_hint, struct kurir_spool **ret)
	    KURIR_PARKS;
	int (*write)(struct kurir_spool *, struct kurir_str) KURIR_PARKS; /* 0 or sticky -errno */
	/* What was written so far, as a stream to read; closed by the caller before commit. */
	int (*read)(struct kurir_spool *, struct kurir_stream **ret) KURIR_PARKS;
	/* 0: durable, and the queue knows or will find it. Ends the spool in every case.
	 * -ENOSPC, -EIO, ...: nothing was promised and nothing is left behind. */
	int (*commit)(struct kurir_spool *, const struct kurir_envelope *, kurir_time)
	    KURIR_PARKS;
	void (*abort)(struct kurir_spool *) KURIR_PARKS;
	/* QUEUE RELAY STORE.  -ENOENT: no longer there. */
	int (*open)(struct kurir_self *, struct kurir_str ref, struct kurir_body *ret)
	    KURIR_PARKS;
};

/*
 * Routes.  Service kind "route": who takes a recipient's domain next.  The queue asks the
 * providers in the order of the configuration until one does not return NONE.
 */
enum kurir_route_kind {
	KURIR_ROUTE_NONE = 0, /* not my domain: ask the next */
	KURIR_ROUTE_TO,	      /* by transport to destination */
	KURIR_ROUTE_FAIL,     /* cannot ever be delivered: bounce with xyz and text */
	KURIR_ROUTE_LATER,    /* could not be found out now: retry with xyz and text */
	KURIR_ROUTE_EXPAND,   /* is an alias: replace it by addresses */
};
struct kurir_route {
	enum kurir_route_kind kind;
	struct kurir_str transport; /* "smtp", "lmtp", "local": endpoint "transport." + this */
	/* what concurrency and back-off count by: a domain's MX site, a relay host, an
	 * account */
	struct kurir_str destination;
	/* packed by the route for its transport, opaque to the queue */
	struct kurir_str parameters;
	struct kurir_str xyz, text;   /* FAIL, LATER */
	struct kurir_str why;	      /* for "explain": the answers that led here, one line */
	struct kurir_texts addresses; /* EXPAND */
	uint64_t reserved[8];
};
struct kurir_route_ops {
	size_t size;
	/* address as in kurir_recipient; the result's texts are in arena. 0 or -errno (as
	 * LATER). */
	int (*route)(struct kurir_self *, struct kurir_str address, kurir_time,
	    struct kurir_arena *, struct kurir_route *ret) KURIR_PARKS;
};
/* Parameters of the transports "smtp" and "lmtp", as route_dns and route_static pack them. */
struct kurir_next_hop {
	struct kurir_texts addresses; /* "ip:port", in the order to try; or empty: */
	struct kurir_str name;	      /* ... name and port are looked up by the transport */
	uint16_t port;
	struct kurir_texts names; /* beside addresses: the host name of each (for TLS) */
	uint8_t tls;		  /* enum kurir_hop_tls */
	struct kurir_str user, password;
	/* rdata of usable TLSA records, when tls is DANE; an empty one: TLS, proving
	 * nothing */
	struct kurir_texts tlsa;
	/* beside tlsa: the host of each; a host without one is as MAY */
	struct kurir_texts tlsa_names;
	uint64_t reserved[8];
};
enum kurir_hop_tls {
	KURIR_HOP_MAY,
	KURIR_HOP_NEVER,
	KURIR_HOP_MUST,
	KURIR_HOP_VERIFY,
	KURIR_HOP_DANE
};
KURIR_API int kurir_put_next_hop(struct kurir_buf *, const struct kurir_next_hop *);
KURIR_API int kurir_get_next_hop(
    struct kurir_reader *, struct kurir_arena *, struct kurir_next_hop *ret);

/*
 * Transports. The queue calls the endpoint "transport.NAME" with a job (one message, one
 * destination, one or more recipients; key: hash of destination) and gets one result a
 * recipient, in order. When the call fails as a whole every recipient is deferred.
 */
struct kurir_job {
	struct kurir_str ref;
	struct kurir_envelope envelope; /* recipients: only those of this job */
	struct kurir_str destination, parameters;
	uint32_t attempt; /* 1: the first; at least 2 when an earlier queue may have tried */
	uint64_t reserved[4];
};
enum kurir_fate { KURIR_FATE_DELIVERED = 1, KURIR_FATE_FAILED, KURIR_FATE_DEFERRED };
struct kurir_result {
	enum kurir_fate fate;
	uint32_t code;		 /* 250, 450, ...; 0: no reply was had */
	struct kurir_str xyz;	 /* "4.4.1" */
	struct kurir_str text;	 /* the peer's words, or ours */
	struct kurir_str remote; /* "mx.example[192.0.2.1]:25", or the mailbox */
	bool relayed_dsn;	 /* the next hop took over the duty of success notifications */
	bool site;		 /* the whole destination is in trouble, not this recipient */
	uint64_t reserved[4];
};
KURIR_API int kurir_put_job(struct kurir_buf *, const struct kurir_job *);
KURIR_API int kurir_get_job(struct kurir_reader *, struct kurir_arena *, struct kurir_job *ret);
KURIR_API int kurir_put_results(struct kurir_buf *, const struct kurir_result *, size_t count);
KURIR_API int kurir_get_results(
    struct kurir_reader *, struct kurir_arena *, struct kurir_result *ret, size_t count);

/*
 * Notifications. Service kind "bounce", called in the queue role when recipients got a fate
 * that their sender asked or needs to know. The provider writes and commits the notification
 * through the "queue" service; 0: done, or nothing was to be sent; -errno: the queue tries
 * again.
 */
enum kurir_notice {
	KURIR_NOTICE_FAILED = 1,
	KURIR_NOTICE_DELAYED,
	KURIR_NOTICE_DELIVERED,
	KURIR_NOTICE_RELAYED
};
struct kurir_bounce_rcpt {
	struct kurir_recipient recipient;
	enum kurir_notice notice;
	struct kurir_result result;	   /* the last one */
	int64_t last_attempt, retry_until; /* kurir_wallclock(); 0: none */
	uint64_t reserved[4];
};
struct kurir_bounce_ops {
	size_t size;
	int (*notify)(struct kurir_self *, struct kurir_str ref, const struct kurir_envelope *,
	    const struct kurir_bounce_rcpt *, size_t count, kurir_time) KURIR_PARKS;
};

#ifdef __cplusplus
}
#endif
#endif
