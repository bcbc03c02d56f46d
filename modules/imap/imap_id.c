/* imap_id.c - ID (RFC 2971).  What the client says of itself is not kept.
 *
 *   id             = "ID" SP id-params-list
 *   id-params-list = "(" *(string SP nstring) ")" / nil          ; at most 30 pairs */

#include <errno.h>

#include "imap.h"

static int parse(struct imap_args *a)
{
	struct kurir_str text;
	unsigned n = 0;

	if (imap_take_word(a, "NIL"))
		return imap_end(a) ? 0 : -EBADMSG;
	if (!imap_take(a, '('))
		return -EBADMSG;
	while (!imap_next_is(a, ')')) {
		if ((n > 0 && !imap_space(a)) || n++ == 30 || imap_string_arg(a, &text) < 0 ||
		    !imap_space(a))
			return -EBADMSG;
		if (!imap_take_word(a, "NIL") && imap_string_arg(a, &text) < 0)
			return -EBADMSG;
	}
	return imap_take(a, ')') && imap_end(a) ? 0 : -EBADMSG;
}

KURIR_PARKS void imap_id(struct imap *s, struct imap_args *a)
{
	if (parse(a) < 0) {
		imap_bad(s, "ID takes NIL or a list of names and values");
		return;
	}
	imap_puts(s, "* ID (\"name\" \"Kurir\")\r\n");
	imap_ok(s, "Done");
}
