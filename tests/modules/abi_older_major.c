/* abi_older_major.c - a module of another time: it is too old for the core. */
#include <kurir/module.h>

KURIR_API const struct kurir_module *abi_older_major_LTX_kurir_module(void);

const struct kurir_module *abi_older_major_LTX_kurir_module(void)
{
	static const struct kurir_module m = { .size = sizeof(m),
		.abi_major = KURIR_ABI_MAJOR - 1,
		.abi_minor = 7,
		.name = "abi_older_major" };

	return &m;
}
