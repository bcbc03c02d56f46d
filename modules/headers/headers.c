/* headers.c - adds, removes and rewrites fields in the header of messages that pass. */
#include "headers.h"

#include <kurir/session.h>
#include <kurir/smtp.h>
#include <kurir/stream.h>

#include <errno.h>
#include <stdio.h>

enum { COUNT_MESSAGES, COUNT_ADDED, COUNT_REMOVED, COUNT_REWRITTEN };
static const char *const counters[] = { "messages", "added", "removed", "rewritten", NULL };

struct state {
	struct headers_rules *rules;
};

/* One message on its way through. */
struct pass {
	struct kurir_self *self;
	struct kurir_tx *tx;
	struct kurir_stream *from, *to;
	struct kurir_buf field, edited;
	unsigned added, removed, rewritten;
	bool dropping; /* a field that is too long for it, and goes */
	int error;     /* of writing, sticky */
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXTS("remove", struct headers_conf, remove, "",
	    "Names of fields that are taken out; a \"*\" at the end stands for anything."),
	KURIR_OPT_MAP("add", struct headers_conf, add, "",
	    "Fields that are put at the end of the header, and their values."),
	KURIR_OPT_MAP("set", struct headers_conf, set, "",
	    "As \"add\", and fields of that name that the client sent are taken out."),
	KURIR_OPT_MAP("rewrite", struct headers_conf, rewrite, "",
	    "For a field: a regular expression, and what takes the place of what it matches."),
	{ 0 },
};

KURIR_PARKS static void put(struct pass *p, struct kurir_str s)
{
	if (p->error == 0)
		p->error = kurir_write(p->to, s);
}

/* What a "{word}" in a value stands for; false: nothing of ours. */
static bool word(const struct pass *p, struct kurir_str name, struct kurir_str *ret)
{
	struct kurir_conn *conn = kurir_tx_conn(p->tx);

	if (kurir_str_equal(name, KURIR_STR("id")))
		*ret = kurir_tx_id(p->tx);
	else if (kurir_str_equal(name, KURIR_STR("sender")))
		*ret = kurir_tx_sender(p->tx);
	else if (kurir_str_equal(name, KURIR_STR("peer")))
		*ret = kurir_conn_peer(conn);
	else if (kurir_str_equal(name, KURIR_STR("helo")))
		*ret = kurir_tx_helo(p->tx);
	else if (kurir_str_equal(name, KURIR_STR("account")))
		*ret = kurir_conn_account(conn);
	else if (kurir_str_equal(name, KURIR_STR("listener")))
		*ret = kurir_conn_listener(conn);
	else if (kurir_str_equal(name, KURIR_STR("hostname")))
		*ret = kurir_hostname();
	else
		return false;
	return true;
}

/* value = *( "{" word "}" / char ); the words have no line ends, as SMTP has none in them. */
KURIR_PARKS static void put_value(struct pass *p, struct kurir_str value)
{
	while (value.len > 0) {
		ssize_t open = kurir_str_find(value, '{'), end;
		struct kurir_str rest, is;

		put(p, kurir_str_part(value, 0, open < 0 ? value.len : (size_t)open));
		if (open < 0)
			return;
		value = kurir_str_part(value, (size_t)open, value.len);
		end = kurir_str_find(value, '}');
		rest = kurir_str_part(value, end < 0 ? value.len : (size_t)end + 1, value.len);
		if (end > 0 && word(p, kurir_str_part(value, 1, (size_t)end - 1), &is))
			put(p, kurir_str_part(is, 0, 300));
		else
			put(p, kurir_str_part(value, 0, value.len - rest.len));
		value = rest;
	}
}

KURIR_PARKS static void put_map(struct pass *p, const struct kurir_map *map)
{
	for (size_t i = 0; i < map->count; i++)
		for (size_t k = 0; k < map->items[i].values.count; k++) {
			put(p, map->items[i].key);
			put(p, KURIR_STR(": "));
			put_value(p, map->items[i].values.items[k]);
			put(p, KURIR_STR("\r\n"));
			p->added++;
		}
}

/* The field that was gathered goes on. */
KURIR_PARKS static void put_field(struct pass *p)
{
	const struct state *st = kurir_state(p->self);

	if (p->field.len == 0)
		return;
	switch (headers_edit(st->rules, kurir_buf_str(&p->field), &p->edited)) {
	case HEADERS_GONE:
		p->removed++;
		break;
	case HEADERS_CHANGED:
		p->rewritten++;
		put(p, kurir_buf_str(&p->edited));
		break;
	case HEADERS_SAME:
		put(p, kurir_buf_str(&p->field));
		break;
	}
	kurir_buf_clear(&p->field);
}

KURIR_PARKS static void put_last(struct pass *p)
{
	const struct headers_conf *c = kurir_conf(p->self);

	put_field(p);
	put_map(p, &c->add);
	put_map(p, &c->set);
}

/* A field that begins so is too long to be edited: each line of it goes on, or is dropped. */
static void begin_long(struct pass *p, struct kurir_str field)
{
	const struct state *st = kurir_state(p->self);

	p->dropping = headers_gone(st->rules, field);
	p->removed += p->dropping;
}

/* The same of the one that was gathered. */
KURIR_PARKS static void put_long(struct pass *p)
{
	begin_long(p, kurir_buf_str(&p->field));
	if (!p->dropping)
		put(p, kurir_buf_str(&p->field));
	kurir_buf_clear(&p->field);
}

/* A line that is too long to be edited. */
KURIR_PARKS static int put_line_as_is(struct pass *p)
{
	struct kurir_str piece;
	ssize_t lf = -1;
	int r;

	while (
	    lf < 0 && p->error == 0 && (r = kurir_peek(p->from, 0, &piece, KURIR_FOREVER)) != 0) {
		if (r < 0)
			return r;
		lf = kurir_str_find(piece, '\n');
		if (lf >= 0)
			piece.len = (size_t)lf + 1;
		if (!p->dropping)
			put(p, piece);
		kurir_consume(p->from, piece.len);
	}
	return p->error;
}

KURIR_PARKS static int long_line(struct pass *p)
{
	struct kurir_str piece;
	int r = kurir_peek(p->from, 0, &piece, KURIR_FOREVER);

	if (r <= 0)
		return r;
	if (piece.ptr[0] != ' ' && piece.ptr[0] != '\t') {
		put_field(p);
		begin_long(p, piece);
	} else if (p->field.len > 0) {
		put_long(p);
	}
	return put_line_as_is(p);
}

KURIR_PARKS static int put_rest(struct pass *p)
{
	struct kurir_str piece;
	int r = 0;

	while (p->error == 0 && (r = kurir_peek(p->from, 0, &piece, KURIR_FOREVER)) == 1) {
		put(p, piece);
		kurir_consume(p->from, piece.len);
	}
	return r < 0 ? r : p->error;
}

/* One line of the header: 1, 0 when it was the last, or -errno. */
KURIR_PARKS static int header_line(struct pass *p, struct kurir_str line)
{
	bool blank = kurir_str_equal(line, KURIR_STR("\r\n"));
	bool folded = line.ptr[0] == ' ' || line.ptr[0] == '\t';
	struct kurir_str name;

	if (blank || (!folded && headers_name(line, &name) < 0)) {
		put_last(p);
		if (!blank) /* a body without the line above it */
			put(p, KURIR_STR("\r\n"));
		put(p, line);
		return 0;
	}
	if (!folded)
		put_field(p);
	p->dropping = p->dropping && folded;
	if (!p->dropping && kurir_buf_add(&p->field, line) < 0) {
		put_long(p);
		if (!p->dropping)
			put(p, line);
	}
	return p->error < 0 ? p->error : 1;
}

KURIR_PARKS static int header(struct pass *p)
{
	struct kurir_str line;
	int r;

	do {
		r = kurir_readline(p->from, HEADERS_FIELD_MAX, &line, KURIR_FOREVER);
		if (r == -EMSGSIZE) {
			r = long_line(p);
			r = r < 0 ? r : 1;
		} else if (r == 1) {
			r = header_line(p, line);
			if (r == 0)
				return 0;
		} else if (r == 0) { /* nothing but a header */
			put_last(p);
			put(p, line);
			return p->error;
		}
	} while (r == 1);
	return r;
}

KURIR_PARKS static int pass(void *arg, struct kurir_stream *from, struct kurir_stream *to)
{
	struct pass *p = arg;
	char text[80];
	int r;

	p->from = from;
	p->to = to;
	p->field = p->edited = KURIR_BUF(HEADERS_FIELD_MAX);
	r = header(p);
	kurir_buf_free(&p->field);
	kurir_buf_free(&p->edited);
	if (r == 0)
		r = put_rest(p);
	if (r < 0)
		return r;
	kurir_count(p->self, COUNT_MESSAGES, 1);
	kurir_count(p->self, COUNT_ADDED, p->added);
	kurir_count(p->self, COUNT_REMOVED, p->removed);
	kurir_count(p->self, COUNT_REWRITTEN, p->rewritten);
	(void)snprintf(text, sizeof(text), "%u added, %u removed, %u rewritten", p->added,
	    p->removed, p->rewritten);
	KURIR_EMIT(p->self, KURIR_DEBUG, "message", { "id", kurir_tx_id(p->tx) },
	    { "fields", kurir_str_of(text) });
	return 0;
}

KURIR_PARKS static int at_filter(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_stream **body)
{
	struct pass *p = kurir_alloc(kurir_tx_arena(tx), sizeof(*p));

	p->self = self;
	p->tx = tx;
	return kurir_filter_body(tx, body, pass, p);
}

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	return headers_rules_new(arena, conf, error) != NULL ? 0 : -EINVAL;
}

KURIR_PARKS static int start(struct kurir_self *self)
{
	struct state *st = kurir_state(self);
	struct kurir_str error;

	st->rules = headers_rules_new(kurir_self_arena(self), kurir_conf(self), &error);
	return st->rules != NULL ? 0 : -EINVAL;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .filter = at_filter };

KURIR_MODULE(headers, .version = "1.0",
    .summary = "Adds, removes and rewrites fields in the header of messages",
    .roles = KURIR_ROLE_EDGE, .caps = KURIR_CAP_BODY, .conf_size = sizeof(struct headers_conf),
    .self_size = sizeof(struct state), .options = options, .counters = counters, .check = check,
    .start = start, .smtp = &hooks);
