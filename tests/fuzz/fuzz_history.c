/* fuzz_history.c - any bytes as a line of the history: its keys are parts of it. */
#include <stdlib.h>

#include "history_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct kurir_str all, struct kurir_str part)
{
	return part.len == 0 || (part.ptr >= all.ptr && part.ptr + part.len <= all.ptr + all.len);
}

static bool seen(void *arg, struct kurir_str key)
{
	const struct kurir_str *line = arg;

	if (key.len == 0 || !within(*line, key) || history_hash(key) >> 38 != 0)
		abort();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str line = { size > 0 ? (const char *)data : "", size };

	history_keys(line, seen, &line);
	if (!within(line, history_member(line, KURIR_STR("id"))) || history_time(line) < 0)
		abort();
	return 0;
}
