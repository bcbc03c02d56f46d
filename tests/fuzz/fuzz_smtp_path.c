/* fuzz_smtp_path.c - any bytes as a path; what is accepted is accepted again, unchanged. */
#include <kurir/module.h>
#include <modules/smtp/smtp_parse.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str rest = { (const char *)data, size }, got, again;
	struct kurir_str list[4];
	size_t count;
	unsigned allowed = size > 0 ? data[0] & 1u ? PATH_UTF8 : 0u : 0u;

	if (smtp_path(&rest, allowed, arena, &got) == 0) {
		rest = kurir_format(arena, "<%.*s>", KURIR_ARG(got));
		if (smtp_path(&rest, allowed, arena, &again) < 0 || !kurir_str_equal(got, again))
			abort();
	}
	if (smtp_from((struct kurir_str){ (const char *)data, size }, arena, list, 4, &count) ==
	    0)
		for (size_t i = 0; i < count; i++)
			if (kurir_str_find(list[i], '@') < 1)
				abort();
	(void)smtp_is_domain((struct kurir_str){ (const char *)data, size }, allowed);
	(void)smtp_is_literal((struct kurir_str){ (const char *)data, size });
	kurir_arena_free(arena);
	return 0;
}
