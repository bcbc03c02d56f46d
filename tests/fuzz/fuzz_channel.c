/* fuzz_channel.c - frames between roles: what is taken lies inside of what came. */
#include "channel_private.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str s = { (const char *)data, size };

	for (;;) {
		struct frame f;
		size_t used = 0;
		int r = frame_parse(s, &f, &used);

		if (r != 1)
			return 0;
		if (used == 0 || used > s.len || f.name.len + f.body.len > used ||
		    f.body.ptr + f.body.len != s.ptr + used || f.body.len > KURIR_CALL_MAX)
			abort();
		s = kurir_str_part(s, used, s.len);
	}
}
