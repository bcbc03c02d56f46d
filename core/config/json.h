/* json.h - JSON as an administrator writes it: comments, trailing commas, "include"; every
 * value knows where it stands. Output is jansson's; this side only reads. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <kurir/module.h>

enum value_type {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_REAL,
	VALUE_TEXT,
	VALUE_ARRAY,
	VALUE_OBJECT
};

#define JSON_FILE_MAX  (4u << 20)  /* bytes of one file */
#define JSON_TOTAL_MAX (16u << 20) /* bytes of a file and all that it includes */
#define JSON_DEPTH_MAX 64	   /* arrays and objects within each other, over includes too */
#define JSON_FILES_MAX 256	   /* files that one configuration includes */

struct json {
	enum value_type type;
	bool truth;	       /* VALUE_BOOL */
	int64_t number;	       /* VALUE_INT */
	struct kurir_str text; /* VALUE_TEXT: decoded UTF-8 without NUL; INT, REAL: as written */
	struct kurir_str key;  /* when the parent is an object */
	const char *file;
	uint32_t line, column;	       /* of the value, from 1; columns count bytes */
	uint32_t key_line, key_column; /* of the key */
	uint32_t index;		       /* in the parent, from 0 */
	uint32_t count;		       /* of children */
	struct json *parent, *next, *first, *last;
};

/* What is wrong, one line each: "file:line:column: /json/pointer: sentence". */
struct report {
	struct kurir_buf text;
	unsigned errors; /* also those beyond REPORT_MAX, which are only counted */
	bool broken;	 /* syntax: what was read is not all that was written */
	bool host;	 /* asked for: also what is wrong with this host */
};
#define REPORT_MAX 500
#define REPORT()   ((struct report){ .text = KURIR_BUF(1u << 20) })
void report_at(struct report *, const struct json *where, const char *, ...) KURIR_FMT(3);
void report_key(struct report *, const struct json *where, const char *, ...) KURIR_FMT(3);
/* Something that has no place in a file. */
void report_line(struct report *, const char *, ...) KURIR_FMT(2);

/* The tree is in arena; file is shown in reports. NULL when nothing could be read; a tree with
 * report->broken is good for further reports only. */
struct json *json_parse(
    struct kurir_arena *, const char *file, struct kurir_str text, struct report *);
/* Reads path and, with includes, what it names: relative to the folder of the file that says
 * so. */
struct json *json_load(struct kurir_arena *, const char *path, struct report *);

const struct json *json_get(
    const struct json *object, const char *key); /* NULL: not there, or no object */
const char *value_type_name(enum value_type);	 /* "a text", "an object", ... */
const char *json_kind(const struct json *);	 /* the same, more exactly */
/* At most max bytes of a regular file; -EFBIG, -errno. json_slurp_why() is strerror(3) for it. */
const char *json_slurp_why(int r);
int json_slurp(struct kurir_arena *, const char *path, size_t max, struct kurir_str *ret,
    unsigned *ret_mode);
struct stat;
int json_slurp_fd(
    struct kurir_arena *, int fd, size_t max, struct kurir_str *ret, struct stat *ret_stat);

#endif
