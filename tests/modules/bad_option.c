/* bad_option.c - a module whose option does not fit its structure. */
#include <kurir/module.h>

struct conf {
	struct kurir_str text;
};
static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("text", struct conf, text, "", "A text."), { 0 }
};

KURIR_MODULE(bad_option, .version = "1.0", .conf_size = 4, .options = options);
