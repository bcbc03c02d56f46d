/* fuzz_envelope.c - any bytes as a packed envelope; what is read is written the same. */
#include <kurir/smtp.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str in = { (const char *)data, size };
	struct kurir_reader r = KURIR_READER(in);
	struct kurir_buf b = KURIR_BUF(1u << 24);
	struct kurir_envelope e;

	if (kurir_get_envelope(&r, arena, &e) == 0) {
		size_t used = size - r.rest.len;

		if (kurir_put_envelope(&b, &e) < 0 || b.len != used ||
		    memcmp(b.ptr, data, used) != 0)
			abort();
	}
	kurir_buf_free(&b);
	kurir_arena_free(arena);
	return 0;
}
