/* lonely.c - a module that needs a service of the kind it provides itself. */
#include <kurir/module.h>

static const char *const needs[] = { "echo", NULL };
static const struct kurir_service services[] = { { "echo", "lonely", needs, 0 }, { 0 } };

KURIR_MODULE(
    lonely, .version = "1.0", .roles = KURIR_ROLE_QUEUE, .needs = needs, .services = services);
