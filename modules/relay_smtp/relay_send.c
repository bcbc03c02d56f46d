/* relay_send.c - one transaction: MAIL, RCPT, DATA, the message, and a fate for each recipient.
 * Commands go out together where the host allows it (RFC 2920), in groups, so that neither
 * side waits with full buffers.  Until the final dot was sent, a lost connection decides
 * nothing and the
 * next host may try; after it nobody knows, and the queue tries again later. */
#include "relay.h"

#include <errno.h>
#include <string.h>

struct relay_transaction {
	struct relay_task *t;
	struct relay_conn *c;
	size_t *todo, count; /* recipients that are undecided */
	bool *accepted;	     /* of todo */
	size_t accepted_count;
	bool answered; /* the host said something */
	struct relay_reply mail, data;
	bool data_sent;
};

static void decide(struct relay_transaction *x, size_t i, enum kurir_fate fate,
    const struct relay_reply *reply, const char *xyz, const char *text)
{
	struct relay_task *t = x->t;
	struct kurir_result *o = &t->results[x->todo[i]];

	memset(o, 0, sizeof(*o));
	o->fate = fate;
	o->remote = kurir_copy(t->arena, x->c->remote);
	o->xyz = kurir_str_of(xyz);
	o->text = kurir_copy(t->arena, kurir_str_of(text));
	o->relayed_dsn = (x->c->offer.ext & RELAY_EXT_DSN) != 0;
	if (reply != NULL) {
		o->code = (uint32_t)reply->code;
		o->text =
		    kurir_copy(t->arena, (struct kurir_str){ reply->text, reply->text_len });
		o->site = reply->code == 421;
		if (reply->xyz_len > 0 && reply->xyz[0] == xyz[0])
			o->xyz = kurir_copy(
			    t->arena, (struct kurir_str){ reply->xyz, reply->xyz_len });
	}
	kurir_count(t->self,
	    fate == KURIR_FATE_DELIVERED    ? RELAY_DELIVERED
		: fate == KURIR_FATE_FAILED ? RELAY_FAILED
					    : RELAY_DEFERRED,
	    1);
}

static void decide_all(struct relay_transaction *x, bool only_accepted, enum kurir_fate fate,
    const struct relay_reply *reply, const char *xyz, const char *text)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->t->results[x->todo[i]].fate == 0 && (!only_accepted || x->accepted[i]))
			decide(x, i, fate, reply, xyz, text);
}

/* A reply that refuses: for good or for now. */
static enum kurir_fate fate_of(const struct relay_reply *r)
{
	return r->code >= 500 ? KURIR_FATE_FAILED : KURIR_FATE_DEFERRED;
}

/* What would end our line, or our path, early. */
static bool safe(struct kurir_str s, bool path)
{
	if (s.len > 1000)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < ' ' || c == 127 || (!path && c == ' '))
			return false;
	}
	return true;
}

/* What the host cannot take at all.  1 when that decided everything. */
static int check_needs(struct relay_transaction *x)
{
	const struct kurir_envelope *e = &x->t->job->envelope;
	const struct relay_offer *o = &x->c->offer;

	if (!safe(e->sender, true) || !safe(e->envid, false)) {
		decide_all(x, false, KURIR_FATE_FAILED, NULL, "5.1.7",
		    "the sender's address cannot be sent");
		return 1;
	}
	for (size_t i = 0; i < x->count; i++) {
		const struct kurir_recipient *rc = &e->recipients[x->todo[i]];

		if (!safe(rc->address, true) || !safe(rc->orcpt, false))
			decide(
			    x, i, KURIR_FATE_FAILED, NULL, "5.1.3", "the address cannot be sent");
	}
	if (o->size > 0 && x->t->body.length > o->size) {
		decide_all(x, false, KURIR_FATE_FAILED, NULL, "5.3.4",
		    kurir_format(x->t->arena, "the message has %llu bytes, the host takes %llu",
			(unsigned long long)x->t->body.length, (unsigned long long)o->size)
			.ptr);
		return 1;
	}
	if (x->t->need_utf8 && !(o->ext & RELAY_EXT_SMTPUTF8)) {
		decide_all(x, false, KURIR_FATE_FAILED, NULL, "5.6.7",
		    "the host does not take internationalised mail (SMTPUTF8)");
		return 1;
	}
	if (e->flags & KURIR_ENV_8BIT && !(o->ext & (RELAY_EXT_8BITMIME | RELAY_EXT_SMTPUTF8))) {
		decide_all(x, false, KURIR_FATE_FAILED, NULL, "5.6.3",
		    "the host does not take 8-bit data (8BITMIME)");
		return 1;
	}
	return 0;
}

KURIR_PARKS static int write_mail(struct relay_transaction *x)
{
	const struct kurir_envelope *e = &x->t->job->envelope;
	struct kurir_stream *s = x->c->stream;
	uint32_t ext = x->c->offer.ext;
	int r = kurir_printf(s, "MAIL FROM:<%.*s>", KURIR_ARG(e->sender));

	if (r == 0 && ext & RELAY_EXT_SIZE)
		r = kurir_printf(s, " SIZE=%llu", (unsigned long long)x->t->body.length);
	if (r == 0 && e->flags & KURIR_ENV_8BIT && ext & RELAY_EXT_8BITMIME)
		r = kurir_write(s, KURIR_STR(" BODY=8BITMIME"));
	if (r == 0 && x->t->need_utf8)
		r = kurir_write(s, KURIR_STR(" SMTPUTF8"));
	if (r == 0 && ext & RELAY_EXT_DSN && e->flags & (KURIR_ENV_RET_FULL | KURIR_ENV_RET_HDRS))
		r = kurir_printf(s, " RET=%s", e->flags & KURIR_ENV_RET_FULL ? "FULL" : "HDRS");
	if (r == 0 && ext & RELAY_EXT_DSN && e->envid.len > 0)
		r = kurir_printf(s, " ENVID=%.*s", KURIR_ARG(e->envid));
	return r == 0 ? kurir_write(s, KURIR_STR("\r\n")) : r;
}

KURIR_PARKS static int write_rcpt(struct relay_transaction *x, size_t i)
{
	const struct kurir_recipient *rc = &x->t->job->envelope.recipients[x->todo[i]];
	struct kurir_stream *s = x->c->stream;
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = { { KURIR_NOTIFY_NEVER, "NEVER" }, { KURIR_NOTIFY_SUCCESS, "SUCCESS" },
		{ KURIR_NOTIFY_FAILURE, "FAILURE" }, { KURIR_NOTIFY_DELAY, "DELAY" } };
	int r = kurir_printf(s, "RCPT TO:<%.*s>", KURIR_ARG(rc->address));
	bool first = true;

	if (x->c->offer.ext & RELAY_EXT_DSN) {
		for (size_t w = 0; r == 0 && w < sizeof(words) / sizeof(words[0]); w++) {
			if (!(rc->notify & words[w].bit))
				continue;
			r = kurir_printf(s, "%s%s", first ? " NOTIFY=" : ",", words[w].word);
			first = false;
		}
		if (r == 0 && rc->orcpt.len > 0)
			r = kurir_printf(s, " ORCPT=%.*s", KURIR_ARG(rc->orcpt));
	}
	return r == 0 ? kurir_write(s, KURIR_STR("\r\n")) : r;
}

KURIR_PARKS static int read_reply(
    struct relay_transaction *x, kurir_time span, struct relay_reply *ret)
{
	int r = relay_read(x->c, span, ret);

	if (r == 0)
		x->answered = true;
	return r;
}

/* A refused MAIL: for good it decides, else the next host may try. */
static void mail_refused(struct relay_transaction *x)
{
	if (x->mail.code >= 500)
		decide_all(x, false, KURIR_FATE_FAILED, &x->mail, "5.1.7", "");
	else
		relay_note(x->t, x->c->remote, &x->mail, "4.3.0", "", x->mail.code == 421);
}

KURIR_PARKS static int read_rcpt(struct relay_transaction *x, size_t i)
{
	struct relay_reply reply;
	int r = read_reply(x, x->t->conf->t_rcpt, &reply);

	if (r < 0)
		return r;
	if (x->mail.code >= 400)
		return 0; /* decided by the sender's refusal */
	if (reply.code / 100 == 2) {
		x->accepted[i] = true;
		x->accepted_count++;
	} else if (reply.code == 552) { /* RFC 5321 4.5.3.1.10: too many recipients, for now */
		reply.code = 452;
		decide(x, i, KURIR_FATE_DEFERRED, &reply, "4.5.3", "");
	} else {
		decide(x, i, fate_of(&reply), &reply, reply.code >= 500 ? "5.0.0" : "4.0.0", "");
	}
	return 0;
}

/* The commands of some recipients, and DATA behind the last when pipelining. */
KURIR_PARKS static int write_group(struct relay_transaction *x, size_t from, size_t to, bool data)
{
	int r = 0;

	for (size_t i = from; r == 0 && i < to; i++)
		if (x->t->results[x->todo[i]].fate == 0)
			r = write_rcpt(x, i);
	if (r == 0 && data) {
		r = kurir_write(x->c->stream, KURIR_STR("DATA\r\n"));
		x->data_sent = true;
	}
	return r;
}

KURIR_PARKS static int read_group(struct relay_transaction *x, size_t from, size_t to)
{
	int r = 0;

	for (size_t i = from; r == 0 && i < to; i++)
		if (x->t->results[x->todo[i]].fate == 0)
			r = read_rcpt(x, i);
	return r;
}

/* MAIL and all RCPT, and DATA behind them when pipelining. */
KURIR_PARKS static int send_envelope(struct relay_transaction *x)
{
	const struct relay_conf *conf = x->t->conf;
	bool pipe = (x->c->offer.ext & RELAY_EXT_PIPELINING) != 0;
	size_t group = pipe ? (size_t)conf->batch : 1;
	int r = write_mail(x);

	if (!pipe && r == 0) {
		r = read_reply(x, conf->t_mail, &x->mail);
		if (r < 0 || x->mail.code / 100 != 2)
			return r;
	}
	for (size_t from = 0; r == 0 && from < x->count; from += group) {
		size_t to = from + group < x->count ? from + group : x->count;

		r = write_group(x, from, to, pipe && to == x->count);
		/* Also when writing failed: the host may have said why before it went. */
		if (x->mail.code == 0 && (r == 0 || r == -EPIPE || r == -ECONNRESET))
			r = read_reply(x, conf->t_mail, &x->mail);
		if (r == 0)
			r = read_group(x, from, to);
		if (x->mail.code / 100 != 2 && !x->data_sent)
			break;
	}
	return r;
}

KURIR_PARKS static int send_data(struct relay_transaction *x)
{
	int r = 0;

	if (!x->data_sent) {
		if (x->mail.code / 100 != 2 || x->accepted_count == 0)
			return 0;
		r = kurir_write(x->c->stream, KURIR_STR("DATA\r\n"));
		x->data_sent = true;
	}
	if (r == 0)
		r = read_reply(x, x->t->conf->t_data, &x->data);
	return r;
}

/* The replies after the final dot: one, or with LMTP one for each recipient that was accepted. */
KURIR_PARKS static int read_final(struct relay_transaction *x)
{
	struct relay_reply reply = { 0 };
	int r = 0;

	for (size_t i = 0; i < x->count; i++) {
		if (!x->accepted[i])
			continue;
		if (x->c->lmtp || reply.code == 0)
			r = read_reply(x, x->t->conf->t_final, &reply);
		if (r < 0)
			return r;
		if (reply.code / 100 == 2)
			decide(x, i, KURIR_FATE_DELIVERED, &reply, "2.0.0", "");
		else if (reply.code == 552) /* the message is too big, or the mailbox full */
			decide(x, i, KURIR_FATE_FAILED, &reply, "5.3.4", "");
		else
			decide(x, i, fate_of(&reply), &reply,
			    reply.code >= 500 ? "5.0.0" : "4.0.0", "");
	}
	return 0;
}

/* The connection broke while the message was sent: the host may have said why. */
KURIR_PARKS static int body_broken(struct relay_transaction *x, int r)
{
	struct relay_reply reply = { 0 };

	x->c->broken = true;
	if (r == -ECANCELED)
		return r;
	if (r == -EPIPE || r == -ECONNRESET) {
		int q = read_reply(x, 2000, &reply);

		if (q == -ECANCELED)
			return q;
		if (q == 0 && reply.code >= 400) {
			decide_all(x, true, fate_of(&reply), &reply,
			    reply.code >= 500 ? "5.0.0" : "4.0.0", "");
			return 1;
		}
	}
	return r;
}

/* The host waits for a message that nobody takes: end it empty. */
KURIR_PARKS static void end_for_nobody(struct relay_transaction *x)
{
	struct relay_reply reply;

	(void)kurir_write(x->c->stream, KURIR_STR(".\r\n"));
	(void)read_reply(x, x->t->conf->t_final, &reply);
	x->c->broken = true;
}

KURIR_PARKS static int exchange(struct relay_transaction *x)
{
	int r = send_envelope(x);

	if (r == 0)
		r = send_data(x);
	if (r < 0)
		return r;
	if (x->mail.code / 100 != 2)
		mail_refused(x);
	if (x->data_sent && x->data.code == 354 &&
	    (x->mail.code / 100 != 2 || x->accepted_count == 0)) {
		end_for_nobody(x);
		return 1;
	}
	if (x->mail.code / 100 != 2 || x->accepted_count == 0)
		return 1;
	if (x->data.code != 354) {
		decide_all(x, true, fate_of(&x->data), &x->data,
		    x->data.code >= 500 ? "5.0.0" : "4.0.0", "");
		return 1;
	}
	r = relay_send_body(x->t, x->c);
	if (r == -EIO) { /* our disk: nobody must take this for a message */
		x->c->broken = true;
		relay_note(x->t, x->c->remote, NULL, "4.3.0",
		    "the message cannot be read from the spool", false);
		return -EIO;
	}
	if (r < 0)
		return body_broken(x, r);
	r = read_final(x);
	if (r < 0) {
		if (r == -ECANCELED)
			return r;
		kurir_count(x->t->self, RELAY_AMBIGUOUS, 1);
		x->c->broken = true;
		decide_all(x, true, KURIR_FATE_DEFERRED, NULL, "4.4.2",
		    "connection lost after the whole message was sent; it may have arrived");
	} else {
		kurir_count(x->t->self, RELAY_MESSAGES, 1);
	}
	return 1;
}

/* After a transaction that did not end with DATA the next message needs a clean state. */
KURIR_PARKS static void reset(struct relay_transaction *x)
{
	struct relay_reply reply;

	if (x->c->broken || (x->data.code == 354 && x->accepted_count > 0))
		return;
	if (kurir_write(x->c->stream, KURIR_STR("RSET\r\n")) < 0 ||
	    relay_read(x->c, x->t->conf->t_mail, &reply) < 0 || reply.code / 100 != 2)
		x->c->broken = true;
}

KURIR_PARKS int relay_transact(struct relay_task *t, struct relay_conn *c)
{
	struct relay_transaction x = { .t = t, .c = c };
	size_t all = t->job->envelope.count;
	bool used = c->used;
	int r;

	x.todo = kurir_alloc(t->arena, (all + 1) * sizeof(*x.todo));
	x.accepted = kurir_alloc(t->arena, (all + 1) * sizeof(*x.accepted));
	for (size_t i = 0; i < all; i++)
		if (t->results[i].fate == 0)
			x.todo[x.count++] = i;
	if (check_needs(&x))
		return 1;
	c->used = true;
	c->messages++;
	r = exchange(&x);
	if (r < 0)
		c->broken = true;
	if (r == -ECANCELED)
		return r;
	/* What waited too long for the host says so when it is used again, or just goes. */
	if (used && x.mail.code == 421)
		return 0;
	if (r == 1) {
		reset(&x);
		return 1;
	}
	if (used && !x.answered)
		return 0;
	kurir_count(t->self, RELAY_LOST, 1);
	if (r != -EIO)
		relay_note(t, c->remote, NULL, r == -EPROTO ? "4.5.0" : "4.4.2",
		    r == -ETIMEDOUT    ? "no answer in time during the transaction"
			: r == -EPROTO ? "the answer is not SMTP"
				       : "connection lost during the transaction",
		    true);
	return r;
}
