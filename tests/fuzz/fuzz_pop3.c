/* fuzz_pop3.c - a line of POP3 into words, which lie within the line. */
#include <modules/pop3/pop3.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str line = { size > 0 ? (const char *)data : "", size }, words[POP3_WORDS];
	int n = pop3_split(line, words);
	uint64_t v;

	if (n > POP3_WORDS)
		abort();
	for (int i = 0; i < n; i++) {
		if (words[i].ptr < line.ptr || words[i].ptr + words[i].len > line.ptr + line.len)
			abort();
		pop3_number(words[i], &v);
	}
	return 0;
}
