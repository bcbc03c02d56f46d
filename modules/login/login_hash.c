/* login_hash.c - a password against its hash (crypt(5)). */
#include "login.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(LOGIN_HASH_MAX >= CRYPT_OUTPUT_SIZE, "any hash fits");

struct check {
	char password[LOGIN_PASSWORD_MAX + 1];
	char hash[LOGIN_HASH_MAX], decoy[LOGIN_HASH_MAX];
	struct crypt_data data;
};

static int check_run(void *arg)
{
	struct check *c = arg;
	const char *got = crypt_rn(c->password, c->hash, &c->data, sizeof(c->data));
	size_t len = strlen(c->hash);

	if (got == NULL || got[0] == '*') {
		/* Of no kind that is known here: takes as long, and tells no more than others. */
		(void)crypt_rn(c->password, c->decoy, &c->data, sizeof(c->data));
		return -EINVAL;
	}
	return strlen(got) == len && CRYPTO_memcmp(got, c->hash, len) == 0 ? 1 : 0;
}

KURIR_PARKS int login_hash_check(
    struct kurir_str password, struct kurir_str hash, struct kurir_str decoy)
{
	struct check *c;
	int r;

	if (password.len > LOGIN_PASSWORD_MAX || hash.len >= LOGIN_HASH_MAX ||
	    decoy.len >= LOGIN_HASH_MAX)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	memcpy(c->password, password.ptr, password.len);
	memcpy(c->hash, hash.ptr, hash.len);
	memcpy(c->decoy, decoy.ptr, decoy.len);
	r = kurir_offload(check_run, c, kurir_now() + LOGIN_CHECK_TIME);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
	return r;
}

void login_hash_decoy(char ret[LOGIN_HASH_MAX])
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = calloc(1, sizeof(*data));

	ret[0] = '\0';
	if (data != NULL &&
	    crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) != NULL &&
	    crypt_rn("", setting, data, sizeof(*data)) != NULL)
		memcpy(ret, data->output, sizeof(data->output));
	free(data);
}
