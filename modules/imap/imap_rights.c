/* imap_rights.c - rights as text (RFC 4314 sections 2.1 and 2.1.1).
 *
 *   rights = astring  ; only lowercase ASCII letters and digits
 *
 * "c" and "d" are those of RFC 2086: all of "kx", all of "te". */

#include <errno.h>

#include "imap_place.h"

#define CREATE (IMAP_RIGHT_CREATE | IMAP_RIGHT_REMOVE)
#define DELETE (IMAP_RIGHT_DELETE | IMAP_RIGHT_EXPUNGE)

static const struct {
	char letter;
	uint32_t rights;
} known[] = {
	{ 'l', IMAP_RIGHT_LOOKUP },
	{ 'r', IMAP_RIGHT_READ },
	{ 's', IMAP_RIGHT_SEEN },
	{ 'w', IMAP_RIGHT_WRITE },
	{ 'i', IMAP_RIGHT_INSERT },
	{ 'p', IMAP_RIGHT_POST },
	{ 'k', IMAP_RIGHT_CREATE },
	{ 'x', IMAP_RIGHT_REMOVE },
	{ 't', IMAP_RIGHT_DELETE },
	{ 'e', IMAP_RIGHT_EXPUNGE },
	{ 'a', IMAP_RIGHT_ADMIN },
	{ 'c', CREATE },
	{ 'd', DELETE },
};
#define KNOWN (sizeof(known) / sizeof(*known))
_Static_assert(KNOWN < IMAP_RIGHTS_TEXT, "all letters, and the NUL");

int imap_rights_parse(struct kurir_str letters, uint32_t *ret)
{
	uint32_t rights = 0;

	for (size_t i = 0; i < letters.len; i++) {
		size_t k = 0;

		while (k < KNOWN && known[k].letter != letters.ptr[i])
			k++;
		if (k == KNOWN)
			return -EBADMSG;
		rights |= known[k].rights;
	}
	*ret = rights;
	return 0;
}

static const char *put(char text[IMAP_RIGHTS_TEXT], uint32_t rights, size_t letters)
{
	size_t n = 0;

	for (size_t k = 0; k < letters; k++)
		if (rights & known[k].rights)
			text[n++] = known[k].letter;
	text[n] = '\0';
	return text;
}

const char *imap_rights_put(char text[IMAP_RIGHTS_TEXT], uint32_t rights)
{
	return put(text, rights, KNOWN);
}

const char *imap_rights_keep(char text[IMAP_RIGHTS_TEXT], uint32_t rights)
{
	return put(text, rights, KNOWN - 2);
}
