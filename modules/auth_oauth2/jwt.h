/* jwt.h - JSON Web Tokens that somebody else signed (RFC 7519, 7515), and the keys to check them
 * with (RFC 7517, 7518, 8037). */
#ifndef JWT_H
#define JWT_H

#include <jansson.h>
#include <kurir/module.h>
#include <openssl/evp.h>

#define JWT_MAX 16384 /* bytes of a token */

/* ---- jwt_keys.c ---- */

struct jwt_key {
	struct jwt_key *next;
	char *id;	 /* "kid", or NULL */
	const char *alg; /* what it is for: "RS256", "ES256" or "EdDSA" */
	EVP_PKEY *key;
};
/* A key set; those of other kinds are left out.  0 and the keys, to be freed; -EINVAL with
 * *ret_why: no key set, or nothing of use in it. */
int jwt_keys_read(const char *text, size_t len, struct jwt_key **ret, const char **ret_why);
void jwt_keys_free(struct jwt_key *);

/* ---- jwt.c ---- */

struct jwt {
	json_t *header, *claims;
	struct kurir_str input, signature; /* what is signed; in the arena */
};
/* 0, to be freed; -EBADMSG: no token. */
int jwt_read(struct kurir_arena *, struct kurir_str token, struct jwt *ret);
void jwt_free(struct jwt *);
/* Whether one of the keys that its header can mean has signed it. */
bool jwt_signed(const struct jwt *, const struct jwt_key *);

/* What a token has to claim; empty: anything. */
struct jwt_wanted {
	struct kurir_str issuer, audience, scope;
	int64_t now, leeway; /* seconds since 1970, seconds */
};
/* NULL, or what is wrong with it. */
const char *jwt_claims(const json_t *claims, const struct jwt_wanted *);
/* A claim that is a text; empty: it is not there, or has a NUL in it. */
struct kurir_str jwt_text(struct kurir_arena *, const json_t *claims, const char *name);

#endif
