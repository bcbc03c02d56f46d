/* dial.h - outward connections: the seam for roles that may not make them. */
#ifndef CORE_DIAL_H
#define CORE_DIAL_H

#include <kurir/stream.h>

/* Instead of a connect of our own, when set: a sandboxed role asks another one for a
 * connected descriptor, a test answers from memory. */
typedef int dial_fn(struct kurir_self *, struct kurir_str address, struct kurir_str source,
    kurir_time, struct kurir_stream **ret) KURIR_PARKS;
extern dial_fn *dial_through;

/* Connects by itself, whoever asks. */
dial_fn dial_direct;

#endif
