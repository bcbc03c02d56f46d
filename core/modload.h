/* modload.h - shared objects that are modules. */
#ifndef CORE_MODLOAD_H
#define CORE_MODLOAD_H

#include "instance.h"

/* Where NAME is: an absolute path in arena, or empty. Folders of KURIR_MODULE_PATH come first,
 * then path; in each NAME.so, .libs/NAME.so and NAME/.libs/NAME.so. */
struct kurir_str modload_search(
    struct kurir_arena *, struct kurir_str name, const struct kurir_texts *path);
/* The names of all modules there are, sorted, none twice. */
struct kurir_texts modload_list(struct kurir_arena *, const struct kurir_texts *path);
/* The folders that are looked in, for people: "/a, /b, c (not absolute)". */
struct kurir_str modload_folders(struct kurir_arena *, const struct kurir_texts *path);
/* Loads file (absolute) as the module name, once; it is never unloaded. 0, or -errno with a
 * sentence. */
int modload_open(struct kurir_arena *, struct kurir_str name, const char *file,
    struct module **ret, struct kurir_str *ret_error);
/* Only what can be seen without running the module: used by modload_open. */
bool modload_good_name(struct kurir_str name);

#endif
