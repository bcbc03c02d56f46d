/* sasl_scram_parse.c - the messages of SCRAM (RFC 5802 section 7).
 *
 *   client-first-message  = gs2-header client-first-message-bare
 *   gs2-header            = gs2-cbind-flag "," [ "a=" saslname ] ","
 *   gs2-cbind-flag        = "p=" cb-name / "n" / "y"
 *   client-first-message-bare = [ reserved-mext "," ] "n=" saslname "," "r=" c-nonce
 *                           [ "," extensions ]
 *   server-first-message  = "r=" c-nonce s-nonce "," "s=" base64 "," "i=" posit-number
 *   client-final-message  = "c=" base64 "," "r=" c-nonce s-nonce [ "," extensions ] ","
 *                           "p=" base64 */
#include "sasl.h"

#include <errno.h>

static bool is_nonce(struct kurir_str t)
{
	if (t.len > SCRAM_NONCE_MAX)
		return false;
	for (size_t i = 0; i < t.len; i++)
		if (t.ptr[i] < '!' || t.ptr[i] > '~')
			return false;
	return true;
}

/* A client that could bind and thinks that we cannot has been lied to about what we offer. */
static int binding_flag(struct scram *s, struct kurir_str flag, bool offers_plus)
{
	if (kurir_str_starts(flag, KURIR_STR("p="))) {
		s->binding_name = kurir_str_part(flag, 2, flag.len);
		return s->plus ? 0 : -EBADMSG;
	}
	if (s->plus)
		return -EBADMSG;
	if (kurir_str_equal(flag, KURIR_STR("n")))
		return 0;
	if (!kurir_str_equal(flag, KURIR_STR("y")))
		return -EBADMSG;
	return offers_plus ? -EACCES : 0;
}

int scram_client_first(
    struct scram *s, struct kurir_arena *arena, struct kurir_str text, bool offers_plus)
{
	struct kurir_str rest = text, flag, authzid, name;
	int r;

	if (text.len > SCRAM_MESSAGE_MAX)
		return -EBADMSG;
	s->binding_name = KURIR_STR("");
	s->authzid = KURIR_STR("");
	flag = sasl_attribute(&rest);
	authzid = sasl_attribute(&rest);
	r = binding_flag(s, flag, offers_plus);
	if (r < 0)
		return r;
	if (authzid.len > 0 &&
	    (sasl_value(authzid, "a=", &authzid) < 0 ||
		sasl_name(arena, authzid, &s->authzid) < 0))
		return -EBADMSG;
	s->gs2 = kurir_copy(arena, kurir_str_part(text, 0, text.len - rest.len));
	s->bare = kurir_copy(arena, rest);
	rest = s->bare;
	if (sasl_value(sasl_attribute(&rest), "n=", &name) < 0 ||
	    sasl_name(arena, name, &s->user) < 0 ||
	    sasl_value(sasl_attribute(&rest), "r=", &s->client_nonce) < 0 ||
	    !is_nonce(s->client_nonce))
		return -EBADMSG;
	return kurir_str_starts(rest, KURIR_STR("m=")) ? -EBADMSG : 0;
}

void scram_server_first(struct scram *s, struct kurir_arena *arena, struct kurir_str server_nonce,
    struct kurir_str salt, uint32_t iterations)
{
	struct kurir_str coded = kurir_base64_encode(arena, salt);

	s->nonce =
	    kurir_format(arena, "%.*s%.*s", KURIR_ARG(s->client_nonce), KURIR_ARG(server_nonce));
	s->server_first = kurir_format(arena, "r=%.*s,s=%.*s,i=%u", KURIR_ARG(s->nonce),
	    KURIR_ARG(coded), (unsigned)iterations);
}

/* "c=" is the header that the client sent first, and the binding as it sees it. */
static bool binds(const struct scram *s, struct kurir_str bytes, struct kurir_str binding)
{
	return bytes.len == s->gs2.len + binding.len && kurir_str_starts(bytes, s->gs2) &&
	    kurir_str_equal(kurir_str_part(bytes, s->gs2.len, bytes.len), binding);
}

int scram_client_final(
    struct scram *s, struct kurir_arena *arena, struct kurir_str text, struct kurir_str binding)
{
	struct kurir_str rest = text, channel, nonce, bytes, proof;
	ssize_t last = kurir_str_find_last(text, ',');

	if (text.len > SCRAM_MESSAGE_MAX || last < 0 ||
	    sasl_value(sasl_attribute(&rest), "c=", &channel) < 0 ||
	    sasl_value(sasl_attribute(&rest), "r=", &nonce) < 0 ||
	    sasl_value(kurir_str_part(text, (size_t)last + 1, text.len), "p=", &proof) < 0 ||
	    kurir_base64_decode(arena, channel, &bytes) < 0 ||
	    kurir_base64_decode(arena, proof, &s->proof) < 0)
		return -EBADMSG;
	if (!kurir_str_equal(nonce, s->nonce) || !binds(s, bytes, binding))
		return -EACCES;
	s->message = kurir_format(arena, "%.*s,%.*s,%.*s", KURIR_ARG(s->bare),
	    KURIR_ARG(s->server_first), KURIR_ARG(kurir_str_part(text, 0, (size_t)last)));
	return 0;
}
