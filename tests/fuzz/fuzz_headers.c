/* fuzz_headers.c - any bytes as a field: what was changed is one line of a field of that name. */
#include <modules/headers/headers.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kurir_str removed[] = { { "X-Spam*", 7 } };
static const struct kurir_str by[] = { { "(e+)(.*)", 8 }, { "\\2\\1\\0\\\\\\9", 10 } };
static const struct kurir_pair rewrites[] = { { { "Subject", 7 }, { 2, by } } };
static const struct headers_conf conf = { .remove = { 1, removed }, .rewrite = { 1, rewrites } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str field = { (const char *)data, size }, error, name, again;
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct headers_rules *rules = headers_rules_new(arena, &conf, &error);
	struct kurir_buf out = KURIR_BUF(HEADERS_FIELD_MAX);

	if (rules == NULL)
		abort();
	if (headers_edit(rules, field, &out) == HEADERS_CHANGED) {
		again = kurir_buf_str(&out);
		if (headers_name(again, &name) < 0 ||
		    !kurir_str_equal_nocase(name, KURIR_STR("Subject")) || again.len < 2 ||
		    again.len > HEADERS_LINE_MAX + 2 ||
		    kurir_str_find(again, '\r') != (ssize_t)again.len - 2 ||
		    kurir_str_find(again, '\n') != (ssize_t)again.len - 1)
			abort();
	}
	kurir_buf_free(&out);
	kurir_arena_free(arena);
	return 0;
}
