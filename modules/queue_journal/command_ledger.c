/* command_ledger.c - "kurirctl ledger [--verify]": where every recipient is.
 * Without the option as the tables have it; with it, counted again from the files. */
#include "command.h"

#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int command_answer(struct kurir_buf *reply, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	int r = text == NULL ? -ENOMEM : kurir_buf_add(reply, kurir_str_of(text));
	free(text);
	return r;
}

int command_fail(struct kurir_buf *reply, const char *sentence)
{
	return command_answer(reply, json_pack("{s:s}", "error", sentence));
}

struct verify {
	int dir;
	struct ledger ledger;
	int result;
};

static int verify_run(void *arg)
{
	struct verify *v = arg;
	v->result = ledger_verify(v->dir, &v->ledger);
	return 0;
}

KURIR_PARKS static int verify(struct queue *q, struct kurir_buf *reply)
{
	struct verify v = { .dir = q->dir, .result = -ECANCELED };
	struct kurir_buf text = KURIR_BUF(4096);
	int r = kurir_offload(verify_run, &v, KURIR_FOREVER);
	const struct ledger *l = &v.ledger;
	if (r < 0 || v.result < 0)
		return command_fail(reply, strerror(r < 0 ? -r : -v.result));
	if (l->orphans > 0)
		KURIR_EMIT(q->self, KURIR_ERROR, "orphan",
		    { "rcpts",
			kurir_format(kurir_scratch(), "%llu", (unsigned long long)l->orphans) },
		    { "text", KURIR_STR("the ledger does not balance") });
	ledger_print(l, &text);
	r = command_answer(reply,
	    json_pack("{s:s, s:o, s:b}", "text", text.ptr != NULL ? text.ptr : "", "data",
		ledger_json(l), "failed", (int)!ledger_good(l)));
	kurir_buf_free(&text);
	return r;
}

static bool wants_verify(struct kurir_str body)
{
	json_t *j = json_loadb(body.ptr, body.len, 0, NULL);
	const json_t *args = json_object_get(j, "args");
	bool yes = false;
	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *s = json_string_value(json_array_get(args, i));
		yes |= s != NULL && (strcmp(s, "--verify") == 0 || strcmp(s, "verify") == 0);
	}
	json_decref(j);
	return yes;
}

int command_ledger(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct queue *q = queue_self(self)->queue;
	if (q == NULL || !q->started)
		return command_fail(reply, "the queue is not running");
	if (wants_verify(in->body))
		return verify(q, reply);
	const struct totals *t = &q->totals;
	uint64_t queued = q->entry_count;
	bool balanced = t->accepted == t->delivered + t->bounced + t->cancelled + queued;
	struct kurir_str text = kurir_format(kurir_scratch(),
	    "accepted %llu = delivered %llu + bounced %llu + cancelled %llu + queued %llu%s\n",
	    (unsigned long long)t->accepted, (unsigned long long)t->delivered,
	    (unsigned long long)t->bounced, (unsigned long long)t->cancelled,
	    (unsigned long long)queued, balanced ? "" : "  DOES NOT BALANCE");
	return command_answer(reply,
	    json_pack("{s:s#, s:b, s:{s:I, s:I, s:I, s:I, s:I, s:b}}", "text", text.ptr,
		(int)text.len, "failed", (int)!balanced, "data", "accepted",
		(json_int_t)t->accepted, "delivered", (json_int_t)t->delivered, "bounced",
		(json_int_t)t->bounced, "cancelled", (json_int_t)t->cancelled, "queued",
		(json_int_t)queued, "balanced", (int)balanced));
}
