/* fuzz_json.c - any bytes as a configuration's JSON: parsed, reported, pointed at. */
#include <json.h>
#include <conf.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(const struct json *v)
{
	struct report pointed = REPORT();

	report_at(&pointed, v, "this");
	kurir_buf_free(&pointed.text);
	for (const struct json *c = v->first; c; c = c->next)
		visit(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct report report = REPORT();
	struct json *top;

	top = json_parse(arena, "fuzz", (struct kurir_str){ (const char *)data, size }, &report);
	if (top && size < 4096)
		visit(top);
	if (top && !report.broken && top->type == VALUE_OBJECT) {
		struct frozen *memory = frozen_new();
		struct conf *conf = frozen_alloc(memory, sizeof(*conf));
		struct option_reader rd = { .report = &report,
			.memory = memory,
			.arena = arena,
			.folder = KURIR_STR("/"),
			.resolved = true };

		conf_read(&rd, top, conf);
		frozen_free(memory);
	}
	kurir_buf_free(&report.text);
	kurir_arena_free(arena);
	return 0;
}
