/* fuzz_job.c - any bytes as a next hop, a job or results: what is taken packs to something that
 * is taken again. */
#include <kurir/queue.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct kurir_str s = { (const char *)data + 1, size - 1 };
	struct kurir_reader r = KURIR_READER(s);
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_buf b = KURIR_BUF(1 << 22);
	struct kurir_next_hop hop;
	struct kurir_job job;
	struct kurir_result results[4];
	if (data[0] % 3 == 0 && kurir_get_next_hop(&r, arena, &hop) == 0) {
		kurir_put_next_hop(&b, &hop);
		r = KURIR_READER(kurir_buf_str(&b));
		if (kurir_get_next_hop(&r, arena, &hop) != 0)
			abort();
	} else if (data[0] % 3 == 1 && kurir_get_job(&r, arena, &job) == 0) {
		kurir_put_job(&b, &job);
		r = KURIR_READER(kurir_buf_str(&b));
		if (kurir_get_job(&r, arena, &job) != 0)
			abort();
	} else if (data[0] % 3 == 2 &&
	    kurir_get_results(&r, arena, results, (data[0] & 3u)) == 0) {
		kurir_put_results(&b, results, (data[0] & 3u));
	}
	kurir_buf_free(&b);
	kurir_arena_free(arena);
	return 0;
}
