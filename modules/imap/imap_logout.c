/* imap_logout.c - NOOP, CHECK and LOGOUT (RFC 9051 sections 6.1.2 and 6.1.3; RFC 3501 section
 * 6.4.1).
 *
 *   command-any = "CAPABILITY" / "LOGOUT" / "NOOP" */

#include "imap.h"

KURIR_PARKS void imap_noop(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_done(s, s->state == IMAP_SELECTED ? imap_update(s, true) : 0);
}

KURIR_PARKS void imap_logout(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* BYE Until next time\r\n");
	imap_ok(s, "Done");
	s->over = true;
}
