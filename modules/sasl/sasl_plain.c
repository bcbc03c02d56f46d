/* sasl_plain.c - PLAIN (RFC 4616 section 2).
 *
 *   message = [authzid] NUL authcid NUL passwd */
#include "sasl.h"

#include <errno.h>

int sasl_plain(struct kurir_str text, struct kurir_credentials *ret)
{
	ssize_t first = kurir_str_find(text, '\0'), second;
	struct kurir_str rest;

	if (first < 0)
		return -EBADMSG;
	rest = kurir_str_part(text, (size_t)first + 1, text.len);
	second = kurir_str_find(rest, '\0');
	if (second <= 0)
		return -EBADMSG;
	ret->authzid = kurir_str_part(text, 0, (size_t)first);
	ret->user = kurir_str_part(rest, 0, (size_t)second);
	ret->password = kurir_str_part(rest, (size_t)second + 1, rest.len);
	if (ret->password.len == 0 || kurir_str_find(ret->password, '\0') >= 0)
		return -EBADMSG;
	return 0;
}
