/* short_struct.c - a descriptor as an older header had it: what follows its size is not part of it. */
#include <kurir/module.h>

struct sized {
	struct kurir_module m;
	char tail[64];
};

KURIR_API const struct kurir_module *short_struct_LTX_kurir_module(void);

const struct kurir_module *short_struct_LTX_kurir_module(void)
{
	static const struct sized s = { .m = { .size = offsetof(struct kurir_module, start),
					    .abi_major = KURIR_ABI_MAJOR,
					    .abi_minor = KURIR_ABI_MINOR,
					    .name = "short_struct",
					    .version = "1.0",
					    .roles = KURIR_ROLE_EDGE,
					    .start = (int (*)(struct kurir_self *))8,
					    .stop = (void (*)(struct kurir_self *))8 } };

	return &s.m;
}
