/* fuzz_plan.c - any bytes as a plan: read or refused, and its part for a role can be read again. */
#include <plan.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str error;
	struct plan *plan;

	if (plan_read((struct kurir_str){ (const char *)data, size }, arena, &plan, &error) ==
	    0) {
		plan_for_role(plan, arena, KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE, 0);
		plan_free(plan);
	}
	kurir_arena_free(arena);
	return 0;
}
