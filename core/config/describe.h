/* describe.h - the option tables for people and for editors. */
#ifndef CORE_DESCRIBE_H
#define CORE_DESCRIBE_H

#include "conf.h"
#include "instance.h"

void describe_core(struct kurir_buf *);
void describe_module(struct kurir_buf *, const struct module *);
/* JSON Schema (draft 7) of a whole configuration with these modules.  New reference. */
json_t *schema_make(const struct module *const *modules, size_t count);

#endif
