/* kurir/auth.h - who is this?  Credentials live in the auth role and nowhere else. */
#ifndef KURIR_AUTH_H
#define KURIR_AUTH_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kurir_credentials {
	struct kurir_str user, password;
	struct kurir_str authzid;  /* SASL PLAIN's authorization identity, or empty */
	struct kurir_str protocol; /* "submission", "imap", ... */
	struct kurir_str peer;	   /* the client's address */
	bool encrypted;
	uint64_t reserved[8];
};
struct kurir_identity {
	struct kurir_str account; /* the mailbox and the name in the logs, in arena */
	struct kurir_str ticket;  /* lets one session into the access role, once, within 30 s */
	uint64_t reserved[4];
};

/* From any role: asks the auth role. 0; -EACCES wrong user or password (the answer does not
 * tell which and takes the same time); -EAGAIN too many failures, try later; -ECONNRESET,
 * -ETIMEDOUT, ...: cannot tell now. */
KURIR_API int kurir_authenticate(struct kurir_self *, const struct kurir_credentials *,
    kurir_time, struct kurir_arena *, struct kurir_identity *ret) KURIR_PARKS;

/* SCRAM-SHA-256 (RFC 7677): the client proves that it knows the password, and never sends it.
 * First what it has to be salted with: of a user who is not there, something that looks like it
 * and stays the same.  -ENOTSUP: no service can do it. */
KURIR_API int kurir_scram_salt(struct kurir_self *, struct kurir_str user, kurir_time,
    struct kurir_arena *, struct kurir_str *ret_salt, uint32_t *ret_iterations) KURIR_PARKS;
/* Then AuthMessage and ClientProof (RFC 5802 section 3) in place of the password.  As
 * kurir_authenticate(); the ServerSignature is for the client. */
KURIR_API int kurir_scram_verify(struct kurir_self *, const struct kurir_credentials *,
    struct kurir_str message, struct kurir_str proof, kurir_time, struct kurir_arena *,
    struct kurir_identity *ret, struct kurir_str *ret_signature) KURIR_PARKS;

/* An OAuth 2.0 bearer token (RFC 6750) in place of a password, as of OAUTHBEARER (RFC 7628). user
 * may be empty: it is whom the token is for.  As kurir_authenticate(); -ENOTSUP: no service can
 * do it. */
KURIR_API int kurir_bearer_verify(struct kurir_self *, const struct kurir_credentials *,
    struct kurir_str token, kurir_time, struct kurir_arena *, struct kurir_identity *ret)
    KURIR_PARKS;

/* Service kind "auth", called in the auth role in the order of the configuration.  NULL is what
 * it cannot do.  When the caller waits no longer, whatever a function waits for says -ECANCELED. */
struct kurir_auth_ops {
	size_t size;
	/* 0 with *ret_account in arena; -ENOENT not my user: ask the next; -EACCES wrong
	 * password; or -errno could not tell. Slow hashes go to kurir_offload(). */
	int (*check)(struct kurir_self *, const struct kurir_credentials *, struct kurir_arena *,
	    struct kurir_str *ret_account) KURIR_PARKS;
	/* 1; 0: it is not my user, and this is what one would be told. */
	int (*salt)(struct kurir_self *, struct kurir_str user, struct kurir_arena *,
	    struct kurir_str *ret_salt, uint32_t *ret_iterations);
	/* As check, with 32 bytes in place of the password. */
	int (*scram)(struct kurir_self *, const struct kurir_credentials *,
	    struct kurir_str message, struct kurir_str proof, struct kurir_arena *,
	    struct kurir_str *ret_account, struct kurir_str *ret_signature) KURIR_PARKS;
	/* As check, with a token; -ENOENT: it is none of mine. */
	int (*bearer)(struct kurir_self *, const struct kurir_credentials *,
	    struct kurir_str token, struct kurir_arena *, struct kurir_str *ret_account)
	    KURIR_PARKS;
};

/* Base64 of RFC 4648 section 4, padded, without line ends. Decoding: 0 or -EBADMSG, NUL
 * follows. */
KURIR_API struct kurir_str kurir_base64_encode(struct kurir_arena *, struct kurir_str);
KURIR_API int kurir_base64_decode(struct kurir_arena *, struct kurir_str, struct kurir_str *ret);

#ifdef __cplusplus
}
#endif
#endif
