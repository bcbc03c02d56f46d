/* imap_qresync.h - what a client that was away may ask for (QRESYNC, RFC 7162). */
#ifndef IMAP_QRESYNC_H
#define IMAP_QRESYNC_H

#include "imap.h"

struct imap_qresync {
	bool given;
	uint64_t validity, modseq;
	struct kurir_uid_set known; /* UIDs; count 0: all that there ever were */
};
/* imap_qresync_parse.c, behind the word QRESYNC: 0 or -EBADMSG. */
int imap_qresync_parse(struct imap_args *, struct imap_qresync *ret);
/* What went and what changed since then in the mailbox that was selected. */
int imap_put_resync(struct imap *, const struct imap_qresync *) KURIR_PARKS;
/* VANISHED (EARLIER) with those of the set that went after the mod-sequence. */
int imap_put_vanished(struct imap *, uint64_t since, const struct kurir_uid_set *) KURIR_PARKS;

#endif
