/* sdk.h - the parts of kurir-module. */
#ifndef SDK_SDK_H
#define SDK_SDK_H

#include <stdbool.h>

/* Says "kurir-module: what: why" and returns status. */
int sdk_fail(int status, const char *what, const char *why);
/* What a module's file says of itself; the exit status. */
int sdk_info(const char *file, bool json);

#endif
