/* mime_parse.c - the tree of parts, from one pass.
 *
 *   entity         = *field CRLF body                                     ; RFC 2045, RFC 5322
 *   multipart-body = [preamble CRLF] dash-boundary transport-padding CRLF body-part
 *                    *(CRLF dash-boundary transport-padding CRLF body-part)
 *                    CRLF dash-boundary "--" transport-padding [CRLF epilogue]
 *                                                             ; RFC 2046 section 5.1.1
 *
 * Entities that are open are a stack, the message first.  Lines of a body are passed over by
 * their line feeds; one is held only when it may be a delimiter and has not ended.  A line feed
 * alone ends a line, too. */

#include <string.h>

#include "mime_private.h"

#define LEVELS	  (MIME_DEPTH_MAX + 1)
#define LOOK_MAX  65536 /* bytes of a text in which a preview is looked for */
#define LOOK_ONCE 512

struct level {
	struct mime_part *part, **tail; /* where its next part goes */
	struct mime_part **link;	/* where it hangs */
	struct kurir_str boundary;	/* len 0: it has none, or was closed */
	bool digest;			/* its parts are messages unless they say otherwise */
	bool attached, within;		/* in an attachment; in a message in the message */
	uint64_t line_feeds;		/* before its body */
};
struct mime_parser {
	struct kurir_arena *arena;
	struct mime_options options;
	struct mime_message message;
	struct level levels[LEVELS];
	unsigned count; /* of levels */
	unsigned open;	/* that have a boundary */
	unsigned parts;
	bool in_header, in_digest, is_message; /* of the last level */
	struct kurir_buf header;
	size_t headers; /* bytes that were read of all */

	uint64_t at, line; /* offsets: of the next byte, of the line's first */
	uint64_t line_feeds;
	unsigned ending; /* bytes of the line end before this line */
	bool empty;	 /* the line before had nothing else */
	bool middle;	 /* this line is no delimiter */
	char last;	 /* byte of what was passed over */
	char held[MIME_LINE_MAX];
	size_t held_count;

	bool texting; /* the last level's body goes to text */
	struct mime_textual text;
	struct kurir_str pending; /* a line end that may belong to a delimiter */
	struct mime_preview *preview, plain, html;
	size_t looked;
};

/* Text. */

static void put_text(void *arg, const char *s, size_t n)
{
	struct mime_parser *p = arg;
	const struct level *l = &p->levels[p->count - 1];

	if (p->preview)
		mime_preview_put(p->preview, s, n);
	if (p->options.text)
		p->options.text(p->options.arg, MIME_TEXT_BODY, l->part, l->within, KURIR_STR(""),
		    (struct kurir_str){ s, n });
}

static bool is_text(const struct mime_part *part)
{
	return kurir_str_equal_nocase(part->type, KURIR_STR("text"));
}

static struct mime_preview *preview_of(struct mime_parser *p, const struct level *l)
{
	if (!p->options.preview || l->attached || p->plain.len > 0)
		return NULL;
	if (kurir_str_equal_nocase(l->part->subtype, KURIR_STR("plain")))
		return &p->plain;
	return kurir_str_equal_nocase(l->part->subtype, KURIR_STR("html")) && p->html.len == 0
	    ? &p->html
	    : NULL;
}

static void text_begin(struct mime_parser *p, const struct level *l)
{
	struct mime_out out = { put_text, p };

	if (!is_text(l->part))
		return;
	p->preview = preview_of(p, l);
	if (!p->preview && !p->options.text)
		return;
	if (p->preview)
		p->preview->plain = p->preview == &p->plain;
	p->texting = true;
	p->pending = KURIR_STR("");
	p->looked = 0;
	mime_textual_begin(p->arena, &p->text, l->part, &out);
}

static void text_end(struct mime_parser *p, bool delimited)
{
	const struct level *l = &p->levels[p->count - 1];

	if (!p->texting)
		return;
	if (!delimited)
		mime_textual_feed(&p->text, p->pending);
	mime_textual_end(&p->text);
	if (p->options.text)
		p->options.text(p->options.arg, MIME_TEXT_BODY_END, l->part, l->within,
		    KURIR_STR(""), KURIR_STR(""));
	p->texting = false;
	p->preview = NULL;
}

/* The line end at the end of s. */
static struct kurir_str line_end(struct kurir_str s)
{
	if (s.len > 1 && s.ptr[s.len - 1] == '\n' && s.ptr[s.len - 2] == '\r')
		return KURIR_STR("\r\n");
	if (s.ptr[s.len - 1] == '\n')
		return KURIR_STR("\n");
	return s.ptr[s.len - 1] == '\r' ? KURIR_STR("\r") : KURIR_STR("");
}

/* A preview needs no more than the beginning. */
static void text_enough(struct mime_parser *p, size_t more)
{
	p->looked += more;
	if (!p->preview || (!p->preview->full && p->looked < LOOK_MAX))
		return;
	p->preview = NULL;
	if (!p->options.text)
		text_end(p, true);
}

/* s is not empty. */
static void text_feed(struct mime_parser *p, struct kurir_str s)
{
	if (s.len == 1 && s.ptr[0] == '\n' && kurir_str_equal(p->pending, KURIR_STR("\r"))) {
		p->pending = KURIR_STR("\r\n");
		return;
	}
	mime_textual_feed(&p->text, p->pending);
	p->pending = line_end(s);
	s.len -= p->pending.len;
	while (s.len > 0 && p->texting) {
		size_t n = p->preview && s.len > LOOK_ONCE ? LOOK_ONCE : s.len;

		mime_textual_feed(&p->text, kurir_str_part(s, 0, n));
		text_enough(p, n);
		s = kurir_str_part(s, n, s.len);
	}
}

/* Levels. */

static void header_begin(
    struct mime_parser *p, struct mime_part **link, bool in_digest, bool message)
{
	struct mime_part *part = *link;
	const struct level *above = p->count > 0 ? &p->levels[p->count - 1] : NULL;
	struct level *l = &p->levels[p->count];

	*l = (struct level){ .part = part,
		.link = link,
		.tail = &part->child,
		.attached = above && above->attached,
		.within = above && (above->within || message) };
	part->depth = p->count;
	part->header.at = p->at;
	p->count++;
	p->in_header = true;
	p->in_digest = in_digest;
	p->is_message = message;
	kurir_buf_clear(&p->header);
}

/* Where the next part of that one hangs. */
static struct mime_part **part_new(struct mime_parser *p, struct level *above)
{
	struct mime_part **link = above->tail;

	*link = kurir_alloc(p->arena, sizeof(**link));
	above->tail = &(*link)->next;
	p->parts++;
	return link;
}

/* Those who look for words see the header, too. */
static void tell_header(struct mime_parser *p, const struct level *l)
{
	const struct mime_options *o = &p->options;
	struct kurir_str name, all, value, rest = kurir_buf_str(&p->header);

	while (mime_header_next(&rest, &name, &all)) {
		struct kurir_mark mark = kurir_mark(p->arena);
		ssize_t colon = kurir_str_find(all, ':');

		if (colon <= 0)
			continue;
		value = mime_unfold(p->arena, kurir_str_part(all, (size_t)colon + 1, all.len));
		o->text(o->arg, MIME_TEXT_FIELD, l->part, l->within, name,
		    mime_decode_words(p->arena, value));
		kurir_rewind(p->arena, mark);
	}
	value = mime_param_text(p->arena, &l->part->disposition, KURIR_STR("filename"));
	if (!value.ptr)
		value = mime_param_text(p->arena, &l->part->content_type, KURIR_STR("name"));
	if (value.ptr)
		o->text(o->arg, MIME_TEXT_NAME, l->part, l->within, KURIR_STR(""), value);
}

static bool is_type(const struct mime_part *part, const char *type, const char *subtype)
{
	return kurir_str_equal_nocase(part->type, kurir_str_of(type)) &&
	    (!subtype || kurir_str_equal_nocase(part->subtype, kurir_str_of(subtype)));
}

/* A multipart without parts, or a message that is not looked into. */
static void hollow(struct mime_part *part)
{
	if (is_type(part, "multipart", NULL)) {
		part->type = KURIR_STR("text");
		part->subtype = KURIR_STR("plain");
	} else if (is_type(part, "message", "rfc822")) {
		part->type = KURIR_STR("application");
		part->subtype = KURIR_STR("octet-stream");
	}
}

/* The header has ended at p->at; body: something may follow it. */
static void header_end(struct mime_parser *p, uint64_t end, bool body)
{
	struct level *l = &p->levels[p->count - 1];
	struct mime_part *part = l->part;
	bool room = body && p->count < LEVELS && p->parts < MIME_PARTS_MAX;
	struct kurir_str boundary;

	p->in_header = false;
	part->header.len = end - part->header.at;
	part->body.at = end;
	l->line_feeds = p->line_feeds;
	mime_entity(p->arena, kurir_buf_str(&p->header), part, p->in_digest, p->is_message,
	    p->count == 1 ? &p->message : NULL);
	l->attached = l->attached ||
	    kurir_str_equal_nocase(part->disposition.value, KURIR_STR("attachment"));
	if (p->options.text)
		tell_header(p, l);
	boundary = mime_param(p->arena, &part->content_type, "boundary");
	if (room && is_type(part, "multipart", NULL) && boundary.len > 0 &&
	    boundary.len <= MIME_BOUNDARY_MAX) {
		l->boundary = boundary;
		l->digest = is_type(part, "multipart", "digest");
		p->open++;
	} else if (room && is_type(part, "message", "rfc822") && !part->encoded) {
		part->message = true;
		header_begin(p, part_new(p, l), false, true);
	} else {
		hollow(part);
		if (body)
			text_begin(p, l);
	}
}

/* Ends those above the first keep; end: of their bodies. */
static void close_levels(struct mime_parser *p, unsigned keep, uint64_t end, bool delimited)
{
	while (p->count > keep) {
		struct level *l = &p->levels[p->count - 1];
		struct mime_part *part = l->part;
		uint64_t lines = p->line_feeds - l->line_feeds;

		if (p->in_header)
			header_end(p, end > part->header.at ? end : part->header.at, false);
		text_end(p, delimited);
		part->body.len = end > part->body.at ? end - part->body.at : 0;
		if (delimited)
			lines -= p->empty;
		else
			lines += p->at > p->line;
		part->lines = part->body.len > 0 ? (uint32_t)lines : 0;
		part->multipart = part->child && !part->message;
		if (l->boundary.len > 0)
			p->open--;
		if (!part->child)
			hollow(part);
		p->count--;
	}
}

/* Lines. */

/* These bytes belong to what is open; ended: the last of them is a line's line feed. */
static void pass(struct mime_parser *p, struct kurir_str s)
{
	bool ended = s.ptr[s.len - 1] == '\n';
	char before = s.len > 1 ? s.ptr[s.len - 2] : p->last;

	if (p->in_header) {
		size_t room = MIME_HEADER_MAX - p->header.len;

		if (room > MIME_HEADERS_MAX - p->headers)
			room = MIME_HEADERS_MAX - p->headers;
		room = s.len < room ? s.len : room;
		(void)kurir_buf_add(&p->header, kurir_str_part(s, 0, room));
		p->headers += room;
	} else if (p->texting) {
		text_feed(p, s);
	}
	p->at += s.len;
	p->last = s.ptr[s.len - 1];
	p->middle = !ended;
	if (!ended)
		return;
	p->ending = before == '\r' ? 2 : 1;
	p->empty = p->at - p->line == p->ending;
	p->line = p->at;
	p->last = '\0';
}

/* The same of bytes with any number of lines. */
static void pass_lines(struct mime_parser *p, struct kurir_str s)
{
	const char *at = s.ptr, *end = s.ptr + s.len, *line = s.ptr, *before = NULL;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		p->line_feeds++;
		before = line;
		line = ++at;
		if (at == end)
			break;
	}
	/* The last line that ended alone, as what stands before it is of no matter. */
	if (before > s.ptr) {
		p->line = p->at + (uint64_t)(before - s.ptr);
		p->last = '\0';
	}
	if (line == end || line == s.ptr) {
		pass(p, s);
	} else {
		pass(p, kurir_str_part(s, 0, (size_t)(line - s.ptr)));
		pass(p, kurir_str_part(s, (size_t)(line - s.ptr), s.len));
	}
}

enum line_kind { LINE_OTHER, LINE_DELIMITER, LINE_CLOSE };

/* "--" boundary ["--"] *LWSP */
static enum line_kind line_kind(struct kurir_str line, struct kurir_str boundary)
{
	enum line_kind kind = LINE_DELIMITER;
	struct kurir_str rest = kurir_str_part(line, boundary.len + 2, line.len);

	if (line.len < boundary.len + 2 || memcmp(line.ptr + 2, boundary.ptr, boundary.len) != 0)
		return LINE_OTHER;
	if (kurir_str_starts(rest, KURIR_STR("--"))) {
		rest = kurir_str_part(rest, 2, rest.len);
		kind = LINE_CLOSE;
	}
	return kurir_str_trim(rest).len == 0 ? kind : LINE_OTHER;
}

/* A delimiter directly behind another one of the same multipart makes no part. */
static void drop_nothing(struct mime_parser *p, struct level *multipart)
{
	struct level *l = &p->levels[p->count - 1];

	if (l != multipart + 1 || !p->in_header || p->line != l->part->header.at)
		return;
	*l->link = NULL;
	multipart->tail = l->link;
	p->in_header = false;
	p->parts--;
	p->count--;
}

/* A line that begins with "--": whether it delimits.  The innermost multipart is asked first. */
static bool delimit(struct mime_parser *p, struct kurir_str line)
{
	enum line_kind kind = LINE_OTHER;
	struct level *l = NULL;

	for (unsigned i = p->count; i > 0 && kind == LINE_OTHER; i--) {
		l = &p->levels[i - 1];
		if (l->boundary.len > 0)
			kind = line_kind(line, l->boundary);
	}
	if (kind == LINE_OTHER)
		return false;
	drop_nothing(p, l);
	close_levels(p, (unsigned)(l - p->levels) + 1, p->line - p->ending, true);
	p->line_feeds += line.ptr[line.len - 1] == '\n';
	pass(p, line);
	if (kind == LINE_CLOSE) {
		l->boundary.len = 0;
		p->open--;
	} else {
		header_begin(p, part_new(p, l), l->digest, false);
	}
	return true;
}

static bool delimits(const struct mime_parser *p)
{
	return p->open > 0 && p->parts < MIME_PARTS_MAX;
}

static bool is_blank(struct kurir_str line)
{
	return line.ptr[0] == '\n' ||
	    (line.len == 2 && line.ptr[0] == '\r' && line.ptr[1] == '\n');
}

/* A whole line, or the last that has no end. */
static void take_line(struct mime_parser *p, struct kurir_str line)
{
	if (line.len > 1 && line.ptr[0] == '-' && line.ptr[1] == '-' && delimits(p) &&
	    delimit(p, line))
		return;
	bool blank = p->in_header && is_blank(line);

	pass_lines(p, line);
	if (blank)
		header_end(p, p->at, true);
}

/* Whether a line that begins like this has to be seen whole. */
static bool is_special(const struct mime_parser *p, char c)
{
	return (c == '-' && delimits(p)) || (p->in_header && (c == '\r' || c == '\n'));
}

/* More of a line whose beginning is held. */
static size_t take_held(struct mime_parser *p, struct kurir_str s)
{
	size_t room = sizeof(p->held) - p->held_count;
	struct kurir_str part = kurir_str_part(s, 0, room);
	ssize_t lf = kurir_str_find(part, '\n');
	struct kurir_str line;

	if (lf >= 0)
		part.len = (size_t)lf + 1;
	memcpy(p->held + p->held_count, part.ptr, part.len);
	p->held_count += part.len;
	line = (struct kurir_str){ p->held, p->held_count };
	if (lf >= 0) {
		p->held_count = 0;
		take_line(p, line);
	} else if (p->held_count == sizeof(p->held)) {
		p->held_count = 0;
		pass(p, line);
	}
	return part.len;
}

/* Bytes at the beginning of s that are nothing special: up to a line that may be, or the end. */
static size_t plain_lines(const struct mime_parser *p, struct kurir_str s)
{
	const char *at = s.ptr, *end = s.ptr + s.len;

	if (!p->in_header && !delimits(p))
		return s.len;
	while (at < end && !is_special(p, *at)) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return s.len;
		at++;
	}
	return (size_t)(at - s.ptr);
}

void mime_feed(struct mime_parser *p, struct kurir_str s)
{
	while (s.len > 0) {
		ssize_t lf;
		size_t n;

		if (p->held_count > 0) {
			n = take_held(p, s);
		} else if (p->middle) {
			lf = kurir_str_find(s, '\n');
			n = lf < 0 ? s.len : (size_t)lf + 1;
			pass_lines(p, kurir_str_part(s, 0, n));
		} else if ((n = plain_lines(p, s)) > 0) {
			pass_lines(p, kurir_str_part(s, 0, n));
		} else if ((lf = kurir_str_find(s, '\n')) >= 0) {
			n = (size_t)lf + 1;
			if (n <= sizeof(p->held))
				take_line(p, kurir_str_part(s, 0, n));
			else
				pass_lines(p, kurir_str_part(s, 0, n));
		} else {
			n = take_held(p, s);
		}
		s = kurir_str_part(s, n, s.len);
	}
}

static void parser_end(void *arg)
{
	struct mime_parser *p = arg;

	if (p->texting)
		mime_textual_end(&p->text);
	p->texting = false;
	kurir_buf_free(&p->header);
}

static void nowhere(void *arg, const char *s, size_t n)
{
	(void)arg;
	(void)s;
	(void)n;
}

struct mime_parser *mime_begin(struct kurir_arena *arena, const struct mime_options *options)
{
	struct mime_parser *p = kurir_alloc(arena, sizeof(*p));

	p->arena = arena;
	if (options)
		p->options = *options;
	p->text.to = (struct mime_out){ nowhere, NULL };
	p->header = KURIR_BUF(MIME_HEADER_MAX);
	p->message.root = kurir_alloc(arena, sizeof(*p->message.root));
	p->parts = 1;
	kurir_at_end(arena, parser_end, p);
	header_begin(p, &p->message.root, false, true);
	return p;
}

const struct mime_message *mime_end(struct mime_parser *p)
{
	if (p->held_count > 0) {
		struct kurir_str line = { p->held, p->held_count };

		p->held_count = 0;
		take_line(p, line);
	}
	close_levels(p, 0, p->at, false);
	kurir_buf_free(&p->header);
	p->message.preview =
	    kurir_copy(p->arena, mime_preview_text(p->plain.len > 0 ? &p->plain : &p->html));
	return &p->message;
}

const struct mime_message *mime_read(
    struct kurir_arena *arena, struct kurir_str message, const struct mime_options *options)
{
	struct mime_parser *p = mime_begin(arena, options);

	mime_feed(p, message);
	return mime_end(p);
}

struct kurir_str mime_bytes(struct kurir_str message, struct mime_range r)
{
	return kurir_str_part(message, r.at, r.len);
}
