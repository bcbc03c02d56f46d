/* test_jwt.c - tokens and key sets: keys are made here, and what is not quite right is refused. */
#include "conf_unit.h"

#include <modules/auth_oauth2/jwt.h>

#include <kurir/auth.h>

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <string.h>

#define S(lit) KURIR_STR(lit)

static struct kurir_arena *arena;
static EVP_PKEY *rsa, *ec, *ed;

static struct kurir_str base64url(const void *bytes, size_t n)
{
	struct kurir_str s =
	    kurir_base64_encode(arena, (struct kurir_str){ (const char *)bytes, n });
	char *p = (char *)(uintptr_t)s.ptr;

	while (s.len > 0 && p[s.len - 1] == '=')
		s.len--;
	for (size_t i = 0; i < s.len; i++)
		p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
	return s;
}

static struct kurir_str number_of(EVP_PKEY *key, const char *name, int width)
{
	unsigned char bytes[512];
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
	int len = width > 0 ? BN_bn2binpad(n, bytes, width) : BN_bn2bin(n, bytes);
	BN_free(n);
	return base64url(bytes, (size_t)len);
}

static struct kurir_str key_set(void)
{
	struct kurir_str n = number_of(rsa, OSSL_PKEY_PARAM_RSA_N, 0);
	struct kurir_str e = number_of(rsa, OSSL_PKEY_PARAM_RSA_E, 0);
	struct kurir_str x = number_of(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32);
	struct kurir_str y = number_of(ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	unsigned char raw[32];
	size_t len = sizeof(raw);

	assert_int_equal(EVP_PKEY_get_raw_public_key(ed, raw, &len), 1);
	struct kurir_str o = base64url(raw, len);
	return kurir_format(arena,
	    "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\","
	    "\"n\":\"%.*s\",\"e\":\"%.*s\"},"
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"c\",\"x\":\"%.*s\",\"y\":\"%.*s\"},"
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%.*s\"},"
	    "{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
	    KURIR_ARG(n), KURIR_ARG(e), KURIR_ARG(x), KURIR_ARG(y), KURIR_ARG(o));
}

/* A token of this header and these claims. */
static struct kurir_str token(EVP_PKEY *key, const char *header, const char *claims)
{
	struct kurir_str h = base64url(header, strlen(header)),
			 c = base64url(claims, strlen(claims));
	struct kurir_str input = kurir_format(arena, "%.*s.%.*s", KURIR_ARG(h), KURIR_ARG(c));
	unsigned char sig[512], raw[64];
	const unsigned char *p = sig;
	size_t n = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, key == ed ? NULL : EVP_sha256(), NULL, key), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, sig, &n, (const unsigned char *)input.ptr, input.len), 1);
	EVP_MD_CTX_free(ctx);
	struct kurir_str s = base64url(sig, n);
	if (key == ec) {
		ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);

		BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
		ECDSA_SIG_free(pair);
		s = base64url(raw, 64);
	}
	return kurir_format(arena, "%.*s.%.*s", KURIR_ARG(input), KURIR_ARG(s));
}

static struct jwt_key *keys_of(struct kurir_str text)
{
	struct jwt_key *keys = NULL;
	const char *why;

	assert_int_equal(jwt_keys_read(text.ptr, text.len, &keys, &why), 0);
	return keys;
}

static bool good(struct kurir_str text, const struct jwt_key *keys)
{
	struct jwt t;
	bool r = jwt_read(arena, text, &t) == 0 && jwt_signed(&t, keys);

	jwt_free(&t);
	return r;
}

static void signatures(void **state)
{
	struct jwt_key *keys = keys_of(key_set());
	struct kurir_str t = token(rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{}");
	struct kurir_str e = token(ec, "{\"alg\":\"ES256\",\"kid\":\"c\"}", "{}");
	size_t count = 0;

	(void)state;
	for (const struct jwt_key *k = keys; k != NULL; k = k->next)
		count++;
	assert_int_equal(count, 3); /* no secrets, no short keys */
	assert_true(good(t, keys));
	assert_true(good(e, keys));
	assert_true(good(token(ed, "{\"alg\":\"EdDSA\",\"kid\":\"any\"}", "{}"), keys));
	assert_true(good(token(rsa, "{\"alg\":\"RS256\"}", "{}"), keys));
	/* Another key is meant; another algorithm than the key's; none; what has to be understood. */
	assert_false(good(token(rsa, "{\"alg\":\"RS256\",\"kid\":\"c\"}", "{}"), keys));
	assert_false(good(token(rsa, "{\"alg\":\"ES256\",\"kid\":\"r\"}", "{}"), keys));
	assert_false(good(token(rsa, "{\"alg\":\"HS256\"}", "{}"), keys));
	assert_false(good(token(rsa, "{\"alg\":\"none\"}", "{}"), keys));
	assert_false(good(token(rsa, "{\"alg\":7}", "{}"), keys));
	assert_false(good(token(rsa, "{\"alg\":\"RS256\",\"crit\":[\"b64\"]}", "{}"), keys));
	assert_false(good(kurir_str_part(t, 0, t.len - 4), keys));
	assert_false(good(kurir_str_part(e, 0, e.len - 4), keys));
	((char *)(uintptr_t)t.ptr)[t.len - 9] ^= 1;
	((char *)(uintptr_t)e.ptr)[e.len - 9] ^= 1;
	assert_false(good(t, keys));
	assert_false(good(e, keys));
	jwt_keys_free(keys);
}

static void rubbish(void **state)
{
	static const char *const tokens[] = { "", ".", "..", "a.b.c", "e30", "e30.e30", "e30..",
		"e30.e30.=", "e30.W10.", "e30.e30.a", "e30.eyJhIjoxLCJhIjoxfQ.", "e30.e30.+" };
	static const char *const sets[] = { "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}",
		"{\"keys\":[1]}", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}" };
	struct jwt_key *keys;
	const char *why;
	char deep[9000];
	struct jwt t;

	(void)state;
	memset(deep, '[', sizeof(deep));
	struct kurir_str coded = base64url(deep, sizeof(deep));
	assert_int_equal(
	    jwt_read(arena, kurir_format(arena, "e30.%.*s.AAAA", KURIR_ARG(coded)), &t),
	    -EBADMSG);
	assert_int_equal(jwt_keys_read(deep, sizeof(deep), &keys, &why), -EINVAL);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++)
		if (jwt_read(arena, kurir_str_of(tokens[i]), &t) != -EBADMSG)
			fail_msg("taken: %s", tokens[i]);
	for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++)
		if (jwt_keys_read(sets[i], strlen(sets[i]), &keys, &why) != -EINVAL ||
		    why == NULL)
			fail_msg("taken: %s", sets[i]);
}

static void claims(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "{\"exp\":1061,\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"x mail y\"}", NULL },
		{ "{\"exp\":941.5,\"iss\":\"i\",\"aud\":[\"b\",\"a\"],\"scope\":[\"mail\"],\"nbf\":1060}",
		    NULL },
		{ "{\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\"}", "it has no end" },
		{ "{\"exp\":\"2000\",\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it has no end" },
		{ "{\"exp\":940,\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it has expired" },
		{ "{\"exp\":2000,\"nbf\":1061,\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it is not valid yet" },
		{ "{\"exp\":2000,\"nbf\":\"x\",\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it is not valid yet" },
		{ "{\"exp\":2000,\"iss\":\"I\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it has another issuer" },
		{ "{\"exp\":2000,\"iss\":\"i\\u0000\",\"aud\":\"a\",\"scope\":\"mail\"}",
		    "it has another issuer" },
		{ "{\"exp\":2000,\"iss\":\"i\",\"scope\":\"mail\"}",
		    "it is for another audience" },
		{ "{\"exp\":2000,\"iss\":\"i\",\"aud\":[[\"a\"]],\"scope\":\"mail\"}",
		    "it is for another audience" },
		{ "{\"exp\":2000,\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mailbox\"}",
		    "it lacks the scope" },
	};
	const struct jwt_wanted w = { S("i"), S("a"), S("mail"), 1000, 60 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		json_t *v = json_loads(rows[i].text, JSON_ALLOW_NUL, NULL);
		const char *why = jwt_claims(v, &w);

		assert_non_null(v);
		if ((why == NULL) != (rows[i].why == NULL) ||
		    (why != NULL && strcmp(why, rows[i].why) != 0))
			fail_msg("%s: %s", rows[i].text, why != NULL ? why : "taken");
		json_decref(v);
	}
}

static int begin(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return rsa != NULL && ec != NULL && ed != NULL ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(signatures),
		cmocka_unit_test(rubbish), cmocka_unit_test(claims) };

	return cmocka_run_group_tests(tests, begin, end);
}
