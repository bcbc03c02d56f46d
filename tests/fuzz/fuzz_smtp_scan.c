/* fuzz_smtp_scan.c - any bytes as a message, whole and byte by byte: the outcome is the same. */
#include <modules/smtp/smtp_scan.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	char *out;
	size_t len, used;
	bool ended;
	uint32_t seen;
};

static void scan(const uint8_t *data, size_t size, size_t step, bool dots, struct outcome *o)
{
	enum smtp_scan_result got = SCAN_MORE;
	struct smtp_scan s;
	struct kurir_str run;
	size_t used, end = 0;

	*o = (struct outcome){ .out = malloc(size + 1) };
	smtp_scan_start(&s, dots);
	while (end < size && got != SCAN_END) {
		end = size - end > step ? end + step : size;
		do {
			got = smtp_scan(&s,
			    (struct kurir_str){ (const char *)data + o->used, end - o->used },
			    &run, &used);
			memcpy(o->out + o->len, run.ptr, run.len);
			o->len += run.len;
			o->used += used;
		} while (got == SCAN_RUN);
	}
	o->ended = got == SCAN_END;
	o->seen = s.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int dots;

	for (dots = 0; dots < 2; dots++) {
		struct outcome whole, bytes;

		scan(data, size, size, dots != 0, &whole);
		scan(data, size, 1, dots != 0, &bytes);
		if (whole.len != bytes.len || whole.used != bytes.used ||
		    whole.ended != bytes.ended || whole.seen != bytes.seen ||
		    memcmp(whole.out, bytes.out, whole.len) != 0)
			abort();
		/* What looks like an end in what is stored was not one in what was sent. */
		if (dots != 0 && (whole.seen & (SCAN_FAULTS | SCAN_DOTLINE)) == 0 &&
		    whole.len >= 3 && memmem(whole.out, whole.len, "\r\n.", 3) != NULL)
			abort();
		free(whole.out);
		free(bytes.out);
	}
	return 0;
}
