/* bad_size.c - a descriptor whose size cannot be one. */
#include <kurir/module.h>

struct sized {
	struct kurir_module m;
	char tail[64];
};

KURIR_API const struct kurir_module *bad_size_LTX_kurir_module(void);

const struct kurir_module *bad_size_LTX_kurir_module(void)
{
	static const struct sized s = { .m = { .size = 7,
					    .abi_major = KURIR_ABI_MAJOR,
					    .abi_minor = KURIR_ABI_MINOR,
					    .name = "bad_size",
					    .version = "1.0",
					    .roles = KURIR_ROLE_EDGE } };

	return &s.m;
}
