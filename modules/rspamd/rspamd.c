/* rspamd.c - shows each message to Rspamd, over HTTP (POST /checkv2), and does what it says. */
#include "rspamd.h"

#include <errno.h>
#include <httpc/httpc.h>
#include <kurir/session.h>

#define ANSWER_MAX (1u << 20)
#define HEAD_MAX   65536u
#define FIELDS	   12

enum { COUNT_CLEAN, COUNT_MARKED, COUNT_REJECTED, COUNT_DEFERRED, COUNT_LARGE, COUNT_FAILED };
static const char *const counters[] = { "clean", "marked", "rejected", "deferred", "large",
	"failed", NULL };

enum { REJECT, DISCARD, HOLD };
static const char *const rejects[] = { "reject", "discard", "hold", NULL };

struct conf {
	struct kurir_str server;
	kurir_time timeout;
	uint64_t size;
	int reject;
	bool trusted;
};
struct state {
	struct http_server server;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("server", struct conf, server, "127.0.0.1:11333",
	    "Where Rspamd's normal worker listens: ADDRESS:PORT or unix:/PATH."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "25s", 100,
	    600000, "How long Rspamd may take for a message."),
	KURIR_OPT_RANGE("size", KURIR_SIZE, uint64_t, struct conf, size, "50M", 1024,
	    (int64_t)1 << 32, "Larger messages are not shown."),
	KURIR_OPT_CHOICE("reject", struct conf, reject, rejects, "reject",
	    "What becomes of a message that Rspamd rejects."),
	KURIR_OPT_BOOL("trusted", struct conf, trusted, "true",
	    "Whether mail of clients that have logged in or may relay is shown, too."),
	{ 0 },
};

/* The message's envelope, as fields: as many recipients as there are. */
static const struct http_field *describe(struct kurir_tx *tx)
{
	struct kurir_conn *conn = kurir_tx_conn(tx);
	size_t rcpts = kurir_tx_rcpt_count(tx), n = 0;
	struct http_field *f =
	    kurir_alloc(kurir_scratch(), (FIELDS + rcpts) * sizeof(*f)); /* zeroed: its end */

	f[n++] = (struct http_field){ KURIR_STR("Ip"), kurir_conn_peer(conn) };
	f[n++] = (struct http_field){ KURIR_STR("Helo"), kurir_tx_helo(tx) };
	f[n++] = (struct http_field){ KURIR_STR("From"), kurir_tx_sender(tx) };
	f[n++] = (struct http_field){ KURIR_STR("Queue-Id"), kurir_tx_id(tx) };
	f[n++] = (struct http_field){ KURIR_STR("MTA-Name"), kurir_hostname() };
	if (kurir_conn_account(conn).len > 0)
		f[n++] = (struct http_field){ KURIR_STR("User"), kurir_conn_account(conn) };
	if (kurir_conn_simulated(conn))
		f[n++] = (struct http_field){ KURIR_STR("Flags"), KURIR_STR("no_log,no_stat") };
	for (size_t i = 0; i < rcpts; i++)
		f[n++] = (struct http_field){ KURIR_STR("Rcpt"),
			kurir_rcpt_address(kurir_tx_rcpt_at(tx, i)) };
	return f;
}

KURIR_PARKS static int ask(struct kurir_self *self, struct kurir_tx *tx,
    struct kurir_stream *body, struct http_answer *ret)
{
	const struct conf *c = kurir_conf(self);
	struct state *st = kurir_state(self);
	struct http_question q = { .method = KURIR_STR("POST"),
		.target = KURIR_STR("/checkv2"),
		.host = KURIR_STR("rspamd"),
		.fields = describe(tx),
		.body = KURIR_STR(""),
		.stream = body,
		.stream_length = kurir_tx_size(tx) };

	return http_ask(
	    self, &st->server, &q, ANSWER_MAX, kurir_now() + c->timeout, kurir_scratch(), ret);
}

/* The fields that it wants added and removed. */
KURIR_PARKS static int change(struct kurir_tx *tx, const struct rspamd_answer *a)
{
	struct kurir_arena *arena = kurir_tx_arena(tx);
	struct rspamd_head head = { .tx = tx };
	struct kurir_str *removed = kurir_alloc(arena, (a->removed.count + 2) * sizeof(*removed));
	struct kurir_buf added = KURIR_BUF(HEAD_MAX);
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < a->removed.count; i++)
		removed[n++] = a->removed.items[i];
	if (a->action == RSPAMD_MARK || a->action == RSPAMD_SUBJECT) {
		removed[n++] = KURIR_STR("X-Spam");
		r = rspamd_head_add(&added, KURIR_STR("X-Spam"), KURIR_STR("Yes"));
	}
	if (a->action == RSPAMD_SUBJECT && a->subject.len > 0) {
		removed[n++] = KURIR_STR("Subject");
		r = rspamd_head_add(
		    &added, KURIR_STR("Subject"), rspamd_encode(arena, a->subject));
	}
	for (size_t i = 0; i < a->names.count && r == 0; i++)
		r = rspamd_head_add(&added, a->names.items[i], a->values.items[i]);
	head.added = kurir_buf_str(&added);
	head.removed = (struct kurir_texts){ .count = n, .items = removed };
	if (r == 0 && (added.len > 0 || n > 0))
		r = kurir_message_rewrite(tx, rspamd_head_write, &head);
	kurir_buf_free(&added);
	return r;
}

static int refuse(struct kurir_self *self, struct kurir_tx *tx, const struct rspamd_answer *a)
{
	const struct conf *c = kurir_conf(self);
	struct kurir_str text = kurir_str_part(a->text, 0, 300);
	int r;

	if (a->action == RSPAMD_LATER) {
		kurir_count(self, COUNT_DEFERRED, 1);
		(void)kurir_reply(kurir_tx_conn(tx), 451, "4.7.1", "%.*s",
		    KURIR_ARG(text.len > 0 ? text : KURIR_STR("Try again later")));
		return KURIR_DEFER;
	}
	kurir_count(self, COUNT_REJECTED, 1);
	if (a->action == RSPAMD_DISCARD || (a->action == RSPAMD_REJECT && c->reject == DISCARD))
		return KURIR_DISCARD;
	if (a->action == RSPAMD_HOLD || c->reject == HOLD) {
		r = kurir_tx_hold(tx, a->name);
		return r < 0 ? r : KURIR_NEXT;
	}
	(void)kurir_reply(kurir_tx_conn(tx), 554, "5.7.1", "%.*s",
	    KURIR_ARG(text.len > 0 ? text : KURIR_STR("This message looks like spam")));
	return KURIR_REJECT;
}

KURIR_PARKS static int obey(
    struct kurir_self *self, struct kurir_tx *tx, const struct rspamd_answer *a)
{
	int r;

	kurir_tx_note(tx, "rspamd",
	    kurir_format(kurir_scratch(), "%.*s, %.2f of %.2f",
		KURIR_ARG(kurir_str_part(a->name, 0, 40)), a->score, a->required));
	if (a->action >= RSPAMD_LATER)
		return refuse(self, tx, a);
	r = change(tx, a);
	if (r < 0)
		return kurir_log(
		    self, KURIR_ERROR, r, "cannot change the header as Rspamd wants");
	kurir_count(self, a->action == RSPAMD_PASS ? COUNT_CLEAN : COUNT_MARKED, 1);
	return KURIR_NEXT;
}

KURIR_PARKS static int at_message(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream *body)
{
	const struct conf *c = kurir_conf(self);
	struct http_answer said = { .body = KURIR_STR("") };
	struct rspamd_answer a;
	const char *wrong;
	int r;

	if (!c->trusted && kurir_tx_trusted(tx))
		return KURIR_NEXT;
	if (kurir_tx_size(tx) > c->size) {
		kurir_count(self, COUNT_LARGE, 1);
		return KURIR_NEXT;
	}
	r = ask(self, tx, body, &said);
	if (r == 0 && said.status != 200)
		r = kurir_log(self, KURIR_ERROR, -EPROTO, "Rspamd answers with status %u: %.*s",
		    said.status, KURIR_ARG(kurir_str_part(said.body, 0, 200)));
	else if (r == 0 && (wrong = rspamd_answer_read(kurir_scratch(), said.body, &a)) != NULL)
		r = kurir_log(self, KURIR_ERROR, -EBADMSG, "Rspamd's answer: %s", wrong);
	if (r == 0)
		r = obey(self, tx, &a);
	kurir_count(self, COUNT_FAILED, r < 0);
	return r;
}

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);

	((struct state *)kurir_state(self))->server.address = c->server;
	return 0;
}

KURIR_PARKS static void stop(struct kurir_self *self)
{
	http_close(&((struct state *)kurir_state(self))->server);
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .message = at_message };

KURIR_MODULE(rspamd, .version = "1.0", .summary = "Shows each message to Rspamd",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_NET | KURIR_CAP_BODY | KURIR_CAP_RCPT,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct state), .options = options,
    .counters = counters, .start = start, .stop = stop, .smtp = &hooks);
