/* sasl.h - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, 7677), for every
 * protocol.
 *
 *   client: gs2-header client-first-bare      server: server-first, with the salt
 *   client: client-final, with the proof      server: server-final, with its own proof
 *
 * The protocol carries the messages; the auth role has the credentials (kurir/auth.h).  -PLUS
 * binds the login to the TLS connection: tls-exporter or tls-server-end-point. */
#ifndef SASL_H
#define SASL_H

#include <kurir/auth.h>
#include <kurir/stream.h>

#define SCRAM_MESSAGE_MAX 4096
#define SCRAM_NONCE_MAX	  256 /* of a client */

struct scram {
	bool plus;
	struct kurir_str user, authzid;
	struct kurir_str gs2;	       /* "p=tls-exporter,," */
	struct kurir_str binding_name; /* or empty */
	struct kurir_str bare, client_nonce, nonce, server_first;
	struct kurir_str message, proof; /* AuthMessage, ClientProof */
};
/* sasl_scram_parse.c: 0, -EBADMSG; -EACCES: nothing a client of this server would say.  Texts are
 * in the arena, or borrowed from the message. */
int scram_client_first(struct scram *, struct kurir_arena *, struct kurir_str, bool offers_plus);
void scram_server_first(struct scram *, struct kurir_arena *, struct kurir_str server_nonce,
    struct kurir_str salt, uint32_t iterations);
int scram_client_final(
    struct scram *, struct kurir_arena *, struct kurir_str, struct kurir_str binding);

/* Says a challenge and hears the answer, both as bytes: 0 or -errno.  On -ESHUTDOWN the client
 * has had its reply. */
struct scram_peer {
	int (*ask)(void *arg, struct kurir_str challenge, struct kurir_str *ret) KURIR_PARKS;
	void *arg;
};
/* Whether the mechanism is one of ours; which. */
bool scram_mechanism(struct kurir_str name, bool *ret_plus);
/* Whether -PLUS can be offered on this connection. */
bool scram_offers_plus(struct kurir_stream *);
/* Up to the client's proof.  initial: what came with the command, or ptr NULL.  user, message and
 * proof are there then.  Errors of scram_client_first(), of ask(), and of kurir_scram_salt(). */
int scram_run(struct scram *, struct kurir_self *, struct kurir_stream *,
    struct kurir_str initial, const struct scram_peer *, kurir_time, struct kurir_arena *)
    KURIR_PARKS;
/* The server's proof; the client has nothing to say to it. */
int scram_finish(const struct scram_peer *, struct kurir_str signature) KURIR_PARKS;

#endif
