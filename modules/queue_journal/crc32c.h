/* crc32c.h - the checksum of everything in the spool (Castagnoli, as in RFC 3720). */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc32c(crc32c(0, a), b) is that of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *, size_t);

#endif
