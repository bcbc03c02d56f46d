/* fuzz_option.c - any text as the value of an option of each type; what is taken can be written and taken again. */
#include <option.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct all {
	int64_t i;
	uint64_t s;
	kurir_time t;
	struct kurir_str x, p;
	int c;
	struct kurir_texts l;
	struct kurir_map m;
};
static const char *const choices[] = { "red", "green", NULL };
static const struct kurir_option all[] = { KURIR_OPT_RANGE("i", KURIR_INT, int64_t, struct all, i,
					       "5", -100, 100, "."),
	KURIR_OPT_SIZE("s", struct all, s, "20M", "."),
	KURIR_OPT_SPAN("t", struct all, t, "90s", "."),
	KURIR_OPT_TEXT("x", struct all, x, "", "."), KURIR_OPT_PATH("p", struct all, p, "", "."),
	KURIR_OPT_CHOICE("c", struct all, c, choices, "green", "."),
	KURIR_OPT_TEXTS("l", struct all, l, "", "."), KURIR_OPT_MAP("m", struct all, m, "", "."),
	{ 0 } };

static void again(struct option_reader *rd, struct all *conf)
{
	json_t *written = option_write(all, conf, true);
	char *text = json_dumps(written, 0);
	struct all second = { 0 };

	rd->report->errors = 0;
	option_fill(
	    rd, all, json_parse(rd->arena, "again", kurir_str_of(text), rd->report), &second);
	if (rd->report->errors || second.s != conf->s || second.t != conf->t ||
	    second.l.count != conf->l.count)
		abort();
	free(text);
	json_decref(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct report report = REPORT();
	struct frozen *memory = frozen_new();
	struct option_reader rd = {
		.report = &report, .memory = memory, .arena = arena, .folder = KURIR_STR("/etc")
	};
	struct json *top =
	    json_parse(arena, "fuzz", (struct kurir_str){ (const char *)data, size }, &report);
	struct all conf = { 0 };

	if (top && !report.broken) {
		option_fill(&rd, all, top, &conf);
		again(&rd, &conf);
	}
	frozen_free(memory);
	kurir_buf_free(&report.text);
	kurir_arena_free(arena);
	return 0;
}
