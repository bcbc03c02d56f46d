/* jwt.c - a token's parts, its signature, its claims.
 *
 *   token  = base64url(header) "." base64url(claims) "." base64url(signature)   RFC 7515 7.1
 *   header = { "alg": "RS256" / "ES256" / "EdDSA", ["kid": text] }
 *   claims = { "exp": seconds, ["nbf"], ["iss"], ["aud": text or list], ["scope": texts] } */
#include "jwt.h"

#include <errno.h>
#include <math.h>
#include <openssl/ecdsa.h>
#include <string.h>

#include <kurir/auth.h>

#define DEPTH_MAX   16
#define ES256_BYTES 64 /* r and s, 32 bytes each (RFC 7518 3.4) */

/* RFC 4648 5, without padding. */
static int base64url(struct kurir_arena *arena, struct kurir_str in, struct kurir_str *ret)
{
	size_t padded = (in.len + 3) / 4 * 4;
	char *copy = kurir_alloc(arena, padded + 1);

	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];

		if (c == '+' || c == '/' || c == '=')
			return -EBADMSG;
		copy[i] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	memset(copy + in.len, '=', padded - in.len);
	return kurir_base64_decode(arena, (struct kurir_str){ copy, padded }, ret);
}

static json_t *object(struct kurir_arena *arena, struct kurir_str coded)
{
	struct kurir_str text;
	json_t *v;

	if (base64url(arena, coded, &text) < 0 || !kurir_json_is_flat(text, DEPTH_MAX))
		return NULL;
	v = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(v))
		return v;
	json_decref(v);
	return NULL;
}

int jwt_read(struct kurir_arena *arena, struct kurir_str token, struct jwt *ret)
{
	ssize_t first = kurir_str_find(token, '.'), last = kurir_str_find_last(token, '.');
	struct kurir_str claims;

	*ret = (struct jwt){ 0 };
	if (token.len > JWT_MAX || first < 0 || last <= first)
		return -EBADMSG;
	claims = kurir_str_part(token, (size_t)first + 1, (size_t)(last - first - 1));
	ret->input = kurir_copy(arena, kurir_str_part(token, 0, (size_t)last));
	ret->header = object(arena, kurir_str_part(token, 0, (size_t)first));
	ret->claims = object(arena, claims);
	if (ret->header != NULL && ret->claims != NULL &&
	    base64url(
		arena, kurir_str_part(token, (size_t)last + 1, token.len), &ret->signature) == 0)
		return 0;
	jwt_free(ret);
	return -EBADMSG;
}

void jwt_free(struct jwt *t)
{
	json_decref(t->header);
	json_decref(t->claims);
	t->header = t->claims = NULL;
}

/* As OpenSSL wants it. */
static int ecdsa_der(struct kurir_str raw, unsigned char **ret)
{
	const unsigned char *p = (const unsigned char *)raw.ptr;
	ECDSA_SIG *sig = raw.len == ES256_BYTES ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = sig != NULL ? BN_bin2bn(p, ES256_BYTES / 2, NULL) : NULL;
	BIGNUM *s = sig != NULL ? BN_bin2bn(p + ES256_BYTES / 2, ES256_BYTES / 2, NULL) : NULL;
	int n = -1;

	*ret = NULL;
	if (r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		n = i2d_ECDSA_SIG(sig, ret);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return n;
}

static bool verify(const struct jwt *t, const struct jwt_key *k)
{
	const EVP_MD *digest = strcmp(k->alg, "EdDSA") == 0 ? NULL : EVP_sha256();
	const unsigned char *sig = (const unsigned char *)t->signature.ptr;
	unsigned char *der = NULL;
	size_t len = t->signature.len;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL;

	if (strcmp(k->alg, "ES256") == 0) {
		int n = ecdsa_der(t->signature, &der);

		good &= n > 0;
		sig = der;
		len = n > 0 ? (size_t)n : 0;
	}
	good = good && EVP_DigestVerifyInit(ctx, NULL, digest, NULL, k->key) == 1 &&
	    EVP_DigestVerify(ctx, sig, len, (const unsigned char *)t->input.ptr, t->input.len) ==
		1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	return good;
}

/* The algorithm is the key's, never the token's: "none" and a swapped one find no key. */
bool jwt_signed(const struct jwt *t, const struct jwt_key *keys)
{
	const char *alg = json_string_value(json_object_get(t->header, "alg"));
	const char *id = json_string_value(json_object_get(t->header, "kid"));

	/* RFC 7515 4.1.11: what has to be understood is not understood here. */
	if (alg == NULL || json_object_get(t->header, "crit") != NULL)
		return false;
	for (const struct jwt_key *k = keys; k != NULL; k = k->next)
		if (strcmp(k->alg, alg) == 0 &&
		    (id == NULL || k->id == NULL || strcmp(k->id, id) == 0) && verify(t, k))
			return true;
	return false;
}

/* A NumericDate; false: it is something else. */
static bool date(const json_t *v, double *ret)
{
	*ret = json_number_value(v);
	return json_is_number(v) && isfinite(*ret);
}

static bool is_text(const json_t *v, struct kurir_str want)
{
	const char *text = json_string_value(v);

	return text != NULL &&
	    kurir_str_equal((struct kurir_str){ text, json_string_length(v) }, want);
}

static bool has_audience(const json_t *v, struct kurir_str want)
{
	size_t i;
	json_t *one;

	json_array_foreach(v, i, one) if (is_text(one, want)) return true;
	return is_text(v, want);
}

/* RFC 8693 4.2: words with a space between two; some issuers write a list. */
static bool has_scope(const json_t *v, struct kurir_str want)
{
	struct kurir_str rest = json_is_string(v)
	    ? (struct kurir_str){ json_string_value(v), json_string_length(v) }
	    : KURIR_STR("");

	while (rest.len > 0) {
		ssize_t space = kurir_str_find(rest, ' ');
		size_t n = space < 0 ? rest.len : (size_t)space;

		if (kurir_str_equal(kurir_str_part(rest, 0, n), want))
			return true;
		rest = kurir_str_part(rest, space < 0 ? n : n + 1, rest.len);
	}
	return has_audience(v, want);
}

const char *jwt_claims(const json_t *claims, const struct jwt_wanted *w)
{
	const json_t *nbf = json_object_get(claims, "nbf");
	double when, now = (double)w->now, leeway = (double)w->leeway;

	if (!date(json_object_get(claims, "exp"), &when))
		return "it has no end";
	if (when + leeway <= now)
		return "it has expired";
	if (nbf != NULL && (!date(nbf, &when) || when - leeway > now))
		return "it is not valid yet";
	if (w->issuer.len > 0 && !is_text(json_object_get(claims, "iss"), w->issuer))
		return "it has another issuer";
	if (w->audience.len > 0 && !has_audience(json_object_get(claims, "aud"), w->audience))
		return "it is for another audience";
	if (w->scope.len > 0 && !has_scope(json_object_get(claims, "scope"), w->scope))
		return "it lacks the scope";
	return NULL;
}

struct kurir_str jwt_text(struct kurir_arena *arena, const json_t *claims, const char *name)
{
	const json_t *v = json_object_get(claims, name);
	struct kurir_str text = KURIR_STR("");

	if (json_is_string(v))
		text = kurir_copy(
		    arena, (struct kurir_str){ json_string_value(v), json_string_length(v) });
	return kurir_str_find(text, '\0') < 0 ? text : KURIR_STR("");
}
