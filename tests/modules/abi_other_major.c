/* abi_other_major.c - a module of another time: the core is too old for it. */
#include <kurir/module.h>

KURIR_API const struct kurir_module *abi_other_major_LTX_kurir_module(void);

const struct kurir_module *abi_other_major_LTX_kurir_module(void)
{
	static const struct kurir_module m = { .size = sizeof(m),
		.abi_major = KURIR_ABI_MAJOR + 1,
		.abi_minor = 0,
		.name = "abi_other_major" };

	return &m;
}
