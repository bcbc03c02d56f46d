/* sasl.h - authentication exchanges, the server's side (RFC 4422), for every protocol.
 *
 *   PLAIN                  RFC 4616        OAUTHBEARER  RFC 7628
 *   SCRAM-SHA-256, -PLUS   RFC 5802, 7677  XOAUTH2      no RFC: the same, as older clients say it
 *
 * The protocol carries the messages; the auth role has the credentials (kurir/auth.h).  -PLUS
 * binds the login to the TLS connection: tls-exporter or tls-server-end-point. */
#ifndef SASL_H
#define SASL_H

#include <kurir/auth.h>
#include <kurir/session.h>
#include <kurir/stream.h>

#define SCRAM_MESSAGE_MAX 4096
#define SCRAM_NONCE_MAX	  256 /* of a client */

/* ---- sasl_exchange.c ---- */

struct scram {
	bool plus;
	struct kurir_str user, authzid;
	struct kurir_str gs2;	       /* "p=tls-exporter,," */
	struct kurir_str binding_name; /* or empty */
	struct kurir_str bare, client_nonce, nonce, server_first;
	struct kurir_str message, proof; /* AuthMessage, ClientProof */
};

enum sasl_method { SASL_PASSWORD, SASL_SCRAM, SASL_BEARER };

/* What a protocol fills in, and what comes of it. */
struct sasl {
	struct kurir_self *self;
	struct kurir_conn *conn;
	struct kurir_stream *stream;
	bool scram, bearer; /* offered, besides passwords */
	kurir_time until;
	/* Says a challenge and hears the answer, both as bytes: 0 or -errno.  On -ESHUTDOWN the
	 * client has had its reply. */
	int (*ask)(void *arg, struct kurir_str challenge, struct kurir_str *ret) KURIR_PARKS;
	void *arg;

	enum sasl_method method;
	struct kurir_credentials who; /* in the scratch arena, as all below */
	struct scram exchange;
	struct kurir_str token;	    /* b64token of RFC 6750 */
	struct kurir_str signature; /* SCRAM's ServerSignature */
};

/* The n-th mechanism that can be offered on this connection, the strongest first; NULL. */
const char *sasl_offered(struct kurir_stream *, bool scram, bool bearer, unsigned n);
/* Up to what the client proves itself by.  initial: in base64, "=" is empty; ptr NULL: none.
 * -ENOTSUP: no such mechanism; -EBADMSG: not a message of it; -EACCES; what ask() and the auth
 * role have for errors. */
int sasl_run(struct sasl *, struct kurir_str mechanism, struct kurir_str initial) KURIR_PARKS;
/* Asks the auth role; may be done again.  As kurir_authenticate(). */
int sasl_identify(struct sasl *, struct kurir_arena *, struct kurir_identity *ret) KURIR_PARKS;
/* What the client has to hear of r, the result, before the reply; r, or what went wrong. */
int sasl_conclude(struct sasl *, int r) KURIR_PARKS;
/* Wipes what is secret. */
void sasl_forget(struct sasl *);

/* ---- sasl_plain.c ---- */

/* 0 or -EBADMSG; borrowed from the message. */
int sasl_plain(struct kurir_str, struct kurir_credentials *ret);

/* ---- sasl_name.c: what the messages of SCRAM and OAUTHBEARER share ---- */

/* What stands before the next comma, which goes; the whole rest when there is none. */
struct kurir_str sasl_attribute(struct kurir_str *rest);
/* Behind "n=": 0, or -EBADMSG when it begins otherwise or is empty. */
int sasl_value(struct kurir_str attribute, const char *name, struct kurir_str *ret);
/* A saslname, decoded into the arena; 0 or -EBADMSG. */
int sasl_name(struct kurir_arena *, struct kurir_str text, struct kurir_str *ret);

/* ---- sasl_bearer.c ---- */

/* The user, or an empty text, and the token.  0; -EBADMSG; -EACCES: it wants to be bound. */
int sasl_oauthbearer(struct kurir_arena *, struct kurir_str, struct kurir_str *ret_user,
    struct kurir_str *ret_token);
int sasl_xoauth2(struct kurir_str, struct kurir_str *ret_user, struct kurir_str *ret_token);

/* ---- sasl_scram_parse.c ---- */

/* 0, -EBADMSG; -EACCES: nothing a client of this server would say.  Texts are in the arena, or
 * borrowed from the message. */
int scram_client_first(struct scram *, struct kurir_arena *, struct kurir_str, bool offers_plus);
void scram_server_first(struct scram *, struct kurir_arena *, struct kurir_str server_nonce,
    struct kurir_str salt, uint32_t iterations);
int scram_client_final(
    struct scram *, struct kurir_arena *, struct kurir_str, struct kurir_str binding);

/* ---- sasl_scram.c ---- */

/* Whether -PLUS can be offered on this connection. */
bool scram_offers_plus(struct kurir_stream *);
/* Up to the client's proof.  first: the client's first message. */
int scram_run(struct sasl *, struct kurir_str first) KURIR_PARKS;
/* The server's proof; the client has nothing to say to it. */
int scram_finish(struct sasl *, struct kurir_str signature) KURIR_PARKS;

#endif
