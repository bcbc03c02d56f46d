/* headers_edit.c - the rules, and what they make of one field.  No I/O.
 *
 * RFC 5322 2.2:  field = field-name ":" unstructured CRLF
 *                field-name = 1*ftext      ftext = %d33-57 / %d59-126
 *          2.2.3 a line that begins with WSP belongs to the field before it */
#include "headers.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#define GROUPS 10

struct rewrite {
	struct kurir_str name, by;
	regex_t expression;
};
struct headers_rules {
	const struct headers_conf *conf;
	struct rewrite *rewrites;
	size_t count;
};

static void rules_free(void *arg)
{
	struct headers_rules *r = arg;

	while (r->count > 0)
		regfree(&r->rewrites[--r->count].expression);
}

/* What an administrator wrote as the name of a field: with "*" at its end where that may be. */
static bool good_name(struct kurir_str name, bool pattern)
{
	size_t i;

	if (pattern && name.len > 0 && name.ptr[name.len - 1] == '*')
		name.len--;
	for (i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	return name.len > 0 && name.len <= 200;
}

static bool good_value(const struct kurir_texts *values)
{
	size_t i, k;

	for (i = 0; i < values->count; i++) {
		struct kurir_str v = values->items[i];

		if (v.len > HEADERS_LINE_MAX - 300)
			return false;
		for (k = 0; k < v.len; k++)
			if ((unsigned char)v.ptr[k] < ' ' && v.ptr[k] != '\t')
				return false;
	}
	return values->count > 0;
}

static int check_map(struct kurir_arena *arena, const struct kurir_map *map, const char *what,
    struct kurir_str *error)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		struct kurir_str key = kurir_str_part(map->items[i].key, 0, 80);

		if (!good_name(map->items[i].key, false))
			*error = kurir_format(arena, "%s: \"%.*s\" cannot be the name of a field",
			    what, KURIR_ARG(key));
		else if (!good_value(&map->items[i].values))
			*error = kurir_format(arena,
			    "%s: the value of \"%.*s\" is missing, too long, or not one line",
			    what, KURIR_ARG(key));
		else
			continue;
		return -EINVAL;
	}
	return 0;
}

static int compile(struct kurir_arena *arena, struct headers_rules *rules,
    const struct kurir_pair *p, struct kurir_str *error)
{
	struct rewrite *w = &rules->rewrites[rules->count];
	char why[100];
	int r;

	if (p->values.count != 2) {
		*error = kurir_format(arena,
		    "rewrite: \"%.*s\" needs an expression and what takes its place",
		    KURIR_ARG(kurir_str_part(p->key, 0, 80)));
		return -EINVAL;
	}
	w->name = p->key;
	w->by = p->values.items[1];
	r = regcomp(
	    &w->expression, kurir_copy(arena, p->values.items[0]).ptr, REG_EXTENDED | REG_ICASE);
	if (r != 0) {
		(void)regerror(r, &w->expression, why, sizeof(why));
		*error = kurir_format(arena, "rewrite: the expression of \"%.*s\": %s",
		    KURIR_ARG(kurir_str_part(p->key, 0, 80)), why);
		return -EINVAL;
	}
	rules->count++;
	return 0;
}

struct headers_rules *headers_rules_new(
    struct kurir_arena *arena, const struct headers_conf *c, struct kurir_str *error)
{
	struct headers_rules *r = kurir_alloc(arena, sizeof(*r));
	size_t i;

	r->conf = c;
	r->rewrites = kurir_alloc(arena, (c->rewrite.count + 1) * sizeof(*r->rewrites));
	kurir_at_end(arena, rules_free, r);
	for (i = 0; i < c->remove.count; i++)
		if (!good_name(c->remove.items[i], true)) {
			*error =
			    kurir_format(arena, "remove: \"%.*s\" cannot be the name of a field",
				KURIR_ARG(kurir_str_part(c->remove.items[i], 0, 80)));
			return NULL;
		}
	if (check_map(arena, &c->add, "add", error) < 0 ||
	    check_map(arena, &c->set, "set", error) < 0 ||
	    check_map(arena, &c->rewrite, "rewrite", error) < 0)
		return NULL;
	for (i = 0; i < c->rewrite.count; i++)
		if (compile(arena, r, &c->rewrite.items[i], error) < 0)
			return NULL;
	return r;
}

int headers_name(struct kurir_str line, struct kurir_str *ret)
{
	ssize_t colon = kurir_str_find(line, ':');
	struct kurir_str name;

	if (colon <= 0)
		return -EINVAL;
	/* RFC 5322 4.5: obsolete syntax has white space before the colon. */
	name = kurir_str_part(line, 0, (size_t)colon);
	while (name.len > 0 && (name.ptr[name.len - 1] == ' ' || name.ptr[name.len - 1] == '\t'))
		name.len--;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
			return -EINVAL;
	*ret = name;
	return name.len > 0 ? 0 : -EINVAL;
}

static bool removed(const struct headers_conf *c, struct kurir_str name)
{
	size_t i;

	for (i = 0; i < c->remove.count; i++) {
		struct kurir_str p = c->remove.items[i];
		bool open = p.ptr[p.len - 1] == '*';

		if (open ? kurir_str_starts_nocase(name, kurir_str_part(p, 0, p.len - 1))
			 : kurir_str_equal_nocase(name, p))
			return true;
	}
	for (i = 0; i < c->set.count; i++)
		if (kurir_str_equal_nocase(name, c->set.items[i].key))
			return true;
	return false;
}

bool headers_gone(const struct headers_rules *rules, struct kurir_str field)
{
	struct kurir_str name;

	return headers_name(field, &name) == 0 && removed(rules->conf, name);
}

/* by = *( char / "\" DIGIT / "\\" ), a digit being what the group of that number matched. */
static int substitute(
    struct kurir_buf *out, struct kurir_str by, const char *value, const regmatch_t *m)
{
	size_t i;
	int r = 0;

	for (i = 0; i < by.len && r == 0; i++) {
		struct kurir_str piece = kurir_str_part(by, i, 1);

		if (by.ptr[i] == '\\' && i + 1 < by.len) {
			char c = by.ptr[++i];

			piece = kurir_str_part(by, i, 1);
			if (c >= '0' && c <= '9') {
				const regmatch_t *g = &m[c - '0'];

				piece = g->rm_so < 0 ? KURIR_STR("")
						     : (struct kurir_str){ value + g->rm_so,
							       (size_t)(g->rm_eo - g->rm_so) };
			}
		}
		r = kurir_buf_add(out, piece);
	}
	return r;
}

/* The value on one line; -EMSGSIZE, -EINVAL: not one that an expression can be asked about. */
static int unfold(struct kurir_str value, struct kurir_buf *out)
{
	int r = 0;

	if (memchr(value.ptr, '\0', value.len) != NULL)
		return -EINVAL;
	while (value.len > 0 && r == 0) {
		size_t n = 0;

		while (n < value.len && value.ptr[n] != '\r' && value.ptr[n] != '\n')
			n++;
		r = kurir_buf_add(out, kurir_str_part(value, 0, n));
		value = kurir_str_part(value, n + 1, value.len);
	}
	return r;
}

static bool rewritten(const struct rewrite *w, struct kurir_str value, struct kurir_buf *line)
{
	struct kurir_buf flat = KURIR_BUF(HEADERS_FIELD_MAX);
	regmatch_t m[GROUPS];
	int r = unfold(value, &flat);

	if (r == 0 && flat.ptr != NULL && regexec(&w->expression, flat.ptr, GROUPS, m, 0) == 0) {
		r = kurir_buf_add(line, (struct kurir_str){ flat.ptr, (size_t)m[0].rm_so });
		if (r == 0)
			r = substitute(line, w->by, flat.ptr, m);
		if (r == 0)
			r = kurir_buf_add(line,
			    kurir_str_part(kurir_buf_str(&flat), (size_t)m[0].rm_eo, flat.len));
	} else {
		r = -ENOENT;
	}
	kurir_buf_free(&flat);
	return r == 0;
}

enum headers_edit headers_edit(
    const struct headers_rules *rules, struct kurir_str field, struct kurir_buf *out)
{
	struct kurir_str name, value;
	ssize_t colon;
	size_t i;

	if (headers_name(field, &name) < 0)
		return HEADERS_SAME;
	if (removed(rules->conf, name))
		return HEADERS_GONE;
	colon = kurir_str_find(field, ':');
	value = kurir_str_trim(kurir_str_part(field, (size_t)colon + 1, field.len));
	for (i = 0; i < rules->count; i++) {
		const struct rewrite *w = &rules->rewrites[i];
		/* A line that gets too long is left as it was. */
		struct kurir_buf line = KURIR_BUF(HEADERS_LINE_MAX);
		bool done;

		if (!kurir_str_equal_nocase(name, w->name))
			continue;
		done = kurir_buf_printf(&line, "%.*s: ", KURIR_ARG(name)) == 0 &&
		    rewritten(w, value, &line);
		kurir_buf_clear(out);
		done = done && kurir_buf_add(out, kurir_buf_str(&line)) == 0 &&
		    kurir_buf_add(out, KURIR_STR("\r\n")) == 0;
		kurir_buf_free(&line);
		if (done)
			return HEADERS_CHANGED;
	}
	return HEADERS_SAME;
}
