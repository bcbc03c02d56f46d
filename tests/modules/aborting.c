/* aborting.c - a module that cannot be loaded without harm, but can be read. */
#include <kurir/smtp.h>

#include <stdlib.h>

__attribute__((constructor)) static void harm(void)
{
	abort();
}

static int rcpt(struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *to)
{
	(void)self;
	(void)tx;
	(void)to;
	abort();
}

/* Not hidden: a table that the dynamic linker finds by its name. */
KURIR_API extern const struct kurir_smtp_hooks aborting_hooks;
const struct kurir_smtp_hooks aborting_hooks = { .size = sizeof(aborting_hooks), .rcpt = rcpt };

static const char *const needs[] = { "accounts", NULL };

KURIR_MODULE(aborting, .version = "0.1", .summary = "harm \033[31m who runs it",
    .roles = KURIR_ROLE_EDGE, .needs = needs, .smtp = &aborting_hooks);
