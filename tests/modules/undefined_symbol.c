/* undefined_symbol.c - a module that calls what the core does not have. */
#include <kurir/module.h>

KURIR_API int kurir_of_the_future(void);

static int start(struct kurir_self *self)
{
	(void)self;
	return kurir_of_the_future();
}

KURIR_MODULE(undefined_symbol, .version = "1.0", .start = start);
