/* fuzz_description.c - a file that claims to be a module: what is read of it lies inside of it. */
#include "description.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str bytes = { (const char *)data, size }, error = KURIR_STR("");
	struct kurir_module m;

	if (description_read(arena, KURIR_STR("good"), bytes, &m, &error) == 0)
		json_decref(description_json(&m, "good.so"));
	else if (error.len == 0)
		abort();
	kurir_arena_free(arena);
	return 0;
}
