/* fuzz_rspamd.c - any bytes as an answer of Rspamd, and what becomes of its fields. */
#include <modules/rspamd/rspamd.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was asked for, it is one field. */
static void check_field(struct kurir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool last = i + 1 == s.len;

		if (s.ptr[i] == '\0' || (s.ptr[i] == '\r' && (last || s.ptr[i + 1] != '\n')))
			abort();
		if (s.ptr[i] == '\n' &&
		    (i == 0 || s.ptr[i - 1] != '\r' ||
			(!last && s.ptr[i + 1] != ' ' && s.ptr[i + 1] != '\t')))
			abort();
	}
	if (s.len < 2 || s.ptr[s.len - 1] != '\n')
		abort();
}

static void add(struct kurir_str name, struct kurir_str value)
{
	struct kurir_buf b = KURIR_BUF(65536);

	if (rspamd_head_add(&b, name, value) == 0)
		check_field(kurir_buf_str(&b));
	kurir_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str all = { size > 0 ? (const char *)data : "", size };
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct rspamd_answer a;

	add(KURIR_STR("X"), all);
	add(all, KURIR_STR("x"));
	add(KURIR_STR("Subject"), rspamd_encode(arena, all));
	if (rspamd_answer_read(arena, all, &a) == NULL)
		for (size_t i = 0; i < a.names.count; i++)
			add(a.names.items[i], a.values.items[i]);
	kurir_arena_free(arena);
	return 0;
}
