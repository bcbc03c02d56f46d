/* utf8.h - characters as UTF-8 (RFC 3629): one at a time, and nothing that only looks like it. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <kurir/module.h>

/* The character that s begins with: how many bytes it has; 0: there is none. */
size_t utf8_get(struct kurir_str s, uint32_t *ret_code);
/* The bytes of a code point, which is none of a surrogate pair: how many. */
size_t utf8_put(char to[4], uint32_t code);

#endif
