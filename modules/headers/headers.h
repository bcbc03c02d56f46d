/* headers.h - private to the module: what is done to one field of a header. */
#ifndef HEADERS_H
#define HEADERS_H

#include <kurir/module.h>

#define HEADERS_FIELD_MAX 65536 /* bytes; a longer field passes as it is, or goes */
#define HEADERS_LINE_MAX  998	/* RFC 5322 2.1.1, without CRLF */

struct headers_conf {
	struct kurir_texts remove;
	struct kurir_map add, set, rewrite;
};

struct headers_rules;

/* Compiles the expressions, which go with the arena.  NULL with *error set. */
struct headers_rules *headers_rules_new(
    struct kurir_arena *, const struct headers_conf *, struct kurir_str *error);

/* The name of the field that begins with this line; -EINVAL: it begins none. */
int headers_name(struct kurir_str line, struct kurir_str *ret);

/* Whether the field that begins so is to be removed. */
bool headers_gone(const struct headers_rules *, struct kurir_str field);

enum headers_edit { HEADERS_SAME, HEADERS_GONE, HEADERS_CHANGED };
/* One whole field with its line ends; out (cleared before) is filled when it was changed.  Never
 * parks. */
enum headers_edit headers_edit(
    const struct headers_rules *, struct kurir_str field, struct kurir_buf *out);

#endif
