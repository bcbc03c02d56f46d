/* relay.h - the parts of the module: replies, connections, the cache of connections,
 * transactions. */
#ifndef RELAY_H
#define RELAY_H

#include <kurir/queue.h>
#include <kurir/stream.h>

struct relay_conf {
	struct kurir_str helo, source_v4, source_v6;
	kurir_time t_connect, t_greeting, t_helo, t_tls, t_mail, t_rcpt, t_data, t_block, t_final;
	kurir_time idle;
	int64_t reuse, cached, batch;
};

enum relay_counter {
	RELAY_CONNECTIONS,
	RELAY_REUSED,
	RELAY_UNREACHABLE,
	RELAY_TLS,
	RELAY_TLS_FAILED,
	RELAY_MESSAGES,
	RELAY_DELIVERED,
	RELAY_FAILED,
	RELAY_DEFERRED,
	RELAY_LOST,
	RELAY_AMBIGUOUS,
};

/*
 * One reply (relay_reply.c), of any number of lines up to a limit; text is the lines joined,
 * cut, and free of controls.
 */
#define RELAY_LINE_MAX	2048
#define RELAY_LINES_MAX 200
struct relay_reply {
	int code; /* 0: none was had */
	unsigned lines;
	size_t xyz_len, text_len;
	char xyz[12], text[512];
};
/* One line, with or without CRLF: 1 more to come, 0 complete, -EPROTO. */
int relay_reply_line(struct relay_reply *, struct kurir_str line);

enum relay_ext {
	RELAY_EXT_PIPELINING = 1u << 0,
	RELAY_EXT_SIZE = 1u << 1,
	RELAY_EXT_8BITMIME = 1u << 2,
	RELAY_EXT_SMTPUTF8 = 1u << 3,
	RELAY_EXT_DSN = 1u << 4,
	RELAY_EXT_STARTTLS = 1u << 5,
	RELAY_EXT_PLAIN = 1u << 6,
	RELAY_EXT_LOGIN = 1u << 7,
};
struct relay_offer {
	uint32_t ext;
	uint64_t size; /* 0: no limit told */
};
/* One line of the answer to EHLO or LHLO, as it came ("250-SIZE 100"). */
void relay_offer_line(struct relay_offer *, struct kurir_str line);

/* A connection to one host.  Owns its arena, which it lives in. */
struct relay_conn {
	struct relay_conn *next; /* in the cache */
	struct kurir_arena *arena;
	struct kurir_stream *stream;
	struct kurir_str key;	 /* what makes it fit for another message */
	struct kurir_str remote; /* "mx.example[192.0.2.1]:25" */
	struct kurir_str tls;	 /* summary, or empty */
	struct relay_offer offer;
	bool lmtp, secure;
	bool used;   /* carried a message before */
	bool broken; /* no QUIT, no reuse */
	int64_t messages;
	kurir_time idle_until;
};

/* How one try with one host ended before any recipient could be decided. */
struct relay_trouble {
	struct kurir_result result;
	bool seen;
};

/* One job under way. */
struct relay_task {
	struct kurir_self *self;
	const struct relay_conf *conf;
	struct kurir_arena *arena;
	const struct kurir_job *job;
	const struct kurir_next_hop *hop;
	struct kurir_body body;
	bool lmtp, need_utf8;
	struct kurir_result *results; /* fate 0: undecided */
	struct relay_trouble trouble;
	unsigned hosts_tried, hosts_refused; /* refused: 5xx before MAIL */
};

/* relay_conn.c.  Reads a whole reply: 0 (with *ret), -EPROTO, -ECONNRESET, -ETIMEDOUT, ... */
int relay_read(struct relay_conn *, kurir_time span, struct relay_reply *ret) KURIR_PARKS;
/* Connects, greets, encrypts and logs in as the hop wants.  0 with *ret, or -errno after the
 * trouble was
 * noted; -ECANCELED. */
int relay_open(struct relay_task *, struct kurir_str address, struct kurir_str name,
    struct relay_conn **ret) KURIR_PARKS;
void relay_quit(struct relay_conn *) KURIR_PARKS; /* says so, then frees */
void relay_free(struct relay_conn *);
struct kurir_str relay_conn_key(
    struct relay_task *, struct kurir_arena *, struct kurir_str address, struct kurir_str name);
/* Remembers why nothing could be decided: from a reply, or in our words with code 0. */
void relay_note(struct relay_task *, struct kurir_str remote, const struct relay_reply *,
    const char *xyz, const char *text, bool site);

/* relay_send.c.  1: decided what could be decided; 0: a reused connection was gone before it
 * said anything; -errno: lost
 * early (noted), or -ECANCELED. */
int relay_transact(struct relay_task *, struct relay_conn *) KURIR_PARKS;

/* relay_body.c: the message and the final dot. */
int relay_send_body(struct relay_task *, struct relay_conn *) KURIR_PARKS;
/* Puts a second dot before each line that begins with one; *at_line_start is kept from piece
 * to piece.
 * Returns the bytes written to to (room: twice len). */
size_t relay_stuff(const char *from, size_t len, char *to, bool *at_line_start);

/* relay_cache.c */
struct relay_cache;
struct relay_cache *relay_cache_new(struct kurir_self *);
struct relay_conn *relay_cache_take(struct relay_cache *, struct kurir_str key) KURIR_PARKS;
void relay_cache_put(struct relay_cache *, struct relay_conn *) KURIR_PARKS; /* or says goodbye */
void relay_cache_end(struct relay_cache *);

#endif
