/* smtp_bdat.c - BDAT: the message in counted chunks.
 *
 * RFC 3030 2:  bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
 *              chunk-size = 1*DIGIT
 *              end-marker = "LAST"
 * A chunk is always read, whatever becomes of it: else its bytes would be commands. */
#include "smtp_private.h"

#include <errno.h>

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

/* True when the chunk may be stored; else the refusal is said once the chunk is read. */
KURIR_PARKS static bool begin(struct smtp *s, struct kurir_answer *refusal)
{
	int v;

	if ((s->state & (IN_MAIL | IN_RCPT | IN_BDAT)) == 0) {
		*refusal =
		    (struct kurir_answer){ 503, KURIR_STR("5.5.1"), KURIR_STR("Say MAIL first") };
		return false;
	}
	if (s->bdat_failed) {
		*refusal = (struct kurir_answer){ 503, KURIR_STR("5.5.1"),
			KURIR_STR("The transaction has failed, say RSET") };
		return false;
	}
	if (s->body.open)
		return true;
	if (s->accepted == 0) {
		*refusal = (struct kurir_answer){ 554, KURIR_STR("5.5.1"),
			KURIR_STR("No valid recipients") };
		return false;
	}
	v = kurir_tx_data(s->tx, refusal);
	if (v != KURIR_ACCEPT)
		return false;
	smtp_set_state(s, IN_BDAT);
	if (smtp_body_begin(s) == 0)
		return true;
	*refusal = (struct kurir_answer){ 451, KURIR_STR("4.3.0"),
		KURIR_STR("Cannot take messages now, try again") };
	return false;
}

KURIR_PARKS void smtp_bdat(struct smtp *s, struct kurir_str args)
{
	struct kurir_answer refusal;
	uint64_t size;
	bool last, keep;
	int r;

	if (parse(args, &size, &last) < 0) {
		/* How many bytes follow is unknown: the connection is out of step. */
		smtp_error(s, 501, "5.5.4", "BDAT needs a size, and then LAST or nothing");
		smtp_close(s, "out of step");
		return;
	}
	keep = begin(s, &refusal);
	r = receive(s, size, keep);
	if (r != 1) {
		lost(s, r);
		return;
	}
	if (!keep) {
		s->bdat_failed = s->tx != NULL;
		kurir_count(s->self, COUNT_ERRORS, 1);
		s->errors++;
		smtp_answer(s, &refusal);
		if (last)
			smtp_reset(s);
		return;
	}
	if (size > 0)
		s->commands = 0;
	if (last)
		smtp_body_finish(s);
	else
		smtp_say(s, 250, "2.0.0", "Chunk received");
}
