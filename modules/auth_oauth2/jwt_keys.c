/* jwt_keys.c - a set of public keys (RFC 7517).
 *
 *   set = { "keys": [ key... ] }
 *   key = { "kty": "RSA", "n": b64, "e": b64 }                             RFC 7518 6.3
 *       / { "kty": "EC", "crv": "P-256", "x": b64, "y": b64 }              RFC 7518 6.2
 *       / { "kty": "OKP", "crv": "Ed25519", "x": b64 }                     RFC 8037 2
 *         and in each: ["kid": text] ["alg": text] ["use": "sig"] */
#include "jwt.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX  100
#define DEPTH_MAX 16
#define FIELD_MAX 1024 /* bytes: RSA of 8192 bits */
#define RSA_BITS  2048
#define P256	  32

/* A member in base64url: its length, or 0. */
static size_t field(const json_t *key, const char *name, unsigned char out[FIELD_MAX])
{
	const char *text = json_string_value(json_object_get(key, name));
	uint32_t bits = 0;
	size_t n = 0, i = 0;

	for (; text != NULL && text[i] != '\0'; i++) {
		static const char digits[] =
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
		const char *d = strchr(digits, text[i]);

		if (d == NULL || n == FIELD_MAX)
			return 0;
		bits = bits << 6 | (uint32_t)(d - digits);
		if (i % 4 != 0)
			out[n++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	return i % 4 == 1 ? 0 : n;
}

static EVP_PKEY *made(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *rsa(const json_t *v)
{
	unsigned char n[FIELD_MAX], e[FIELD_MAX];
	size_t n_len = field(v, "n", n), e_len = field(v, "e", e);
	OSSL_PARAM_BLD *b = n_len > 0 && e_len > 0 ? OSSL_PARAM_BLD_new() : NULL;
	BIGNUM *bn_n = BN_bin2bn(n, (int)n_len, NULL), *bn_e = BN_bin2bn(e, (int)e_len, NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (b != NULL && bn_n != NULL && bn_e != NULL &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
		params = OSSL_PARAM_BLD_to_param(b);
	key = made("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(bn_n);
	BN_free(bn_e);
	if (key != NULL && EVP_PKEY_get_bits(key) >= RSA_BITS)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static EVP_PKEY *p256(const json_t *v)
{
	unsigned char x[FIELD_MAX], y[FIELD_MAX], point[1 + 2 * P256] = { 4 };
	char group[] = "prime256v1";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
				    OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end() };

	if (field(v, "x", x) != P256 || field(v, "y", y) != P256)
		return NULL;
	memcpy(point + 1, x, P256);
	memcpy(point + 1 + P256, y, P256);
	return made("EC", params);
}

static EVP_PKEY *ed25519(const json_t *v)
{
	unsigned char x[FIELD_MAX];
	size_t n = field(v, "x", x);

	return n > 0 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, n) : NULL;
}

static bool says(const json_t *v, const char *name, const char *text)
{
	const char *have = json_string_value(json_object_get(v, name));

	return have != NULL && strcmp(have, text) == 0;
}

/* NULL: nothing that can be used to check signatures here. */
static struct jwt_key *one(const json_t *v)
{
	const char *alg = json_string_value(json_object_get(v, "alg")), *mine = NULL;
	const char *id = json_string_value(json_object_get(v, "kid"));
	struct jwt_key *k;
	EVP_PKEY *key = NULL;

	if (json_object_get(v, "use") != NULL && !says(v, "use", "sig"))
		return NULL;
	if (says(v, "kty", "RSA"))
		mine = "RS256";
	else if (says(v, "kty", "EC") && says(v, "crv", "P-256"))
		mine = "ES256";
	else if (says(v, "kty", "OKP") && says(v, "crv", "Ed25519"))
		mine = "EdDSA";
	if (mine == NULL || (alg != NULL && strcmp(alg, mine) != 0))
		return NULL;
	key = mine[0] == 'R' ? rsa(v) : mine[1] == 'S' ? p256(v) : ed25519(v);
	k = key != NULL ? calloc(1, sizeof(*k)) : NULL;
	if (k == NULL) {
		EVP_PKEY_free(key);
		return NULL;
	}
	k->alg = mine;
	k->key = key;
	k->id = id != NULL ? strdup(id) : NULL;
	if (id == NULL || k->id != NULL)
		return k;
	jwt_keys_free(k);
	return NULL;
}

int jwt_keys_read(const char *text, size_t len, struct jwt_key **ret, const char **ret_why)
{
	json_t *top = kurir_json_is_flat((struct kurir_str){ text, len }, DEPTH_MAX)
	    ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL)
	    : NULL;
	json_t *v;
	const json_t *list = json_object_get(top, "keys");
	size_t i;

	*ret = NULL;
	*ret_why = !json_is_array(list)	       ? "it is no key set"
	    : json_array_size(list) > KEYS_MAX ? "it has more than 100 keys"
					       : NULL;
	if (*ret_why == NULL) {
		json_array_foreach(list, i, v)
		{
			struct jwt_key *k = one(v);

			if (k == NULL)
				continue;
			k->next = *ret;
			*ret = k;
		}
		if (*ret == NULL)
			*ret_why = "it has no key of RSA, P-256 or Ed25519 for signatures";
	}
	json_decref(top);
	return *ret != NULL ? 0 : -EINVAL;
}

void jwt_keys_free(struct jwt_key *k)
{
	while (k != NULL) {
		struct jwt_key *next = k->next;

		EVP_PKEY_free(k->key);
		free(k->id);
		free(k);
		k = next;
	}
}
