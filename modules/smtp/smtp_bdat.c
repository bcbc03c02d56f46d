/* smtp_bdat.c - BDAT: the message in counted chunks.
 *
 * RFC 3030 2:  bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
 *              chunk-size = 1*DIGIT
 *              end-marker = "LAST"
 * A chunk is always read, whatever becomes of it: else its bytes would be commands.  One that
 * is far too big is not waited for: the connection ends. */
#include "smtp_private.h"

#include <errno.h>

#define PATIENCE_BYTES (64u << 20) /* of chunks that are refused already */

static int parse(struct kurir_str args, uint64_t *ret_size, bool *ret_last)
{
	ssize_t space;
	struct kurir_str number, rest;

	args = kurir_str_trim(args);
	space = kurir_str_find(args, ' ');
	number = kurir_str_part(args, 0, space < 0 ? args.len : (size_t)space);
	rest = space < 0 ? KURIR_STR("")
			 : kurir_str_trim(kurir_str_part(args, (size_t)space, args.len));
	if (number.len == 0 || number.len > 18 ||
	    kurir_str_number(number, INT64_MAX, ret_size) < 0)
		return -EINVAL;
	*ret_last = rest.len > 0;
	return rest.len == 0 || kurir_str_equal_nocase(rest, KURIR_STR("LAST")) ? 0 : -EINVAL;
}

/* 1 when the chunk is read. */
KURIR_PARKS static int receive(struct smtp *s, uint64_t size, bool keep)
{
	struct kurir_str in, run;
	size_t used;
	int r;

	while (size > 0) {
		if (kurir_pending(s->io) == 0) {
			r = kurir_flush(s->io, smtp_until(s, s->conf->data_time));
			if (r < 0)
				return r;
		}
		r = kurir_peek(s->io, 0, &in, smtp_until(s, s->conf->data_time));
		if (r <= 0)
			return r;
		if (in.len > size)
			in = kurir_str_part(in, 0, (size_t)size);
		size -= in.len;
		if (keep) {
			(void)smtp_scan(&s->body.scan, in, &run, &used);
			smtp_body_piece(s, run);
		}
		kurir_consume(s->io, in.len);
	}
	return 1;
}

KURIR_PARKS static void lost(struct smtp *s, int r)
{
	if (r == -ETIMEDOUT) {
		kurir_count(s->self, COUNT_TIMEOUTS, 1);
		smtp_say(s, 421, "4.4.2", "Timed out waiting for the chunk");
	}
	smtp_close(s, r == -ETIMEDOUT ? "timeout" : "connection lost");
	smtp_reset(s);
}

/* Whether the message would be larger than it may be with so many bytes more. */
static bool too_big(const struct smtp *s, uint64_t size)
{
	uint64_t have = s->body.open ? s->body.scan.bytes : 0;

	return s->conf->message_size > 0 &&
	    (size > s->conf->message_size || have > s->conf->message_size - size);
}

/* ACCEPT when the chunk may be stored; else the refusal is said once the chunk is read. */
KURIR_PARKS static int begin(struct smtp *s, uint64_t size, struct kurir_answer *refusal)
{
	int v;

	if ((s->state & (IN_MAIL | IN_RCPT | IN_BDAT)) == 0) {
		*refusal =
		    (struct kurir_answer){ 503, KURIR_STR("5.5.1"), KURIR_STR("Say MAIL first") };
		return KURIR_REJECT;
	}
	if (s->bdat_failed) {
		*refusal = (struct kurir_answer){ 503, KURIR_STR("5.5.1"),
			KURIR_STR("The transaction has failed, say RSET") };
		return KURIR_REJECT;
	}
	if (too_big(s, size)) {
		kurir_count(s->self, COUNT_TOO_BIG, 1);
		*refusal = (struct kurir_answer){ 552, KURIR_STR("5.3.4"),
			KURIR_STR("Message too big") };
		return KURIR_REJECT;
	}
	if (s->body.open)
		return KURIR_ACCEPT;
	if (s->accepted == 0) {
		*refusal = (struct kurir_answer){ 554, KURIR_STR("5.5.1"),
			KURIR_STR("No valid recipients") };
		return KURIR_REJECT;
	}
	v = kurir_tx_data(s->tx, refusal);
	if (v != KURIR_ACCEPT)
		return v;
	smtp_set_state(s, IN_BDAT);
	if (smtp_body_begin(s) == 0)
		return KURIR_ACCEPT;
	*refusal = (struct kurir_answer){ 451, KURIR_STR("4.3.0"),
		KURIR_STR("Cannot take messages now, try again") };
	return KURIR_DEFER;
}

/* What stands between a message and its storage.  LMTP answers the last chunk once for each
 * recipient (RFC 2033 4.2). */
KURIR_PARKS static void refuse(
    struct smtp *s, int verdict, const struct kurir_answer *a, bool last)
{
	unsigned more = last && s->kind == SMTP_LMTP && s->accepted > 0 ? s->accepted - 1 : 0;

	s->bdat_failed = s->tx != NULL;
	kurir_count(s->self, COUNT_ERRORS, 1);
	while (more-- > 0 && verdict != KURIR_HANGUP)
		smtp_answer(s, a);
	smtp_refused(s, verdict, a);
	if (last)
		smtp_reset(s);
}

KURIR_PARKS void smtp_bdat(struct smtp *s, struct kurir_str args)
{
	struct kurir_answer refusal;
	uint64_t size;
	bool last;
	int v, r;

	if (parse(args, &size, &last) < 0) {
		/* How many bytes follow is unknown: the connection is out of step. */
		smtp_error(s, 501, "5.5.4", "BDAT needs a size, and then LAST or nothing");
		smtp_close(s, "out of step");
		return;
	}
	v = begin(s, size, &refusal);
	if (v != KURIR_ACCEPT && (v == KURIR_HANGUP || size > PATIENCE_BYTES)) {
		smtp_refused(s, v, &refusal);
		smtp_close(s, "chunk refused");
		return;
	}
	r = receive(s, size, v == KURIR_ACCEPT);
	if (r != 1) {
		lost(s, r);
		return;
	}
	if (v != KURIR_ACCEPT) {
		refuse(s, v, &refusal, last);
		return;
	}
	if (size > 0)
		s->commands = 0;
	if (last)
		smtp_body_finish(s);
	else
		smtp_say(s, 250, "2.0.0", "Chunk received");
}
