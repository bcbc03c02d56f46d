/* strict.c - a module with an option that must be given, and without hooks. */
#include <kurir/module.h>

struct conf {
	struct kurir_str must;
	struct kurir_str password;
	int64_t level;
};
static const struct kurir_option options[] = { KURIR_OPT_TEXT("must", struct conf, must, NULL,
						   "What must be said."),
	KURIR_OPT_SECRET("password", struct conf, password, NULL, "The password."),
	KURIR_OPT_INT("level", struct conf, level, "1", "How much."), { 0 } };
static const struct kurir_service services[] = { { "protocol", "backstage", options, 0 }, { 0 } };

KURIR_MODULE(strict, .version = "1.0", .roles = KURIR_ROLE_QUEUE,
    .conf_size = sizeof(struct conf), .options = options, .services = services);
