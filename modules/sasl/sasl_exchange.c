/* sasl_exchange.c - one exchange, whatever its mechanism: what the client says becomes
 * credentials, the auth role judges them, the client hears what its mechanism has for the end. */
#include "sasl.h"

#include <errno.h>
#include <string.h>

enum { PLAIN, SCRAM, SCRAM_PLUS, OAUTHBEARER, XOAUTH2 };

/* The strongest first; the old name of OAUTHBEARER behind all that have an RFC. */
static const struct {
	const char *name;
	int which;
} mechanisms[] = {
	{ "SCRAM-SHA-256-PLUS", SCRAM_PLUS },
	{ "SCRAM-SHA-256", SCRAM },
	{ "OAUTHBEARER", OAUTHBEARER },
	{ "PLAIN", PLAIN },
	{ "XOAUTH2", XOAUTH2 },
};
#define MECHANISMS (sizeof(mechanisms) / sizeof(*mechanisms))

static bool offers(struct kurir_stream *stream, bool scram, bool bearer, int which)
{
	switch (which) {
	case SCRAM_PLUS:
		return scram && scram_offers_plus(stream);
	case SCRAM:
		return scram;
	case PLAIN:
		return true;
	default:
		return bearer;
	}
}

const char *sasl_offered(struct kurir_stream *stream, bool scram, bool bearer, unsigned n)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (offers(stream, scram, bearer, mechanisms[i].which) && n-- == 0)
			return mechanisms[i].name;
	return NULL;
}

static int find(const struct sasl *s, struct kurir_str name)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (kurir_str_equal_nocase(name, kurir_str_of(mechanisms[i].name)) &&
		    offers(s->stream, s->scram, s->bearer, mechanisms[i].which))
			return mechanisms[i].which;
	return -ENOTSUP;
}

/* The client's first message; all mechanisms here begin with one. */
KURIR_PARKS static int first_of(struct sasl *s, struct kurir_str initial, struct kurir_str *ret)
{
	if (initial.ptr == NULL)
		return s->ask(s->arg, KURIR_STR(""), ret);
	if (kurir_str_equal(initial, KURIR_STR("="))) {
		*ret = KURIR_STR("");
		return 0;
	}
	return kurir_base64_decode(kurir_scratch(), initial, ret);
}

KURIR_PARKS int sasl_run(struct sasl *s, struct kurir_str mechanism, struct kurir_str initial)
{
	int which = find(s, mechanism), r = which < 0 ? which : 0;
	struct kurir_str first;

	s->who.user = s->who.password = s->who.authzid = KURIR_STR("");
	if (r == 0)
		r = first_of(s, initial, &first);
	if (r < 0)
		return r;
	switch (which) {
	case PLAIN:
		return sasl_plain(first, &s->who);
	case SCRAM:
	case SCRAM_PLUS:
		s->method = SASL_SCRAM;
		s->exchange.plus = which == SCRAM_PLUS;
		return scram_run(s, first);
	case OAUTHBEARER:
		s->method = SASL_BEARER;
		return sasl_oauthbearer(kurir_scratch(), first, &s->who.user, &s->token);
	default:
		s->method = SASL_BEARER;
		return sasl_xoauth2(first, &s->who.user, &s->token);
	}
}

KURIR_PARKS int sasl_identify(
    struct sasl *s, struct kurir_arena *arena, struct kurir_identity *ret)
{
	const struct scram *x = &s->exchange;
	struct kurir_str signature;
	int r;

	s->who.protocol = kurir_conn_protocol(s->conn);
	s->who.peer = kurir_conn_peer(s->conn);
	s->who.encrypted = kurir_conn_encrypted(s->conn);
	switch (s->method) {
	case SASL_SCRAM:
		r = kurir_scram_verify(
		    s->self, &s->who, x->message, x->proof, s->until, arena, ret, &signature);
		s->signature = r < 0 ? KURIR_STR("") : signature;
		return r;
	case SASL_BEARER:
		return kurir_bearer_verify(s->self, &s->who, s->token, s->until, arena, ret);
	default:
		return kurir_authenticate(s->self, &s->who, s->until, arena, ret);
	}
}

/* RFC 7628 3.2.2: a token that is refused is told so in JSON, which the client answers. */
KURIR_PARKS int sasl_conclude(struct sasl *s, int r)
{
	struct kurir_str answer;

	if (s->method == SASL_SCRAM && r == 0)
		return scram_finish(s, s->signature);
	if (s->method == SASL_BEARER && r == -EACCES) {
		int said = s->ask(s->arg, KURIR_STR("{\"status\":\"invalid_token\"}"), &answer);
		return said < 0 ? said : r;
	}
	return r;
}

void sasl_forget(struct sasl *s)
{
	if (s->who.password.len > 0)
		explicit_bzero((char *)(uintptr_t)s->who.password.ptr, s->who.password.len);
	if (s->token.len > 0)
		explicit_bzero((char *)(uintptr_t)s->token.ptr, s->token.len);
}
