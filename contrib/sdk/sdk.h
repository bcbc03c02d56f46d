/* sdk.h - the parts of kurir-module. */
#ifndef SDK_SDK_H
#define SDK_SDK_H

#include <stdbool.h>

/* Says "kurir-module: what: why" and returns status. */
int sdk_fail(int status, const char *what, const char *why);
/* What a module's file says of itself; the exit status. */
int sdk_info(const char *file, bool json);

/* A new module in the folder to, or NULL: one of its name here; from the template in from, or NULL:
 * that of the installation.  The exit status. */
int sdk_new(const char *name, const char *to, const char *from);

#endif
