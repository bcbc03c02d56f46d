/* sasl_scram.c - one login with SCRAM: asks the client and the auth role in turn. */
#include "sasl.h"

#include <errno.h>
#include <sys/random.h>

#define NONCE 18 /* bytes */

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

KURIR_PARKS int scram_run(struct sasl *x, struct kurir_str first)
{
	struct kurir_arena *arena = kurir_scratch();
	struct scram *s = &x->exchange;
	struct kurir_str salt, binding, answer;
	unsigned char random[NONCE];
	uint32_t iterations;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	int r = scram_client_first(s, arena, first, scram_offers_plus(x->stream));
	x->who.user = s->user.ptr != NULL ? s->user : KURIR_STR("");
	x->who.authzid = s->authzid;
	if (r >= 0)
		r = binding_of(s, x->stream, arena, &binding);
	if (r >= 0)
		r = kurir_scram_salt(x->self, s->user, x->until, arena, &salt, &iterations);
	if (r < 0)
		return r;
	scram_server_first(s, arena,
	    kurir_base64_encode(
		arena, (struct kurir_str){ (const char *)random, sizeof(random) }),
	    salt, iterations);
	r = x->ask(x->arg, s->server_first, &answer);
	return r < 0 ? r : scram_client_final(s, arena, answer, binding);
}

KURIR_PARKS int scram_finish(struct sasl *x, struct kurir_str signature)
{
	struct kurir_arena *arena = kurir_scratch();
	struct kurir_str coded = kurir_base64_encode(arena, signature), answer;
	int r = x->ask(x->arg, kurir_format(arena, "v=%.*s", KURIR_ARG(coded)), &answer);

	return r < 0 ? r : answer.len > 0 ? -EBADMSG : 0;
}
