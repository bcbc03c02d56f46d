/* command_show.c - messages, recipients and destinations: as lines for people, as JSON for
 * programs. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

/* Together with the JSON around them, and quoted, less than KURIR_CALL_MAX. */
#define TEXT_MAX	 ((size_t)128 << 10)
#define LIST_MAX	 ((size_t)512 << 10)
#define DESTINATIONS_MAX 1000

static json_t *json_text(struct kurir_str s)
{
	json_t *j = json_stringn(s.ptr, s.len);
	return j != NULL ? j : json_string("(not UTF-8)");
}

/* What a peer chose: nothing in it moves the cursor of a terminal. */
static void put_clean(struct kurir_buf *b, struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool control = (unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127;
		kurir_buf_add(b, control ? KURIR_STR("?") : kurir_str_part(s, i, 1));
	}
}

/* "1.5 h" */
static void put_span(struct kurir_buf *b, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" } };
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ms >= units[i].ms) {
			int64_t tenths = ms * 10 / units[i].ms;
			kurir_buf_printf(b, "%lld.%lld %s", (long long)(tenths / 10),
			    (long long)(tenths % 10), units[i].name);
			return;
		}
	kurir_buf_printf(b, "%lld s", (long long)(ms > 0 ? ms / 1000 : 0));
}

/* "1.5 KiB" */
static void put_size(struct kurir_buf *b, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	unsigned i = 0;
	uint64_t tenths = bytes * 10 / 1024;
	if (bytes < 1024) {
		kurir_buf_printf(b, "%llu B", (unsigned long long)bytes);
		return;
	}
	for (; tenths >= 10240 && i < 3; i++)
		tenths /= 1024;
	kurir_buf_printf(b, "%llu.%llu %s", (unsigned long long)(tenths / 10),
	    (unsigned long long)(tenths % 10), units[i]);
}

/* "4.4.1, network" (RFC 3463 3); false: nothing is known. */
static bool put_reason(struct kurir_buf *b, uint16_t reason, bool word)
{
	static const char *const words[] = { "other", "address", "mailbox", "mail system",
		"network", "protocol", "content", "policy" };
	if (reason == 0)
		return false;
	kurir_buf_printf(
	    b, "%d.%d.%d", reason >> 13 & 1 ? 5 : 4, reason >> 10 & 7, reason & 1023);
	if (word)
		kurir_buf_printf(b, " (%s)", words[reason >> 10 & 7]);
	return true;
}

/* "paijo.example", or what its gate means. */
static void put_destination(struct kurir_buf *b, const struct destination *d)
{
	struct kurir_str name = { d->name, d->name_length };
	bool gate = kurir_str_starts(name, KURIR_STR("@"));
	if (gate)
		kurir_buf_add(b, KURIR_STR("the route to "));
	put_clean(b, kurir_str_part(name, gate, name.len));
}

static void put_trouble(struct kurir_buf *b, const struct destination *d, int64_t now)
{
	put_destination(b, d);
	kurir_buf_printf(b, " is down");
	if (d->error != NULL) {
		kurir_buf_add(b, KURIR_STR(" ("));
		put_clean(b, kurir_str_of(d->error));
		kurir_buf_add(b, KURIR_STR(")"));
	}
	if (d->active > 0) {
		kurir_buf_printf(b, ", being tried now");
	} else {
		kurir_buf_printf(b, ", tried again in ");
		put_span(b, d->blocked_until - now);
	}
}

static void put_attempt(struct kurir_buf *b, const struct entry *x, int64_t now)
{
	kurir_buf_printf(b, "waits ");
	put_span(b, x->due - now);
	if (x->attempts == 0)
		return;
	kurir_buf_printf(b, " because attempt %u failed", x->attempts);
	if (x->reason != 0)
		kurir_buf_printf(b, ": ");
	put_reason(b, x->reason, true);
}

/* In line at a destination. */
static void put_line(struct kurir_buf *b, const struct destination *d, int64_t now)
{
	kurir_buf_printf(b, "waits because ");
	if (d->troubles > 0) {
		put_trouble(b, d, now);
		return;
	}
	put_destination(b, d);
	if (d->active > 0)
		kurir_buf_printf(b, " is busy with %u others", d->active);
	else if (d->rate > 0)
		kurir_buf_printf(b, " takes %u deliveries a minute", d->rate);
	else
		kurir_buf_printf(b, " has others before it");
}

/* Why nothing happens to it, or what does. */
static void put_because(struct kurir_buf *b, const struct entry *x, int64_t now)
{
	switch (x->state) {
	case ENTRY_NEW:
	case ENTRY_TIMED:
		put_attempt(b, x, now);
		return;
	case ENTRY_READY:
		kurir_buf_printf(b, "waits because others have their turn");
		return;
	case ENTRY_BUSY:
		kurir_buf_printf(b,
		    x->flags & ENTRY_ENDING	  ? "is being given up"
			: x->flags & ENTRY_TRYING ? "is being delivered"
						  : "is being routed");
		return;
	case ENTRY_WAITING:
	case ENTRY_BLOCKED:
		put_line(b, x->destination, now);
		return;
	case ENTRY_HELD:
		kurir_buf_printf(b, "held until it is released");
		return;
	default:
		kurir_buf_printf(b, "%s", command_state_names[x->state]);
		return;
	}
}

static json_t *entry_json(
    const struct entry *x, const struct kurir_recipient *r, struct kurir_str because)
{
	struct kurir_buf reason = KURIR_BUF(32);
	put_reason(&reason, x->reason, false);
	json_t *j = json_pack("{s:o, s:s, s:i, s:I, s:i, s:o, s:o, s:o}", "address",
	    json_text(r->address), "state", command_state_names[x->state], "attempts",
	    (int)x->attempts, "due", (json_int_t)x->due, "index", (int)x->index, "site",
	    json_text(command_site(x)), "reason", json_text(kurir_buf_str(&reason)), "because",
	    json_text(because));
	kurir_buf_free(&reason);
	return j;
}

/* What a JSON value will take in the reply. */
static size_t json_size(const json_t *j)
{
	return json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) + 1;
}

/* False: it does not fit. */
static bool show_entry(struct command_page *p, json_t *list, const struct entry *x,
    const struct kurir_recipient *r, int64_t now)
{
	struct kurir_buf because = KURIR_BUF(2048), line = KURIR_BUF(8192);
	put_because(&because, x, now);
	kurir_buf_add(&line, KURIR_STR("    "));
	put_clean(&line, r->address);
	while (line.len < 34)
		kurir_buf_add(&line, KURIR_STR(" "));
	kurir_buf_printf(&line, "  %.*s\n", KURIR_ARG(kurir_buf_str(&because)));
	json_t *j = entry_json(x, r, kurir_buf_str(&because));
	size_t bytes = json_size(j);
	bool fits = p->text.len + line.len <= TEXT_MAX && p->list_bytes + bytes <= LIST_MAX;
	if (fits) {
		kurir_buf_add(&p->text, kurir_buf_str(&line));
		p->list_bytes += bytes;
		json_array_append(list, j);
	}
	json_decref(j);
	kurir_buf_free(&because);
	kurir_buf_free(&line);
	return fits;
}

static void show_title(struct command_page *p, const struct message *m,
    const struct kurir_envelope *e, bool whole, int64_t now)
{
	struct kurir_buf age = KURIR_BUF(64), size = KURIR_BUF(64);
	put_span(&age, now - m->arrived);
	put_size(&size, command_size(p->q, m));
	if (p->title)
		kurir_buf_printf(&p->text, "%-22s %9s %9s  %s\n", "ID", "AGE", "SIZE", "SENDER");
	p->title = false;
	kurir_buf_printf(&p->text, "%-22.*s %9s %9s  <", KURIR_ARG(e->id), age.ptr, size.ptr);
	put_clean(&p->text, e->sender);
	kurir_buf_printf(&p->text, ">\n");
	if (whole) {
		kurir_buf_printf(&p->text, "    came from ");
		put_clean(&p->text, e->peer);
		kurir_buf_printf(&p->text, " (");
		put_clean(&p->text, e->helo);
		kurir_buf_printf(&p->text, "), segment %016llx at %llu\n",
		    (unsigned long long)m->segment->id, (unsigned long long)m->offset);
	}
	kurir_buf_free(&age);
	kurir_buf_free(&size);
}

bool command_show(struct command_page *p, const struct message *m, const struct kurir_envelope *e,
    const struct predicate *want, bool whole, uint32_t *index)
{
	int64_t now = kurir_wallclock();
	json_t *list = json_array();
	json_t *j = json_pack("{s:o, s:o, s:I, s:I, s:o}", "id", json_text(e->id), "sender",
	    json_text(e->sender), "arrived", (json_int_t)m->arrived, "bytes",
	    (json_int_t)command_size(p->q, m), "recipients", list);
	size_t bytes = json_size(j), before = p->text.len;
	bool fits = p->list_bytes + bytes <= LIST_MAX && p->text.len + 2048 <= TEXT_MAX;
	if (fits) {
		p->list_bytes += bytes;
		show_title(p, m, e, whole, now);
	}
	for (; fits && *index < m->count && *index < e->count; ++*index) {
		const struct entry *x = &m->entries[*index];
		const struct kurir_recipient *r = &e->recipients[*index];
		if (whole || predicate_entry(want, e, x, r))
			fits = show_entry(p, list, x, r, now);
		if (!fits)
			break;
	}
	if (json_array_size(list) > 0)
		json_array_append(p->list, j);
	else if (!fits)
		p->text.len = before; /* a title alone */
	json_decref(j);
	return fits;
}

/* Destinations. */

static uint32_t waits_for(const struct destination *d)
{
	return d->waiting_count + d->blocked_count;
}

/* Most in line first; of those with none, the busiest. */
static int compare_destinations(const void *a, const void *b)
{
	const struct destination *const *x = a, *const *y = b;
	if (waits_for(*x) != waits_for(*y))
		return waits_for(*x) < waits_for(*y) ? 1 : -1;
	if ((*x)->active != (*y)->active)
		return (*x)->active < (*y)->active ? 1 : -1;
	return strcmp((*x)->name, (*y)->name);
}

static json_t *destination_json(const struct destination *d)
{
	return json_pack("{s:o, s:I, s:I, s:i, s:i, s:i, s:I, s:o}", "site",
	    json_text((struct kurir_str){ d->name, d->name_length }), "active",
	    (json_int_t)d->active, "waiting", (json_int_t)waits_for(d), "limit", (int)d->limit,
	    "rate", (int)d->rate, "troubles", (int)d->troubles, "blocked-until",
	    (json_int_t)d->blocked_until, "error",
	    json_text(kurir_str_of(d->error != NULL ? d->error : "")));
}

static void destination_line(struct kurir_buf *text, const struct destination *d, int64_t now)
{
	struct kurir_buf name = KURIR_BUF(2048), again = KURIR_BUF(64);
	put_destination(&name, d);
	if (d->troubles > 0 && d->blocked_until > now)
		put_span(&again, d->blocked_until - now);
	kurir_buf_printf(text, "%-40s %6u %8u %8u %9s", name.ptr != NULL ? name.ptr : "",
	    d->active, waits_for(d), d->troubles, again.len > 0 ? again.ptr : "-");
	if (d->error != NULL) {
		kurir_buf_add(text, KURIR_STR("  "));
		put_clean(text, kurir_str_of(d->error));
	}
	kurir_buf_add(text, KURIR_STR("\n"));
	kurir_buf_free(&name);
	kurir_buf_free(&again);
}

/* All recipients: where they are, in numbers. */
static json_t *queue_json(const struct queue *q)
{
	const struct scheduler *s = &q->scheduler;
	const struct totals *t = &q->totals;
	uint64_t timed = s->heap_count - s->waiting;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
	    (json_int_t)q->message_count, "recipients", (json_int_t)q->entry_count, "ready",
	    (json_int_t)s->ready, "waiting", (json_int_t)s->waiting, "timed", (json_int_t)timed,
	    "other", (json_int_t)(q->entry_count - s->ready - s->heap_count), "accepted",
	    (json_int_t)t->accepted, "delivered", (json_int_t)t->delivered, "bounced",
	    (json_int_t)t->bounced, "cancelled", (json_int_t)t->cancelled, "deferred",
	    (json_int_t)q->deferrals);
}

int command_destinations(struct queue *q, struct kurir_buf *reply)
{
	struct scheduler *s = &q->scheduler;
	const struct destination **all = calloc(s->destination_count + 1, sizeof(const void *));
	struct kurir_buf text = KURIR_BUF(TEXT_MAX);
	json_t *list = json_array();
	int64_t now = kurir_wallclock();
	size_t n = 0, bytes = 0, i;
	if (all == NULL)
		abort(); /* what we size cannot fail; the files survive it */
	for (size_t slot = 0; slot < sizeof(s->hash) / sizeof(s->hash[0]); slot++)
		for (const struct destination *d = s->hash[slot]; d != NULL; d = d->hash_next)
			all[n++] = d;
	if (n > 0)
		qsort(all, n, sizeof(const void *), compare_destinations);
	kurir_buf_printf(&text, "%-40s %6s %8s %8s %9s  %s\n", "DESTINATION", "ACTIVE", "WAITING",
	    "TROUBLES", "AGAIN IN", "LAST ERROR");
	for (i = 0;
	     i < n && i < DESTINATIONS_MAX && bytes < LIST_MAX && text.len + 4096 < TEXT_MAX;
	     i++) {
		json_t *j = destination_json(all[i]);
		bytes += json_size(j);
		destination_line(&text, all[i], now);
		json_array_append_new(list, j);
	}
	kurir_buf_printf(
	    &text, "%zu destinations%s\n", n, i < n ? ", those with most are shown" : "");
	free(all);
	int r = command_answer(reply,
	    json_pack("{s:o, s:{s:o, s:I, s:o}}", "text", json_text(kurir_buf_str(&text)), "data",
		"queue", queue_json(q), "count", (json_int_t)n, "list", list));
	kurir_buf_free(&text);
	return r;
}
