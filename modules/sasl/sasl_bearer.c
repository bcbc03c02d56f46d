/* sasl_bearer.c - OAUTHBEARER (RFC 7628 section 3.1), and XOAUTH2, which is older than it.
 *
 *   client-resp = gs2-header kvsep *kvpair kvsep
 *   gs2-header  = ( "n" / "y" ) "," [ "a=" saslname ] ","
 *   kvpair      = key "=" value kvsep         "auth=Bearer " b64token is the one that counts
 *   kvsep       = %x01
 *   xoauth2     = "user=" name kvsep "auth=Bearer " b64token kvsep kvsep
 *   b64token    = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="      RFC 6750 2.1 */
#include "sasl.h"

#include <errno.h>

#define KVSEP '\1'

static bool is_token(struct kurir_str t)
{
	size_t i = 0;

	for (; i < t.len; i++) {
		char c = t.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
			c == '+' || c == '/'))
			break;
	}
	if (i == 0)
		return false;
	while (i < t.len && t.ptr[i] == '=')
		i++;
	return i == t.len;
}

/* The pairs, up to the empty one that ends them; the token is in one of them, once. */
static int pairs(struct kurir_str rest, struct kurir_str *ret_token)
{
	const struct kurir_str auth = KURIR_STR("auth="), bearer = KURIR_STR("Bearer ");
	struct kurir_str token = KURIR_STR("");
	ssize_t end;

	while ((end = kurir_str_find(rest, KVSEP)) > 0) {
		struct kurir_str pair = kurir_str_part(rest, 0, (size_t)end);

		rest = kurir_str_part(rest, (size_t)end + 1, rest.len);
		if (!kurir_str_starts(pair, auth))
			continue;
		pair = kurir_str_part(pair, auth.len, pair.len);
		if (token.len > 0 ||
		    !kurir_str_equal_nocase(kurir_str_part(pair, 0, bearer.len), bearer))
			return -EBADMSG;
		token = kurir_str_part(pair, bearer.len, pair.len);
		if (!is_token(token))
			return -EBADMSG;
	}
	*ret_token = token;
	return end == 0 && rest.len == 1 && token.len > 0 ? 0 : -EBADMSG;
}

int sasl_oauthbearer(struct kurir_arena *arena, struct kurir_str text, struct kurir_str *ret_user,
    struct kurir_str *ret_token)
{
	struct kurir_str rest = text, flag = sasl_attribute(&rest), name = sasl_attribute(&rest);

	*ret_user = KURIR_STR("");
	if (kurir_str_starts(flag, KURIR_STR("p=")))
		return -EACCES;
	if (!kurir_str_equal(flag, KURIR_STR("n")) && !kurir_str_equal(flag, KURIR_STR("y")))
		return -EBADMSG;
	if (name.len > 0 &&
	    (sasl_value(name, "a=", &name) < 0 || sasl_name(arena, name, ret_user) < 0))
		return -EBADMSG;
	if (rest.len == 0 || rest.ptr[0] != KVSEP)
		return -EBADMSG;
	return pairs(kurir_str_part(rest, 1, rest.len), ret_token);
}

int sasl_xoauth2(struct kurir_str text, struct kurir_str *ret_user, struct kurir_str *ret_token)
{
	const struct kurir_str user = KURIR_STR("user=");
	ssize_t end = kurir_str_find(text, KVSEP);

	*ret_user = KURIR_STR("");
	if (end < 0 || !kurir_str_starts(text, user))
		return -EBADMSG;
	*ret_user = kurir_str_part(text, user.len, (size_t)end - user.len);
	if (kurir_str_find(*ret_user, '\0') >= 0)
		return -EBADMSG;
	return pairs(kurir_str_part(text, (size_t)end + 1, text.len), ret_token);
}
