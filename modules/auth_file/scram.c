/* scram.c - verifiers of SCRAM-SHA-256: read, and used.  No I/O.
 *
 * verifier = "SCRAM-SHA-256$" iterations ":" salt "$" StoredKey ":" ServerKey   ; as RFC 5803
 * salt, StoredKey and ServerKey in base64 */
#include "auth_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define ITERATIONS_MIN 4096 /* RFC 7677 section 4 */
#define ITERATIONS_MAX 100000000
#define SALT	       16

/* Up to a character, which goes; -EINVAL when it is not there. */
static int field(struct kurir_str *text, char end, struct kurir_str *ret)
{
	ssize_t n = kurir_str_find(*text, end);

	if (n < 0)
		return -EINVAL;
	*ret = kurir_str_part(*text, 0, (size_t)n);
	*text = kurir_str_part(*text, (size_t)n + 1, text->len);
	return 0;
}

static int key(struct kurir_arena *arena, struct kurir_str text, unsigned char ret[SCRAM_KEY])
{
	struct kurir_str bytes;

	if (kurir_base64_decode(arena, text, &bytes) < 0 || bytes.len != SCRAM_KEY)
		return -EINVAL;
	memcpy(ret, bytes.ptr, SCRAM_KEY);
	return 0;
}

int scram_parse(struct kurir_arena *arena, struct kurir_str text, struct scram_verifier *ret)
{
	struct kurir_str name, count, salt, stored;
	struct scram_verifier s = { .iterations = 0 };
	uint64_t n;

	if (field(&text, '$', &name) < 0 || !kurir_str_equal(name, KURIR_STR("SCRAM-SHA-256")) ||
	    field(&text, ':', &count) < 0 || kurir_str_number(count, ITERATIONS_MAX, &n) < 0 ||
	    n < ITERATIONS_MIN || field(&text, '$', &salt) < 0 ||
	    kurir_base64_decode(arena, salt, &s.salt) < 0 || s.salt.len < 8 ||
	    field(&text, ':', &stored) < 0 || key(arena, stored, s.stored) < 0 ||
	    key(arena, text, s.server) < 0)
		return -EINVAL;
	s.iterations = (uint32_t)n;
	*ret = s;
	return 0;
}

static void hmac(const void *secret, size_t len, struct kurir_str text, unsigned char *ret)
{
	unsigned int n = SCRAM_KEY;

	(void)HMAC(
	    EVP_sha256(), secret, (int)len, (const unsigned char *)text.ptr, text.len, ret, &n);
}

int scram_check(const struct scram_verifier *s, struct kurir_str message, struct kurir_str proof,
    unsigned char ret_signature[SCRAM_KEY])
{
	unsigned char client[SCRAM_KEY], hashed[SCRAM_KEY];
	unsigned int n = SCRAM_KEY;
	bool right;

	hmac(s->stored, SCRAM_KEY, message, client);
	for (size_t i = 0; i < SCRAM_KEY && i < proof.len; i++)
		client[i] ^= (unsigned char)proof.ptr[i];
	(void)EVP_Digest(client, SCRAM_KEY, hashed, &n, EVP_sha256(), NULL);
	right = CRYPTO_memcmp(hashed, s->stored, SCRAM_KEY) == 0 && proof.len == SCRAM_KEY;
	hmac(s->server, SCRAM_KEY, message, ret_signature);
	OPENSSL_cleanse(client, sizeof(client));
	return right;
}

void scram_decoy(struct kurir_arena *arena, struct kurir_str secret, struct kurir_str name,
    uint32_t iterations, struct scram_verifier *ret)
{
	*ret = (struct scram_verifier){ .iterations = iterations };
	hmac(secret.ptr, secret.len, kurir_format(arena, "salt %.*s", KURIR_ARG(name)),
	    ret->stored);
	ret->salt = kurir_copy(arena, (struct kurir_str){ (const char *)ret->stored, SALT });
	hmac(secret.ptr, secret.len, kurir_format(arena, "stored %.*s", KURIR_ARG(name)),
	    ret->stored);
	memcpy(ret->server, ret->stored, SCRAM_KEY);
}
