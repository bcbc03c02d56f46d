/* option.h - option tables: read, checked, filled, written, described. The core's own options
 * use the same tables as the modules'. */
#ifndef CORE_OPTION_H
#define CORE_OPTION_H

#include "json.h"

#include <jansson.h>

/* Types that only the core's own tables use. */
enum { OPTION_USER = 64 }; /* struct kurir_str: a name, or a number of a user */

/* Memory that is made read-only once it is filled. */
struct frozen;
struct frozen *frozen_new(void);
void *frozen_alloc(struct frozen *, size_t);			 /* zeroed, never NULL */
struct kurir_str frozen_copy(struct frozen *, struct kurir_str); /* NUL follows */
void frozen_seal(struct frozen *);
void frozen_free(struct frozen *);

struct option_reader {
	struct report *report;
	struct frozen *memory;
	struct kurir_arena *arena; /* what is needed until the end of the reading only */
	struct kurir_str folder;   /* absolute: where relative paths start */
	bool resolved;		   /* a plan: secrets stand in it as they are */
};

/* Fills conf from the members of object (NULL: all presets); wrong and missing ones are
 * reported. */
void option_fill(
    struct option_reader *, const struct kurir_option *, const struct json *object, void *conf);
/* One member, for callers with names of their own. */
void option_value(
    struct option_reader *, const struct kurir_option *, const struct json *value, void *conf);
/* Reports each member of object that none of the tables (and names) has. */
void option_unknown(struct option_reader *, const struct kurir_option *const *tables,
    size_t count, const char *const *names, const struct json *object);
/* The name among candidates that is most like name, or NULL. */
const char *option_nearest(struct kurir_str name, const char *const *candidates, size_t count);
/* " (did you mean ...?)" or empty. */
struct kurir_str option_hint(
    struct kurir_arena *, struct kurir_str name, const char *const *candidates, size_t count);

/* "5m" "1h30m" "0"; "20M" "512".  0 or -EINVAL, -ERANGE. */
int option_span(struct kurir_str, kurir_time *ret);
int option_size(struct kurir_str, uint64_t *ret);
struct kurir_str option_show_span(struct kurir_arena *, kurir_time);
struct kurir_str option_show_size(struct kurir_arena *, uint64_t);

/* path, or where it is in the reader's folder. */
struct kurir_str option_absolute(struct option_reader *, struct kurir_str path);

/* Everything in conf as an administrator could have written it; secrets as they are, or hidden.
 * New reference. */
json_t *option_write(const struct kurir_option *, const void *conf, bool secrets);
/* JSON Schema of an object with these options.  New reference. */
json_t *option_schema(const struct kurir_option *);
/* One option as a line or two of text for people. */
void option_describe(struct kurir_buf *, const struct kurir_option *);
const char *option_type_name(enum kurir_type);
size_t option_size_of(enum kurir_type); /* of the member; 0: no such type */

#endif
