/* fuzz_smtp_params.c - any bytes as parameters, and their values in each encoding. */
#include <kurir/module.h>
#include <modules/smtp/smtp_parse.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str rest = { (const char *)data, size }, key, value;
	uint32_t notify;

	while (smtp_param(&rest, &key, &value) == 1) {
		if (value.ptr == NULL)
			continue;
		(void)smtp_is_xtext(value);
		(void)smtp_is_orcpt(value);
		(void)smtp_notify(value, &notify);
	}
	kurir_arena_free(arena);
	return 0;
}
