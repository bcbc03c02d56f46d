/* imap_fetch.c - FETCH and UID FETCH (RFC 9051 section 6.4.5; CONDSTORE, RFC 7162; PARTIAL, RFC
 * 9394).
 *
 *   fetch          = "FETCH" SP sequence-set SP fetch-items
 *                    [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
 *   fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED" /
 *                    "PARTIAL" SP partial-range
 *
 * Messages go out one after the other as the stream takes them; \Seen is set for all of
 * them in one change, before the first byte. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "imap_body.h"
#include "imap_piece.h"
#include "imap_qresync.h"
#include "imap_search.h"

#define FILE_MIN 65536 /* whole messages from this size on go out by sendfile */

struct fetch {
	struct imap_item items[IMAP_ITEMS_MAX];
	size_t count;
	struct kurir_uid_set uids;
	uint64_t changed_since; /* only what changed after it; 0: all */
	bool partial_given, vanished;
	struct imap_partial partial;
	uint32_t lowest; /* RFC 9738 */
	bool sets_seen;
	uint32_t wants;	  /* facts, 1u << enum kurir_fact, or-ed; or else the bytes */
	bool needs_bytes; /* of each message, whatever is known of it */
	bool looks_into;  /* and they are not only passed on */
	bool looked;	  /* into the last one */
	int missing;	  /* why one could not be read: -ENOENT, or worse */
	bool unknown_encoding;
	bool condstore; /* mod-sequences are wanted */
};

static int modifiers(struct imap *s, struct imap_args *a, struct fetch *f)
{
	if (!imap_take(a, '('))
		return -EBADMSG;
	do {
		if (imap_take_word(a, "VANISHED")) {
			f->vanished = true;
		} else if (imap_take_word(a, "CHANGEDSINCE")) {
			if (!imap_space(a) || imap_number64(a, &f->changed_since) < 0)
				return -EBADMSG;
			if (f->count < IMAP_ITEMS_MAX)
				f->items[f->count++] =
				    (struct imap_item){ .kind = IMAP_ITEM_MODSEQ };
		} else if (imap_take_word(a, "PARTIAL")) {
			f->partial_given = true;
			if (!s->by_uid || !imap_space(a) ||
			    imap_partial_parse(a, &f->partial) < 0)
				return -EBADMSG;
		} else {
			return -EBADMSG;
		}
	} while (imap_space(a));
	/* RFC 7162 section 3.2.6 */
	if (f->vanished && (!s->by_uid || f->changed_since == 0 || !(s->enabled & IMAP_QRESYNC)))
		return -EBADMSG;
	return imap_take(a, ')') ? 0 : -EBADMSG;
}

static int parse(struct imap *s, struct imap_args *a, struct fetch *f)
{
	if (imap_set_arg(s, a, &f->uids) < 0 || !imap_space(a) ||
	    imap_items_parse(a, f->items, IMAP_ITEMS_MAX - 2, &f->count) < 0)
		return -EBADMSG;
	if (imap_space(a) && modifiers(s, a, f) < 0)
		return -EBADMSG;
	return imap_end(a) ? 0 : -EBADMSG;
}

/* What says all that the item asks for, as 1u << enum kurir_fact; 0: only the bytes do, or what
 * is known of every message. */
static uint32_t fact_of(const struct imap_item *item)
{
	switch (item->kind) {
	case IMAP_ITEM_EMAIL_ID:
		return 1u << KURIR_FACT_EMAIL_ID;
	case IMAP_ITEM_THREAD_ID:
		return 1u << KURIR_FACT_THREAD_ID;
	case IMAP_ITEM_ENVELOPE:
		return 1u << KURIR_FACT_ENVELOPE;
	case IMAP_ITEM_BODY:
		return 1u << KURIR_FACT_BODY;
	case IMAP_ITEM_BODYSTRUCTURE:
		return 1u << KURIR_FACT_STRUCTURE;
	case IMAP_ITEM_PREVIEW:
		return 1u << KURIR_FACT_PREVIEW;
	case IMAP_ITEM_SECTION:
		return item->depth == 0 &&
			(item->text == IMAP_TEXT_HEADER || item->text == IMAP_TEXT_FIELDS ||
			    item->text == IMAP_TEXT_FIELDS_NOT)
		    ? 1u << KURIR_FACT_HEADER
		    : 0;
	default:
		return 0;
	}
}

static bool is_whole(const struct imap_item *item)
{
	return item->kind == IMAP_ITEM_SECTION && item->depth == 0 && item->text == IMAP_TEXT_ALL;
}

/* Each item once, and the UID where it has to be. */
static void plan(struct imap *s, struct fetch *f)
{
	bool uid = false, modseq = false;
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct imap_item *item = &f->items[i];

		if ((item->kind == IMAP_ITEM_UID && uid) ||
		    (item->kind == IMAP_ITEM_MODSEQ && modseq))
			continue;
		uid |= item->kind == IMAP_ITEM_UID;
		modseq |= item->kind == IMAP_ITEM_MODSEQ;
		f->wants |= fact_of(item);
		f->needs_bytes |= item->kind >= IMAP_ITEM_ENVELOPE && !fact_of(item);
		f->looks_into |=
		    item->kind >= IMAP_ITEM_ENVELOPE && !fact_of(item) && !is_whole(item);
		f->sets_seen |=
		    (item->kind == IMAP_ITEM_SECTION || item->kind == IMAP_ITEM_BINARY) &&
		    !item->peek && !s->read_only && (s->place.rights & IMAP_RIGHT_SEEN);
		f->items[n++] = *item;
	}
	f->count = n;
	f->condstore = modseq;
	if (s->by_uid && !uid && !(s->enabled & IMAP_UIDONLY))
		f->items[f->count++] = (struct imap_item){ .kind = IMAP_ITEM_UID };
}

/* The next message that is asked for, from that index on. */
static size_t next(const struct imap *s, const struct fetch *f, size_t from)
{
	return imap_box_next(&s->box, &f->uids, from);
}

/* The messages that are left when those that did not change, and other pages, are left out. */
static void narrow(struct imap *s, struct fetch *f)
{
	struct kurir_uid_range *ranges =
	    kurir_alloc(kurir_scratch(), (s->box.count + 1) * sizeof(*ranges));
	size_t count = 0, total = 0, begin = 0, end = s->box.count;

	if (f->partial_given) {
		for (size_t i = next(s, f, 0); i < s->box.count; i = next(s, f, i + 1))
			total++;
		imap_partial_of(&f->partial, total, &begin, &end);
	}
	total = 0;
	for (size_t i = next(s, f, 0); i < s->box.count; i = next(s, f, i + 1)) {
		const struct kurir_message *m = imap_at(s, i);

		if (total >= begin && total < end && m->modseq > f->changed_since)
			imap_set_add(ranges, &count, m->uid);
		total++;
	}
	f->uids = (struct kurir_uid_set){ count, ranges };
}

/* Marks all that will be sent as seen; the client is told with each message. */
KURIR_PARKS static int set_seen(struct imap *s, const struct fetch *f)
{
	struct kurir_change change = { .kind = KURIR_CHANGE_FLAGS_ADD,
		.uids = f->uids,
		.flags = KURIR_MESSAGE_SEEN,
		.keywords = KURIR_STR(""),
		.target = KURIR_STR("") };
	struct kurir_changed changed;
	bool any = false;

	for (size_t i = next(s, f, 0); i < s->box.count && !any; i = next(s, f, i + 1))
		any = !(imap_at(s, i)->flags & KURIR_MESSAGE_SEEN);
	if (!any)
		return 0;
	return s->store->change(s->store_self, s->place.account, s->place.mailbox, &change,
	    imap_until(s), kurir_scratch(), &changed);
}

/* date-time, always in UTC */
KURIR_PARKS static void put_date(struct imap *s, const char *label, int64_t ms)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	kurir_printf(s->stream, "%s \"%2d-%s-%04d %02d:%02d:%02d +0000\"", label, tm.tm_mday,
	    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The names of fields came as literals, which go back as strings that say the same. */
KURIR_PARKS static void put_fields(struct imap *s, const struct imap_item *item)
{
	ssize_t open = kurir_str_find(item->spelled, '(');

	kurir_write(s->stream, kurir_str_part(item->spelled, 0, (size_t)open));
	for (size_t i = 0; i < item->fields.count; i++) {
		imap_puts(s, i ? " " : "(");
		imap_string(s, item->fields.items[i]);
	}
	imap_puts(s, ")");
}

KURIR_PARKS static void put_label(struct imap *s, const struct imap_item *item)
{
	if (item->label) {
		imap_puts(s, item->label);
		return;
	}
	imap_puts(s,
	    item->kind == IMAP_ITEM_SECTION	 ? "BODY["
		: item->kind == IMAP_ITEM_BINARY ? "BINARY["
						 : "BINARY.SIZE[");
	if (kurir_str_find(item->spelled, '{') < 0)
		kurir_write(s->stream, item->spelled);
	else
		put_fields(s, item);
	imap_puts(s, "]");
	if (item->partial)
		kurir_printf(s->stream, "<%llu>", (unsigned long long)item->start);
}

/* The message as it is in its file: nobody looks into it. */
KURIR_PARKS static int put_whole(
    struct imap *s, const struct imap_bytes *b, const struct imap_item *item)
{
	uint64_t from = 0, length = b->body.length;

	if (item->partial) {
		from = item->start < length ? item->start : length;
		length = item->octets < length - from ? item->octets : length - from;
	}
	put_label(s, item);
	kurir_printf(s->stream, " {%llu}\r\n", (unsigned long long)length);
	return kurir_send_file(
	    s->stream, b->body.fd, b->body.offset + from, length, kurir_now() + s->conf->idle);
}

KURIR_PARKS static int put_section(
    struct imap *s, struct imap_bytes *b, const struct imap_item *item)
{
	struct kurir_str text;
	uint64_t skipped;

	if (is_whole(item))
		return put_whole(s, b, item);
	text = imap_section(b, item);
	put_label(s, item);
	if (!text.ptr)
		return imap_puts(s, " NIL");
	if (item->partial)
		text = kurir_str_part(text, item->start, item->octets);
	kurir_printf(s->stream, " {%zu}\r\n", text.len);
	if (text.len < FILE_MIN || text.ptr < b->text.ptr || text.ptr > b->text.ptr + b->text.len)
		return kurir_write(s->stream, text);
	skipped = (uint64_t)(text.ptr - b->text.ptr);
	return kurir_send_file(s->stream, b->body.fd, b->body.offset + skipped, text.len,
	    kurir_now() + s->conf->idle);
}

/* RFC 3516: decoded, in a literal8 when a literal cannot have it. */
KURIR_PARKS static int put_binary(
    struct imap *s, struct fetch *f, struct imap_bytes *b, const struct imap_item *item)
{
	struct kurir_str text;

	if (imap_binary(b, item, &text) < 0) {
		f->unknown_encoding = true;
		text = (struct kurir_str){ NULL, 0 };
	}
	put_label(s, item);
	if (item->kind == IMAP_ITEM_BINARY_SIZE)
		return kurir_printf(s->stream, " %zu", text.len);
	if (!text.ptr)
		return imap_puts(s, " NIL");
	if (item->partial)
		text = kurir_str_part(text, item->start, item->octets);
	kurir_printf(
	    s->stream, memchr(text.ptr, '\0', text.len) ? " ~{%zu}\r\n" : " {%zu}\r\n", text.len);
	return kurir_write(s->stream, text);
}

/* All that may be kept of headers fits, however it is quoted. */
#define STRUCTURE_MAX ((size_t)16 * 1024 * 1024)

KURIR_PARKS static int put_structure(struct imap *s, struct imap_bytes *b, bool extended)
{
	struct kurir_str known = b->facts[extended ? KURIR_FACT_STRUCTURE : KURIR_FACT_BODY];
	struct kurir_buf text = KURIR_BUF(STRUCTURE_MAX);
	int r;

	imap_puts(s, extended ? "BODYSTRUCTURE " : "BODY ");
	if (known.ptr)
		return kurir_write(s->stream, known);
	r = mime_put_structure(&text, imap_bytes_message(b)->root, extended);
	if (r >= 0)
		r = kurir_write(s->stream, kurir_buf_str(&text));
	kurir_buf_free(&text);
	return r;
}

/* msg-att =/ "EMAILID" SP "(" objectid ")" / "THREADID" SP ("(" objectid ")" / nil) ; RFC 8474 */
KURIR_PARKS static int put_id(struct imap *s, const char *label, struct kurir_str id)
{
	if (id.len == 0)
		return kurir_printf(s->stream, "%s NIL", label);
	return kurir_printf(s->stream, "%s (%.*s)", label, KURIR_ARG(id));
}

KURIR_PARKS static int put_item(struct imap *s, struct fetch *f, const struct imap_item *item,
    const struct kurir_message *m, struct imap_bytes *b)
{
	switch (item->kind) {
	case IMAP_ITEM_FLAGS:
		return imap_put_flags(s, m);
	case IMAP_ITEM_UID:
		return imap_put_number(s, "UID ", m->uid, "");
	case IMAP_ITEM_DATE:
		put_date(s, "INTERNALDATE", m->date);
		return 0;
	case IMAP_ITEM_SAVEDATE:
		if (m->saved == 0)
			return imap_puts(s, "SAVEDATE NIL");
		put_date(s, "SAVEDATE", m->saved);
		return 0;
	case IMAP_ITEM_SIZE:
		return imap_put_number(s, "RFC822.SIZE ", m->size, "");
	case IMAP_ITEM_MODSEQ:
		return imap_put_number(s, "MODSEQ (", m->modseq, ")");
	case IMAP_ITEM_ENVELOPE:
		imap_puts(s, "ENVELOPE ");
		return kurir_write(s->stream,
		    b->facts[KURIR_FACT_ENVELOPE].ptr ? b->facts[KURIR_FACT_ENVELOPE]
						      : imap_bytes_envelope(b));
	case IMAP_ITEM_BODY:
	case IMAP_ITEM_BODYSTRUCTURE:
		return put_structure(s, b, item->kind == IMAP_ITEM_BODYSTRUCTURE);
	case IMAP_ITEM_SECTION:
		return put_section(s, b, item);
	case IMAP_ITEM_BINARY:
	case IMAP_ITEM_BINARY_SIZE:
		return put_binary(s, f, b, item);
	case IMAP_ITEM_PREVIEW:
		imap_puts(s, "PREVIEW ");
		return imap_string(s,
		    b->facts[KURIR_FACT_PREVIEW].ptr ? b->facts[KURIR_FACT_PREVIEW]
						     : imap_bytes_message(b)->preview);
	case IMAP_ITEM_EMAIL_ID:
		return put_id(s, "EMAILID", b->facts[KURIR_FACT_EMAIL_ID]);
	case IMAP_ITEM_THREAD_ID:
		return put_id(s, "THREADID", b->facts[KURIR_FACT_THREAD_ID]);
	}
	return 0;
}

/* One message that cannot be read is left out, and said at the end (RFC 2180 section 4.1.2). */
static int miss(struct imap *s, struct fetch *f, const struct kurir_message *m, int r)
{
	if (r == -ECANCELED)
		return r;
	if (r != -ENOENT)
		kurir_log(s->self, KURIR_WARN, r, "cannot read %.*s of %.*s, answering NO",
		    KURIR_ARG(m->name), KURIR_ARG(s->place.account));
	if (f->missing == 0 || r != -ENOENT)
		f->missing = r;
	return 0;
}

/* Whether what is known of the message is not enough. */
static bool lacks(const struct fetch *f, const struct kurir_str *facts)
{
	for (size_t i = 0; i < f->count; i++)
		for (unsigned j = 0; j < KURIR_FACTS; j++)
			if (f->items[i].kind >= IMAP_ITEM_ENVELOPE && !facts[j].ptr &&
			    fact_of(&f->items[i]) == 1u << j)
				return true;
	return false;
}

/* What was asked for of one message, between the brackets of the reply. */
KURIR_PARKS static int put_items(
    struct imap *s, struct fetch *f, struct kurir_message *m, struct imap_bytes *b)
{
	bool told = f->sets_seen && !(m->flags & KURIR_MESSAGE_SEEN);
	int r = 0;

	if (told)
		m->flags |= KURIR_MESSAGE_SEEN;
	for (size_t i = 0; i < f->count && r >= 0; i++) {
		if (i > 0)
			imap_puts(s, " ");
		r = put_item(s, f, &f->items[i], m, b);
		told = told && f->items[i].kind != IMAP_ITEM_FLAGS;
	}
	if (told && r >= 0) {
		imap_puts(s, " ");
		r = imap_put_flags(s, m);
	}
	return r;
}

/* A number, or flags. */
static bool is_short(const struct imap_item *item)
{
	return item->kind == IMAP_ITEM_FLAGS || item->kind == IMAP_ITEM_UID ||
	    item->kind == IMAP_ITEM_SIZE || item->kind == IMAP_ITEM_MODSEQ;
}

KURIR_PARKS static void add_short(struct imap *s, struct imap_piece *p,
    const struct imap_item *item, const struct kurir_message *m)
{
	if (item->kind == IMAP_ITEM_FLAGS) {
		imap_piece_flags(s, p, m);
		return;
	}
	imap_piece_text(p,
	    item->kind == IMAP_ITEM_UID	       ? "UID "
		: item->kind == IMAP_ITEM_SIZE ? "RFC822.SIZE "
					       : "MODSEQ (");
	imap_piece_number(p,
	    item->kind == IMAP_ITEM_UID	       ? m->uid
		: item->kind == IMAP_ITEM_SIZE ? m->size
					       : m->modseq);
	if (item->kind == IMAP_ITEM_MODSEQ)
		imap_piece_text(p, ")");
}

/* One of which nothing is asked for but what the snapshot knows. */
KURIR_PARKS static int put_known(struct imap *s, struct fetch *f, size_t index)
{
	struct kurir_message *m = imap_at(s, index);
	struct imap_bytes none = { .body = { .fd = -1 } };
	struct imap_piece p;
	int r = 0;

	p.len = 0;
	f->looked = false;
	imap_piece_fetch(s, &p, index, m->uid);
	for (size_t i = 0; i < f->count && r >= 0; i++) {
		const struct imap_item *item = &f->items[i];

		if (i > 0)
			imap_piece_text(&p, " ");
		if (!is_short(item) || p.len > IMAP_PIECE_MAX / 2)
			r = imap_piece_write(s, &p);
		if (is_short(item))
			add_short(s, &p, item, m);
		else
			r = put_item(s, f, item, m, &none);
	}
	imap_piece_text(&p, ")\r\n");
	return r < 0 ? r : imap_piece_write(s, &p);
}

/* One message; -errno when the connection is gone. */
KURIR_PARKS static int put_message(
    struct imap *s, struct fetch *f, struct imap_facts *facts, size_t index)
{
	struct kurir_message *m = imap_at(s, index);
	struct imap_bytes b;
	int r = 0;

	f->looked = false;
	imap_bytes_begin(&b, imap_facts_get(facts, index));
	if ((facts->want & 1u << KURIR_FACT_EMAIL_ID) && !b.facts[KURIR_FACT_EMAIL_ID].ptr)
		r = facts->error < 0 ? facts->error : -ENOENT;
	else if ((f->looked = f->looks_into || lacks(f, b.facts)))
		r = imap_bytes_open(s, m, &b);
	else if (f->needs_bytes)
		r = imap_bytes_open_in(s, &s->place, m, &b);
	if (r < 0) {
		imap_bytes_close(&b);
		return miss(s, f, m, r);
	}
	if (b.open)
		kurir_count(s->self, IMAP_RETRIEVED, 1);
	r = imap_put_fetch(s, index, m->uid);
	if (r >= 0)
		r = put_items(s, f, m, &b);
	imap_bytes_close(&b);
	return r < 0 ? r : imap_puts(s, ")\r\n");
}

/* All of them.  The others have a turn, also when the client reads as fast as we write. */
KURIR_PARKS static int put_messages(struct imap *s, struct fetch *f)
{
	struct imap_facts facts;
	bool plain = !f->wants && !f->needs_bytes;
	int r = 0;

	/* The bytes say all that a fact does, but for the ids. */
	imap_facts_begin(&facts, s,
	    f->needs_bytes ? f->wants & (1u << KURIR_FACT_EMAIL_ID | 1u << KURIR_FACT_THREAD_ID)
			   : f->wants,
	    &f->uids);
	for (size_t i = next(s, f, 0); i < s->box.count && r >= 0; i = next(s, f, i + 1)) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());

		r = plain ? put_known(s, f, i) : put_message(s, f, &facts, i);
		kurir_rewind(kurir_scratch(), mark);
		if (r >= 0 && (f->looked || i % (plain ? 256 : 16) == 15))
			r = kurir_yield();
	}
	imap_facts_end(&facts);
	return r;
}

KURIR_PARKS static void finish(struct imap *s, const struct fetch *f, int r)
{
	if (r < 0)
		s->over = true; /* in the middle of a reply: nothing sensible can follow */
	else if (f->missing == -ENOENT)
		imap_no(s, "[EXPUNGEISSUED] Some messages are there no more");
	else if (f->missing < 0)
		imap_no(s, "[UNAVAILABLE] Some messages cannot be read now");
	else if (f->unknown_encoding)
		imap_no(s, "[UNKNOWN-CTE] Some parts cannot be decoded");
	else
		imap_limited_ok(s, f->lowest);
}

KURIR_PARKS void imap_fetch(struct imap *s, struct imap_args *a)
{
	struct fetch *f = kurir_alloc(kurir_scratch(), sizeof(*f));
	int r = parse(s, a, f);

	if (r < 0) {
		imap_bad(s, "FETCH takes a set and a list of items");
		return;
	}
	plan(s, f);
	if (f->condstore)
		imap_enable_condstore(s);
	if (f->vanished)
		r = imap_put_vanished(s, f->changed_since, &f->uids);
	if (r >= 0)
		r = imap_need(s, &f->uids);
	if (r >= 0 && (f->changed_since || f->partial_given))
		narrow(s, f);
	if (r >= 0)
		imap_limit(s, &f->uids, &f->lowest);
	if (r >= 0 && f->sets_seen)
		r = set_seen(s, f);
	if (r < 0) {
		imap_failed(s, r);
		return;
	}
	r = put_messages(s, f);
	finish(s, f, r);
}

/* Nothing is said of what cannot be read, and nothing becomes seen by it. */
KURIR_PARKS int imap_put_new(struct imap *s, uint32_t from, struct kurir_str items)
{
	struct fetch *f = kurir_alloc(kurir_scratch(), sizeof(*f));
	struct kurir_uid_range range = { from, UINT32_MAX };
	struct imap_args a = { .rest = items };
	bool by_uid = s->by_uid;
	int r;

	if (imap_items_parse(&a, f->items, IMAP_ITEMS_MAX - 2, &f->count) < 0)
		return -EBADMSG;
	f->uids = (struct kurir_uid_set){ 1, &range };
	s->by_uid = true; /* the UID comes along */
	plan(s, f);
	s->by_uid = by_uid;
	r = imap_need(s, &f->uids);
	if (r < 0)
		return r;
	r = put_messages(s, f);
	if (r < 0)
		s->over = true; /* in the middle of a reply: nothing sensible can follow */
	return r;
}
