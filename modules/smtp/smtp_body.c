/* smtp_body.c - the message itself: what is stored of it, and the answer in the end.
 * DATA and BDAT differ in how bytes are framed; from here on they are the same. */
#include "smtp_private.h"

#include <errno.h>
#include <string.h>

#define REPAIR_PIECE 1500

int smtp_body_begin(struct smtp *s)
{
	bool dots = s->state != IN_BDAT;

	s->body = (struct smtp_body){ .open = true };
	smtp_scan_start(&s->body.scan, dots);
	smtp_head_start(&s->body.head);
	return kurir_tx_body_begin(s->tx, smtp_received(s));
}

KURIR_PARKS static void store(struct smtp *s, struct kurir_str piece)
{
	struct smtp_body *b = &s->body;
	struct kurir_str first = piece;
	ssize_t end;

	if (piece.len == 0)
		return;
	b->last = piece.ptr[piece.len - 1];
	if (!b->head.over) {
		end = smtp_head_feed(&b->head, piece);
		if (b->head.received > s->conf->received)
			b->loop = true;
		if (end >= 0 && s->kind == SMTP_SUBMISSION && s->conf->add_headers) {
			first = kurir_str_part(piece, 0, (size_t)end);
			piece = kurir_str_part(piece, (size_t)end, piece.len);
			if (first.len > 0)
				(void)kurir_tx_body_write(s->tx, first);
			(void)kurir_tx_body_write(s->tx, smtp_missing(s));
		}
	}
	b->error = kurir_tx_body_write(s->tx, piece);
}

KURIR_PARKS static void store_repaired(struct smtp *s, struct kurir_str run)
{
	char out[2 * REPAIR_PIECE];

	while (run.len > 0) {
		struct kurir_str part = kurir_str_part(run, 0, REPAIR_PIECE);
		size_t n = smtp_repair(part, &s->body.repair, out);

		store(s, (struct kurir_str){ out, n });
		run = kurir_str_part(run, part.len, run.len);
	}
}

/* Once the message is lost there is no use in storing more of it. */
void smtp_body_piece(struct smtp *s, struct kurir_str run)
{
	struct smtp_body *b = &s->body;

	if (s->conf->message_size > 0 && b->scan.bytes > s->conf->message_size)
		b->too_big = true;
	if (run.len == 0 || b->too_big || b->loop || b->error < 0)
		return;
	if (s->conf->line_ends == LINES_REPAIR)
		store_repaired(s, run);
	else if ((b->scan.seen & SCAN_FAULTS) == 0)
		store(s, run);
}

KURIR_PARKS static void answer(struct smtp *s, const struct kurir_answer *a)
{
	unsigned i, n = s->kind == SMTP_LMTP ? s->accepted : 1;

	for (i = 0; i < n; i++)
		smtp_answer(s, a);
}

KURIR_PARKS static void refuse(
    struct smtp *s, enum smtp_counter counter, const struct kurir_answer *a, const char *why)
{
	bool later = a->code < 500;

	if (counter != COUNT_REFUSED && counter != COUNT_DEFERRED)
		kurir_count(s->self, counter, 1);
	kurir_count(s->self, later ? COUNT_DEFERRED : COUNT_REFUSED, 1);
	KURIR_EMIT(s->self, KURIR_INFO, "message",
	    { "verdict", later ? KURIR_STR("defer") : KURIR_STR("reject") },
	    { "id", kurir_tx_id(s->tx) }, { "from", kurir_tx_sender(s->tx) },
	    { "peer", kurir_conn_peer(s->conn) }, { "why", kurir_str_of(why) },
	    { "text", a->text });
	answer(s, a);
	s->errors++;
}

static const struct kurir_answer bad_lines = { 554, { "5.6.0", 5 },
	{ "The message has a bare CR, a bare LF or a NUL", 45 } };
static const struct kurir_answer too_big = { 552, { "5.3.4", 5 }, { "Message too big", 15 } };
static const struct kurir_answer loop = { 554, { "5.4.6", 5 },
	{ "Too many hops: a mail loop", 26 } };

/* The last line is ended, and the header completed when there was nothing but header. */
KURIR_PARKS static void close_lines(struct smtp *s)
{
	struct smtp_body *b = &s->body;

	if (b->last != '\n' && b->last != '\0')
		store(s, KURIR_STR("\r\n"));
	if (!b->head.over && s->kind == SMTP_SUBMISSION && s->conf->add_headers)
		(void)kurir_tx_body_write(s->tx, smtp_missing(s));
}

KURIR_PARKS static void keep(struct smtp *s)
{
	uint32_t seen = s->body.scan.seen;
	uint32_t flags = ((seen & SCAN_DOTLINE) != 0 ? KURIR_ENV_DOTLINE : 0u) |
	    ((seen & SCAN_8BIT) != 0 ? KURIR_ENV_8BIT : 0u);
	struct kurir_answer a;
	int v;

	if (s->conf->line_ends == LINES_REPAIR && (seen & SCAN_FAULTS) != 0)
		flags |= KURIR_ENV_DOTLINE; /* new lines may begin with a dot */
	close_lines(s);
	if (s->body.head.id_len > 0)
		kurir_tx_note(s->tx, "message-id", smtp_head_id(&s->body.head));
	v = kurir_tx_body_finish(s->tx, flags, kurir_now() + s->conf->commit_time, &a);
	if (v == KURIR_ACCEPT || v == KURIR_DISCARD) {
		kurir_count(s->self, COUNT_MESSAGES, 1);
		kurir_count(s->self, COUNT_BYTES, s->body.scan.bytes);
		s->messages++;
		s->commands = 0;
		answer(s, &a);
		return;
	}
	kurir_count(s->self, v == KURIR_REJECT ? COUNT_REFUSED : COUNT_DEFERRED, 1);
	if (v == KURIR_HANGUP) {
		smtp_answer(s, &a);
		smtp_close(s, "policy");
		return;
	}
	answer(s, &a);
}

void smtp_body_finish(struct smtp *s)
{
	struct smtp_body *b = &s->body;
	struct kurir_answer a;
	int r;

	if (b->scan.after_cr)
		b->scan.seen |= SCAN_BARE_CR;
	if (s->conf->message_size > 0 && b->scan.bytes > s->conf->message_size)
		b->too_big = true;
	if (b->too_big)
		refuse(s, COUNT_TOO_BIG, &too_big, "size");
	else if ((b->scan.seen & SCAN_FAULTS) != 0 && s->conf->line_ends == LINES_STRICT)
		refuse(s, COUNT_BAD_LINES, &bad_lines, "line-ends");
	else if (b->loop)
		refuse(s, COUNT_LOOPS, &loop, "loop");
	else if ((r = smtp_check_from(s, &a)) < 0)
		refuse(s, r == -EACCES ? COUNT_REFUSED : COUNT_DEFERRED, &a, "from");
	else
		keep(s);
	smtp_reset(s);
}
