/* fuzz_milter.c - any bytes as what a milter answers: options, a reply, a change of a header, which
 * stays a header. */
#include <modules/milter/milter.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct milter_header *h)
{
	for (size_t i = 0; i < h->count; i++) {
		struct kurir_str raw = h->fields[i].raw;
		struct milter_field f;

		if (milter_header_next(&raw, &f) != 1 || raw.len != 0 || f.raw.len < 2 ||
		    memcmp(f.raw.ptr + f.raw.len - 2, "\r\n", 2) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum milter_reply whats[] = { MILTER_ADD_HEADER, MILTER_INSERT_HEADER,
		MILTER_CHANGE_HEADER };
	struct kurir_str in = { (const char *)data, size }, text;
	struct kurir_str was = KURIR_STR("A: 1\r\nB:\r\n 2\r\nA: 3\r\n");
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct milter_header h = { .count = 0 };
	struct milter_options o;
	struct milter_field f;
	char xyz[12];
	int code;

	while (milter_header_next(&was, &f) == 1)
		milter_header_add(&h, arena, h.count, &f);
	(void)milter_get_options(in, &o);
	if (milter_get_reply_code(in, &code, xyz, &text) == 0 && (code < 400 || code > 599))
		abort();
	(void)milter_socket(arena, in, &text);
	for (int i = 0; i < 3; i++)
		if (milter_header_edit(&h, arena, whats[i], in) == 0)
			check(&h);
	while (milter_header_next(&in, &f) == 1)
		(void)milter_header_value(arena, &f, false);
	kurir_arena_free(arena);
	return 0;
}
