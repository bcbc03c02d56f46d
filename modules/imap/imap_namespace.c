/* imap_namespace.c - NAMESPACE (RFC 9051 section 6.3.10, RFC 2342).
 *
 *   namespace-response = "*" SP "NAMESPACE" SP namespace SP namespace SP namespace
 *                        ; personal, other users', shared */

#include "imap.h"

KURIR_PARKS void imap_namespace(struct imap *s, struct imap_args *a)
{
	(void)a;
	kurir_printf(s->stream, "* NAMESPACE ((\"\" \"/\")) %s NIL\r\n",
	    imap_has_acl(s) ? "((\"" IMAP_OTHERS "\" \"/\"))" : "NIL");
	imap_ok(s, "Done");
}
