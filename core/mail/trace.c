/* trace.c - see trace.h. */
#include "trace.h"

#include "breaker.h"
#include "conf.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define TEXT_MAX 500

void trace_begin(struct trace *t, struct kurir_arena *arena)
{
	*t = (struct trace){ .arena = arena,
		.asked = json_array(),
		.points = json_array(),
		.replies = json_array(),
		.sender = KURIR_STR("") };
}

void trace_end(struct trace *t)
{
	json_decref(t->asked);
	json_decref(t->points);
	json_decref(t->replies);
}

/* One line.  What peers say may be no UTF-8. */
static json_t *string(struct kurir_str s)
{
	char clean[TEXT_MAX];
	json_t *v;

	s = kurir_str_part(s, 0, TEXT_MAX);
	for (size_t i = 0; i < s.len; i++)
		clean[i] = (unsigned char)s.ptr[i] < ' ' ? ' ' : s.ptr[i];
	v = json_stringn(clean, s.len);
	if (v != NULL)
		return v;
	for (size_t i = 0; i < s.len; i++)
		clean[i] = (unsigned char)clean[i] < 0x80 ? clean[i] : '?';
	return json_stringn(clean, s.len);
}

void trace_before(struct trace *t, const struct chain_call *c, struct trace_before *b)
{
	struct kurir_tx *tx = c->tx;

	*b = (struct trace_before){ .stream = c->stream != NULL ? *c->stream : NULL };
	if (tx == NULL)
		return;
	b->sender = tx->sender;
	b->address = c->rcpt != NULL ? c->rcpt->r.address : KURIR_STR("");
	b->headers = tx->headers.len;
	b->flags = tx->flags;
	b->spool = tx->spool;
	b->bytes = tx->bytes;
	b->count = tx->count;
	b->rcpts = kurir_alloc(t->arena, (b->count + 1) * sizeof(struct kurir_rcpt *));
	b->addresses = kurir_alloc(t->arena, (b->count + 1) * sizeof(*b->addresses));
	for (size_t i = 0; i < b->count; i++) {
		b->rcpts[i] = tx->rcpts[i];
		b->addresses[i] = tx->rcpts[i]->r.address;
	}
}

static void changed(json_t *list, struct trace *t, const char *what, struct kurir_str s)
{
	struct kurir_str text =
	    kurir_format(t->arena, "%s%.*s", what, KURIR_ARG(kurir_str_part(s, 0, TEXT_MAX)));

	json_array_append_new(list, string(text));
}

static bool stands(const struct kurir_tx *tx, const struct kurir_rcpt *r)
{
	for (size_t i = 0; i < tx->count; i++)
		if (tx->rcpts[i] == r)
			return true;
	return false;
}

static void find_recipients(
    json_t *list, struct trace *t, const struct kurir_tx *tx, const struct trace_before *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (!stands(tx, b->rcpts[i]))
			changed(list, t, "drops the recipient ", b->addresses[i]);
		else if (!kurir_str_equal(b->rcpts[i]->r.address, b->addresses[i]))
			changed(list, t,
			    kurir_format(t->arena, "makes of the recipient %.*s ",
				KURIR_ARG(b->addresses[i]))
				.ptr,
			    b->rcpts[i]->r.address);
	}
	for (size_t i = 0; i < tx->count; i++) {
		bool old = false;

		for (size_t k = 0; k < b->count && !old; k++)
			old = b->rcpts[k] == tx->rcpts[i];
		if (!old)
			changed(list, t, "adds the recipient ", tx->rcpts[i]->r.address);
	}
}

static void find_fields(
    json_t *list, struct trace *t, const struct kurir_tx *tx, const struct trace_before *b)
{
	struct kurir_str more =
	    kurir_str_part(kurir_buf_str(&tx->headers), b->headers, tx->headers.len - b->headers);

	while (more.len > 0) {
		ssize_t end = kurir_str_find(more, '\n');
		size_t n = end < 0 ? more.len : (size_t)end + 1;

		while (n < more.len && (more.ptr[n] == ' ' || more.ptr[n] == '\t')) {
			end = kurir_str_find(kurir_str_part(more, n, more.len), '\n');
			n = end < 0 ? more.len : n + (size_t)end + 1;
		}
		changed(list, t, "adds the field ", kurir_str_trim(kurir_str_part(more, 0, n)));
		more = kurir_str_part(more, n, more.len);
	}
}

static json_t *find_changes(
    struct trace *t, const struct chain_call *c, const struct trace_before *b)
{
	json_t *list = json_array();
	const struct kurir_tx *tx = c->tx;

	if (c->stream != NULL && *c->stream != b->stream)
		changed(list, t, "changes the message on its way", KURIR_STR(""));
	if (tx == NULL)
		return list;
	if (!kurir_str_equal(tx->sender, b->sender))
		changed(list, t, "sets the sender ", tx->sender);
	if (c->rcpt != NULL && !kurir_str_equal(c->rcpt->r.address, b->address))
		changed(list, t, "makes of the recipient ", c->rcpt->r.address);
	find_recipients(list, t, tx, b);
	find_fields(list, t, tx, b);
	if ((tx->flags & ~b->flags & KURIR_ENV_HOLD) != 0)
		changed(list, t, "holds the message", KURIR_STR(""));
	if (c->stream == NULL && tx->spool != b->spool)
		changed(list, t, "rewrites the message",
		    kurir_format(t->arena, ": %llu bytes, were %llu",
			(unsigned long long)tx->bytes, (unsigned long long)b->bytes));
	return list;
}

void trace_after(struct trace *t, const struct kurir_self *self, const struct chain_call *c,
    const struct trace_before *b, int result, double nanos)
{
	json_t *v = json_pack("{s:s,s:s,s:f,s:o}", "instance", self->name, "verdict",
	    kurir_verdict_name(result), "us", nanos / 1000, "changes", find_changes(t, c, b));

	if (result < 0) {
		json_object_set_new(v, "error",
		    json_string(result == BREAKER_OPEN
			    ? "not asked now, as it failed again and again"
			    : strerror(-result)));
		json_object_set_new(
		    v, "on-error", json_string(conf_on_error_names[self->on_error]));
	}
	json_array_append_new(t->asked, v);
}

static json_t *those_behind(
    const struct chain *chain, enum chain_point point, const struct kurir_self *by)
{
	json_t *list = json_array();
	bool behind = false;

	for (size_t i = 0; by != NULL && i < chain->count[point]; i++) {
		const struct kurir_self *self = chain->links[point][i].self;

		if (behind)
			json_array_append_new(list, json_string(self->name));
		behind = behind || self == by;
	}
	return list;
}

void trace_point(struct trace *t, const struct chain *chain, enum chain_point point, int verdict,
    const struct kurir_self *by, int code)
{
	json_t *v = json_pack("{s:s,s:s,s:i,s:o,s:o}", "hook", chain_point_names[point],
	    "verdict", kurir_verdict_name(verdict), "code", code, "asked", t->asked, "not-asked",
	    those_behind(chain, point, by));

	t->asked = json_array();
	if (by != NULL)
		json_object_set_new(v, "by", json_string(by->name));
	json_array_append_new(t->points, v);
}

void trace_said(struct trace *t, const char *at, struct kurir_str about, int code,
    struct kurir_str text, const char *server)
{
	json_t *last = json_array_get(t->points, json_array_size(t->points) - 1), *v;
	bool theirs = last != NULL &&
	    (json_integer_value(json_object_get(last, "code")) == code || code < 400);
	json_t *by = theirs ? json_object_get(last, "by") : NULL;

	v = json_pack("{s:s,s:o,s:i,s:o,s:o}", "at", at, "about", string(about), "code", code,
	    "text", string(text), "points", t->points);
	if (by != NULL)
		json_object_set(v, "by", by);
	else if (code >= 400)
		json_object_set_new(
		    v, "by", json_string(theirs ? "nobody: the server's own rule" : server));
	t->points = json_array();
	json_array_append_new(t->replies, v);
}

void trace_envelope(struct trace *t, const struct kurir_envelope *e)
{
	t->kept = true;
	t->sender = kurir_copy(t->arena, e->sender);
	t->recipients = kurir_alloc(t->arena, (e->count + 1) * sizeof(*t->recipients));
	for (size_t i = 0; i < e->count; i++)
		t->recipients[i] = kurir_copy(t->arena, e->recipients[i].address);
	t->count = e->count;
}
