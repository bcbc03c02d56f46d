/* dns_idn.c - names beyond ASCII, as the DNS has them: A-labels (RFC 5891 5, UTS 46). */
#include "dns_private.h"

#include <errno.h>

#ifdef HAVE_IDN2
#include <idn2.h>
#endif

static bool is_ascii(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 128)
			return false;
	return true;
}

int dns_ascii(struct kurir_arena *arena, struct kurir_str name, struct kurir_str *ret)
{
#ifdef HAVE_IDN2
	char *out = NULL;
#endif
	int r = -EOPNOTSUPP;

	*ret = name;
	if (is_ascii(name))
		return 0;
#ifdef HAVE_IDN2
	if (kurir_str_find(name, '\0') >= 0)
		return -EINVAL;
	r = idn2_to_ascii_8z(
	    kurir_copy(arena, name).ptr, &out, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r == IDN2_OK)
		*ret = kurir_copy(arena, kurir_str_of(out));
	r = r == IDN2_OK ? 0 : -EINVAL;
	idn2_free(out);
#else
	(void)arena;
#endif
	return r;
}
