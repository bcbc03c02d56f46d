/* fuzz_route_text.c - any text as a static route: what is taken can be written as an address and
 * taken again. */
#include <modules/route_static/route_text.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str s = { (const char *)data, size }, again;
	struct route_text t, u;
	const char *why = NULL;
	if (route_text_parse(s, &t, &why) < 0) {
		if (why == NULL)
			abort();
		return 0;
	}
	if (!t.literal || kurir_str_starts(t.host, KURIR_STR("unix:")))
		return 0;
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	again = route_text_address(arena, &t);
	again = kurir_format(arena, "smtp:%.*s", KURIR_ARG(again));
	if (route_text_parse(again, &u, &why) < 0 || u.port != t.port ||
	    !kurir_str_equal(u.host, t.host))
		abort();
	kurir_arena_free(arena);
	return 0;
}
