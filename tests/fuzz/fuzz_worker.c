/* fuzz_worker.c - any bytes as a question to a worker and as its answer: refused, or what is packed
 * of them comes out the same when it is read and packed again. */
#include <kurir/call.h>

#include <stdlib.h>
#include <string.h>

#include "worker_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool again(
    bool question, struct kurir_arena *arena, struct kurir_str in, struct kurir_buf *b)
{
	struct kurir_reader reader = KURIR_READER(in);
	struct worker_question q;
	struct worker_answer a;

	*b = KURIR_BUF(KURIR_CALL_MAX);
	return question
	    ? worker_get_question(&reader, arena, &q) == 0 && worker_put_question(b, &q) == 0
	    : worker_get_answer(&reader, arena, &a) == 0 && worker_put_answer(b, &a) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_str in = { (const char *)data, size };
	struct kurir_buf first, second;

	for (int question = 0; question < 2; question++) {
		if (again(question, arena, in, &first)) {
			if (!again(question, arena, kurir_buf_str(&first), &second) ||
			    !kurir_str_equal(kurir_buf_str(&first), kurir_buf_str(&second)))
				abort();
			kurir_buf_free(&second);
		}
		kurir_buf_free(&first);
	}
	kurir_arena_free(arena);
	return 0;
}
