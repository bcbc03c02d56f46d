/* sasl_scram.c - one login with SCRAM: asks the client and the auth role in turn. */
#include "sasl.h"

#include <errno.h>
#include <sys/random.h>

#define NONCE 18 /* bytes */

bool scram_mechanism(struct kurir_str name, bool *ret_plus)
{
	*ret_plus = kurir_str_equal_nocase(name, KURIR_STR("SCRAM-SHA-256-PLUS"));
	return *ret_plus || kurir_str_equal_nocase(name, KURIR_STR("SCRAM-SHA-256"));
}

/* A certificate there always is; with TLS 1.2 the exporter may be missing. */
bool scram_offers_plus(struct kurir_stream *stream)
{
	unsigned char unused[KURIR_TLS_BINDING_MAX];

	return kurir_tls_binding(stream, KURIR_TLS_SERVER_END_POINT, unused) > 0;
}

/* What the connection is bound by, as the client names it; empty without -PLUS. */
static int binding_of(const struct scram *s, struct kurir_stream *stream,
    struct kurir_arena *arena, struct kurir_str *ret)
{
	static const struct {
		const char *name;
		enum kurir_tls_binding which;
	} known[] = {
		{ "tls-exporter", KURIR_TLS_EXPORTER },
		{ "tls-server-end-point", KURIR_TLS_SERVER_END_POINT },
	};
	unsigned char bytes[KURIR_TLS_BINDING_MAX];

	*ret = KURIR_STR("");
	if (!s->plus)
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		int n;

		if (!kurir_str_equal(s->binding_name, kurir_str_of(known[i].name)))
			continue;
		n = kurir_tls_binding(stream, known[i].which, bytes);
		if (n <= 0)
			return -EACCES;
		*ret = kurir_copy(arena, (struct kurir_str){ (const char *)bytes, (size_t)n });
		return 0;
	}
	return -EACCES;
}

KURIR_PARKS int scram_run(struct scram *s, struct kurir_self *self, struct kurir_stream *stream,
    struct kurir_str initial, const struct scram_peer *peer, kurir_time until,
    struct kurir_arena *arena)
{
	struct kurir_str salt, binding, answer = initial;
	unsigned char random[NONCE];
	uint32_t iterations;
	int r = 0;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	if (initial.ptr == NULL)
		r = peer->ask(peer->arg, KURIR_STR(""), &answer);
	if (r >= 0)
		r = scram_client_first(s, arena, answer, scram_offers_plus(stream));
	if (r >= 0)
		r = binding_of(s, stream, arena, &binding);
	if (r >= 0)
		r = kurir_scram_salt(self, s->user, until, arena, &salt, &iterations);
	if (r < 0)
		return r;
	scram_server_first(s, arena,
	    kurir_base64_encode(
		arena, (struct kurir_str){ (const char *)random, sizeof(random) }),
	    salt, iterations);
	r = peer->ask(peer->arg, s->server_first, &answer);
	return r < 0 ? r : scram_client_final(s, arena, answer, binding);
}

KURIR_PARKS int scram_finish(const struct scram_peer *peer, struct kurir_str signature)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str coded = kurir_base64_encode(arena, signature), answer;
	int r = peer->ask(peer->arg, kurir_format(arena, "v=%.*s", KURIR_ARG(coded)), &answer);

	return r < 0 ? r : answer.len > 0 ? -EBADMSG : 0;
}
