/* json_private.h - what json.c, json_include.c and json_report.c share. */
#ifndef CORE_JSON_PRIVATE_H
#define CORE_JSON_PRIVATE_H

#include "json.h"

struct json_include;

#define JSON_SPLICED \
	UINT32_MAX /* index of the top of an included file: it is no step of a pointer */

struct json_parser {
	struct kurir_arena *arena;
	struct report *report;
	const char *file;
	const char *at, *end, *line_start;
	uint32_t line;
	unsigned depth;
	bool stop;		      /* after broken syntax: unwind */
	struct json_include *include; /* NULL: "include" means nothing */
};

struct json *json_parse_with(struct json_parser *, struct kurir_str text, struct json *parent);
void json_append(struct json *parent, struct json *child);
/* Puts the members of the files that v names into object. */
void json_include(struct json_parser *, struct json *object, const struct json *v);
/* The place of where, the pointer of in. */
void json_report_in(
    struct report *, const struct json *where, const struct json *in, const char *text);

#endif
