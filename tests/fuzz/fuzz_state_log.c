/* fuzz_state_log.c - any bytes as a state log; they are given the checksums first, so that more
 * than those is tried. */
#include <modules/queue_journal/crc32c.h>
#include <modules/queue_journal/queue_role.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign(char *p, size_t n, uint64_t salt)
{
	char s[8];
	segment_put_le64(s, salt);
	for (size_t at = 0; at + 8 <= n;) {
		size_t length = segment_get_le32(p + at + 4) & 0xffff;
		if (length > n - at - 8)
			return;
		segment_put_le32(p + at, crc32c(crc32c(0, s, 8), p + at + 4, 4 + length));
		at += 8 + length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const kurir_time span = 60000;
	struct queue q = { .log = { .pending = KURIR_BUF(1 << 20) } };
	char *copy;
	size_t good;
	if (size == 0 || size > 1 << 16)
		return 0;
	copy = malloc(size);
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	if (data[0] != 'x')
		sign(copy, size, 7);
	scheduler_init(&q.scheduler, &span, 1, 2);
	state_replay(&q, (struct kurir_str){ copy, size }, 7, &good);
	if (good > size)
		abort();
	uint64_t queued = 0;
	uint32_t bucket = 0;
	for (struct message *m = table_walk(&q, &bucket, NULL); m != NULL;
	     m = table_walk(&q, &bucket, m))
		queued += m->undecided;
	if (queued != q.entry_count)
		abort();
	for (bucket = 0; q.message_count > 0; bucket = 0)
		table_remove(&q, table_walk(&q, &bucket, NULL));
	while (q.segments != NULL)
		table_segment_free(&q, q.segments);
	free(q.hash);
	scheduler_fini(&q.scheduler);
	kurir_buf_free(&q.log.pending);
	free(copy);
	return 0;
}
