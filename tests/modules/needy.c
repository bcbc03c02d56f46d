/* needy.c - a module that needs what nobody provides. */
#include <kurir/module.h>

static const char *const needs[] = { "unicorn", NULL };

KURIR_MODULE(needy, .version = "1.0", .roles = KURIR_ROLE_QUEUE, .needs = needs);
