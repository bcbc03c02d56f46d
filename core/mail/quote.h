/* quote.h - texts of anybody as JSON strings. */
#ifndef CORE_QUOTE_H
#define CORE_QUOTE_H

#include <kurir/module.h>

/* With its quotes.  UTF-8 stays; bytes that are none are taken for Latin-1. */
void quote_json(struct kurir_buf *, struct kurir_str);

#endif
