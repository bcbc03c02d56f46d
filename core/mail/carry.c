/* carry.c - see carry.h.  What waits is sent when there is nothing more to read at once. */
#include "carry.h"

static kurir_time after(kurir_time span)
{
	return span == KURIR_FOREVER ? KURIR_FOREVER : kurir_now() + span;
}

KURIR_PARKS int carry(struct kurir_stream *from, struct kurir_stream *to, kurir_time patience)
{
	struct kurir_str piece;
	int r;

	while ((r = kurir_peek(from, 0, &piece, KURIR_FOREVER)) == 1) {
		r = kurir_write(to, piece);
		if (r < 0)
			return r;
		kurir_consume(from, piece.len);
		if (kurir_pending(from) == 0 && (r = kurir_flush(to, after(patience))) < 0)
			return r;
	}
	return r < 0 ? r : kurir_flush(to, after(patience));
}
