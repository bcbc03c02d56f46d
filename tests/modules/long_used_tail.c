/* long_used_tail.c - a descriptor of a newer header that uses something new. */
#include <kurir/module.h>

struct sized {
	struct kurir_module m;
	char tail[64];
};

KURIR_API const struct kurir_module *long_used_tail_LTX_kurir_module(void);

const struct kurir_module *long_used_tail_LTX_kurir_module(void)
{
	static const struct sized s = { .m = { .size = sizeof(struct sized),
					    .abi_major = KURIR_ABI_MAJOR,
					    .abi_minor = KURIR_ABI_MINOR,
					    .name = "long_used_tail",
					    .version = "1.0",
					    .roles = KURIR_ROLE_EDGE },
		.tail = { [60] = 1 } };

	return &s.m;
}
