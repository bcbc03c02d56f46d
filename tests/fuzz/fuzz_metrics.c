/* fuzz_metrics.c - any bytes as a line of an HTTP request. */
#include <modules/metrics/metrics.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str line = { (const char *)data, size };
	struct metrics_request q;

	(void)metrics_field(line, KURIR_STR("Host"));
	if (metrics_request(line, &q) < 0)
		return 0;
	if (q.method.len == 0 || q.method.len + q.path.len > size ||
	    kurir_str_find(q.path, '?') >= 0 || kurir_str_find(q.path, ' ') >= 0)
		abort();
	return 0;
}
