/* nothing.c - a module without a descriptor. */
#include <kurir/module.h>

KURIR_API const struct kurir_module *nothing_LTX_kurir_module(void);

const struct kurir_module *nothing_LTX_kurir_module(void)
{
	return NULL;
}
