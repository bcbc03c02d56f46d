/* imap_deflate.h - a stream that is compressed from now on. */
#ifndef IMAP_DEFLATE_H
#define IMAP_DEFLATE_H

#include <kurir/stream.h>

/* 0; -EOPNOTSUPP without zlib, -EBADMSG when the client did not wait, -ENOMEM. */
int imap_deflate(struct kurir_stream *);

#endif
