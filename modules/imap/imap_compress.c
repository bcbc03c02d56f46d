/* imap_compress.c - COMPRESS (RFC 4978; the coding is imap_deflate.c).
 *
 *   compress = "COMPRESS" SP "DEFLATE" */

#include <errno.h>

#include "imap.h"
#include "imap_deflate.h"

KURIR_PARKS void imap_compress(struct imap *s, struct imap_args *a)
{
	int r;

	if (!imap_take_word(a, "DEFLATE") || !imap_end(a)) {
		imap_bad(s, "There is DEFLATE, and nothing else");
		return;
	}
	if (s->compressed) {
		imap_no(s, "[COMPRESSIONACTIVE] DEFLATE is active");
		return;
	}
#ifndef HAVE_ZLIB
	imap_no(s, "There is no compression here");
	return;
#endif
	imap_ok(s, "DEFLATE from now on");
	r = kurir_flush(s->stream, imap_until(s));
	if (r >= 0)
		r = imap_deflate(s->stream);
	if (r < 0) {
		kurir_log(s->self, KURIR_INFO, r, "no compression, closing the session");
		s->over = true;
		return;
	}
	s->compressed = true;
	kurir_count(s->self, IMAP_COMPRESSED, 1);
}
