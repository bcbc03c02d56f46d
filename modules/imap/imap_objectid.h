/* imap_objectid.h - ids of e-mails and threads (RFC 8474). */
#ifndef IMAP_OBJECTID_H
#define IMAP_OBJECTID_H

#include "imap.h"

/* Empty: the store knows none.  asked: the messages of the command, which will be asked for in
 * the order of UIDs.  The text is there until the next call. */
int imap_object_id(struct imap *, const struct kurir_uid_set *asked, uint32_t uid,
    enum kurir_fact, struct kurir_str *ret) KURIR_PARKS;
/* The item of FETCH. */
int imap_put_object_id(
    struct imap *, const struct kurir_uid_set *asked, uint32_t uid, enum kurir_fact) KURIR_PARKS;

#endif
