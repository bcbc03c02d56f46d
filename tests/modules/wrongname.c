/* wrongname.c - a module whose file has another name than itself. */
#include <kurir/module.h>

KURIR_API const struct kurir_module *wrongname_LTX_kurir_module(void);

const struct kurir_module *wrongname_LTX_kurir_module(void)
{
	static const struct kurir_module m = { .size = sizeof(m),
		.abi_major = KURIR_ABI_MAJOR,
		.abi_minor = 0,
		.name = "rightname" };

	return &m;
}
