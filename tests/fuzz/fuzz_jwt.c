/* fuzz_jwt.c - any bytes as a token, as its claims, and as a key set. */
#include <modules/auth_oauth2/jwt.h>

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str text = { size > 0 ? (const char *)data : "", size };
	const struct jwt_wanted want = { KURIR_STR("i"), KURIR_STR("a"), KURIR_STR("s"), 0, 60 };
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	json_t *claims = json_loadb(text.ptr, text.len, 0, NULL);
	struct jwt_key *keys = NULL;
	const char *why;
	struct jwt t;

	(void)jwt_keys_read(text.ptr, text.len, &keys, &why);
	if (jwt_read(arena, text, &t) == 0)
		(void)jwt_signed(&t, keys);
	jwt_free(&t);
	(void)jwt_claims(claims, &want);
	(void)jwt_text(arena, claims, "email");
	json_decref(claims);
	jwt_keys_free(keys);
	kurir_arena_free(arena);
	return 0;
}
