/* clamav.c - has clamd look at each message.
 *
 * request = "zINSTREAM" NUL *( length(4, big-endian) bytes ) 0(4)
 * answer  = "stream: " ( "OK" / name SP "FOUND" / words SP "ERROR" ) NUL
 *
 * The connection is for one message, as clamd closes it behind the answer. */
#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>

#define CHUNK	   65536u
#define ANSWER_MAX 1024u

enum { COUNT_CLEAN, COUNT_FOUND, COUNT_LARGE, COUNT_FAILED };
static const char *const counters[] = { "clean", "found", "large", "failed", NULL };

enum action { REJECT, DISCARD, HOLD };
static const char *const actions[] = { "reject", "discard", "hold", NULL };

struct conf {
	struct kurir_str server;
	int action;
	kurir_time timeout;
	uint64_t size;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("server", struct conf, server, NULL,
	    "Where clamd listens: ADDRESS:PORT or unix:/PATH."),
	KURIR_OPT_CHOICE("action", struct conf, action, actions, "reject",
	    "What becomes of a message in which something was found."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "2m", 100,
	    3600000, "How long clamd may take for a message."),
	KURIR_OPT_RANGE("size", KURIR_SIZE, uint64_t, struct conf, size, "25M", 1024,
	    (int64_t)1 << 32, "Larger messages are not shown; StreamMaxLength of clamd."),
	{ 0 },
};

KURIR_PARKS static int put_length(struct kurir_stream *to, size_t n)
{
	char raw[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	return kurir_write(to, (struct kurir_str){ raw, 4 });
}

KURIR_PARKS static int send_all(
    struct kurir_stream *to, struct kurir_stream *body, kurir_time until)
{
	struct kurir_str piece;
	int r = kurir_write(to, (struct kurir_str){ "zINSTREAM", 10 });

	while (r == 0 && (r = kurir_peek(body, 0, &piece, until)) == 1) {
		piece = kurir_str_part(piece, 0, CHUNK);
		r = put_length(to, piece.len);
		if (r == 0)
			r = kurir_write(to, piece);
		kurir_consume(body, piece.len);
	}
	if (r == 0)
		r = put_length(to, 0);
	return r < 0 ? r : kurir_flush(to, until);
}

/* Up to NUL; also when clamd has answered before all was sent, as it does when it is too much. */
KURIR_PARKS static int get_answer(struct kurir_stream *s, kurir_time until, struct kurir_str *ret)
{
	ssize_t nul = -1;
	int r = 1, more = 0;

	while (nul < 0 && r == 1) {
		r = kurir_peek(s, more, ret, until);
		if (r == 1 && ret->len > ANSWER_MAX)
			return -EPROTO;
		if (r == 1)
			nul = kurir_str_find(*ret, '\0');
		more = 1;
	}
	if (nul < 0)
		return r < 0 ? r : -EPROTO;
	*ret = kurir_copy(kurir_scratch(), kurir_str_part(*ret, 0, (size_t)nul));
	return 0;
}

static bool ends(struct kurir_str *s, struct kurir_str end)
{
	if (s->len < end.len ||
	    !kurir_str_equal(kurir_str_part(*s, s->len - end.len, end.len), end))
		return false;
	s->len -= end.len;
	return true;
}

static int found(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str name)
{
	const struct conf *c = kurir_conf(self);
	int r;

	name = kurir_str_part(name, 0, 200);
	kurir_count(self, COUNT_FOUND, 1);
	KURIR_EMIT(self, KURIR_NOTICE, "message", { "id", kurir_tx_id(tx) },
	    { "from", kurir_tx_sender(tx) }, { "peer", kurir_conn_peer(kurir_tx_conn(tx)) },
	    { "found", name }, { "action", kurir_str_of(actions[c->action]) });
	if (c->action == DISCARD)
		return KURIR_DISCARD;
	if (c->action == HOLD) {
		r = kurir_tx_hold(tx, name);
		return r < 0 ? r : KURIR_NEXT;
	}
	(void)kurir_reply(
	    kurir_tx_conn(tx), 554, "5.7.1", "The message contains %.*s", KURIR_ARG(name));
	return KURIR_REJECT;
}

KURIR_PARKS static int ask(
    struct kurir_self *self, struct kurir_stream *body, struct kurir_str *ret)
{
	const struct conf *c = kurir_conf(self);
	kurir_time until = kurir_now() + c->timeout;
	struct kurir_stream *s;
	int sent, r = kurir_dial(self, c->server, KURIR_STR(""), until, &s);

	if (r < 0)
		return r;
	kurir_patience(s, c->timeout);
	sent = send_all(s, body, until);
	r = sent == 0 || sent == -EPIPE || sent == -ECONNRESET ? get_answer(s, until, ret) : sent;
	kurir_close(s);
	return r;
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_str answer;
	int r;

	if (kurir_tx_size(tx) > c->size) {
		kurir_count(self, COUNT_LARGE, 1);
		return KURIR_NEXT;
	}
	r = ask(self, body, &answer);
	if (r == 0 && kurir_str_equal(answer, KURIR_STR("stream: OK"))) {
		kurir_count(self, COUNT_CLEAN, 1);
		return KURIR_NEXT;
	}
	if (r == 0 && kurir_str_starts(answer, KURIR_STR("stream: ")) &&
	    ends(&answer, KURIR_STR(" FOUND")))
		return found(self, tx, kurir_str_part(answer, 8, answer.len));
	kurir_count(self, COUNT_FAILED, 1);
	return r < 0 ? r
		     : kurir_log(self, KURIR_ERROR, -EPROTO, "clamd says \"%.*s\"",
			   KURIR_ARG(kurir_str_part(answer, 0, 200)));
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .message = at_message };

KURIR_MODULE(clamav, .version = "1.0", .summary = "Has clamd look at each message",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_NET | KURIR_CAP_RCPT,
    .conf_size = sizeof(struct conf), .options = options, .counters = counters, .smtp = &hooks);
