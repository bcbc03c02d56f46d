/* description.h - what a module says of itself, read from its file without running it. */
#ifndef SDK_DESCRIPTION_H
#define SDK_DESCRIPTION_H

#include <jansson.h>
#include <kurir/module.h>

/* The description that KURIR_MODULE(name, ...) left in a file's bytes, in arena: texts and tables
 * as they are, and in place of each function something that is not NULL and must not be called.
 * What it does not have, as it is older than this program, is zero.  0; -ENOEXEC, -EPROTONOSUPPORT
 * (another major version of the ABI: nothing more can be read), -EBADMSG, -E2BIG, with a sentence. */
int description_read(struct kurir_arena *, struct kurir_str name, struct kurir_str bytes,
    struct kurir_module *ret, struct kurir_str *ret_error);
/* The same from a file, whose name tells the module's.  -errno with a sentence. */
int description_of_file(struct kurir_arena *, const char *file, struct kurir_module *ret,
    struct kurir_str *ret_error);
/* For programs.  New reference. */
json_t *description_json(const struct kurir_module *, const char *file);

#endif
