/* fuzz_sasl.c - what a client says in each mechanism, and verifiers. */
#include <modules/auth_file/auth_file.h>
#include <modules/sasl/sasl.h>

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str text = { size > 0 ? (const char *)data : "", size };
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_credentials c;
	struct kurir_str user, token;
	struct scram_verifier v;

	for (int plus = 0; plus < 2; plus++) {
		struct scram s = { .plus = plus };

		if (scram_client_first(&s, arena, text, true) < 0)
			(void)scram_client_first(&s, arena,
			    plus ? KURIR_STR("p=x,,n=a,r=b") : KURIR_STR("n,,n=a,r=b"), true);
		scram_server_first(&s, arena, KURIR_STR("c"), KURIR_STR("salt"), 4096);
		(void)scram_client_final(&s, arena, text, KURIR_STR(""));
	}
	(void)sasl_plain(text, &c);
	(void)sasl_oauthbearer(arena, text, &user, &token);
	(void)sasl_xoauth2(text, &user, &token);
	(void)scram_parse(arena, text, &v);
	kurir_arena_free(arena);
	return 0;
}
