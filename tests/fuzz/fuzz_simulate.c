/* fuzz_simulate.c - any bytes as the question for a simulation. */
#include <stdlib.h>

#include "simulate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str body = { (const char *)data, size };
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_buf again = KURIR_BUF(size + 64);
	struct simulate_question q;

	if (simulate_get(body, arena, &q) == 0 &&
	    (simulate_put(&again, &q) < 0 || again.len > size))
		abort();
	kurir_buf_free(&again);
	kurir_arena_free(arena);
	return 0;
}
