/* blob_private.h - what those who write records and those who read them share. */
#ifndef STORE_SQLITE_BLOB_PRIVATE_H
#define STORE_SQLITE_BLOB_PRIVATE_H

#include "blob.h"

#define BLOB_MAGIC  0x424c424bu
#define BLOB_HEAD   32
#define BLOB_BUFFER ((size_t)256 * 1024)

/* Of all that stands before the body, but the magic and the checksum itself. */
uint32_t blob_crc(const struct blob_source *);

#endif
