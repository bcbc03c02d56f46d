/* schema.h - the tables of a shard.
 *
 *   account -< mailbox -< message >- email >- blob >- segment
 *
 * A message is an e-mail in a mailbox.  What was expunged stays in "gone": its row says since
 * which mod-sequence, and, until the time of grace is over, all that brings it back.
 * blob.refs counts e-mails (a blob may serve several accounts of the shard), segment.live bytes
 * of blobs that are still there.  Counts of a mailbox and of an account change with each message,
 * so that nobody has to count. */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

#define SCHEMA_VERSION 1
extern const char schema_text[];

#endif
