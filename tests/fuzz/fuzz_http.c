/* fuzz_http.c - any lines as the head of an answer, and any bytes as a service's decision. */
#include <modules/http/http.h>
#include <modules/httpc/httpc.h>

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str all = { size > 0 ? (const char *)data : "", size }, rest = all;
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct http_decision decision;
	struct http_head head = { 0 };
	uint64_t chunk;

	while (rest.len > 0) {
		ssize_t lf = kurir_str_find(rest, '\n');
		size_t n = lf < 0 ? rest.len : (size_t)lf;
		struct kurir_str line = kurir_str_part(rest, 0, n);

		(void)http_parse_chunk(line, &chunk);
		if (http_parse_status(line, &head) < 0)
			(void)http_parse_field(line, &head);
		rest = kurir_str_part(rest, lf < 0 ? n : n + 1, rest.len);
	}
	for (int at = 0; at < AT_COUNT; at++)
		(void)http_answer_read(arena, all, (enum http_at)at, &decision);
	kurir_arena_free(arena);
	return 0;
}
