/* sasl_name.c - the small pieces of messages (RFC 5802 section 7, RFC 5801 section 4).
 *
 *   attribute = ALPHA "=" value, with "," between two
 *   saslname  = 1*(any but NUL, "=" and "," / "=2C" / "=3D") */
#include "sasl.h"

#include <errno.h>

struct kurir_str sasl_attribute(struct kurir_str *rest)
{
	ssize_t comma = kurir_str_find(*rest, ',');
	size_t n = comma < 0 ? rest->len : (size_t)comma;
	struct kurir_str a = kurir_str_part(*rest, 0, n);

	*rest = kurir_str_part(*rest, comma < 0 ? n : n + 1, rest->len);
	return a;
}

int sasl_value(struct kurir_str attribute, const char *name, struct kurir_str *ret)
{
	if (!kurir_str_starts(attribute, kurir_str_of(name)))
		return -EBADMSG;
	*ret = kurir_str_part(attribute, 2, attribute.len);
	return ret->len > 0 ? 0 : -EBADMSG;
}

int sasl_name(struct kurir_arena *arena, struct kurir_str text, struct kurir_str *ret)
{
	char *out = kurir_alloc(arena, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		struct kurir_str code = kurir_str_part(text, i, 3);

		if (text.ptr[i] == '\0')
			return -EBADMSG;
		if (text.ptr[i] != '=') {
			out[n++] = text.ptr[i];
			continue;
		}
		if (!kurir_str_equal(code, KURIR_STR("=2C")) &&
		    !kurir_str_equal(code, KURIR_STR("=3D")))
			return -EBADMSG;
		out[n++] = code.ptr[1] == '2' ? ',' : '=';
		i += 2;
	}
	*ret = (struct kurir_str){ out, n };
	return 0;
}
