/* abi_newer.c - a module that wants more than this core has. */
#include <kurir/module.h>

KURIR_API const struct kurir_module *abi_newer_LTX_kurir_module(void);

const struct kurir_module *abi_newer_LTX_kurir_module(void)
{
	static const struct kurir_module m = { .size = sizeof(m),
		.abi_major = KURIR_ABI_MAJOR,
		.abi_minor = KURIR_ABI_MINOR + 1,
		.name = "abi_newer" };

	return &m;
}
