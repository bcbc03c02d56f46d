/* imap_enable.c - ENABLE (RFC 9051 section 6.3.1, RFC 5161): the client says which other forms of
 * replies it understands.
 *
 *   enable      = "ENABLE" 1*(SP capability)
 *   enable-data = "ENABLED" *(SP capability) */

#include <errno.h>

#include "imap.h"

static const struct {
	const char *name;
	uint32_t enables;
} known[] = {
	{ "IMAP4rev2", IMAP_REV2 }, { "UTF8=ACCEPT", IMAP_UTF8 }, { "CONDSTORE", IMAP_CONDSTORE },
	{ "UIDONLY", IMAP_UIDONLY }, { "QRESYNC", IMAP_QRESYNC }, /* RFC 7162 section 3.2.3 */
};
#define KNOWN (sizeof(known) / sizeof(*known))

/* What is not known is passed over. */
static int parse(struct imap_args *a, uint32_t *ret)
{
	struct kurir_str name;

	do {
		if (imap_atom(a, &name) < 0)
			return -EBADMSG;
		for (size_t i = 0; i < KNOWN; i++)
			if (kurir_str_equal_nocase(name, kurir_str_of(known[i].name)))
				*ret |= known[i].enables;
	} while (imap_space(a));
	return imap_end(a) ? 0 : -EBADMSG;
}

/* From now on it is told mod-sequences: it has to know where they begin. */
KURIR_PARKS void imap_enable_condstore(struct imap *s)
{
	if (s->enabled & IMAP_CONDSTORE)
		return;
	s->enabled |= IMAP_CONDSTORE;
	if (s->state == IMAP_SELECTED)
		kurir_printf(s->stream, "* OK [HIGHESTMODSEQ %llu] The last change\r\n",
		    (unsigned long long)s->view.modseq);
}

KURIR_PARKS void imap_enable(struct imap *s, struct imap_args *a)
{
	uint32_t asked = 0;

	if (parse(a, &asked) < 0) {
		imap_bad(s, "ENABLE takes names of capabilities");
		return;
	}
	if (!imap_can_resync(s))
		asked &= ~(uint32_t)IMAP_QRESYNC;
	imap_puts(s, "* ENABLED");
	for (size_t i = 0; i < KNOWN; i++)
		if (asked & known[i].enables & ~s->enabled)
			kurir_printf(s->stream, " %s", known[i].name);
	imap_puts(s, "\r\n");
	if (asked & (IMAP_CONDSTORE | IMAP_QRESYNC))
		imap_enable_condstore(s);
	s->enabled |= asked;
	imap_ok(s, "Done");
}
