/* nosymbol.c - a shared object that is no module. */
#include <kurir/module.h>

KURIR_API int nosymbol_something(void);

int nosymbol_something(void)
{
	return 1;
}
