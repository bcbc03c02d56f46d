/* mime_parse.c - the tree of parts.
 *
 *   multipart-body = [preamble CRLF] dash-boundary transport-padding CRLF body-part
 *                    *(CRLF dash-boundary transport-padding CRLF body-part)
 *                    CRLF dash-boundary "--" transport-padding [CRLF epilogue]   ; RFC 2046
 * section 5.1.1 */

#include <string.h>

#include "mime.h"

struct parser {
	struct kurir_arena *arena;
	unsigned parts;
};

static void parse_entity(
    struct parser *, struct mime_part *, struct kurir_str entity, unsigned depth, bool in_digest);

static struct kurir_str param(const struct mime_field *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (kurir_str_equal_nocase(f->params[i].name, kurir_str_of(name)))
			return f->params[i].value;
	return KURIR_STR("");
}

static uint32_t count_lines(struct kurir_str s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	uint32_t n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n + (s.len > 0 && s.ptr[s.len - 1] != '\n');
}

enum line_kind { LINE_OTHER, LINE_DELIMITER, LINE_CLOSE };

/* Whether the line (without its LF) is "--boundary" or "--boundary--". */
static enum line_kind line_kind(struct kurir_str line, struct kurir_str boundary)
{
	struct kurir_str rest;

	if (line.len < boundary.len + 2 || line.ptr[0] != '-' || line.ptr[1] != '-' ||
	    memcmp(line.ptr + 2, boundary.ptr, boundary.len) != 0)
		return LINE_OTHER;
	rest = kurir_str_part(line, boundary.len + 2, line.len);
	if (kurir_str_starts(rest, KURIR_STR("--")))
		return LINE_CLOSE;
	return kurir_str_trim(rest).len == 0 ? LINE_DELIMITER : LINE_OTHER;
}

/* The CRLF before a delimiter belongs to the delimiter. */
static size_t without_crlf(struct kurir_str body, size_t start, size_t end)
{
	if (end > start && body.ptr[end - 1] == '\n')
		end--;
	if (end > start && body.ptr[end - 1] == '\r')
		end--;
	return end;
}

static struct mime_part *add_part(struct parser *p, struct mime_part ***tail)
{
	struct mime_part *part;

	if (p->parts >= MIME_PARTS_MAX)
		return NULL;
	p->parts++;
	part = kurir_alloc(p->arena, sizeof(*part));
	**tail = part;
	*tail = &part->next;
	return part;
}

static void parse_multipart(
    struct parser *p, struct mime_part *parent, struct kurir_str boundary, unsigned depth)
{
	bool digest = kurir_str_equal_nocase(parent->subtype, KURIR_STR("digest"));
	struct mime_part **tail = &parent->child, *part = NULL;
	struct kurir_str body = parent->body;
	size_t at = 0, start = 0;
	bool inside = false;

	while (at < body.len) {
		const char *lf = memchr(body.ptr + at, '\n', body.len - at);
		size_t next = lf ? (size_t)(lf - body.ptr) + 1 : body.len;
		enum line_kind kind = line_kind(kurir_str_part(body, at, next - at), boundary);

		if (kind != LINE_OTHER) {
			if (inside && (part = add_part(p, &tail)) != NULL)
				parse_entity(p, part,
				    kurir_str_part(
					body, start, without_crlf(body, start, at) - start),
				    depth + 1, digest);
			if (kind == LINE_CLOSE)
				return;
			inside = true;
			start = next;
		}
		at = next;
	}
	if (inside && start < body.len && (part = add_part(p, &tail)) != NULL)
		parse_entity(p, part, kurir_str_part(body, start, body.len), depth + 1, digest);
}

static struct kurir_str get(struct parser *p, const struct mime_part *part, const char *name)
{
	return mime_header_get(p->arena, part->header, kurir_str_of(name));
}

/* type "/" subtype; what is not that is text/plain, or message/rfc822 in a digest. */
static void set_type(struct parser *p, struct mime_part *part, bool in_digest)
{
	struct kurir_str value;
	ssize_t slash;

	mime_field_parse(p->arena, get(p, part, "Content-Type"), &part->content_type);
	value = part->content_type.value;
	slash = value.ptr ? kurir_str_find(value, '/') : -1;
	if (slash <= 0 || (size_t)slash + 1 >= value.len) {
		part->type = in_digest ? KURIR_STR("message") : KURIR_STR("text");
		part->subtype = in_digest ? KURIR_STR("rfc822") : KURIR_STR("plain");
		return;
	}
	part->type = kurir_str_part(value, 0, (size_t)slash);
	part->subtype = kurir_str_part(value, (size_t)slash + 1, value.len);
}

static void parse_entity(struct parser *p, struct mime_part *part, struct kurir_str entity,
    unsigned depth, bool in_digest)
{
	struct kurir_str boundary;

	mime_split(entity, &part->header, &part->body);
	part->lines = count_lines(part->body);
	set_type(p, part, in_digest);
	mime_field_parse(p->arena, get(p, part, "Content-Disposition"), &part->disposition);
	part->id = get(p, part, "Content-ID");
	part->description = get(p, part, "Content-Description");
	part->encoding = get(p, part, "Content-Transfer-Encoding");
	part->language = get(p, part, "Content-Language");
	part->location = get(p, part, "Content-Location");
	part->md5 = get(p, part, "Content-MD5");
	if (depth >= MIME_DEPTH_MAX)
		return;
	boundary = param(&part->content_type, "boundary");
	if (kurir_str_equal_nocase(part->type, KURIR_STR("multipart")) && boundary.len > 0) {
		parse_multipart(p, part, boundary, depth);
		part->multipart = part->child != NULL;
	} else if (kurir_str_equal_nocase(part->type, KURIR_STR("message")) &&
	    kurir_str_equal_nocase(part->subtype, KURIR_STR("rfc822")) &&
	    p->parts < MIME_PARTS_MAX) {
		p->parts++;
		part->message = true;
		part->child = kurir_alloc(p->arena, sizeof(*part->child));
		parse_entity(p, part->child, part->body, depth + 1, false);
	}
}

struct mime_part *mime_parse(struct kurir_arena *arena, struct kurir_str message)
{
	struct parser p = { .arena = arena, .parts = 1 };
	struct mime_part *root = kurir_alloc(arena, sizeof(*root));

	parse_entity(&p, root, message, 0, false);
	return root;
}
