/* smtp_data.c - DATA: the message until CRLF "." CRLF.
 *
 * RFC 5321 4.1.1.4 and 4.5.2.  What the client sends is taken from the stream's buffer in
 * runs; a message that cannot be kept is still read to its end, so that both sides agree
 * where it is - unless it goes on for too long. */
#include "smtp_private.h"

#include <errno.h>

#define PATIENCE_BYTES (64u << 20) /* of a message that is refused already */

/* 1 at the end, or why there was none. */
KURIR_PARKS static int receive(struct smtp *s)
{
	enum smtp_scan_result got = SCAN_RUN;
	struct kurir_str in, run;
	size_t used, taken, left = 0;
	int r;

	for (;;) {
		r = kurir_peek(s->io, left > 0, &in, smtp_until(s, s->conf->data_time));
		if (r <= 0)
			return r;
		taken = 0;
		do {
			got = smtp_scan(&s->body.scan, in, &run, &used);
			smtp_body_piece(s, run);
			in = kurir_str_part(in, used, in.len);
			taken += used;
		} while (got == SCAN_RUN);
		kurir_consume(s->io, taken);
		if (got == SCAN_END)
			return 1;
		left = in.len;
		if (s->body.too_big &&
		    s->body.scan.bytes > s->conf->message_size + PATIENCE_BYTES)
			return -EFBIG;
	}
}

KURIR_PARKS static void lost(struct smtp *s, int r)
{
	if (r == -ETIMEDOUT) {
		kurir_count(s->self, COUNT_TIMEOUTS, 1);
		smtp_say(s, 421, "4.4.2", "Timed out waiting for the message");
		smtp_close(s, "timeout");
	} else if (r == -EFBIG) {
		kurir_count(s->self, COUNT_TOO_BIG, 1);
		smtp_say(s, 552, "5.3.4", "Message far too big");
		smtp_close(s, "message too big");
	} else if (r == -ECANCELED) {
		smtp_say(s, 421, "4.3.2", "The server is going down");
		smtp_close(s, "shutdown");
	} else {
		smtp_close(s, "connection lost");
	}
	smtp_reset(s);
}

KURIR_PARKS void smtp_data(struct smtp *s, struct kurir_str args)
{
	struct kurir_answer a;
	int v, r;

	(void)args;
	if (s->bdat_failed) { /* RFC 3030 2: no way back from BDAT within a transaction */
		smtp_error(s, 503, "5.5.1", "The transaction has failed, say RSET");
		return;
	}
	if (s->accepted == 0) {
		/* RFC 2033 4.2 wants 503. */
		smtp_error(s, s->kind == SMTP_LMTP ? 503 : 554, "5.5.1", "No valid recipients");
		return;
	}
	v = kurir_tx_data(s->tx, &a);
	if (v != KURIR_ACCEPT) {
		smtp_refused(s, v, &a);
		smtp_reset(s);
		return;
	}
	if (smtp_body_begin(s) < 0) {
		kurir_count(s->self, COUNT_DEFERRED, 1);
		smtp_error(s, 451, "4.3.0", "Cannot take messages now, try again");
		smtp_reset(s);
		return;
	}
	smtp_answer(s, &a);
	r = kurir_flush(s->io, smtp_until(s, s->conf->data_time));
	if (r == 0)
		r = receive(s);
	if (r == 1)
		smtp_body_finish(s);
	else
		lost(s, r);
}
