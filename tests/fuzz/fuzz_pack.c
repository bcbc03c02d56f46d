/* fuzz_pack.c - a message between roles, read by a program that is in its first bytes. */
#include <kurir/call.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t steps = size < 32 ? size : 32;
	struct kurir_str all = { (const char *)data, size };
	struct kurir_reader r = KURIR_READER(kurir_str_part(all, steps, size));
	uint64_t sum = 0;

	for (size_t i = 0; i < steps; i++) {
		size_t before = r.rest.len;
		bool wrong = r.error != 0;
		uint64_t n = 0;
		switch (data[i] % 4) {
		case 0:
			n = kurir_get_u8(&r);
			break;
		case 1:
			n = kurir_get_u32(&r);
			break;
		case 2:
			n = kurir_get_u64(&r);
			break;
		default: {
			struct kurir_str s = kurir_get_text(&r);
			n = kurir_str_hash(s); /* touches each byte */
			if (s.len > before)
				abort();
			if (wrong && s.len)
				abort();
			n = s.len;
		}
		}
		if (r.rest.len > before || (wrong && (n || !r.error)))
			abort();
		sum += n;
	}
	return sum == 0x6b75726972u ? 1 : 0;
}
