/* imap_append.c - APPEND (RFC 9051 section 6.3.12; MULTIAPPEND, RFC 3502; UIDPLUS, RFC 4315).
 *
 *   append           = "APPEND" SP mailbox 1*append-message   ; imap_incoming.c
 *   resp-code-apnd   = "APPENDUID" SP nz-number SP append-uid */

#include <errno.h>

#include "imap_incoming.h"

KURIR_PARKS static void store(struct imap *s, struct imap_incoming *in)
{
	struct kurir_changed changed = { .target_validity = 0 };
	bool here = s->state == IMAP_SELECTED && kurir_str_equal(in->mailbox, s->box.name);
	bool claims = here && !s->read_only && kurir_str_equal(s->place.account, s->account);
	int r;

	for (size_t i = 0; i < in->count && claims; i++)
		in->messages[i].flags |= KURIR_MESSAGE_RECENT;
	r = imap_incoming_store(in, &changed);

	if (r == -ENOENT) {
		imap_no(s, "[TRYCREATE] No such mailbox");
		return;
	}
	if (r >= 0 && here && !imap_tell_appended(s, in->messages, in->count, &changed))
		r = imap_update(s, true);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	kurir_printf(
	    s->stream, "%.*s OK [APPENDUID %u ", KURIR_ARG(s->tag), changed.target_validity);
	imap_put_uids(s, &changed.target);
	imap_puts(s, "] Done\r\n");
}

KURIR_PARKS void imap_append(struct imap *s, struct imap_args *a)
{
	struct imap_incoming in = { .s = s, .a = a, .fd = -1 };
	int r = imap_incoming_mailbox(&in);

	if (r >= 0)
		r = imap_space(a) ? imap_incoming_read(&in, IMAP_MESSAGES_MAX) : -EBADMSG;
	if (r < 0)
		imap_incoming_refuse(&in, r);
	else
		store(s, &in);
	imap_incoming_end(&in);
}
