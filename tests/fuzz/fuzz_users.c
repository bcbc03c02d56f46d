/* fuzz_users.c - any bytes as a users file: what is found can be found again. */
#include <modules/auth_file/auth_file.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str text = { size > 0 ? (const char *)data : "", size };
	unsigned bad;
	const struct users *u = users_parse(arena, text, KURIR_STR("x.example"), &bad);
	struct users_line l;

	(void)backoff_network(arena, text);
	if (users_line(text, &l) == 1 && kurir_str_find(text, '\n') < 0 &&
	    users_find(u, users_name(arena, l.name, KURIR_STR("x.example"))) == NULL)
		abort();
	kurir_arena_free(arena);
	return 0;
}
