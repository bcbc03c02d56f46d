/* carry.h - bytes of one stream into another. */
#ifndef CORE_CARRY_H
#define CORE_CARRY_H

#include <kurir/stream.h>

/* Until from ends: 0, and all of it was sent; or the first error of either.  patience: a span,
 * how long the other side may take to read what waits; KURIR_FOREVER: as long as it likes. */
int carry(struct kurir_stream *from, struct kurir_stream *to, kurir_time patience) KURIR_PARKS;

#endif
