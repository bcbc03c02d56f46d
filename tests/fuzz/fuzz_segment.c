/* fuzz_segment.c - any bytes as a segment: the scan ends, stays inside, and finds sound records
 * only. */
#include <modules/queue_journal/segment.h>
#include <modules/queue_journal/spool_io.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment_scan s = { .until = UINT64_MAX };
	s.fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (s.fd < 0 || spool_write_full(s.fd, data, size, 0) < 0)
		abort();
	if (segment_scan(&s) == 0) {
		uint64_t end = SEGMENT_HEAD;
		for (size_t i = 0; i < s.count; i++) {
			if (s.found[i].offset < end || s.found[i].offset % SEGMENT_ALIGN != 0)
				abort();
			end = s.found[i].offset + segment_record_bytes(&s.found[i].record);
		}
		if (s.count > 0 && end > size + SEGMENT_ALIGN)
			abort();
		free(s.found);
	}
	close(s.fd);
	return 0;
}
