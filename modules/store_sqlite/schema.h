/* schema.h - the tables of a shard.
 *
 * account -< mailbox -< message >- email >- blob >- segment
 *
 * A message is an e-mail in a mailbox: "message" has which, and the mailbox's sheets (sheet.h)
 * have all that is its own.  mailbox.keywords has each that a message of it ever had, but for
 * those that are too many.  What was expunged stays in "gone": its row says since
 * which mod-sequence, and, until the time of grace is over, all that brings it back.  Rows of
 * which nothing comes back go after a time, or when a mailbox has too many (mailbox.gone
 * counts all of them): from then on nobody is told what happened before mailbox.forgotten, a
 * mod-sequence. blob.record is the size of the record that has the body, blob.refs counts
 * e-mails (a blob may serve several accounts of the shard), segment.live bytes of records that
 * are still needed.  blob.fields has those fields of the header that are looked into most
 * (fact.h); NULL: they are not known.  Counts of a mailbox and of an account change with each
 * message, so that nobody has to count.  "searched" has the accounts whose texts are wanted in
 * the full-text index. */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

#include <stdint.h>

#define SCHEMA_VERSION	    3 /* of a database */
#define SCHEMA_VERSION_TEXT SCHEMA_TEXT_OF(SCHEMA_VERSION)
#define SCHEMA_TEXT_OF(n)   SCHEMA_TEXT(n)
#define SCHEMA_TEXT(n)	    #n
#define SCHEMA_ROOT	    1 /* of the folder with the shards (format.c) */
/* Beside index.db: what it was before its upgrade, until that is committed.  Meanwhile no bytes
 * go that it needs. */
#define SCHEMA_BEFORE	  "before.db"
#define SCHEMA_REMEMBERED "100000" /* rows of "gone" of one mailbox */
extern const char schema_text[];

/* upgrade.c: from that version to ours, in one transaction; -EPROTONOSUPPORT. */
struct db;
int schema_upgrade(struct db *, int64_t version);

#endif
