/* fuzz_control.c - request lines of the admin socket. */
#include "control.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct control_request q = { 0 };
	struct kurir_str error = { 0 };
	int r = control_parse(arena, (struct kurir_str){ (const char *)data, size }, &q, &error);

	if (r == 0 ? q.body.len == 0 : error.len == 0)
		abort();
	kurir_arena_free(arena);
	return 0;
}
